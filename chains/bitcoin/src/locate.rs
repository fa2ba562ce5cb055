//! Where a transaction is now, told from what it spends when it is nowhere.
//!
//! Invariant: that a node answers for a transaction proves nothing (its index keeps transactions of
//! lost branches, with no confirmations); only a block on the best chain does. A transaction counts
//! as replaced only when an output it spends is spent by another one.

use std::str::FromStr as _;

use bitcoin::{OutPoint, Txid};
use chains::{ReadError, TxPlace, nodes::Node as _};
use serde_json::{Value, json};

use crate::node::{Node, garbage};

/// How many blocks back a replacement that was mined is looked for.
const LOOK_BACK: u64 = 12;
/// The same where a move of ours may end by it: a day, because the fleet may have been away.
const LOOK_BACK_FOR_OURS: u64 = 144;
/// How many of the outputs it spends are kept with a sighting: a replacement of a transaction with
/// more of them costs its payer more than anybody's time.
pub(crate) const OUTPOINTS: usize = 32;
/// How many are asked for: any one of ours that is spent otherwise ends a move.
const ASKED: usize = 500;
/// Questions of one request.
const BATCH: usize = 100;

pub(crate) async fn transaction(
    node: &Node,
    tx: Txid,
    spends: &[OutPoint],
) -> Result<TxPlace, ReadError> {
    within(node, tx, spends, LOOK_BACK).await
}

/// As [`transaction`], for one of our own: who took its place is looked for further back.
pub(crate) async fn ours(node: &Node, tx: Txid, spends: &[OutPoint]) -> Result<TxPlace, ReadError> {
    within(node, tx, spends, LOOK_BACK_FOR_OURS).await
}

async fn within(
    node: &Node,
    tx: Txid,
    spends: &[OutPoint],
    look_back: u64,
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
    if spends.is_empty() {
        return Ok(TxPlace::Absent);
    }
    if let Some(by) = node.spenders_in_mempool(spends).await?.pop_first() {
        return Ok(TxPlace::Replaced { by: Some(by.to_string()), mined: None });
    }
    for output in missing(node, spends).await? {
        if let Some(place) = spent_in_a_block(node, tx, output, look_back).await? {
            return Ok(place);
        }
    }
    Ok(TxPlace::Absent)
}

/// Those that are in no block unspent.
async fn missing(node: &Node, spends: &[OutPoint]) -> Result<Vec<OutPoint>, ReadError> {
    let mut missing = Vec::new();
    for some in spends.chunks(BATCH) {
        let asked = some.iter().map(|at| json!([at.txid, at.vout, false])).collect();
        let found = node.batch::<Option<Value>>("gettxout", asked).await?;
        for (output, answer) in some.iter().zip(found) {
            if answer.ok_or_else(|| garbage("an error in place of an output"))?.is_none() {
                missing.push(*output);
            }
        }
    }
    missing.truncate(OUTPOINTS);
    Ok(missing)
}

/// An output that a block created and that is spent, though not by `tx`.
async fn spent_in_a_block(
    node: &Node,
    tx: Txid,
    output: OutPoint,
    look_back: u64,
) -> Result<Option<TxPlace>, ReadError> {
    let created = node.whereabouts(output.txid).await?;
    if created.is_none_or(|created| created.confirmations == 0) || node.is_unspent(output).await? {
        return Ok(None);
    }
    let tip = node.tip().await?;
    for height in (tip.saturating_sub(look_back)..=tip).rev() {
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
    // Deeper: then only its index speaks for the node not having it. One that is still being built
    // may lack the very transaction that was asked for.
    if !node.has_whole_index().await? {
        let sentence = "its index of transactions is still being built".to_owned();
        return Err(ReadError::Unavailable(sentence));
    }
    Ok(Some(TxPlace::Replaced { by: None, mined: Some(tip.saturating_sub(look_back)) }))
}

/// `txid:index`, as sightings name what they spend.
pub(crate) fn outpoints(spends: &[String]) -> Vec<OutPoint> {
    spends.iter().take(ASKED).filter_map(|text| OutPoint::from_str(text).ok()).collect()
}
