//! Where one transaction is now.
//!
//! Invariant: only a receipt says "in a block"; a nonce that somebody else's transaction used up
//! says "replaced"; anything less says nothing.

use alloy::primitives::{Address, B256, U64};
use chains::{Head, ReadError, TxPlace};
use serde::Deserialize;

use crate::{
    node::Node,
    wire::{Quantity, Receipt, TxMention, address_of, garbage, text_of_hash},
};

/// How far below the tip a used nonce is looked for. The two deepest are for rules of many blocks.
const DEPTHS: [u64; 9] = [1024, 256, 64, 32, 16, 8, 4, 2, 1];

/// A block, as far as it tells who used which nonce.
#[derive(Debug, Deserialize)]
struct Senders {
    number: U64,
    transactions: Vec<Sent>,
}

#[derive(Debug, Deserialize)]
struct Sent {
    hash: B256,
    from: Address,
    /// Some networks have transactions of their own without one.
    #[serde(default)]
    nonce: Option<Quantity>,
}

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
    if let Some(place) = included(node, tx).await? {
        return Ok(place);
    }
    let mention: Option<TxMention> = node.call("eth_getTransactionByHash", (tx,)).await?;
    match mention {
        None => replaced(node, tx, spent).await,
        Some(mention) if mention.hash != tx => Err(garbage("another transaction")),
        Some(mention) if mention.block_hash.is_none() => Ok(TxPlace::Pending),
        // In a block by one index, without a receipt by the other: ask again.
        Some(_) => Err(garbage("a transaction in a block, but no receipt")),
    }
}

async fn included(node: &Node, tx: B256) -> Result<Option<TxPlace>, ReadError> {
    let receipt: Option<Receipt> = node.call("eth_getTransactionReceipt", (tx,)).await?;
    let Some(receipt) = receipt else { return Ok(None) };
    if receipt.transaction_hash != tx {
        return Err(garbage("another receipt"));
    }
    Ok(Some(TxPlace::Included {
        height: receipt.block_number.to::<u64>(),
        block_hash: text_of_hash(receipt.block_hash),
        succeeded: receipt.succeeded()?,
    }))
}

/// `mined` is the height at which the nonce became used, or the lowest at which the node showed it
/// as used: the other transaction is there or below, so whoever waits until that height is final
/// waits long enough, and not for ever.
async fn replaced(
    node: &Node,
    tx: B256,
    spent: Option<(Address, u64)>,
) -> Result<TxPlace, ReadError> {
    let Some((sender, nonce)) = spent else { return Ok(TxPlace::Absent) };
    let used: Quantity = node.call("eth_getTransactionCount", (sender, "latest")).await?;
    if !is_used(used, nonce)? {
        return Ok(TxPlace::Absent);
    }
    let head = node.head().await?;
    let tip = head.latest.height;
    let at_tip: Quantity = node.call("eth_getTransactionCount", (sender, U64::from(tip))).await?;
    if !is_used(at_tip, nonce)? {
        return Err(garbage("a nonce that is used and is not"));
    }
    let mined = lowest(node, (sender, nonce), &head).await?;
    let by = name(node, (sender, nonce), mined).await?;
    // Heights name blocks of one branch only while the tip they were counted from stands.
    let still = node.header_at(tip).await?.map(|header| text_of_hash(header.hash));
    if still.as_ref() != Some(&head.latest.hash) {
        return Err(garbage("a chain that changed while it was read"));
    }
    // What used the nonce may be this very one, mined after its receipt was asked for.
    if let Some(place) = included(node, tx).await? {
        return Ok(place);
    }
    if by == Some(tx) {
        // It is in a block, and the node has no receipt of it: its index is behind.
        return Err(garbage("a transaction in a block, but no receipt"));
    }
    Ok(TxPlace::Replaced { by: by.map(text_of_hash), mined: Some(mined) })
}

/// The transaction that used the nonce, if it is in the block in which the nonce became used.
/// `None` where the node shows no state below, or where no transaction of the sender is in that
/// block: other things than a transaction can use a nonce.
async fn name(
    node: &Node,
    (sender, nonce): (Address, u64),
    height: u64,
) -> Result<Option<B256>, ReadError> {
    let found: Option<Senders> =
        node.call("eth_getBlockByNumber", (U64::from(height), true)).await?;
    let block = found.ok_or_else(|| garbage("a chain that changed while it was read"))?;
    if block.number != U64::from(height) {
        return Err(garbage("another height"));
    }
    let used = |tx: &&Sent| tx.from == sender && tx.nonce.and_then(Quantity::u64) == Some(nonce);
    Ok(block.transactions.iter().find(used).map(|tx| tx.hash))
}

/// The height at which the nonce became used; where the node shows no state that far back, the
/// lowest at which it is known to be used. A used nonce stays used, so halving finds it: four
/// questions for the step of the ladder, and one for each time the step can be halved.
async fn lowest(node: &Node, spent: (Address, u64), head: &Head) -> Result<u64, ReadError> {
    let heights = probes(head);
    let mut rest = heights.as_slice();
    let mut found = head.latest.height;
    // The highest at which it is known to be free.
    let mut free: Option<u64> = None;
    while let Some((height, above)) = rest.get(rest.len() / 2..).and_then(<[u64]>::split_first) {
        match used_at(node, spent, *height).await? {
            Some(true) => {
                found = *height;
                rest = rest.get(..rest.len() / 2).unwrap_or_default();
            }
            Some(false) => {
                free = Some(*height);
                rest = above;
            }
            // This state is gone, and so is what is older: the newer ones can still tell.
            None => rest = above,
        }
    }
    let first = DEPTHS.first().copied().unwrap_or_default();
    let mut below = match free {
        Some(free) => free,
        // Nobody has sent anything in the first block there is.
        None if head.latest.height <= first => 0,
        // Below the whole ladder nothing is looked for.
        None => return Ok(found),
    };
    while found.saturating_sub(below) > 1 {
        let middle = below.midpoint(found);
        match used_at(node, spent, middle).await? {
            Some(true) => found = middle,
            Some(false) => below = middle,
            None => return Ok(found),
        }
    }
    Ok(found)
}

/// `None` where the node has no state of that height.
async fn used_at(
    node: &Node,
    (sender, nonce): (Address, u64),
    height: u64,
) -> Result<Option<bool>, ReadError> {
    match node.told("eth_getTransactionCount", (sender, U64::from(height))).await? {
        Ok(count) => is_used(count, nonce).map(Some),
        Err(said) => {
            tracing::debug!(height, code = said.code, "no state at this height");
            Ok(None)
        }
    }
}

/// Where to look below the tip, ascending: what the network calls final and safe, for the rules of
/// that name, and a ladder of depths for the others.
fn probes(head: &Head) -> Vec<u64> {
    let tip = head.latest.height;
    let ladder = DEPTHS.iter().filter_map(|depth| tip.checked_sub(*depth));
    let tagged = head.finalized.into_iter().chain(head.safe).filter(|height| *height < tip);
    let mut heights: Vec<u64> = ladder.chain(tagged).collect();
    heights.sort_unstable();
    heights.dedup();
    heights
}

fn is_used(count: Quantity, nonce: u64) -> Result<bool, ReadError> {
    let count = count.u64().ok_or_else(|| garbage("a nonce beyond what can exist"))?;
    Ok(count > nonce)
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
