//! One node: typed questions, and the checks every answer passes before anybody reads it.
//!
//! Invariants: a node is asked for its genesis before its first word counts, and again after every
//! broken call; what it calls final never moves backwards; that a block is not there counts as
//! "skipped" only by the node's own word for it, never by an error that may pass.

use std::sync::{
    Arc,
    atomic::{AtomicBool, AtomicU64, Ordering},
};

use async_trait::async_trait;
use chains::{Head, ReadError};
use serde::de::DeserializeOwned;
use serde_json::{Value, json};
use solana_client::{
    client_error::{ClientError, ClientErrorKind},
    nonblocking::rpc_client::RpcClient,
    rpc_request::{RpcError, RpcRequest},
};
use url::Url;

use crate::{
    config::{SolanaConfig, host_of},
    rpc::{self, Limits},
    wire::{Block, Header, InContext, Status, garbage},
};

/// The slot has no block, for good.
const SKIPPED: [i64; 2] = [-32007, -32009];
/// No block yet, or not any more, or not at this moment.
const NOT_NOW: [i64; 2] = [-32004, -32014];
const CLEANED_UP: i64 = -32001;
/// Slots asked for when the next block is looked for: no run of skipped ones was ever as long.
const AHEAD: u64 = 500;

/// Why a call gave nothing.
#[derive(Debug)]
pub(crate) enum Fault {
    /// The node's own error.
    Refused(i64, String),
    Failed(String),
}

impl From<Fault> for ReadError {
    fn from(fault: Fault) -> Self {
        match fault {
            Fault::Refused(code, why) => Self::Unavailable(format!("error {code}: {why}")),
            Fault::Failed(why) => Self::Unavailable(why),
        }
    }
}

pub(crate) struct Node {
    client: RpcClient,
    host: String,
    genesis: String,
    is_ours: AtomicBool,
    calls: Arc<AtomicU64>,
    finalized: AtomicU64,
}

impl Node {
    pub(crate) fn try_new(url: &Url, config: &SolanaConfig) -> Result<Self, String> {
        let limits =
            Limits { timeout: config.request_timeout(), max_bytes: config.max_response_bytes };
        let calls = Arc::new(AtomicU64::new(0));
        Ok(Self {
            client: rpc::client(url.clone(), limits, Arc::clone(&calls))?,
            host: host_of(url),
            genesis: config.genesis_hash.clone(),
            is_ours: AtomicBool::new(false),
            calls,
            finalized: AtomicU64::new(0),
        })
    }

    pub(crate) async fn call<T: DeserializeOwned>(
        &self,
        request: RpcRequest,
        params: Value,
    ) -> Result<T, Fault> {
        self.client.send(request, params).await.map_err(|error| self.fault(&error))
    }

    fn fault(&self, error: &ClientError) -> Fault {
        match error.kind() {
            ClientErrorKind::RpcError(RpcError::RpcResponseError { code, message, .. }) => {
                let shown = message.chars().filter(|c| !c.is_control()).take(120).collect();
                Fault::Refused(*code, shown)
            }
            ClientErrorKind::Custom(why) => {
                // Whoever answers next may be another node.
                self.is_ours.store(false, Ordering::Release);
                Fault::Failed(why.clone())
            }
            _ => Fault::Failed("an answer that makes no sense".to_owned()),
        }
    }

    pub(crate) async fn check_genesis(&self) -> Result<(), ReadError> {
        let theirs: String = self.call(RpcRequest::GetGenesisHash, json!([])).await?;
        let ours = theirs == self.genesis;
        self.is_ours.store(ours, Ordering::Release);
        if ours {
            return Ok(());
        }
        let shown: String = theirs.chars().filter(char::is_ascii_alphanumeric).take(12).collect();
        Err(ReadError::Untrusted(format!("its genesis is {shown}…, of another network")))
    }

    pub(crate) async fn slot(&self, commitment: &str) -> Result<u64, ReadError> {
        Ok(self.call(RpcRequest::GetSlot, json!([{ "commitment": commitment }])).await?)
    }

    /// The newest slot at or below `slot` that has a block.
    async fn last_block(&self, slot: u64) -> Result<(u64, Header), ReadError> {
        if let Some(header) = self.header(slot).await? {
            return Ok((slot, header));
        }
        let slots = self.blocks(slot.saturating_sub(AHEAD), slot).await?;
        let last = *slots.last().ok_or_else(|| garbage("a tip without a block"))?;
        let header = self.header(last).await?.ok_or_else(|| garbage("a block it lacks"))?;
        Ok((last, header))
    }

    /// The tip by the vote of two thirds. `processed` is left out: a block nobody voted for is a
    /// rumour, and this network cannot be read at that level anyway.
    pub(crate) async fn head(&self) -> Result<Head, ReadError> {
        self.check_genesis().await?;
        let finalized = self.slot("finalized").await?;
        let tip = self.slot("confirmed").await?;
        if finalized > tip {
            return Err(ReadError::Untrusted("final blocks lie ahead of the tip".to_owned()));
        }
        let before = self.finalized.fetch_max(finalized, Ordering::AcqRel);
        if finalized < before {
            let sentence = format!("finality went backwards from {before} to {finalized}");
            return Err(ReadError::Untrusted(sentence));
        }
        let (slot, header) = self.last_block(tip).await?;
        Ok(Head {
            latest: header.reference(slot)?,
            safe: Some(slot),
            finalized: Some(finalized.min(slot)),
        })
    }

    /// Slots with blocks, from and to, both included.
    pub(crate) async fn blocks(&self, from: u64, to: u64) -> Result<Vec<u64>, ReadError> {
        let params = json!([from, to, { "commitment": "confirmed" }]);
        let slots: Vec<u64> = self.call(RpcRequest::GetBlocks, params).await?;
        let rising = slots.windows(2).all(|pair| pair.first() < pair.last());
        if !rising || slots.iter().any(|slot| *slot < from || *slot > to) {
            return Err(garbage("other slots than asked for"));
        }
        Ok(slots)
    }

    /// The first slot after `slot` that has a block.
    pub(crate) async fn next_slot(&self, slot: u64) -> Result<Option<u64>, ReadError> {
        let slots = self.blocks(slot.saturating_add(1), slot.saturating_add(AHEAD)).await?;
        Ok(slots.first().copied())
    }

    async fn read<T: DeserializeOwned>(
        &self,
        slot: u64,
        details: &str,
    ) -> Result<Option<T>, ReadError> {
        let config = json!({
            "encoding": "json", "transactionDetails": details, "rewards": false,
            "commitment": "confirmed", "maxSupportedTransactionVersion": 0,
        });
        match self.call(RpcRequest::GetBlock, json!([slot, config])).await {
            Ok(block) => Ok(block),
            Err(Fault::Refused(code, _)) if SKIPPED.contains(&code) || NOT_NOW.contains(&code) => {
                Ok(None)
            }
            Err(Fault::Refused(CLEANED_UP, _)) => Err(ReadError::UnknownBlock),
            Err(fault) => Err(fault.into()),
        }
    }

    /// `None` where the slot has no block, or none yet.
    pub(crate) async fn header(&self, slot: u64) -> Result<Option<Header>, ReadError> {
        self.read(slot, "none").await
    }

    pub(crate) async fn block(&self, slot: u64) -> Result<Option<Block>, ReadError> {
        self.read(slot, "accounts").await
    }

    pub(crate) async fn status(&self, signature: &str) -> Result<Option<Status>, ReadError> {
        let params = json!([[signature], { "searchTransactionHistory": true }]);
        let answer: InContext<Vec<Option<Status>>> =
            self.call(RpcRequest::GetSignatureStatuses, params).await?;
        let mut statuses = answer.value.into_iter();
        match (statuses.next(), statuses.next()) {
            (Some(status), None) => Ok(status),
            _ => Err(garbage("more or less than one status")),
        }
    }
}

#[async_trait]
impl chains::nodes::Node for Node {
    fn host(&self) -> &str {
        &self.host
    }

    fn calls(&self) -> u64 {
        self.calls.load(Ordering::Relaxed)
    }

    async fn ensure_ours(&self) -> Result<(), ReadError> {
        if self.is_ours.load(Ordering::Acquire) {
            return Ok(());
        }
        self.check_genesis().await
    }

    async fn tip(&self) -> Result<u64, ReadError> {
        self.slot("confirmed").await
    }

    async fn hash_at(&self, height: u64) -> Result<Option<String>, ReadError> {
        Ok(self.header(height).await?.map(|header| header.blockhash))
    }
}
