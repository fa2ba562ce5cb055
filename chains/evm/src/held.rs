//! What many addresses hold, together or each, in batches of one round trip each.
//!
//! Invariant: an answer missing from a batch is an error, never zero.

use alloy::{
    primitives::{Address, Bytes, U256},
    sol_types::SolCall as _,
};
use chains::ReadError;
use serde_json::json;

use crate::{node::Node, tokens::balanceOfCall, wire::garbage};

/// Questions in one HTTP request: providers cap batches at 100 to 1,000.
const BATCH: usize = 100;

pub(crate) async fn sum(
    node: &Node,
    token: Option<Address>,
    owners: &[Address],
) -> Result<U256, ReadError> {
    let mut total = U256::ZERO;
    for one in each(node, token, owners).await? {
        total = total.checked_add(one).ok_or_else(|| garbage("balances without end"))?;
    }
    Ok(total)
}

/// What each of them holds, in order.
pub(crate) async fn each(
    node: &Node,
    token: Option<Address>,
    owners: &[Address],
) -> Result<Vec<U256>, ReadError> {
    let mut all = Vec::with_capacity(owners.len());
    for owners in owners.chunks(BATCH) {
        let held = match token {
            None => coins(node, owners).await?,
            Some(token) => tokens(node, token, owners).await?,
        };
        if held.len() != owners.len() {
            return Err(garbage("balances of somebody else"));
        }
        all.extend(held);
    }
    Ok(all)
}

async fn coins(node: &Node, owners: &[Address]) -> Result<Vec<U256>, ReadError> {
    let questions = owners.iter().map(|owner| (owner, "latest"));
    Ok(node.batch("eth_getBalance", questions).await?)
}

async fn tokens(node: &Node, token: Address, owners: &[Address]) -> Result<Vec<U256>, ReadError> {
    let questions = owners.iter().map(|owner| {
        let input = Bytes::from(balanceOfCall { owner: *owner }.abi_encode());
        (json!({"to": token, "input": input, "data": input}), "latest")
    });
    let answers: Vec<Bytes> = node.batch("eth_call", questions).await?;
    let read = |answer: Bytes| {
        // No bytes at all means no contract there, so no holdings either.
        if answer.is_empty() {
            return Ok(U256::ZERO);
        }
        balanceOfCall::abi_decode_returns(&answer)
            .map_err(|_| garbage("a balance that is no number"))
    };
    answers.into_iter().map(read).collect()
}
