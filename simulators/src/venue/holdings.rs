//! What the account holds at a venue: free and locked per asset.
//!
//! Invariant: balances change only together with a journal entry, so they are always the sum of
//! the journal; no pocket ever goes below zero.

use std::{collections::BTreeMap, sync::Arc};

use chrono::{DateTime, Utc};
use rust_decimal::Decimal;
use serde::Serialize;
use serde_json::Value;

use crate::{
    World,
    journal::{Movement, NewEntry},
};

/// The two pockets of one asset.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize)]
pub struct Pockets {
    pub free: Decimal,
    pub locked: Decimal,
}

/// The balances of one venue.
#[derive(Debug)]
pub struct Holdings {
    venue: &'static str,
    world: Arc<World>,
    balances: BTreeMap<String, Pockets>,
}

/// Something that happened and what it moved.
#[derive(Debug)]
pub(crate) struct Change {
    pub(crate) at: DateTime<Utc>,
    pub(crate) kind: &'static str,
    pub(crate) reference: String,
    pub(crate) movements: Vec<Movement>,
    pub(crate) detail: Value,
}

impl Holdings {
    /// Opening balances, entered as deposits of the `opening` kind.
    pub(crate) fn open(
        world: &Arc<World>,
        venue: &'static str,
        opening: &[(&str, Decimal)],
    ) -> Self {
        let world = Arc::clone(world);
        let mut holdings = Self { venue, world, balances: BTreeMap::new() };
        let at = holdings.world.now();
        for (asset, amount) in opening {
            let movements = vec![Movement::new(asset, "free", *amount, "opening")];
            let reference = format!("opening-{asset}");
            let detail = Value::Null;
            holdings.apply(Change { at, kind: "opening", reference, movements, detail });
        }
        holdings
    }

    /// Enters the change in the journal and moves the balances. `false`, and nothing happens,
    /// when a pocket would go below zero.
    pub(crate) fn apply(&mut self, change: Change) -> bool {
        let mut after = self.balances.clone();
        for movement in &change.movements {
            let pockets = after.entry(movement.asset.clone()).or_default();
            let pocket = match movement.pocket.as_str() {
                "locked" => &mut pockets.locked,
                _ => &mut pockets.free,
            };
            *pocket = (*pocket + movement.amount).normalize();
        }
        let below =
            |pockets: &Pockets| pockets.free < Decimal::ZERO || pockets.locked < Decimal::ZERO;
        if after.values().any(below) {
            return false;
        }
        let Change { at, kind, reference, movements, detail } = change;
        let entry = NewEntry { at, kind, reference, movements, detail };
        self.world.journal.append(self.venue, entry);
        self.balances = after;
        true
    }

    pub(crate) fn get(&self, asset: &str) -> Pockets {
        self.balances.get(asset).copied().unwrap_or_default()
    }

    pub(crate) fn all(&self) -> &BTreeMap<String, Pockets> {
        &self.balances
    }
}

/// Moves `amount` from free to locked.
pub(crate) fn lock(asset: &str, amount: Decimal) -> Vec<Movement> {
    vec![
        Movement::new(asset, "free", -amount, "lock"),
        Movement::new(asset, "locked", amount, "lock"),
    ]
}

/// Moves `amount` from locked back to free; nothing when there is nothing to move.
pub(crate) fn release(asset: &str, amount: Decimal) -> Vec<Movement> {
    if amount.is_zero() {
        return Vec::new();
    }
    vec![
        Movement::new(asset, "locked", -amount, "release"),
        Movement::new(asset, "free", amount, "release"),
    ]
}
