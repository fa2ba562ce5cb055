//! The bank's own books: what was accepted, what moved on the account, who was paid.
//!
//! Invariant: append-only, and `balance` is `opening` plus credits minus debits. Every line also
//! goes to the world's journal with its movement in rupees. This is the oracle product books are
//! compared with, so nothing here is derived from what a caller was told.

use std::collections::HashMap;

use chrono::{DateTime, Utc};
use rust_decimal::Decimal;
use serde_json::{Value, json};

use crate::World;
use crate::journal::{Movement, NewEntry};

use super::entities::{Destination, Payout};

/// The simulator's name in journal and faults.
pub(super) const NAME: &str = "razorpayx";

/// What a movement on the account is for.
#[derive(Debug, Clone)]
pub(super) enum Cause {
    Payout { payout_id: String },
    Reversal { id: String, payout_id: String },
    BankTransfer { id: String, reference: String },
}

impl Cause {
    const fn kind(&self) -> &'static str {
        match self {
            Self::Payout { .. } => "payout",
            Self::Reversal { .. } => "reversal",
            Self::BankTransfer { .. } => "bank_transfer",
        }
    }

    pub(super) fn payout_id(&self) -> Option<&str> {
        match self {
            Self::Payout { payout_id } | Self::Reversal { payout_id, .. } => Some(payout_id),
            Self::BankTransfer { .. } => None,
        }
    }
}

/// One movement: exactly one of `credit` and `debit` is not zero.
#[derive(Debug, Clone)]
pub(super) struct Line {
    pub(super) id: String,
    pub(super) at: DateTime<Utc>,
    pub(super) credit: i64,
    pub(super) debit: i64,
    pub(super) balance: i64,
    pub(super) cause: Cause,
}

#[derive(Debug)]
struct Paid {
    payout_id: String,
    at: DateTime<Utc>,
}

/// A create request that was taken, or recognised as one taken before.
#[derive(Debug)]
struct Accepted {
    at: DateTime<Utc>,
    key: String,
    payout_id: String,
    replay: bool,
}

#[derive(Debug)]
pub(super) struct Books {
    opening: i64,
    balance: i64,
    lines: Vec<Line>,
    line_by_id: HashMap<String, usize>,
    accepted: Vec<Accepted>,
    paid: Vec<Paid>,
    returned: HashMap<String, DateTime<Utc>>,
}

/// What is needed to enter a movement.
pub(super) struct Entering<'a> {
    pub(super) world: &'a World,
    pub(super) now: DateTime<Utc>,
    pub(super) id: String,
}

impl Books {
    pub(super) fn open(world: &World, opening: i64) -> Self {
        let entry = NewEntry {
            at: world.now(),
            kind: "opening_balance",
            reference: super::ACCOUNT_NUMBER.to_owned(),
            movements: vec![Movement::new("INR", "bank", rupees(opening), "opening")],
            detail: json!({}),
        };
        world.journal.append(NAME, entry);
        Self {
            opening,
            balance: opening,
            lines: Vec::new(),
            line_by_id: HashMap::new(),
            accepted: Vec::new(),
            paid: Vec::new(),
            returned: HashMap::new(),
        }
    }

    pub(super) const fn balance(&self) -> i64 {
        self.balance
    }

    pub(super) fn lines(&self) -> impl DoubleEndedIterator<Item = &Line> {
        self.lines.iter()
    }

    pub(super) fn line(&self, id: &str) -> Option<&Line> {
        self.lines.get(*self.line_by_id.get(id)?)
    }

    /// Enters a movement of `amount` paise, negative for a debit.
    pub(super) fn enter(&mut self, entering: Entering<'_>, amount: i64, cause: Cause) -> &Line {
        let Entering { world, now, id } = entering;
        self.balance = self.balance.saturating_add(amount);
        let entry = NewEntry {
            at: now,
            kind: cause.kind(),
            reference: cause.payout_id().unwrap_or(&id).to_owned(),
            movements: vec![Movement::new("INR", "bank", rupees(amount), cause.kind())],
            detail: json!({"transaction_id": id, "balance_paise": self.balance}),
        };
        world.journal.append(NAME, entry);
        let line = Line {
            id: id.clone(),
            at: now,
            credit: amount.max(0),
            debit: amount.min(0).saturating_neg(),
            balance: self.balance,
            cause,
        };
        let place = self.lines.len();
        self.line_by_id.insert(id, place);
        self.lines.push(line);
        #[expect(clippy::indexing_slicing, reason = "the line pushed just above")]
        &self.lines[place]
    }

    pub(super) fn accept(&mut self, world: &World, payout: &Payout, replay: bool) {
        let at = world.now();
        let entry = NewEntry {
            at,
            kind: if replay { "payout_replayed" } else { "payout_accepted" },
            reference: payout.id.clone(),
            movements: Vec::new(),
            detail: json!({
                "idempotency_key": payout.key,
                "reference_id": payout.reference_id,
                "amount_paise": payout.amount,
                "beneficiary": beneficiary(&payout.destination),
            }),
        };
        world.journal.append(NAME, entry);
        let (key, payout_id) = (payout.key.clone(), payout.id.clone());
        self.accepted.push(Accepted { at, key, payout_id, replay });
    }

    /// The beneficiary has the money.
    pub(super) fn pay(&mut self, world: &World, payout: &Payout) {
        let entry = NewEntry {
            at: world.now(),
            kind: "beneficiary_paid",
            reference: payout.id.clone(),
            movements: Vec::new(),
            detail: json!({
                "amount_paise": payout.amount,
                "beneficiary": beneficiary(&payout.destination),
            }),
        };
        world.journal.append(NAME, entry);
        self.paid.push(Paid { payout_id: payout.id.clone(), at: world.now() });
    }

    /// The beneficiary no longer has the money.
    pub(super) fn take_back(&mut self, world: &World, payout: &Payout) {
        if !self.paid.iter().rev().any(|paid| paid.payout_id == payout.id) {
            return;
        }
        let entry = NewEntry {
            at: world.now(),
            kind: "beneficiary_reversed",
            reference: payout.id.clone(),
            movements: Vec::new(),
            detail: json!({"amount_paise": payout.amount}),
        };
        world.journal.append(NAME, entry);
        self.returned.insert(payout.id.clone(), world.now());
    }

    /// The whole of it, for whoever compares.
    pub(super) fn to_json<'a>(&self, find: impl Fn(&str) -> Option<&'a Payout>) -> Value {
        let accepted = self.accepted.iter().filter_map(|row| {
            let payout = find(&row.payout_id)?;
            Some(json!({
                "at": row.at,
                "idempotency_key": row.key,
                "replay": row.replay,
                "payout_id": row.payout_id,
                "reference_id": payout.reference_id,
                "amount": payout.amount,
                "status": payout.status.as_str(),
                "beneficiary": beneficiary(&payout.destination),
            }))
        });
        let entries = self.lines.iter().enumerate().map(|(place, line)| {
            json!({
                "sequence": place.saturating_add(1),
                "transaction_id": line.id,
                "at": line.at,
                "kind": line.cause.kind(),
                "payout_id": line.cause.payout_id(),
                "credit": line.credit,
                "debit": line.debit,
                "balance": line.balance,
            })
        });
        let paid = self.paid.iter().filter_map(|row| {
            let payout = find(&row.payout_id)?;
            Some(json!({
                "payout_id": row.payout_id,
                "idempotency_key": payout.key,
                "reference_id": payout.reference_id,
                "vpa": payout.destination.vpa(),
                "beneficiary": beneficiary(&payout.destination),
                "amount": payout.amount,
                "fees": payout.fees,
                "utr": payout.utr,
                "paid_at": row.at,
                "reversed_at": self.returned.get(&row.payout_id),
            }))
        });
        json!({
            "account_number": super::ACCOUNT_NUMBER,
            "opening_paise": self.opening,
            "balance_paise": self.balance,
            "accepted": accepted.collect::<Vec<_>>(),
            "entries": entries.collect::<Vec<_>>(),
            "paid": paid.collect::<Vec<_>>(),
        })
    }
}

fn beneficiary(destination: &Destination) -> Value {
    match destination {
        Destination::Vpa { .. } => json!({"vpa": destination.vpa()}),
        Destination::Bank { name, ifsc, account_number } => {
            json!({"name": name, "ifsc": ifsc, "account_number": account_number})
        }
    }
}

fn rupees(paise: i64) -> Decimal {
    Decimal::new(paise, 2)
}
