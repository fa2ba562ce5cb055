//! Payments that wait for a block.
//!
//! Invariants: what is answered is all that waits, or nothing at all, also while the node itself is
//! still filling its mempool after a start; a transaction is fetched once while it waits, and only
//! what pays addresses of our kind is kept of it. Nothing seen here is money: a payer can take any
//! of it back until it is mined.

use std::{
    collections::{HashMap, HashSet},
    str::FromStr as _,
    sync::{Mutex, PoisonError},
};

use bitcoin::{Network, Transaction, Txid};
use chains::{ReadError, Sighting, WatchSet};
use serde::Deserialize;
use serde_json::json;

use crate::{
    node::{Node, garbage},
    scan::Payments,
};

/// Transactions per request, and requests per look: a node with a full mempool is read in turns.
const BATCH: usize = 100;
const BATCHES: usize = 20;
/// More than any node keeps by default (300 MB of transactions).
const MOST: usize = 1_000_000;

#[derive(Deserialize)]
struct Info {
    loaded: bool,
}

/// Transactions that may pay somebody we know, by id; the others are known and empty.
#[derive(Default)]
pub(crate) struct Mempool {
    known: Mutex<HashMap<Txid, Option<Payments>>>,
}

impl Mempool {
    /// All that waits for watched addresses; `None` while the mempool is not read through.
    pub(crate) async fn waiting(
        &self,
        node: &Node,
        network: Network,
        watch: &WatchSet,
    ) -> Result<Option<Vec<Sighting>>, ReadError> {
        let info: Info = node.call("getmempoolinfo", Vec::new()).await?;
        if !info.loaded {
            return Ok(None);
        }
        let ids: Vec<String> = node.call("getrawmempool", vec![json!(false)]).await?;
        if ids.len() > MOST {
            return Err(garbage("a mempool without end"));
        }
        let read = |id: &String| Txid::from_str(id).map_err(|_| garbage("no txid"));
        let now: HashSet<Txid> = ids.iter().map(read).collect::<Result<_, _>>()?;
        let new = self.forget_all_but(&now);
        let complete = new.len() <= BATCH.saturating_mul(BATCHES);
        for batch in new.chunks(BATCH).take(BATCHES) {
            let transactions = node.transactions(batch.to_vec()).await?;
            self.learn(batch, transactions);
        }
        if !complete {
            return Ok(None);
        }
        let known = self.known.lock().unwrap_or_else(PoisonError::into_inner);
        let mut waiting = Vec::new();
        for (id, payments) in known.iter() {
            let Some(payments) = payments else { continue };
            waiting.extend(payments.sightings(*id, network, watch)?);
        }
        waiting.sort_by(|a, b| (&a.tx_id, a.ordinal).cmp(&(&b.tx_id, b.ordinal)));
        Ok(Some(waiting))
    }

    /// Drops what waits no longer; answers what is new.
    fn forget_all_but(&self, now: &HashSet<Txid>) -> Vec<Txid> {
        let mut known = self.known.lock().unwrap_or_else(PoisonError::into_inner);
        known.retain(|id, _| now.contains(id));
        now.iter().filter(|id| !known.contains_key(*id)).copied().collect()
    }

    fn learn(&self, ids: &[Txid], transactions: Vec<Option<Transaction>>) {
        let mut known = self.known.lock().unwrap_or_else(PoisonError::into_inner);
        for (id, tx) in ids.iter().zip(transactions) {
            // One that is gone again is left unknown: the next look decides.
            let Some(tx) = tx else { continue };
            known.insert(*id, Payments::of(&tx));
        }
    }
}
