//! Somebody who pays on regtest, and takes payments back.
//!
//! Invariant: which coins there are is asked of the node every time: after any reorganisation, from
//! any process, the answer is right.

use std::{
    str::FromStr as _,
    sync::{Arc, atomic::AtomicU64},
    time::Duration,
};

use async_trait::async_trait;
use bitcoin::{
    Address, OutPoint, ScriptBuf, Transaction, TxOut, Txid, address::NetworkUnchecked,
    consensus::encode,
};
use bitcoincore_rpc::{Client, RpcApi as _};
use chains::sandbox::{Keep, Sandbox};
use chains_bitcoin::rpc::{self, Limits};
use primitives::{Amount, Asset};
use serde::Deserialize;
use serde_json::{Value, json};
use tokio::sync::Mutex;

use super::{
    SandboxError,
    coins::{Coin, Purse},
    sentence,
};

/// More than the least rate for any transaction we make, in satoshi.
const FEE: u64 = 2_000;
const FEE_PER_OUTPUT: u64 = 40;
/// Coins of a new block can be spent after this many more.
const MATURITY: u64 = 100;
/// What a mined coin is broken into, in satoshi.
const PIECE: u64 = 200_000_000;
const PIECES: usize = 24;
/// Nobody in the sandbox pays in more pieces.
const MOST_COINS: usize = 200;

/// The payer and miner of one regtest node.
pub struct Payer {
    pub(super) client: Arc<Client>,
    pub(super) purse: Purse,
    /// One payment at a time: two would choose the same coins.
    turn: Mutex<()>,
}

#[derive(Deserialize)]
struct Unspents {
    height: u64,
    unspents: Vec<Unspent>,
}

#[derive(Deserialize)]
struct Unspent {
    txid: Txid,
    vout: u32,
    amount: Box<serde_json::value::RawValue>,
    coinbase: bool,
    height: u64,
}

pub(super) fn client(url: &str) -> Result<Client, SandboxError> {
    let url = url.parse().map_err(|_| SandboxError("not a URL of a node".to_owned()))?;
    let limits = Limits { timeout: Duration::from_secs(120), max_bytes: 64 * 1024 * 1024 };
    rpc::client(&url, limits, Arc::new(AtomicU64::new(0))).map_err(sentence)
}

pub(super) async fn answers(url: &str) -> bool {
    let Ok(client) = client(url) else { return false };
    let asked = tokio::task::spawn_blocking(move || client.call::<u64>("getblockcount", &[]));
    matches!(asked.await, Ok(Ok(_)))
}

impl Payer {
    /// A payer with mature coins: mines them on a fresh chain.
    ///
    /// # Errors
    /// When the node does not answer or is not on regtest.
    pub async fn connect(url: &str) -> Result<Self, SandboxError> {
        let payer = Self::connect_empty(url).await?;
        let info: Value = payer.call("getblockchaininfo", vec![]).await?;
        if info.get("blocks").and_then(Value::as_u64).unwrap_or(0) <= MATURITY {
            let address = payer.purse.address()?.to_string();
            payer
                .call::<Value>("generatetoaddress", vec![json!(MATURITY + 2), json!(address)])
                .await?;
            // Pieces of a coin: several payments at once, and a reorganisation does not make what
            // they spend too young again.
            payer.pay_many(&[(address.as_str(), PIECE); PIECES]).await?;
            payer.mine_blocks(1).await?;
        }
        Ok(payer)
    }

    /// As [`Payer::connect`], on a node whose chain stays as it is.
    ///
    /// # Errors
    /// As there.
    pub async fn connect_empty(url: &str) -> Result<Self, SandboxError> {
        let client = Arc::new(client(url)?);
        let payer = Self { client, purse: Purse::new(0x42)?, turn: Mutex::new(()) };
        let info: Value = payer.call("getblockchaininfo", vec![]).await?;
        if info.get("chain").and_then(Value::as_str) != Some("regtest") {
            return Err(SandboxError("the node is not on regtest".to_owned()));
        }
        Ok(payer)
    }

    pub(super) async fn call<T: for<'de> Deserialize<'de> + Send + 'static>(
        &self,
        method: &'static str,
        params: Vec<Value>,
    ) -> Result<T, SandboxError> {
        let client = Arc::clone(&self.client);
        let called = tokio::task::spawn_blocking(move || client.call(method, &params)).await;
        called.map_err(sentence)?.map_err(|error| SandboxError(format!("{method}: {error}")))
    }

    /// Coins that can be spent now.
    async fn coins(&self) -> Result<Vec<Coin>, SandboxError> {
        let mine = json!([format!("addr({})", self.purse.address()?)]);
        let found: Unspents = self.call("scantxoutset", vec![json!("start"), mine]).await?;
        let mature = |unspent: &Unspent| {
            !unspent.coinbase || unspent.height.saturating_add(MATURITY) <= found.height
        };
        let mut coins = Vec::new();
        for unspent in found.unspents.iter().filter(|unspent| mature(unspent)) {
            let at = OutPoint { txid: unspent.txid, vout: unspent.vout };
            let amount = Amount::parse_units(unspent.amount.get(), Asset::Btc).map_err(sentence)?;
            let sats = u64::try_from(amount.minor()).map_err(sentence)?;
            coins.push((unspent.coinbase, Coin { at, sats }));
        }
        // The biggest first: few coins pay for everything. Mined ones last.
        coins.sort_by_key(|(mined, coin)| (*mined, std::cmp::Reverse(coin.sats)));
        let mut coins: Vec<Coin> = coins.into_iter().map(|(_, coin)| coin).collect();
        coins.truncate(MOST_COINS);
        self.without_spent(coins).await
    }

    async fn without_spent(&self, coins: Vec<Coin>) -> Result<Vec<Coin>, SandboxError> {
        let asked: Vec<Value> =
            coins.iter().map(|c| json!({ "txid": c.at.txid, "vout": c.at.vout })).collect();
        let spenders: Vec<Value> = self.call("gettxspendingprevout", vec![json!(asked)]).await?;
        let free = |spender: &Value| spender.get("spendingtxid").is_none();
        let both = coins.into_iter().zip(spenders);
        Ok(both.filter(|(_, spender)| free(spender)).map(|(coin, _)| coin).collect())
    }

    async fn send(&self, tx: &Transaction) -> Result<Txid, SandboxError> {
        let hex = encode::serialize_hex(tx);
        // 0: no limit to the fee rate, so that replacements may be generous.
        self.call::<Txid>("sendrawtransaction", vec![json!(hex), json!(0)]).await
    }

    /// One transaction with these outputs, in the mempool.
    ///
    /// # Errors
    /// When an address is not of regtest, the coins do not suffice or the node refuses.
    pub async fn pay_many(&self, outputs: &[(&str, u64)]) -> Result<String, SandboxError> {
        let _turn = self.turn.lock().await;
        let outputs = scripts(outputs)?;
        let more = u64::try_from(outputs.len()).map_err(sentence)?.saturating_mul(FEE_PER_OUTPUT);
        let fee = FEE.saturating_add(more);
        let need: u64 = outputs.iter().map(|(_, sats)| sats).sum::<u64>().saturating_add(fee);
        let mut chosen = Vec::new();
        let mut have = 0_u64;
        for coin in self.coins().await? {
            if have >= need {
                break;
            }
            have = have.saturating_add(coin.sats);
            chosen.push(coin);
        }
        let tx = self.purse.spend(&chosen, &outputs, fee)?;
        Ok(self.send(&tx).await?.to_string())
    }

    /// Replaces a payment of ours that waits by one that pays the other outputs (none: all comes
    /// back to us), for a higher fee. The first one need not have signalled anything.
    ///
    /// # Errors
    /// When the payment is not in the mempool, or the node refuses.
    pub async fn replace(
        &self,
        tx_id: &str,
        outputs: &[(&str, u64)],
    ) -> Result<String, SandboxError> {
        let _turn = self.turn.lock().await;
        let old = Txid::from_str(tx_id).map_err(sentence)?;
        let old = self.transaction(old).await?;
        let tx = self.conflicting(&old, &scripts(outputs)?, FEE * 10).await?;
        Ok(self.send(&tx).await?.to_string())
    }

    /// A transaction that spends what `old` spends.
    pub(super) async fn conflicting(
        &self,
        old: &Transaction,
        outputs: &[(ScriptBuf, u64)],
        fee: u64,
    ) -> Result<Transaction, SandboxError> {
        let mut coins = Vec::new();
        for input in &old.input {
            let at = input.previous_output;
            coins.push(Coin { at, sats: self.output(at).await?.value.to_sat() });
        }
        self.purse.spend(&coins, outputs, fee)
    }

    /// Whether all it spends is the payer's.
    pub(super) async fn can_spend(&self, tx: &Transaction) -> Result<bool, SandboxError> {
        let script = self.purse.script()?;
        for input in &tx.input {
            if self.output(input.previous_output).await?.script_pubkey != script {
                return Ok(false);
            }
        }
        Ok(true)
    }

    async fn output(&self, at: OutPoint) -> Result<TxOut, SandboxError> {
        let index = usize::try_from(at.vout).map_err(sentence)?;
        let output = self.transaction(at.txid).await?.output.into_iter().nth(index);
        output.ok_or_else(|| SandboxError("no such output".to_owned()))
    }

    async fn transaction(&self, id: Txid) -> Result<Transaction, SandboxError> {
        let hex: String = self.call("getrawtransaction", vec![json!(id), json!(false)]).await?;
        encode::deserialize_hex(&hex).map_err(sentence)
    }
}

fn scripts(outputs: &[(&str, u64)]) -> Result<Vec<(ScriptBuf, u64)>, SandboxError> {
    let script = |(text, sats): &(&str, u64)| {
        let address = text.parse::<Address<NetworkUnchecked>>().map_err(sentence)?;
        let address = address.require_network(bitcoin::Network::Regtest).map_err(sentence)?;
        Ok((address.script_pubkey(), *sats))
    };
    outputs.iter().map(script).collect()
}

#[async_trait]
impl Sandbox for Payer {
    async fn pay(&self, to: &str, amount: Amount) -> Result<String, SandboxError> {
        if amount.asset() != Asset::Btc {
            return Err(SandboxError(format!("{} does not exist on Bitcoin", amount.asset())));
        }
        let sats = u64::try_from(amount.minor()).map_err(sentence)?;
        self.pay_many(&[(to, sats)]).await
    }

    async fn pay_lookalike(&self, _to: &str, _amount: Amount) -> Result<String, SandboxError> {
        Err(SandboxError("Bitcoin has no tokens".to_owned()))
    }

    async fn pay_changeable(
        &self,
        _to: &str,
        _first: Amount,
        _second: Amount,
    ) -> Result<Option<String>, SandboxError> {
        // The id of a transaction is the hash of its outputs.
        Ok(None)
    }

    async fn mine(&self, blocks: u32) -> Result<(), SandboxError> {
        self.mine_blocks(blocks).await
    }

    async fn reorg(&self, depth: u32, keep: Keep) -> Result<(), SandboxError> {
        self.reorganise(depth, keep).await
    }

    async fn finalize(&self) -> Result<(), SandboxError> {
        // What everybody takes for final on this chain.
        self.mine_blocks(6).await
    }

    fn assets(&self) -> Vec<Asset> {
        vec![Asset::Btc]
    }
}
