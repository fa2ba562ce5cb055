//! Where one transaction is now.
//!
//! Invariant: only a receipt says "in a block"; a nonce that somebody else's transaction used up
//! says "replaced"; anything less says nothing.

use alloy::primitives::{Address, B256, U64};
use chains::{ReadError, TxPlace};

use crate::{
    node::Node,
    wire::{Receipt, TxMention, address_of, garbage, text_of_hash},
};

/// `sender:nonce`, as a sighting names it.
pub(crate) fn sender_and_nonce(spent: &str) -> Option<(Address, u64)> {
    let (sender, nonce) = spent.split_once(':')?;
    Some((address_of(sender)?, nonce.parse().ok()?))
}

/// The transaction, and whether its nonce is gone when the node does not know it.
pub(crate) async fn transaction(
    node: &Node,
    tx: B256,
    spent: Option<(Address, u64)>,
) -> Result<TxPlace, ReadError> {
    let receipt: Option<Receipt> = node.call("eth_getTransactionReceipt", (tx,)).await?;
    if let Some(receipt) = receipt {
        if receipt.transaction_hash != tx {
            return Err(garbage("another receipt"));
        }
        return Ok(TxPlace::Included {
            height: receipt.block_number.to::<u64>(),
            block_hash: text_of_hash(receipt.block_hash),
            succeeded: receipt.succeeded()?,
        });
    }
    let mention: Option<TxMention> = node.call("eth_getTransactionByHash", (tx,)).await?;
    match mention {
        None => replaced(node, spent).await,
        Some(mention) if mention.hash != tx => Err(garbage("another transaction")),
        Some(mention) if mention.block_hash.is_none() => Ok(TxPlace::Pending),
        // In a block by one index, without a receipt by the other: ask again.
        Some(_) => Err(garbage("a transaction in a block, but no receipt")),
    }
}

async fn replaced(node: &Node, spent: Option<(Address, u64)>) -> Result<TxPlace, ReadError> {
    let Some((sender, nonce)) = spent else { return Ok(TxPlace::Absent) };
    let used: U64 = node.call("eth_getTransactionCount", (sender, "latest")).await?;
    if used.to::<u64>() <= nonce {
        return Ok(TxPlace::Absent);
    }
    let tip = node.latest().await?.height();
    Ok(TxPlace::Replaced { by: None, mined: Some(tip) })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_spent_is_read_strictly() {
        let sender = "0x5aaeb6053f3e94c9b9a09f33669435e7ef1beaed";
        assert_eq!(sender_and_nonce(&format!("{sender}:7")).map(|(_, nonce)| nonce), Some(7));
        for bad in ["", sender, "0x12:7", &format!("{sender}:"), &format!("{sender}:-1")] {
            assert!(sender_and_nonce(bad).is_none(), "{bad}");
        }
    }
}
