//! A venue's wallet on a local EVM chain: one of the accounts the node itself has unlocked, the
//! last ones it names, so that nobody else's transactions take their nonces.
//!
//! Invariant: coins are the node's gift of its beginning; tokens are made with the sandbox token's
//! open `mint` when there are too few, and the withdrawal waits for their block.

use std::collections::BTreeMap;

use anyhow::{Context, anyhow, ensure};
use serde_json::{Value, json};

use super::{Unsent, broadcast, units, unknown_venue};
use crate::{
    chains::rpc::{Rpc, hex_number},
    transit::Errand,
};

/// The selectors of `transfer(address,uint256)`, `mint(address,uint256)` and `balanceOf(address)`.
const TRANSFER: &str = "0xa9059cbb";
const MINT: &str = "0x40c10f19";
const BALANCE_OF: &str = "0x70a08231";
/// Enough for a transfer of any token here. Estimating would ask for what is not mined yet.
const GAS: &str = "0x30d40";
const ETHER_PLACES: u32 = 18;
/// So many of the smallest units are made at once, beside what is needed.
const STOCK: u128 = 1_000_000_000_000;

pub(crate) struct HotEvm {
    rpc: Rpc,
    /// Coin → contract.
    tokens: BTreeMap<String, String>,
    pub(super) addresses: BTreeMap<&'static str, String>,
}

/// Two words: an address and a number.
fn arguments(address: &str, number: u128) -> String {
    let digits = address.strip_prefix("0x").unwrap_or(address).to_ascii_lowercase();
    format!("{digits:0>64}{number:064x}")
}

impl HotEvm {
    pub(super) async fn connect(
        rpc: Rpc,
        tokens: BTreeMap<String, String>,
        venues: &[&'static str],
    ) -> anyhow::Result<Self> {
        let accounts: Vec<String> = rpc.get("eth_accounts", json!([])).await?;
        // The first ones are everybody's.
        ensure!(accounts.len() > venues.len(), "the node has too few unlocked accounts");
        let addresses = venues.iter().copied().zip(accounts.into_iter().rev()).collect();
        Ok(Self { rpc, tokens, addresses })
    }

    pub(super) async fn send(&self, errand: &Errand) -> Result<String, Unsent> {
        let own = self.addresses.get(errand.venue);
        let own = own.ok_or_else(|| unknown_venue(errand.venue))?;
        let transaction = match self.tokens.get(errand.rail.coin) {
            None if errand.rail.coin == "ETH" => {
                let wei = units(errand.amount, ETHER_PLACES)?;
                let value = format!("0x{wei:x}");
                json!({"from": own, "to": errand.address, "value": value, "gas": GAS})
            }
            None => return Err(anyhow!("nobody said where {} is", errand.rail.coin).into()),
            Some(contract) => {
                let amount = units(errand.amount, errand.rail.places)?;
                self.stock(own, contract, amount).await?;
                let data = format!("{TRANSFER}{}", arguments(&errand.address, amount));
                json!({"from": own, "to": contract, "data": data, "gas": GAS})
            }
        };
        broadcast(self.rpc.get("eth_sendTransaction", json!([transaction])).await)
    }

    /// Makes tokens where there are too few; an error until they are in a block.
    async fn stock(&self, own: &str, contract: &str, need: u128) -> anyhow::Result<()> {
        let digits = own.strip_prefix("0x").unwrap_or(own);
        let call = json!({"to": contract, "data": format!("{BALANCE_OF}{digits:0>64}")});
        let held: String = self.rpc.get("eth_call", json!([call, "latest"])).await?;
        let held = held.strip_prefix("0x").unwrap_or_default().trim_start_matches('0');
        let held = if held.is_empty() { 0 } else { u128::from_str_radix(held, 16)? };
        if held >= need {
            return Ok(());
        }
        let count = async |at: &str| -> anyhow::Result<u64> {
            let count: Value = self.rpc.get("eth_getTransactionCount", json!([own, at])).await?;
            hex_number(count.as_str().context("a number")?)
        };
        // With something of ours on its way, that may be it.
        if count("pending").await? == count("latest").await? {
            let data = format!("{MINT}{}", arguments(own, need.saturating_add(STOCK)));
            let made = json!({"from": own, "to": contract, "data": data, "gas": GAS});
            self.rpc.get::<String>("eth_sendTransaction", json!([made])).await?;
        }
        Err(anyhow!("tokens for a withdrawal are being made"))
    }
}
