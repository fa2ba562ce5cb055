//! A Bitcoin node's blocks: outputs to the venues' addresses.
//!
//! Invariant: an amount is read from the digits the node sent, never through a float.

use anyhow::Context;
use rust_decimal::Decimal;
use serde::Deserialize;
use serde_json::{json, value::RawValue};

use super::{Block, Watched, rpc::Refused, rpc::Rpc};
use crate::venue::Found;

/// "Block height out of range".
const NO_SUCH_HEIGHT: i64 = -8;

pub(super) struct Bitcoin {
    rpc: Rpc,
}

#[derive(Deserialize)]
struct About {
    chain: String,
}

#[derive(Deserialize)]
struct Told {
    hash: String,
    previousblockhash: Option<String>,
    tx: Vec<Transaction>,
}

#[derive(Deserialize)]
struct Transaction {
    txid: String,
    vout: Vec<Output>,
}

#[derive(Deserialize)]
struct Output {
    value: Box<RawValue>,
    n: u64,
    #[serde(rename = "scriptPubKey")]
    script: Script,
}

#[derive(Deserialize)]
struct Script {
    address: Option<String>,
}

impl Bitcoin {
    pub(super) const fn new(rpc: Rpc) -> Self {
        Self { rpc }
    }

    /// How segwit addresses of this chain begin.
    pub(super) async fn hrp(&self) -> anyhow::Result<&'static str> {
        let about: About = self.rpc.get("getblockchaininfo", json!([])).await?;
        Ok(match about.chain.as_str() {
            "main" => "bc",
            "regtest" => "bcrt",
            _ => "tb",
        })
    }

    pub(super) async fn tip(&self) -> anyhow::Result<u64> {
        self.rpc.get("getblockcount", json!([])).await
    }

    pub(super) async fn hash_at(&self, height: u64) -> anyhow::Result<Option<String>> {
        match self.rpc.ask("getblockhash", json!([height])).await {
            Err(error) => match error.downcast_ref::<Refused>() {
                Some(refused) if refused.code == NO_SUCH_HEIGHT => Ok(None),
                _ => Err(error),
            },
            found => found,
        }
    }

    pub(super) async fn block(
        &self,
        height: u64,
        watched: &Watched,
    ) -> anyhow::Result<Option<Block>> {
        let Some(hash) = self.hash_at(height).await? else { return Ok(None) };
        let told: Told = self.rpc.get("getblock", json!([hash, 2])).await?;
        let mut found = Vec::new();
        for transaction in &told.tx {
            for output in &transaction.vout {
                let Some(address) =
                    output.script.address.as_ref().filter(|to| watched.addresses.contains(*to))
                else {
                    continue;
                };
                found.push(Found {
                    asset: "BTC".to_owned(),
                    network: watched.network,
                    amount: coins(output.value.get())?,
                    tx_id: transaction.txid.clone(),
                    place: output.n,
                    address: address.clone(),
                });
            }
        }
        let parent = told.previousblockhash.unwrap_or_default();
        Ok(Some(Block { height, hash: told.hash, parent, found }))
    }
}

fn coins(text: &str) -> anyhow::Result<Decimal> {
    let plain = Decimal::from_str_exact(text).or_else(|_| Decimal::from_scientific(text));
    plain.context("an amount that is not a number")
}
