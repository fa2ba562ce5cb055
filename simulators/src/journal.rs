//! The simulators' own books: append-only, one per simulator, the oracle of every test.
//!
//! Invariant: an entry never changes and never goes away; a simulator's balances are the sum of
//! its entries' movements. Reads are not entered: only what was accepted and what it moved.

use std::{
    collections::BTreeMap,
    sync::{Mutex, PoisonError},
};

use chrono::{DateTime, Utc};
use rust_decimal::Decimal;
use serde::Serialize;
use serde_json::Value;

/// One signed change of one pocket (`free`, `locked`, `bank`, …) of one asset.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Movement {
    pub asset: String,
    pub pocket: String,
    pub amount: Decimal,
    /// What it is for: `deposit`, `lock`, `gross`, `fee`, `gst`, `tds`, …
    pub what: String,
}

impl Movement {
    #[must_use]
    pub fn new(asset: &str, pocket: &str, amount: Decimal, what: &str) -> Self {
        Self { asset: asset.into(), pocket: pocket.into(), amount, what: what.into() }
    }
}

/// Something a simulator accepted or did.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Entry {
    /// 1, 2, 3, … within one simulator.
    pub sequence: u64,
    pub at: DateTime<Utc>,
    /// `order_accepted`, `execution`, `order_closed`, `deposit`, `payout_created`, …
    pub kind: String,
    /// The vendor's id of the thing the entry is about.
    pub reference: String,
    pub movements: Vec<Movement>,
    pub detail: Value,
}

/// An entry before it has its place in the book.
#[derive(Debug, Clone)]
pub struct NewEntry {
    pub at: DateTime<Utc>,
    pub kind: &'static str,
    pub reference: String,
    pub movements: Vec<Movement>,
    pub detail: Value,
}

/// The books of all simulators, by name (`wazirx`, `binance`, `coinbase`, `razorpayx`, `merchant`).
#[derive(Debug, Default)]
pub struct Journal(Mutex<BTreeMap<String, Vec<Entry>>>);

impl Journal {
    /// Appends and returns the entry's sequence number.
    pub fn append(&self, simulator: &str, entry: NewEntry) -> u64 {
        let mut books = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let book = books.entry(simulator.to_owned()).or_default();
        let sequence = u64::try_from(book.len()).unwrap_or(u64::MAX).saturating_add(1);
        let NewEntry { at, kind, reference, movements, detail } = entry;
        book.push(Entry { sequence, at, kind: kind.into(), reference, movements, detail });
        sequence
    }

    /// Up to `limit` entries after sequence number `after`, in the order they were appended.
    #[must_use]
    pub fn entries(&self, simulator: &str, after: u64, limit: usize) -> Vec<Entry> {
        let books = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let skip = usize::try_from(after).unwrap_or(usize::MAX);
        books
            .get(simulator)
            .map(|book| book.iter().skip(skip).take(limit).cloned().collect())
            .unwrap_or_default()
    }

    /// The sum of all movements: asset → pocket → amount.
    #[must_use]
    pub fn balances(&self, simulator: &str) -> BTreeMap<String, BTreeMap<String, Decimal>> {
        let books = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let mut sums: BTreeMap<String, BTreeMap<String, Decimal>> = BTreeMap::new();
        for movement in books.get(simulator).into_iter().flatten().flat_map(|e| &e.movements) {
            let pockets = sums.entry(movement.asset.clone()).or_default();
            *pockets.entry(movement.pocket.clone()).or_default() += movement.amount;
        }
        sums
    }
}
