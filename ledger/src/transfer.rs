//! What callers hand in: transfers, legs, and the resolution of something posted before.
//!
//! Invariant: what can be refused without asking the database is refused here, so that a mistake
//! does not cost the caller its transaction. What only the books can know (floors, rules, holds) is
//! deliberately left to the database.

use chrono::{DateTime, Utc};
use primitives::Amount;
use serde_json::Value;
use uuid::Uuid;

use crate::{Account, LedgerError};

/// The kind every reversal is posted under.
pub const REVERSAL: &str = "reversal";

const LEGS_MAX: usize = 200;

/// One movement: `amount` is debited to one account and credited to the other.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Leg {
    pub debit: Account,
    pub credit: Account,
    pub amount: Amount,
}

impl Leg {
    #[must_use]
    pub fn new(debit: Account, credit: Account, amount: Amount) -> Self {
        Self { debit, credit, amount }
    }

    fn check(&self) -> Result<(), LedgerError> {
        let asset = self.amount.asset();
        if self.debit.asset != asset || self.credit.asset != asset {
            return Err(LedgerError::Malformed(format!(
                "{} > {} mixes assets",
                self.debit.code, self.credit.code
            )));
        }
        if !self.amount.is_positive() {
            return Err(LedgerError::Malformed(format!(
                "{} > {} moves {}",
                self.debit.code, self.credit.code, self.amount
            )));
        }
        if self.debit.code == self.credit.code {
            return Err(LedgerError::Malformed(format!(
                "{} on both sides of a leg",
                self.debit.code
            )));
        }
        Ok(())
    }
}

/// One event as the books see it.
#[derive(Debug, Clone, PartialEq)]
pub struct Transfer {
    /// Names the outside fact, never a job or a random id: a webhook, a poller and a retry must
    /// meet at the same key.
    pub key: String,
    /// A row of `ledger.transfer_kinds`; decides which legs are allowed.
    pub kind: &'static str,
    /// What the transfer belongs to, for [`crate::transfers_of`].
    pub correlation: Option<Uuid>,
    /// Who did it: a job, a user, an operator.
    pub actor: String,
    /// When it happened outside (block time, value time). Not part of the content.
    pub effective_at: DateTime<Utc>,
    /// Notes for people, up to 16 KB. Not part of the content.
    pub meta: Value,
    pub legs: Vec<Leg>,
}

impl Transfer {
    pub(crate) fn check(&self) -> Result<(), LedgerError> {
        if self.legs.is_empty() || self.legs.len() > LEGS_MAX {
            return Err(LedgerError::Malformed(format!("{} legs", self.legs.len())));
        }
        check_header(&self.key, &self.actor)?;
        self.legs.iter().try_for_each(Leg::check)
    }
}

/// The second act of something posted before: capture or release of a hold, or a reversal. The
/// correlation is copied from the first.
#[derive(Debug, Clone, PartialEq)]
pub struct Resolution {
    pub key: String,
    /// For a hold, a kind that allows its legs (usually the hold's own); [`REVERSAL`] for a
    /// reversal.
    pub kind: &'static str,
    pub actor: String,
    pub effective_at: DateTime<Utc>,
    pub meta: Value,
}

impl Resolution {
    pub(crate) fn check(&self) -> Result<(), LedgerError> {
        check_header(&self.key, &self.actor)
    }
}

/// The outcome of every door.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Posted {
    pub id: i64,
    /// `false`: the same content was posted before, and nothing moved now.
    pub created: bool,
}

fn check_header(key: &str, actor: &str) -> Result<(), LedgerError> {
    if !(4..=200).contains(&key.chars().count()) {
        return Err(LedgerError::Malformed("a key has 4 to 200 characters".to_owned()));
    }
    if !(1..=200).contains(&actor.chars().count()) {
        return Err(LedgerError::Malformed("an actor has 1 to 200 characters".to_owned()));
    }
    Ok(())
}

/// JSON null is SQL null: no notes.
pub(crate) fn notes(meta: &Value) -> Option<&Value> {
    (!meta.is_null()).then_some(meta)
}
