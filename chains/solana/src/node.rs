//! One node: typed questions, and the checks every answer passes before anybody reads it.
//!
//! Invariants: a node is asked for its genesis before its first word counts, and again after every
//! broken call; what it calls final never moves backwards; absence is never evidence here: a slot
//! counts as empty only when a later block names a parent below it, because nodes answer "skipped"
//! and "not available" for blocks they merely lost or have not stored yet.

use std::{
    borrow::Cow,
    sync::{
        Arc,
        atomic::{AtomicBool, AtomicU64, Ordering},
    },
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
    config::SolanaConfig,
    rpc::{self, Limits},
    wire::{Block, Header, InContext, Status, garbage},
};

/// Skipped, or lost in a jump to a snapshot; not available; no status yet: the codes do not tell
/// "never" from "not now".
const NOT_THERE: [i64; 4] = [-32007, -32009, -32004, -32014];
const CLEANED_UP: i64 = -32001;
/// How far below the tip a block is looked for when the node cannot show the tip itself.
const BEHIND: u64 = 32;
/// How many of those are tried.
const TRIES: usize = 4;

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
    /// Parts of the address that may be keys: never repeated from a node's own error text.
    withheld: Vec<String>,
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
            host: chains::settings::host_of(url),
            withheld: withheld(url),
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
                Fault::Refused(*code, self.shown(message))
            }
            ClientErrorKind::Custom(why) => {
                // Whoever answers next may be another node.
                self.is_ours.store(false, Ordering::Release);
                Fault::Failed(why.clone())
            }
            _ => Fault::Failed("an answer that makes no sense".to_owned()),
        }
    }

    /// A node's own words, short, on one line and without the keys of its address.
    fn shown(&self, message: &str) -> String {
        if self.withheld.iter().any(|part| message.contains(part.as_str())) {
            return "(withheld)".to_owned();
        }
        message.chars().filter(|c| !c.is_control()).take(120).collect()
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

    /// The tip, or the newest block below it that the node can show: it announces slots a moment
    /// before it can.
    async fn last_block(&self, tip: u64) -> Result<(u64, Header), ReadError> {
        if let Some(header) = self.header(tip).await? {
            return Ok((tip, header));
        }
        let from = tip.saturating_sub(BEHIND);
        let params = json!([from, tip, { "commitment": "confirmed" }]);
        let slots: Vec<u64> = self.call(RpcRequest::GetBlocks, params).await?;
        for slot in slots.into_iter().rev().filter(|slot| *slot < tip).take(TRIES) {
            if let Some(header) = self.header(slot).await? {
                return Ok((slot, header));
            }
        }
        Err(garbage("a tip without a block"))
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

    /// The first slots with blocks, at or above `from`: at most `limit`, however long the gaps.
    pub(crate) async fn blocks(&self, from: u64, limit: usize) -> Result<Vec<u64>, ReadError> {
        let params = json!([from, limit, { "commitment": "confirmed" }]);
        let slots: Vec<u64> = self.call(RpcRequest::GetBlocksWithLimit, params).await?;
        let rising = slots.windows(2).all(|pair| pair.first() < pair.last());
        if !rising || slots.len() > limit || slots.iter().any(|slot| *slot < from) {
            return Err(garbage("other slots than asked for"));
        }
        Ok(slots)
    }

    /// The block of a slot. `None` above the tip, and where a later block's parent shows that the
    /// slot has none.
    pub(crate) async fn at(&self, slot: u64) -> Result<Option<Header>, ReadError> {
        let Some(first) = self.blocks(slot, 1).await?.first().copied() else {
            if self.slot("confirmed").await? < slot {
                return Ok(None);
            }
            return Err(garbage("no slots up to its own tip"));
        };
        let header = self.header(first).await?.ok_or_else(|| garbage("a block it lacks"))?;
        if first == slot {
            return Ok(Some(header));
        }
        if header.parent_slot < slot {
            return Ok(None);
        }
        Err(garbage("slots that leave out a block"))
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
            Err(Fault::Refused(code, _)) if NOT_THERE.contains(&code) => Ok(None),
            Err(Fault::Refused(CLEANED_UP, _)) => Err(ReadError::UnknownBlock),
            Err(fault) => Err(fault.into()),
        }
    }

    /// `None` when the node does not show one at this moment: that says nothing about the slot.
    pub(crate) async fn header(&self, slot: u64) -> Result<Option<Header>, ReadError> {
        let found: Option<Header> = self.read(slot, "none").await?;
        found.map(|header| header.checked(slot)).transpose()
    }

    /// As [`Node::header`], with what its transactions did.
    pub(crate) async fn block(&self, slot: u64) -> Result<Option<Block>, ReadError> {
        let found: Option<Block> = self.read(slot, "accounts").await?;
        let checked = |block: Block| Ok(Block { header: block.header.checked(slot)?, ..block });
        found.map(checked).transpose()
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
        Ok(self.at(height).await?.map(|header| header.blockhash))
    }
}

fn withheld(url: &Url) -> Vec<String> {
    let segments = url.path_segments().into_iter().flatten().map(Cow::Borrowed);
    let query = url.query_pairs().map(|(_, value)| value);
    let login = [Some(url.username()), url.password()].into_iter().flatten().map(Cow::Borrowed);
    let parts = segments.chain(query).chain(login);
    parts.filter(|part| part.len() >= 6).map(Cow::into_owned).collect()
}
