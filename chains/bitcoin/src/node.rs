//! One bitcoind: typed questions, and the checks every answer passes before anybody reads it.
//!
//! Invariants: a node is asked for its first block before its first word counts, and again after
//! every broken call; a block counts only when its bytes hash to the name it was asked by and its
//! transactions to the root in its header.

use std::{
    collections::BTreeSet,
    str::FromStr as _,
    sync::{
        Arc,
        atomic::{AtomicBool, AtomicU64, Ordering},
    },
};

use async_trait::async_trait;
use bitcoin::{Block, BlockHash, OutPoint, Transaction, Txid, consensus::encode};
use bitcoincore_rpc::{Client, Error as RpcError, RpcApi as _, jsonrpc};
use chains::{BlockRef, ReadError};
use chrono::DateTime;
use serde::Deserialize;
use serde_json::{Value, json};
use url::Url;

use crate::{
    config::BitcoinConfig,
    rpc::{self, Limits, Lost},
};

/// "Invalid address or key", in words: the node does not have what was asked for.
const NOT_FOUND: i32 = -5;
/// "Invalid parameter": a height above the tip.
const OUT_OF_RANGE: i32 = -8;

/// A header as `getblockheader` shows it.
#[derive(Debug, Clone, Deserialize)]
pub(crate) struct Header {
    pub(crate) hash: String,
    pub(crate) height: u64,
    /// -1 when the block is not on the node's best chain.
    pub(crate) confirmations: i64,
    pub(crate) time: i64,
    #[serde(rename = "previousblockhash", default)]
    pub(crate) previous: String,
    #[serde(rename = "nextblockhash")]
    pub(crate) next: Option<String>,
}

impl Header {
    pub(crate) fn reference(&self) -> Result<BlockRef, ReadError> {
        let time = DateTime::from_timestamp(self.time, 0).ok_or_else(|| garbage("a time"))?;
        let (hash, parent_hash) = (self.hash.clone(), self.previous.clone());
        Ok(BlockRef { height: self.height, hash, parent_hash, time })
    }
}

/// What `getrawtransaction` says of where a transaction is.
#[derive(Debug, Deserialize)]
pub(crate) struct Whereabouts {
    pub(crate) txid: String,
    pub(crate) blockhash: Option<String>,
    #[serde(default)]
    pub(crate) confirmations: u64,
}

/// Who spends an output in the mempool.
#[derive(Debug, Deserialize)]
pub(crate) struct Spender {
    pub(crate) spendingtxid: Option<String>,
}

#[derive(Debug, Deserialize)]
pub(crate) struct ChainInfo {
    pub(crate) chain: String,
    pub(crate) blocks: u64,
    pub(crate) bestblockhash: String,
    pub(crate) initialblockdownload: bool,
    pub(crate) pruned: bool,
}

/// Why a call gave nothing.
#[derive(Debug)]
pub(crate) enum Fault {
    /// The node answered that it does not have this.
    NotFound,
    /// The node answered with an error of its own.
    Said { code: i32, message: String },
    /// The question never came to a node that answers questions.
    Unreached(&'static str),
    /// No answer that can be read; the question may have been heard.
    Failed(String),
}

impl From<Fault> for ReadError {
    fn from(fault: Fault) -> Self {
        match fault {
            Fault::NotFound => Self::UnknownBlock,
            Fault::Said { code, message } => Self::Unavailable(format!("error {code}: {message}")),
            Fault::Unreached(why) => Self::Unavailable(why.to_owned()),
            Fault::Failed(why) => Self::Unavailable(why),
        }
    }
}

pub(crate) struct Node {
    client: Arc<Client>,
    patient: Arc<Client>,
    host: String,
    genesis: String,
    is_ours: AtomicBool,
    calls: Arc<AtomicU64>,
}

impl Node {
    pub(crate) fn try_new(url: &Url, config: &BitcoinConfig) -> Result<Self, String> {
        let max_bytes = config.max_response_bytes;
        let quick = Limits { timeout: config.request_timeout(), max_bytes };
        let timeout = std::time::Duration::from_millis(config.scan_timeout_ms);
        let calls = Arc::new(AtomicU64::new(0));
        let client = |limits| rpc::client(url, limits, Arc::clone(&calls)).map(Arc::new);
        Ok(Self {
            client: client(quick)?,
            patient: client(Limits { timeout, max_bytes })?,
            host: chains::settings::host_of(url),
            genesis: config.chain.genesis(),
            is_ours: AtomicBool::new(false),
            calls,
        })
    }

    /// One call on a thread that may block, as the client needs.
    async fn blocking<T: Send + 'static>(
        &self,
        client: &Arc<Client>,
        work: impl FnOnce(&Client) -> Result<T, RpcError> + Send + 'static,
    ) -> Result<T, Fault> {
        let client = Arc::clone(client);
        let done = tokio::task::spawn_blocking(move || work(&client)).await;
        let answer = done.map_err(|_| Fault::Failed("the call was cut short".to_owned()))?;
        answer.map_err(|error| self.fault(error))
    }

    pub(crate) async fn call<T: for<'de> Deserialize<'de> + Send + 'static>(
        &self,
        method: &'static str,
        params: Vec<Value>,
    ) -> Result<T, Fault> {
        self.blocking(&self.client, move |client| client.call(method, &params)).await
    }

    /// For calls that are slow by nature.
    pub(crate) async fn call_patiently<T: for<'de> Deserialize<'de> + Send + 'static>(
        &self,
        method: &'static str,
        params: Vec<Value>,
    ) -> Result<T, Fault> {
        self.blocking(&self.patient, move |client| client.call(method, &params)).await
    }

    fn fault(&self, error: RpcError) -> Fault {
        let (RpcError::JsonRpc(error), failed) = (error, Fault::Failed) else {
            return Fault::Failed("an answer that makes no sense".to_owned());
        };
        match error {
            jsonrpc::Error::Rpc(e) if e.code == NOT_FOUND || e.code == OUT_OF_RANGE => {
                Fault::NotFound
            }
            jsonrpc::Error::Rpc(e) => {
                let shown = e.message.chars().filter(|c| !c.is_control()).take(120);
                Fault::Said { code: e.code, message: shown.collect() }
            }
            jsonrpc::Error::Transport(why) => {
                // Whoever answers next may be another node.
                self.is_ours.store(false, Ordering::Release);
                match why.downcast_ref::<Lost>() {
                    Some(lost) if lost.is_unheard() => Fault::Unreached(lost.0),
                    Some(lost) => failed(lost.0.to_owned()),
                    None => failed("the connection broke".to_owned()),
                }
            }
            _ => failed("an answer that makes no sense".to_owned()),
        }
    }

    pub(crate) async fn check_genesis(&self) -> Result<(), ReadError> {
        let first: String = self.call("getblockhash", vec![json!(0)]).await?;
        let ours = first == self.genesis;
        self.is_ours.store(ours, Ordering::Release);
        if ours {
            return Ok(());
        }
        let shown: String = first.chars().filter(char::is_ascii_hexdigit).take(16).collect();
        let sentence = format!("its first block is {shown}…, of another network");
        Err(ReadError::Untrusted(sentence))
    }

    pub(crate) async fn info(&self) -> Result<ChainInfo, ReadError> {
        Ok(self.call("getblockchaininfo", Vec::new()).await?)
    }

    /// The header by hash; `None` when the node does not have it.
    pub(crate) async fn header(&self, hash: &str) -> Result<Option<Header>, ReadError> {
        let hash = block_hash(hash)?;
        match self.call::<Header>("getblockheader", vec![json!(hash), json!(true)]).await {
            Ok(header) if header.hash != hash.to_string() => Err(garbage("another block")),
            Ok(header) => Ok(Some(header)),
            Err(Fault::NotFound) => Ok(None),
            Err(fault) => Err(fault.into()),
        }
    }

    /// The bytes of a block, decoded and checked against its name.
    pub(crate) async fn block(&self, hash: &str) -> Result<Block, ReadError> {
        let hash = block_hash(hash)?;
        let hex: String = self.call("getblock", vec![json!(hash), json!(0)]).await?;
        let block: Block =
            encode::deserialize_hex(&hex).map_err(|_| garbage("a block cut short"))?;
        if block.block_hash() != hash {
            return Err(garbage("another block"));
        }
        if !block.check_merkle_root() {
            return Err(garbage("a block with other transactions"));
        }
        Ok(block)
    }

    /// Where a transaction is, by the node's index of transactions.
    pub(crate) async fn whereabouts(&self, tx: Txid) -> Result<Option<Whereabouts>, ReadError> {
        match self.call::<Whereabouts>("getrawtransaction", vec![json!(tx), json!(true)]).await {
            Ok(found) if found.txid != tx.to_string() => Err(garbage("another transaction")),
            Ok(found) => Ok(Some(found)),
            Err(Fault::NotFound) => Ok(None),
            Err(fault) => Err(fault.into()),
        }
    }

    pub(crate) async fn in_mempool(&self, tx: Txid) -> Result<bool, ReadError> {
        match self.call::<Value>("getmempoolentry", vec![json!(tx)]).await {
            Ok(_) => Ok(true),
            Err(Fault::NotFound) => Ok(false),
            Err(fault) => Err(fault.into()),
        }
    }

    /// Many questions of one kind in one request, answered in their order. `None`: the node's own
    /// error to that one.
    pub(crate) async fn batch<T: for<'de> Deserialize<'de> + Send + 'static>(
        &self,
        method: &'static str,
        asked: Vec<Value>,
    ) -> Result<Vec<Option<T>>, ReadError> {
        let count = asked.len();
        let answers = self
            .blocking(&self.client, move |client| {
                let rpc = client.get_jsonrpc_client();
                let params = asked.iter().map(jsonrpc::try_arg);
                let params = params.collect::<Result<Vec<_>, _>>()?;
                let requests = params.iter().map(|arg| {
                    let arg: &serde_json::value::RawValue = arg;
                    rpc.build_request(method, Some(arg))
                });
                Ok(rpc.send_batch(&requests.collect::<Vec<_>>())?)
            })
            .await?;
        if answers.len() != count || answers.iter().any(Option::is_none) {
            return Err(garbage("fewer answers than questions"));
        }
        let read = |answer: jsonrpc::Response| match answer.result::<T>() {
            Ok(answer) => Ok(Some(answer)),
            Err(jsonrpc::Error::Rpc(_)) => Ok(None),
            Err(_) => Err(garbage("an answer that makes no sense")),
        };
        answers.into_iter().flatten().map(read).collect()
    }

    /// The transactions behind many ids in one request; `None` for one that is gone meanwhile.
    pub(crate) async fn transactions(
        &self,
        ids: Vec<Txid>,
    ) -> Result<Vec<Option<Transaction>>, ReadError> {
        let asked = ids.iter().map(|id| json!([id, false])).collect();
        let answers: Vec<Option<String>> = self.batch("getrawtransaction", asked).await?;
        let read = |(id, hex): (Txid, Option<String>)| {
            let Some(hex) = hex else { return Ok(None) };
            let tx: Transaction =
                encode::deserialize_hex(&hex).map_err(|_| garbage("a transaction cut short"))?;
            if tx.compute_txid() == id { Ok(Some(tx)) } else { Err(garbage("another transaction")) }
        };
        ids.into_iter().zip(answers).map(read).collect()
    }

    /// Whether an output is unspent, blocks only.
    pub(crate) async fn is_unspent(&self, output: OutPoint) -> Result<bool, ReadError> {
        let params = vec![json!(output.txid), json!(output.vout), json!(false)];
        Ok(!self.call::<Value>("gettxout", params).await?.is_null())
    }

    /// Whether its index of transactions has come to its tip once.
    pub(crate) async fn has_whole_index(&self) -> Result<bool, ReadError> {
        let indexes: Value = self.call("getindexinfo", vec![json!("txindex")]).await?;
        Ok(indexes.pointer("/txindex/synced").and_then(Value::as_bool) == Some(true))
    }

    /// The transactions of the mempool that spend any of these, each once.
    pub(crate) async fn spenders_in_mempool(
        &self,
        outputs: &[OutPoint],
    ) -> Result<BTreeSet<Txid>, ReadError> {
        let asked = |output: &OutPoint| json!({ "txid": output.txid, "vout": output.vout });
        let asked = outputs.iter().map(asked).collect::<Vec<Value>>();
        let spenders: Vec<Spender> = self.call("gettxspendingprevout", vec![json!(asked)]).await?;
        if spenders.len() != outputs.len() {
            return Err(garbage("fewer answers than questions"));
        }
        let ids = spenders.into_iter().filter_map(|spender| spender.spendingtxid);
        ids.map(|id| Txid::from_str(&id).map_err(|_| garbage("no txid"))).collect()
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
        Ok(self.call("getblockcount", Vec::new()).await?)
    }

    async fn hash_at(&self, height: u64) -> Result<Option<String>, ReadError> {
        match self.call::<String>("getblockhash", vec![json!(height)]).await {
            Ok(hash) => Ok(Some(block_hash(&hash)?.to_string())),
            Err(Fault::NotFound) => Ok(None),
            Err(fault) => Err(fault.into()),
        }
    }
}

pub(crate) fn block_hash(text: &str) -> Result<BlockHash, ReadError> {
    BlockHash::from_str(text).map_err(|_| ReadError::UnknownBlock)
}

pub(crate) fn garbage(what: &str) -> ReadError {
    ReadError::Unavailable(format!("the node answered with {what}"))
}
