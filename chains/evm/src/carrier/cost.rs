//! What the network took for a transaction.
//!
//! Invariant: told by its receipt, for one that failed as well; a receipt that does not say what
//! was paid is an error, never zero.

use alloy::primitives::{B256, U256};
use chains::ReadError;
use primitives::{Amount, Asset};
use serde::Deserialize;

use crate::{
    node::Node,
    wire::{Quantity, amount_of, garbage},
};

#[derive(Debug, Deserialize)]
#[serde(rename_all = "camelCase")]
struct Paid {
    transaction_hash: B256,
    gas_used: Quantity,
    effective_gas_price: Quantity,
    /// The OP stack: what the data cost on Ethereum, beside the gas.
    #[serde(default)]
    l1_fee: Option<Quantity>,
}

pub(super) async fn of(node: &Node, tx: B256, native: Asset) -> Result<Option<Amount>, ReadError> {
    let receipt: Option<Paid> = node.call("eth_getTransactionReceipt", (tx,)).await?;
    let Some(paid) = receipt else { return Ok(None) };
    if paid.transaction_hash != tx {
        return Err(garbage("another receipt"));
    }
    let gas = paid.gas_used.0.checked_mul(paid.effective_gas_price.0);
    let beside = paid.l1_fee.map_or(U256::ZERO, |fee| fee.0);
    let sum = gas.and_then(|gas| gas.checked_add(beside));
    let cost = sum.and_then(|sum| amount_of(sum, native));
    cost.map(Some).ok_or_else(|| garbage("fees beyond what can exist"))
}
