//! Receipts: the only place that says whether a transaction did what it asked for.
//!
//! Invariants: a receipt counts only for the block being read; a missing receipt is an error, not a
//! failed transaction, and a receipt without a status proves nothing. Its logs are its own, each
//! once and in order.

use std::collections::{HashMap, HashSet};

use alloy::primitives::{B256, U64};
use chains::ReadError;
use futures::{StreamExt as _, TryStreamExt as _, stream};
use serde_json::json;

use crate::{
    node::{Fault, Node},
    wire::{Block, Receipt, garbage},
};

/// Up to here receipts are asked for one by one: those of a whole block are megabytes.
const FEW: usize = 16;
const AT_ONCE: usize = 8;

impl Receipt {
    /// Whether the transaction succeeded.
    pub(crate) fn succeeded(&self) -> Result<bool, ReadError> {
        let status = self.status.ok_or_else(|| garbage("a receipt without a status"))?;
        Ok(status == U64::from(1))
    }
}

/// The receipts of some transactions of the block.
pub(crate) async fn of(
    node: &Node,
    block: &Block,
    wanted: &HashSet<B256>,
) -> Result<HashMap<B256, Receipt>, ReadError> {
    let receipts = if wanted.len() <= FEW {
        one_by_one(node, block, wanted.iter().copied().collect()).await?
    } else {
        all(node, block).await?
    };
    let by_hash = receipts.into_iter().map(|receipt| (receipt.transaction_hash, receipt));
    Ok(by_hash.filter(|(hash, _)| wanted.contains(hash)).collect())
}

/// Every receipt of the block, in one call where the node can.
pub(crate) async fn all(node: &Node, block: &Block) -> Result<Vec<Receipt>, ReadError> {
    let hash = block.header.hash;
    let in_block: Vec<B256> = block.transactions.iter().map(|tx| tx.hash).collect();
    let asked = node.call("eth_getBlockReceipts", (json!({"blockHash": hash}),)).await;
    let receipts: Option<Vec<Receipt>> = match asked {
        Err(Fault::NoMethod(_)) => return one_by_one(node, block, in_block).await,
        answer => answer?,
    };
    let receipts = receipts.ok_or_else(|| garbage("no receipts for a block it knows"))?;
    if !receipts.iter().map(|receipt| receipt.transaction_hash).eq(in_block) {
        return Err(garbage("receipts that are not those of the block"));
    }
    for receipt in &receipts {
        check(receipt, block)?;
    }
    Ok(receipts)
}

async fn one_by_one(
    node: &Node,
    block: &Block,
    wanted: Vec<B256>,
) -> Result<Vec<Receipt>, ReadError> {
    let one = |hash: B256| async move {
        let receipt: Option<Receipt> = node.call("eth_getTransactionReceipt", (hash,)).await?;
        // Gone from the canonical chain, or not indexed yet: either way nothing to read from.
        let receipt = receipt.ok_or_else(|| garbage("no receipt for a tx of its block"))?;
        if receipt.transaction_hash != hash {
            return Err(garbage("another receipt"));
        }
        check(&receipt, block)?;
        Ok(receipt)
    };
    stream::iter(wanted.into_iter().map(one)).buffer_unordered(AT_ONCE).try_collect().await
}

fn check(receipt: &Receipt, block: &Block) -> Result<(), ReadError> {
    if receipt.block_hash != block.header.hash || receipt.block_number != block.header.number {
        return Err(garbage("a receipt of another block"));
    }
    let mut previous: Option<U64> = None;
    for log in &receipt.logs {
        let here = log.block_hash.is_none_or(|hash| hash == receipt.block_hash);
        let ours = log.transaction_hash.is_none_or(|tx| tx == receipt.transaction_hash);
        if log.removed || !here || !ours {
            return Err(garbage("a receipt with logs of something else"));
        }
        // The position in this list is part of a deposit's identity.
        let follows = previous.zip(log.log_index).is_none_or(|(before, number)| {
            before.checked_add(U64::from(1)).is_some_and(|next| next == number)
        });
        if !follows {
            return Err(garbage("a receipt with logs twice, missing or out of order"));
        }
        previous = log.log_index;
    }
    Ok(())
}
