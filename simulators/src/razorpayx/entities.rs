//! Contacts, fund accounts, payouts and validations, and how each looks on the wire.
//!
//! Invariant: fields and their order of meaning are the vendor's: amounts in integer paise, times
//! in epoch seconds, `notes` an empty list when there are none. Rules are in `checks.rs`.

use std::collections::VecDeque;

use chrono::{DateTime, Utc};
use serde_json::{Map, Value, json};

use super::mode::Mode;
use super::outcomes::Step;
use super::reasons::Reason;
use super::shelf::Row;
use super::state::Status;

/// What makes two contacts the same contact.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub(super) struct ContactDetails {
    pub(super) name: String,
    pub(super) email: Option<String>,
    pub(super) contact: Option<String>,
    pub(super) kind: Option<String>,
    pub(super) reference_id: Option<String>,
}

#[derive(Debug, Clone)]
pub(super) struct Contact {
    pub(super) id: String,
    pub(super) details: ContactDetails,
    pub(super) notes: Map<String, Value>,
    pub(super) active: bool,
    pub(super) created_at: i64,
}

impl Contact {
    pub(super) fn to_json(&self) -> Value {
        json!({
            "id": self.id,
            "entity": "contact",
            "name": self.details.name,
            "contact": self.details.contact,
            "email": self.details.email,
            "type": self.details.kind,
            "reference_id": self.details.reference_id,
            "batch_id": null,
            "active": self.active,
            "notes": notes(&self.notes),
            "created_at": self.created_at,
        })
    }
}

/// Where money can go.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub(super) enum Destination {
    Vpa { username: String, handle: String },
    Bank { name: String, ifsc: String, account_number: String },
}

impl Destination {
    pub(super) fn vpa(&self) -> Option<String> {
        match self {
            Self::Vpa { username, handle } => Some(format!("{username}@{handle}")),
            Self::Bank { .. } => None,
        }
    }

    /// UPI ids are the same whatever the case of their letters.
    pub(super) fn folded(&self) -> Self {
        match self {
            Self::Vpa { username, handle } => Self::Vpa {
                username: username.to_ascii_lowercase(),
                handle: handle.to_ascii_lowercase(),
            },
            bank @ Self::Bank { .. } => bank.clone(),
        }
    }

    pub(super) const fn account_type(&self) -> &'static str {
        match self {
            Self::Vpa { .. } => "vpa",
            Self::Bank { .. } => "bank_account",
        }
    }

    fn to_json(&self) -> Value {
        match self {
            Self::Vpa { username, handle } => json!({
                "username": username,
                "handle": handle,
                "address": format!("{username}@{handle}"),
            }),
            Self::Bank { name, ifsc, account_number } => json!({
                "ifsc": ifsc,
                "bank_name": ifsc.get(..4).unwrap_or_default(),
                "name": name,
                "notes": [],
                "account_number": account_number,
            }),
        }
    }
}

#[derive(Debug, Clone)]
pub(super) struct FundAccount {
    pub(super) id: String,
    pub(super) contact_id: String,
    pub(super) destination: Destination,
    pub(super) active: bool,
    pub(super) created_at: i64,
}

impl FundAccount {
    pub(super) fn to_json(&self) -> Value {
        let mut out = json!({
            "id": self.id,
            "entity": "fund_account",
            "contact_id": self.contact_id,
            "account_type": self.destination.account_type(),
            "batch_id": null,
            "active": self.active,
            "created_at": self.created_at,
        });
        put(&mut out, self.destination.account_type(), self.destination.to_json());
        out
    }

    /// With the contact inside, as composite replies and webhooks show it.
    pub(super) fn expanded(&self, contact: Option<&Contact>) -> Value {
        let mut out = self.to_json();
        put(&mut out, "contact", contact.map_or(Value::Null, Contact::to_json));
        out
    }
}

#[derive(Debug, Clone)]
pub(super) struct Payout {
    pub(super) id: String,
    pub(super) key: String,
    pub(super) fund_account_id: String,
    pub(super) contact_id: String,
    pub(super) destination: Destination,
    /// Created together with its fund account, which every reply then shows.
    pub(super) composite: bool,
    pub(super) amount: i64,
    pub(super) fees: i64,
    pub(super) tax: i64,
    pub(super) mode: Mode,
    pub(super) purpose: String,
    pub(super) reference_id: Option<String>,
    pub(super) narration: String,
    pub(super) notes: Map<String, Value>,
    pub(super) queue_if_low_balance: bool,
    pub(super) status: Status,
    pub(super) reason: Option<&'static Reason>,
    pub(super) utr: Option<String>,
    pub(super) created_at: i64,
    pub(super) steps: VecDeque<Step>,
    pub(super) late_utr: bool,
    /// When the next step is due; a payout without one stays as it is.
    pub(super) due: Option<DateTime<Utc>>,
    /// Amount and fees have left the account and have not come back.
    pub(super) money_out: bool,
    pub(super) history: Vec<(DateTime<Utc>, Status, Option<&'static Reason>)>,
}

impl Payout {
    pub(super) const fn cost(&self, fees: i64) -> i64 {
        self.amount.saturating_add(fees)
    }

    pub(super) fn ended_badly(&self) -> bool {
        matches!(self.status, Status::Failed | Status::Reversed)
    }

    /// The entity; `fund_account` is filled in where the vendor expands it.
    pub(super) fn to_json(&self, fund_account: Option<Value>) -> Value {
        let why = self.reason.filter(|_| self.ended_badly());
        let mut out = json!({
            "id": self.id,
            "entity": "payout",
            "fund_account_id": self.fund_account_id,
            "amount": self.amount,
            "currency": "INR",
            "notes": notes(&self.notes),
            "fees": self.fees,
            "tax": self.tax,
            "status": self.status.as_str(),
            "utr": self.utr,
            "mode": self.mode.as_str(),
            "purpose": self.purpose,
            "reference_id": self.reference_id,
            "narration": self.narration,
            "batch_id": null,
            "debit_account_number": super::ACCOUNT_NUMBER,
            "status_details": self.reason.map(Reason::to_json),
            "created_at": self.created_at,
            "fee_type": null,
            "failure_reason": why.map(|reason| reason.description),
            "error": {
                "description": why.map(|reason| reason.description),
                "source": why.map(|reason| reason.source),
                "reason": why.map(|reason| reason.name),
            },
        });
        if let Some(fund_account) = fund_account {
            put(&mut out, "fund_account", fund_account);
        }
        out
    }

    /// The shorter form inside a transaction.
    pub(super) fn to_source(&self) -> Value {
        json!({
            "id": self.id,
            "entity": "payout",
            "fund_account_id": self.fund_account_id,
            "amount": self.amount,
            "notes": notes(&self.notes),
            "fees": self.fees,
            "tax": self.tax,
            "status": self.status.as_str(),
            "utr": self.utr,
            "mode": self.mode.as_str(),
            "created_at": self.created_at,
            "fee_type": null,
        })
    }
}

/// A check of a fund account, by the older or the newer request.
#[derive(Debug, Clone)]
pub(super) struct Validation {
    pub(super) id: String,
    /// What the request showed of the fund account; `None` for the older shape.
    pub(super) composite: bool,
    pub(super) fund_account_id: String,
    pub(super) amount: i64,
    pub(super) reference_id: Option<String>,
    pub(super) notes: Map<String, Value>,
    /// Nothing while the bank has not answered.
    pub(super) result: Option<Finding>,
    pub(super) created_at: i64,
}

/// What the beneficiary's bank says of an account.
#[derive(Debug, Clone)]
pub(super) struct Finding {
    pub(super) active: bool,
    pub(super) registered_name: Option<String>,
    pub(super) name_match_score: u8,
    pub(super) utr: String,
}

impl Validation {
    pub(super) fn to_json(&self, fund_account: Value) -> Value {
        let status = if self.result.is_some() { "completed" } else { "created" };
        let found = self.result.as_ref();
        let account_status = found.map(|finding| if finding.active { "active" } else { "invalid" });
        let registered_name = found.and_then(|finding| finding.registered_name.clone());
        let mut out = json!({
            "id": self.id,
            "entity": "fund_account.validation",
            "fund_account": fund_account,
            "status": status,
            "notes": notes(&self.notes),
            "created_at": self.created_at,
            "utr": found.map(|finding| finding.utr.clone()),
        });
        if self.composite {
            put(&mut out, "reference_id", json!(self.reference_id));
            put(
                &mut out,
                "validation_results",
                json!({
                    "account_status": account_status,
                    "registered_name": registered_name,
                    "details": found.map(|_| "The beneficiary's bank has answered."),
                    "name_match_score": found.map(|finding| finding.name_match_score),
                }),
            );
            put(
                &mut out,
                "status_details",
                json!({
                    "description": found.map(|_| "Validation request is completed"),
                    "source": found.map(|_| "beneficiary_bank"),
                    "reason": found.map(|_| "validation_completed"),
                }),
            );
        } else {
            put(&mut out, "amount", json!(self.amount));
            put(&mut out, "currency", json!("INR"));
            put(
                &mut out,
                "results",
                json!({
                    "account_status": account_status,
                    "registered_name": registered_name,
                }),
            );
        }
        out
    }
}

/// The vendor's server is written in a language that cannot tell an empty map from a list.
pub(super) fn notes(notes: &Map<String, Value>) -> Value {
    if notes.is_empty() { json!([]) } else { Value::Object(notes.clone()) }
}

pub(super) fn put(object: &mut Value, key: &str, value: Value) {
    if let Some(map) = object.as_object_mut() {
        map.insert(key.to_owned(), value);
    }
}

impl Row for Contact {
    fn id(&self) -> &str {
        &self.id
    }
    fn created_at(&self) -> i64 {
        self.created_at
    }
}

impl Row for FundAccount {
    fn id(&self) -> &str {
        &self.id
    }
    fn created_at(&self) -> i64 {
        self.created_at
    }
}

impl Row for Payout {
    fn id(&self) -> &str {
        &self.id
    }
    fn created_at(&self) -> i64 {
        self.created_at
    }
}

impl Row for Validation {
    fn id(&self) -> &str {
        &self.id
    }
    fn created_at(&self) -> i64 {
        self.created_at
    }
}
