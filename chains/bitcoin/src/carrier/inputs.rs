//! The outputs a draft is about to spend, read again before anything is decided.
//!
//! Invariants: each pays the key it is said to pay, holds what it is said to hold and is unspent in
//! blocks; amounts are not a node's word but read from the transaction that made them, whose hash
//! names it. What a waiting transaction already spends is told with what that one pays.

use std::collections::{BTreeMap, BTreeSet};

use bitcoin::{OutPoint, Transaction, TxOut, Txid};
use chains::{ReadError, carrier::Movable};
use serde::Deserialize;
use serde_json::{json, value::RawValue};

use super::{DraftError, Place, btc, fee, outputs, refused};
use crate::node::{Fault, Node, garbage};

/// Transactions of one request: each may be as large as a node passes on.
const PARENTS: usize = 20;

/// One input.
#[derive(Debug, Clone)]
pub(super) struct Coin {
    pub(super) at: OutPoint,
    pub(super) sats: u64,
    pub(super) place: Place,
}

impl Coin {
    pub(super) fn movable(&self) -> Result<Movable, ReadError> {
        let (source, outpoint) = (self.place.source.clone(), Some(self.at.to_string()));
        Ok(Movable { source, amount: btc(self.sats)?, outpoint })
    }

    pub(super) fn output(&self) -> TxOut {
        let value = bitcoin::Amount::from_sat(self.sats);
        TxOut { value, script_pubkey: self.place.script.clone() }
    }
}

pub(super) fn held(coins: &[Coin]) -> Result<u64, DraftError> {
    let sum = coins.iter().try_fold(0_u64, |sum, coin| sum.checked_add(coin.sats));
    sum.ok_or_else(|| refused("more coins than exist"))
}

/// Transactions of the mempool that spend some of the outputs.
#[derive(Debug, Clone, Default)]
pub(super) struct Standing {
    ids: BTreeSet<Txid>,
    /// What they pay, with all that hangs on them: what a replacement has to outbid.
    pub(super) fees: u64,
}

impl Standing {
    pub(super) fn is_empty(&self) -> bool {
        self.ids.is_empty()
    }
}

/// The inner error is a sentence: these outputs cannot be spent so.
pub(super) async fn read(
    node: &Node,
    coins: &[Coin],
) -> Result<Result<Standing, String>, ReadError> {
    let at: Vec<OutPoint> = coins.iter().map(|coin| coin.at).collect();
    for (coin, found) in coins.iter().zip(outputs::ask(node, &at).await?) {
        let Some(found) = found else {
            return Ok(Err(format!("{} is spent, or in no block", coin.at)));
        };
        if !found.is_mature() {
            return Ok(Err(format!("{} is too young to be spent", coin.at)));
        }
    }
    if let Some(why) = untrue(node, coins).await? {
        return Ok(Err(why));
    }
    let ids = node.spenders_in_mempool(&at).await?;
    let mut fees = 0_u64;
    for id in &ids {
        fees = fees.saturating_add(paid_with_descendants(node, *id).await?);
    }
    Ok(Ok(Standing { ids, fees }))
}

/// The first of them that its own transaction does not confirm.
async fn untrue(node: &Node, coins: &[Coin]) -> Result<Option<String>, ReadError> {
    let ids: BTreeSet<Txid> = coins.iter().map(|coin| coin.at.txid).collect();
    let parents = parents(node, ids).await?;
    for coin in coins {
        match output(&parents, coin.at)? {
            output if output.script_pubkey != coin.place.script => {
                return Ok(Some(format!("{} pays somebody else", coin.at)));
            }
            output if output.value.to_sat() != coin.sats => {
                return Ok(Some(format!("{} holds another amount", coin.at)));
            }
            _ => {}
        }
    }
    Ok(None)
}

/// The transactions with these ids, each proven by its hash.
pub(super) async fn parents(
    node: &Node,
    ids: BTreeSet<Txid>,
) -> Result<BTreeMap<Txid, Transaction>, ReadError> {
    let ids: Vec<Txid> = ids.into_iter().collect();
    let mut parents = BTreeMap::new();
    for some in ids.chunks(PARENTS) {
        for (id, tx) in some.iter().zip(node.transactions(some.to_vec()).await?) {
            parents.insert(*id, tx.ok_or_else(|| garbage("an output of no transaction"))?);
        }
    }
    Ok(parents)
}

/// An output of one of them.
pub(super) fn output(
    parents: &BTreeMap<Txid, Transaction>,
    at: OutPoint,
) -> Result<&TxOut, ReadError> {
    let index = usize::try_from(at.vout).ok();
    let found = parents.get(&at.txid).zip(index).and_then(|(tx, index)| tx.output.get(index));
    found.ok_or_else(|| garbage("an output its transaction lacks"))
}

#[derive(Deserialize)]
struct Entry {
    fees: Fees,
}

#[derive(Deserialize)]
struct Fees {
    descendant: Box<RawValue>,
}

async fn paid_with_descendants(node: &Node, id: Txid) -> Result<u64, ReadError> {
    match node.call::<Entry>("getmempoolentry", vec![json!(id)]).await {
        Ok(entry) => fee::coins(&entry.fees.descendant),
        // Gone between two questions: it stands in nobody's way.
        Err(Fault::NotFound) => Ok(0),
        Err(fault) => Err(fault.into()),
    }
}
