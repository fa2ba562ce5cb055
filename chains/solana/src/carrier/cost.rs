//! What the network took for a transaction of ours.
//!
//! Invariant: what the wallet has less by it, but for the coins it transferred by itself: the fee,
//! and the rent of an account that was made. A failed one transferred nothing.

use chains::ReadError;
use primitives::{Amount, Asset};
use serde::Deserialize;
use serde_json::{Value, json};
use solana_client::rpc_request::RpcRequest;

use super::amount;
use crate::{
    node::Node,
    scan::Scope,
    verify::SYSTEM,
    wire::{garbage, present},
};

/// The system program's `Transfer`, before eight bytes of lamports.
const TRANSFER: [u8; 4] = [2, 0, 0, 0];
/// In base58, of twelve bytes.
const LONGEST: usize = 20;

#[derive(Deserialize)]
struct Found {
    meta: Meta,
    transaction: Transaction,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Meta {
    #[serde(deserialize_with = "present")]
    err: Value,
    fee: u64,
    pre_balances: Vec<u64>,
    post_balances: Vec<u64>,
}

#[derive(Deserialize)]
struct Transaction {
    signatures: Vec<String>,
    message: Message,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Message {
    account_keys: Vec<String>,
    instructions: Vec<Step>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Step {
    program_id_index: usize,
    accounts: Vec<usize>,
    data: String,
}

pub(super) async fn of(
    node: &Node,
    signature: &str,
    scope: &Scope,
) -> Result<Option<Amount>, ReadError> {
    let Some(status) = node.status(signature).await? else { return Ok(None) };
    if !matches!(status.confirmation_status.as_deref(), Some("confirmed" | "finalized")) {
        return Ok(None);
    }
    let config = json!({
        "encoding": "json", "commitment": "confirmed", "maxSupportedTransactionVersion": 0,
    });
    let found: Option<Found> =
        node.call(RpcRequest::GetTransaction, json!([signature, config])).await?;
    // A node shows it a moment after it speaks of it.
    let found = found.ok_or_else(|| garbage("no transaction it knows"))?;
    let Found { meta, transaction: Transaction { signatures, message } } = found;
    if signatures.first().is_none_or(|first| first != signature) {
        return Err(garbage("another transaction"));
    }
    if !message.account_keys.first().is_some_and(|payer| scope.wallets.contains(payer)) {
        return Err(ReadError::Unavailable("our wallet did not pay for it".to_owned()));
    }
    let before = meta.pre_balances.first().copied();
    let (before, after) = before
        .zip(meta.post_balances.first().copied())
        .ok_or_else(|| garbage("a transaction without balances"))?;
    let given = if meta.err.is_null() { transferred(&message) } else { Some(0) };
    let cost = given.and_then(|given| before.checked_sub(after)?.checked_sub(given));
    let cost = cost.filter(|cost| *cost >= meta.fee);
    let cost = cost.ok_or_else(|| garbage("balances that do not explain the fee"))?;
    amount(cost, Asset::Sol).map(Some)
}

/// Lamports the payer's own instructions moved to others.
fn transferred(message: &Message) -> Option<u64> {
    let mut sum = 0_u64;
    for step in &message.instructions {
        let program = message.account_keys.get(step.program_id_index)?;
        let (from, to) = (step.accounts.first(), step.accounts.get(1));
        if program != SYSTEM || from != Some(&0) || to == Some(&0) {
            continue;
        }
        let data = Some(step.data.as_str()).filter(|data| data.len() <= LONGEST);
        let data = data.and_then(|data| bs58::decode(data).into_vec().ok());
        let lamports = data.as_deref().and_then(|data| data.strip_prefix(&TRANSFER));
        let lamports = lamports.and_then(|lamports| lamports.try_into().ok());
        if let Some(lamports) = lamports {
            sum = sum.checked_add(u64::from_le_bytes(lamports))?;
        }
    }
    Some(sum)
}
