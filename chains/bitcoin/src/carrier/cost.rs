//! What a transaction in a block paid for being there.
//!
//! Invariant: counted from the transactions that made its inputs, each known by its hash, not taken
//! from a node's word. In no block is no cost, whatever the index of transactions remembers.

use std::collections::BTreeSet;

use bitcoin::{Transaction, Txid};
use chains::{ReadError, TxPlace};

use super::inputs;
use crate::{
    locate,
    node::{Node, garbage},
};

/// More than fit into a transaction that nodes pass on.
const MOST_INPUTS: usize = 2_500;

pub(super) async fn of(node: &Node, tx: Txid) -> Result<Option<u64>, ReadError> {
    let place = locate::transaction(node, tx, &[]).await?;
    if !matches!(place, TxPlace::Included { .. }) {
        return Ok(None);
    }
    let found = node.transactions(vec![tx]).await?.into_iter().flatten().next();
    let tx = found.ok_or_else(|| garbage("a block without the transaction"))?;
    if tx.is_coinbase() {
        return Ok(Some(0));
    }
    if tx.input.len() > MOST_INPUTS {
        return Err(ReadError::Unavailable("a transaction of too many inputs".to_owned()));
    }
    fee(node, &tx).await.map(Some)
}

async fn fee(node: &Node, tx: &Transaction) -> Result<u64, ReadError> {
    let ids: BTreeSet<Txid> = tx.input.iter().map(|input| input.previous_output.txid).collect();
    let parents = inputs::parents(node, ids).await?;
    let mut left = 0_u64;
    for input in &tx.input {
        let output = inputs::output(&parents, input.previous_output)?;
        left = left.saturating_add(output.value.to_sat());
    }
    let out = tx.output.iter().fold(0_u64, |sum, out| sum.saturating_add(out.value.to_sat()));
    left.checked_sub(out).ok_or_else(|| garbage("more coming out than going in"))
}
