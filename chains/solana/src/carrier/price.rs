//! What compute units cost, and what a transaction costs with it.
//!
//! Invariant: what others paid lately is a hint, bounded by the settings; the most a transaction
//! takes follows from its own fields.

use chains::{ReadError, carrier::SolanaTransfer};
use serde::Deserialize;
use serde_json::{Value, json};
use solana_client::rpc_request::RpcRequest;

use super::Caps;
use crate::node::{Fault, Node};

/// Lamports per signature; there is one.
const PER_SIGNATURE: u64 = 5_000;
const MICRO: u128 = 1_000_000;
/// Limits with room: two orders to the compute budget and a transfer take 450 units, of tokens
/// 7,000 or less; making an account takes up to 25,000, and 1,500 more for each try at finding its
/// address.
const FOR_COINS: u32 = 1_000;
const FOR_TOKENS: u32 = 30_000;
const FOR_AN_ACCOUNT: u32 = 70_000;

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Paid {
    prioritization_fee: u64,
}

pub(super) const fn unit_limit(token: bool, create: bool) -> u32 {
    match (token, create) {
        (false, _) => FOR_COINS,
        (true, false) => FOR_TOKENS,
        (true, true) => FOR_TOKENS + FOR_AN_ACCOUNT,
    }
}

/// What three of four blocks took lately from whoever wrote to these accounts, and at least
/// `least`.
pub(super) async fn today(
    node: &Node,
    writable: &[String],
    least: u64,
    caps: &Caps,
) -> Result<u64, ReadError> {
    let asked = node.call::<Value>(RpcRequest::GetRecentPrioritizationFees, json!([writable]));
    let paid: Vec<Paid> = match asked.await {
        Ok(answer) => serde_json::from_value(answer)
            .map_err(|_| crate::wire::garbage("fees that are no numbers"))?,
        // Not every provider has it: then nothing is known, and nothing offered beyond the least.
        Err(Fault::Refused(-32601, _)) => Vec::new(),
        Err(fault) => return Err(fault.into()),
    };
    let mut prices: Vec<u64> = paid.into_iter().map(|one| one.prioritization_fee).collect();
    prices.sort_unstable();
    let nth = prices.len().saturating_mul(3) / 4;
    let usual = prices.get(nth).or(prices.last()).copied().unwrap_or(0);
    Ok(usual.max(least).min(caps.unit_price))
}

/// The most the network takes for it, accounts aside; `None` beyond what can exist.
pub(super) fn most(transfer: &SolanaTransfer) -> Option<u64> {
    let units = u128::from(transfer.unit_limit) * u128::from(transfer.unit_price);
    u64::try_from(units.div_ceil(MICRO)).ok()?.checked_add(PER_SIGNATURE)
}
