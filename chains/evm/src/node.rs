//! One node: typed questions, and the checks every answer passes before anybody reads it.
//!
//! Invariants: a node is asked for its chain id before its first word counts, and again after every
//! broken call and with every tip; what it calls final never moves backwards.

use std::{
    borrow::Cow,
    sync::{
        OnceLock,
        atomic::{AtomicBool, AtomicU64, Ordering},
    },
};

use alloy::{
    primitives::{Address, B256, Bytes, U64},
    rpc::{
        client::RpcClient,
        json_rpc::{RpcError, RpcRecv, RpcSend},
    },
    transports::TransportErrorKind,
};
use async_trait::async_trait;
use chains::{Head, ReadError};
use serde_json::{Value, json};
use url::Url;

use crate::{
    rpc::{self, Limits},
    traces::Tracer,
    wire::{Block, Header, garbage, text_of_hash},
};

/// How much of a node's refusal is read.
const WORDS: usize = 500;

/// Why a single call gave nothing.
#[derive(Debug)]
pub(crate) enum Fault {
    /// The node does not offer this method: another way may exist.
    NoMethod(&'static str),
    Failed(String),
}

impl From<Fault> for ReadError {
    fn from(fault: Fault) -> Self {
        match fault {
            Fault::NoMethod(method) => Self::Unavailable(format!("the node has no {method}")),
            Fault::Failed(why) => Self::Unavailable(why),
        }
    }
}

/// What a node said instead of an answer.
#[derive(Debug)]
pub(crate) struct Said {
    pub(crate) code: i64,
    /// In lower case and bounded, to be compared with; never shown.
    pub(crate) words: String,
    /// What may be shown of it.
    pub(crate) shown: String,
}

pub(crate) struct Node {
    client: RpcClient,
    host: String,
    /// Parts of the address that may be keys: never repeated from a node's own error text.
    withheld: Vec<String>,
    chain_id: u64,
    is_ours: AtomicBool,
    calls: AtomicU64,
    finalized: AtomicU64,
    /// What `TraceMode::Auto` found.
    pub(crate) tracer: OnceLock<Tracer>,
}

impl Node {
    pub(crate) fn try_new(url: &Url, chain_id: u64, limits: Limits) -> Result<Self, String> {
        let segments = url.path_segments().into_iter().flatten();
        let query = url.query_pairs().map(|(_, value)| value);
        let login = [Some(url.username()), url.password()].into_iter().flatten();
        let withheld = segments
            .map(Cow::Borrowed)
            .chain(query)
            .chain(login.map(Cow::Borrowed))
            .filter(|part| part.len() >= 6)
            .map(Cow::into_owned)
            .collect();
        Ok(Self {
            client: rpc::client(url.clone(), limits)?,
            host: chains::settings::host_of(url),
            withheld,
            chain_id,
            is_ours: AtomicBool::new(false),
            calls: AtomicU64::new(0),
            finalized: AtomicU64::new(0),
            tracer: OnceLock::new(),
        })
    }

    pub(crate) async fn call<P: RpcSend, R: RpcRecv>(
        &self,
        method: &'static str,
        params: P,
    ) -> Result<R, Fault> {
        self.calls.fetch_add(1, Ordering::Relaxed);
        self.client.request(method, params).await.map_err(|error| self.fault(method, error))
    }

    /// As [`Node::call`], where the node's refusal is an answer as well.
    pub(crate) async fn told<P: RpcSend, R: RpcRecv>(
        &self,
        method: &'static str,
        params: P,
    ) -> Result<Result<R, Said>, Fault> {
        self.calls.fetch_add(1, Ordering::Relaxed);
        match self.client.request(method, params).await {
            Ok(answer) => Ok(Ok(answer)),
            Err(RpcError::ErrorResp(e)) if e.code != -32601 => {
                let words = e.message.chars().take(WORDS).collect::<String>().to_lowercase();
                let shown = format!("{method}: error {}: {}", e.code, self.shown(&e.message));
                Ok(Err(Said { code: e.code, words, shown }))
            }
            Err(error) => Err(self.fault(method, error)),
        }
    }

    /// The same question of many things in one request: an answer each, in order.
    pub(crate) async fn batch<P: RpcSend, R: RpcRecv>(
        &self,
        method: &'static str,
        questions: impl Iterator<Item = P>,
    ) -> Result<Vec<R>, Fault> {
        self.calls.fetch_add(1, Ordering::Relaxed);
        let mut batch = self.client.new_batch();
        let mut waiting = Vec::new();
        for params in questions {
            let answer = batch.add_call(method, &params);
            waiting.push(answer.map_err(|error| self.fault(method, error))?);
        }
        batch.send().await.map_err(|error| self.fault(method, error))?;
        let mut answers = Vec::with_capacity(waiting.len());
        for answer in waiting {
            answers.push(answer.await.map_err(|error| self.fault(method, error))?);
        }
        Ok(answers)
    }

    fn fault(&self, method: &'static str, error: RpcError<TransportErrorKind>) -> Fault {
        match error {
            // -32601 by JSON-RPC, -32004 by EIP-1474.
            RpcError::ErrorResp(e) if e.code == -32601 || e.code == -32004 => {
                Fault::NoMethod(method)
            }
            RpcError::ErrorResp(e) => {
                Fault::Failed(format!("{method}: error {}: {}", e.code, self.shown(&e.message)))
            }
            RpcError::Transport(kind) => {
                // Whoever answers next may be another node.
                self.is_ours.store(false, Ordering::Release);
                Fault::Failed(format!("{method}: {kind}"))
            }
            // alloy puts the whole answer into these; it is unbounded and not ours to repeat.
            _ => Fault::Failed(format!("{method}: an answer that makes no sense")),
        }
    }

    /// A node's own words, short, on one line and without the keys of its address.
    fn shown(&self, message: &str) -> String {
        if self.withheld.iter().any(|part| message.contains(part.as_str())) {
            return "(withheld)".to_owned();
        }
        message.chars().filter(|c| !c.is_control()).take(120).collect()
    }

    pub(crate) async fn check_chain_id(&self) -> Result<(), ReadError> {
        let answered: U64 = self.call("eth_chainId", ()).await?;
        let ours = answered == U64::from(self.chain_id);
        self.is_ours.store(ours, Ordering::Release);
        if ours {
            return Ok(());
        }
        let wanted = self.chain_id;
        Err(ReadError::Untrusted(format!("chain id is {answered}, wanted {wanted}")))
    }

    /// The header by hash; `None` when the node does not know it.
    pub(crate) async fn header(&self, hash: B256) -> Result<Option<Header>, ReadError> {
        let found: Option<Header> = self.call("eth_getBlockByHash", (hash, false)).await?;
        match found {
            Some(header) if header.hash != hash => Err(garbage("another block")),
            found => Ok(found),
        }
    }

    /// The block with its transactions; `None` when the node does not know it.
    pub(crate) async fn block(&self, hash: B256) -> Result<Option<Block>, ReadError> {
        let found: Option<Block> = self.call("eth_getBlockByHash", (hash, true)).await?;
        match found {
            Some(block) if block.header.hash != hash => Err(garbage("another block")),
            found => Ok(found),
        }
    }

    pub(crate) async fn header_at(&self, height: u64) -> Result<Option<Header>, ReadError> {
        let number = U64::from(height);
        let found: Option<Header> = self.call("eth_getBlockByNumber", (number, false)).await?;
        match found {
            Some(header) if header.number != number => Err(garbage("another height")),
            found => Ok(found),
        }
    }

    async fn tagged(&self, tag: &'static str) -> Result<Option<Header>, ReadError> {
        match self.call("eth_getBlockByNumber", (tag, false)).await {
            Ok(found) => Ok(found),
            // -39001 and friends: the chain has nothing under this tag yet.
            Err(Fault::Failed(why)) if why.contains("not found") && tag != "latest" => {
                tracing::debug!(tag, why, "no block under this tag");
                Ok(None)
            }
            Err(Fault::Failed(why)) => {
                Err(ReadError::Unavailable(format!("asked for the `{tag}` block: {why}")))
            }
            Err(fault) => Err(fault.into()),
        }
    }

    pub(crate) async fn latest(&self) -> Result<Header, ReadError> {
        self.tagged("latest").await?.ok_or_else(|| garbage("no latest block"))
    }

    /// The tip. `latest` is asked last: it may have moved on, it must not be behind.
    pub(crate) async fn head(&self) -> Result<Head, ReadError> {
        let (chain_id, safe, finalized) = futures::future::join3(
            self.check_chain_id(),
            self.tagged("safe"),
            self.tagged("finalized"),
        )
        .await;
        chain_id?;
        let safe = safe?.map(|header| header.height());
        let finalized = finalized?.map(|header| header.height());
        let latest = self.latest().await?.reference()?;
        if safe > Some(latest.height) || finalized > Some(latest.height) {
            return Err(ReadError::Untrusted("final blocks lie ahead of the tip".to_owned()));
        }
        if safe.is_some() && finalized > safe {
            return Err(ReadError::Untrusted("final blocks lie ahead of safe ones".to_owned()));
        }
        self.never_backwards(finalized)?;
        Ok(Head { latest, safe, finalized })
    }

    fn never_backwards(&self, finalized: Option<u64>) -> Result<(), ReadError> {
        let now = finalized.unwrap_or(0);
        let before = self.finalized.fetch_max(now, Ordering::AcqRel);
        if now >= before {
            return Ok(());
        }
        let sentence = format!("finality went backwards from {before} to {now}");
        Err(ReadError::Untrusted(sentence))
    }

    /// Runs a call of a contract at a block (`blockHash` object or a tag).
    pub(crate) async fn view(
        &self,
        contract: Address,
        input: &[u8],
        at: Value,
    ) -> Result<Bytes, Fault> {
        let input = Bytes::copy_from_slice(input);
        // Older nodes read only `data`, newer ones prefer `input`; both agree when equal.
        self.call("eth_call", (json!({"to": contract, "input": input, "data": input}), at)).await
    }
}

#[async_trait]
impl chains::nodes::Node for Node {
    fn host(&self) -> &str {
        &self.host
    }

    /// A batch is one.
    fn calls(&self) -> u64 {
        self.calls.load(Ordering::Relaxed)
    }

    /// Asks for the chain id unless it is known since the last broken call.
    async fn ensure_ours(&self) -> Result<(), ReadError> {
        if self.is_ours.load(Ordering::Acquire) {
            return Ok(());
        }
        self.check_chain_id().await
    }

    async fn tip(&self) -> Result<u64, ReadError> {
        Ok(self.latest().await?.height())
    }

    async fn hash_at(&self, height: u64) -> Result<Option<String>, ReadError> {
        Ok(self.header_at(height).await?.map(|header| text_of_hash(header.hash)))
    }
}
