//! An EVM node's blocks: native coins sent to the venues' addresses, and transfers of the known
//! tokens to them.
//!
//! Invariant: a transaction that failed moves nothing; only contracts that were registered are
//! tokens, whatever they call themselves. Coins that a contract passes on are not seen, as at most
//! venues.

use std::collections::BTreeMap;

use anyhow::{Context, ensure};
use rust_decimal::Decimal;
use serde::Deserialize;
use serde_json::{Value, json};

use super::{
    Block, Watched,
    rpc::{Rpc, hex_number},
};
use crate::venue::Found;

/// The topic of `Transfer(address,address,uint256)`.
const TRANSFER: &str = "0xddf252ad1be2c89b69c2b068fc378daa952ba7f163c4a11628f55a4df523b3ef";
/// The selector of `decimals()`.
const DECIMALS: &str = "0x313ce567";
const ETHER_PLACES: u32 = 18;

pub(super) struct Evm {
    rpc: Rpc,
    /// Contract, in lower case → coin and its places.
    tokens: BTreeMap<String, (String, u32)>,
}

#[derive(Deserialize)]
struct Told {
    hash: String,
    #[serde(rename = "parentHash")]
    parent: String,
    #[serde(default)]
    transactions: Vec<Transaction>,
}

#[derive(Deserialize)]
struct Transaction {
    hash: String,
    to: Option<String>,
    value: String,
}

#[derive(Deserialize)]
struct Receipt {
    status: Option<String>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Log {
    address: String,
    topics: Vec<String>,
    data: String,
    transaction_hash: String,
}

#[derive(Deserialize)]
struct Head {
    hash: String,
}

impl Evm {
    /// Asks every token for its places.
    pub(super) async fn new(rpc: Rpc, tokens: &BTreeMap<String, String>) -> anyhow::Result<Self> {
        let mut known = BTreeMap::new();
        for (coin, contract) in tokens {
            let contract = contract.to_ascii_lowercase();
            ensure!(contract.len() == 42 && contract.starts_with("0x"), "{coin}: not a contract");
            let call = json!([{"to": contract, "data": DECIMALS}, "latest"]);
            let told: String = rpc.get("eth_call", call).await?;
            // Where no contract is, the answer is empty.
            let places = Some(&told).filter(|told| told.len() == 66).and_then(|told| units(told));
            let places = places.and_then(|places| u32::try_from(places).ok());
            let places = places.filter(|places| *places <= 18);
            let places = places.with_context(|| format!("{coin}: no token at that address"))?;
            known.insert(contract, (coin.to_ascii_uppercase(), places));
        }
        Ok(Self { rpc, tokens: known })
    }

    pub(super) async fn tip(&self) -> anyhow::Result<u64> {
        hex_number(&self.rpc.get::<String>("eth_blockNumber", json!([])).await?)
    }

    pub(super) async fn hash_at(&self, height: u64) -> anyhow::Result<Option<String>> {
        let params = json!([format!("0x{height:x}"), false]);
        let head: Option<Head> = self.rpc.ask("eth_getBlockByNumber", params).await?;
        Ok(head.map(|head| head.hash))
    }

    pub(super) async fn block(
        &self,
        height: u64,
        watched: &Watched,
    ) -> anyhow::Result<Option<Block>> {
        let params = json!([format!("0x{height:x}"), true]);
        let told: Option<Told> = self.rpc.ask("eth_getBlockByNumber", params).await?;
        let Some(told) = told else { return Ok(None) };
        let mut found = Vec::new();
        for transaction in &told.transactions {
            if let Some(coins) = self.native(transaction, watched).await? {
                found.push(coins);
            }
        }
        found.extend(self.transfers(&told.hash, watched).await?);
        Ok(Some(Block { height, hash: told.hash, parent: told.parent, found }))
    }

    async fn native(
        &self,
        transaction: &Transaction,
        watched: &Watched,
    ) -> anyhow::Result<Option<Found>> {
        let to = transaction.to.as_deref().unwrap_or_default().to_ascii_lowercase();
        let amount = units(&transaction.value).unwrap_or_default();
        if amount == 0 || !watched.addresses.contains(&to) {
            return Ok(None);
        }
        let receipt: Receipt =
            self.rpc.get("eth_getTransactionReceipt", json!([transaction.hash])).await?;
        if receipt.status.as_deref() != Some("0x1") {
            return Ok(None);
        }
        Ok(coins(amount, ETHER_PLACES).map(|amount| Found {
            asset: "ETH".to_owned(),
            network: watched.network,
            amount,
            tx_id: transaction.hash.clone(),
            place: 0,
            address: to,
        }))
    }

    async fn transfers(&self, block: &str, watched: &Watched) -> anyhow::Result<Vec<Found>> {
        if self.tokens.is_empty() || watched.addresses.is_empty() {
            return Ok(Vec::new());
        }
        let padded =
            |address: &String| format!("0x{:0>64}", address.strip_prefix("0x").unwrap_or(address));
        let to: Vec<String> = watched.addresses.iter().map(padded).collect();
        let contracts: Vec<&String> = self.tokens.keys().collect();
        let filter = json!([{
            "blockHash": block, "address": contracts, "topics": [TRANSFER, Value::Null, to],
        }]);
        let logs: Vec<Log> = self.rpc.get("eth_getLogs", filter).await?;
        let mut found = Vec::new();
        let mut counts: BTreeMap<String, u64> = BTreeMap::new();
        for log in logs {
            let contract = log.address.to_ascii_lowercase();
            let Some((coin, places)) = self.tokens.get(&contract) else { continue };
            let [_, _, to] = log.topics.as_slice() else { continue };
            let address = format!("0x{}", to.get(26..).unwrap_or_default().to_ascii_lowercase());
            let Some(amount) = units(&log.data).filter(|n| *n > 0).and_then(|n| coins(n, *places))
            else {
                continue;
            };
            // A log's number in its block changes with the branch; its place among those of its
            // transaction does not.
            let count = counts.entry(log.transaction_hash.clone()).or_default();
            *count = count.saturating_add(1);
            let (network, tx_id) = (watched.network, log.transaction_hash);
            found.push(Found {
                asset: coin.clone(),
                network,
                amount,
                tx_id,
                place: *count,
                address,
            });
        }
        Ok(found)
    }
}

/// A word of 32 bytes or fewer as a number; `None` when it is larger than any amount here.
fn units(hex: &str) -> Option<i128> {
    let digits = hex.strip_prefix("0x")?.trim_start_matches('0');
    if digits.is_empty() { Some(0) } else { i128::from_str_radix(digits, 16).ok() }
}

fn coins(units: i128, places: u32) -> Option<Decimal> {
    Decimal::try_from_i128_with_scale(units, places).ok().map(|amount| amount.normalize())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn reads_words() {
        assert_eq!(units("0x"), Some(0));
        assert_eq!(units("0x0000000000000000000000000000000000000000000000000de0b6b3a7640000"), {
            Some(1_000_000_000_000_000_000)
        });
        assert_eq!(units(&format!("0x{}", "f".repeat(64))), None);
        assert_eq!(coins(1_500_000, 6).unwrap().to_string(), "1.5");
    }
}
