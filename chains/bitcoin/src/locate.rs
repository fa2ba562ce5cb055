//! Where a transaction is now, told from what it spends when it is nowhere.
//!
//! Invariant: that a node answers for a transaction proves nothing (its index keeps transactions of
//! lost branches, with no confirmations); only a block on the best chain does. A transaction counts
//! as replaced only when an output it spends is spent by another one.

use std::str::FromStr as _;

use bitcoin::{OutPoint, Txid};
use chains::{ReadError, TxPlace, nodes::Node as _};

use crate::node::{Node, garbage};

/// How many blocks back a replacement that was mined is looked for.
const LOOK_BACK: u64 = 12;
/// How many of the outputs it spends are asked for. One that is spent otherwise is enough, and a
/// replacement of a transaction with more of them costs its payer more than anybody's time.
pub(crate) const OUTPOINTS: usize = 32;

pub(crate) async fn transaction(
    node: &Node,
    tx: Txid,
    spends: &[OutPoint],
) -> Result<TxPlace, ReadError> {
    let found = node.whereabouts(tx).await?;
    if let Some(block) = found.as_ref().and_then(|found| found.blockhash.as_deref())
        && found.as_ref().is_some_and(|found| found.confirmations > 0)
    {
        let header = node.header(block).await?.ok_or_else(|| garbage("a block it lacks"))?;
        if header.confirmations > 0 {
            let (height, block_hash) = (header.height, header.hash);
            return Ok(TxPlace::Included { height, block_hash, succeeded: true });
        }
    }
    if node.in_mempool(tx).await? {
        return Ok(TxPlace::Pending);
    }
    for output in spends {
        if let Some(by) = node.spender_in_mempool(*output).await? {
            return Ok(TxPlace::Replaced { by: Some(by.to_string()), mined: None });
        }
        if let Some(place) = spent_in_a_block(node, tx, *output).await? {
            return Ok(place);
        }
    }
    Ok(TxPlace::Absent)
}

/// An output that a block created and that is spent, though not by `tx`.
async fn spent_in_a_block(
    node: &Node,
    tx: Txid,
    output: OutPoint,
) -> Result<Option<TxPlace>, ReadError> {
    let created = node.whereabouts(output.txid).await?;
    if created.is_none_or(|created| created.confirmations == 0) || node.is_unspent(output).await? {
        return Ok(None);
    }
    let tip = node.tip().await?;
    for height in (tip.saturating_sub(LOOK_BACK)..=tip).rev() {
        let Some(hash) = node.hash_at(height).await? else { continue };
        for other in node.block(&hash).await?.txdata {
            if other.input.iter().any(|input| input.previous_output == output) {
                let id = other.compute_txid();
                if id == tx {
                    // Mined between two calls.
                    let (block_hash, succeeded) = (hash, true);
                    return Ok(Some(TxPlace::Included { height, block_hash, succeeded }));
                }
                return Ok(Some(TxPlace::Replaced {
                    by: Some(id.to_string()),
                    mined: Some(height),
                }));
            }
        }
    }
    Ok(Some(TxPlace::Replaced { by: None, mined: Some(tip.saturating_sub(LOOK_BACK)) }))
}

/// `txid:index`, as sightings name what they spend.
pub(crate) fn outpoints(spends: &[String]) -> Vec<OutPoint> {
    spends.iter().take(OUTPOINTS).filter_map(|text| OutPoint::from_str(text).ok()).collect()
}
