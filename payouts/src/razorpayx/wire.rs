//! RazorpayX's JSON in the vendor's own words: <https://razorpay.com/docs/api/x/>. No logic.
//! Amounts are integer paise.

use serde::{Deserialize, Serialize};

/// Field order is alphabetical on purpose: the body of a payout is canonical JSON.
#[derive(Debug, Serialize)]
pub(super) struct NewContact<'a> {
    pub(super) name: &'a str,
    pub(super) reference_id: &'a str,
    pub(super) r#type: &'a str,
}

#[derive(Debug, Deserialize)]
pub(super) struct Contact {
    pub(super) id: String,
    pub(super) reference_id: Option<String>,
}

#[derive(Debug, Serialize)]
pub(super) struct NewFundAccount<'a> {
    pub(super) account_type: &'a str,
    pub(super) contact_id: &'a str,
    pub(super) vpa: NewVpa<'a>,
}

#[derive(Debug, Serialize)]
pub(super) struct NewVpa<'a> {
    pub(super) address: &'a str,
}

#[derive(Debug, Deserialize)]
pub(super) struct FundAccount {
    pub(super) id: String,
    pub(super) contact_id: String,
    pub(super) active: bool,
    pub(super) vpa: Option<Vpa>,
}

#[derive(Debug, Deserialize)]
pub(super) struct Vpa {
    pub(super) address: String,
}

#[derive(Debug, Deserialize)]
pub(super) struct Payout {
    pub(super) id: String,
    pub(super) entity: String,
    pub(super) fund_account_id: String,
    pub(super) amount: i64,
    pub(super) currency: String,
    pub(super) fees: Option<i64>,
    pub(super) tax: Option<i64>,
    pub(super) status: String,
    pub(super) utr: Option<String>,
    pub(super) reference_id: Option<String>,
    pub(super) status_details: Option<Why>,
    /// Deprecated, still sent; read where `status_details` is missing.
    pub(super) error: Option<Why>,
}

#[derive(Debug, Deserialize)]
pub(super) struct Why {
    pub(super) reason: Option<String>,
}

/// What of a frozen body is compared with the answer.
#[derive(Debug, Deserialize)]
pub(super) struct Sent {
    pub(super) amount: i64,
    pub(super) fund_account_id: String,
    pub(super) reference_id: String,
}

#[derive(Debug, Deserialize)]
pub(super) struct Collection<T> {
    pub(super) items: Vec<T>,
}

#[derive(Debug, Deserialize)]
pub(super) struct Balance {
    pub(super) account_number: String,
    pub(super) available_amount: i64,
}

#[derive(Debug, Deserialize)]
pub(super) struct Failure {
    pub(super) error: FailureDetails,
}

#[derive(Debug, Deserialize)]
pub(super) struct FailureDetails {
    pub(super) code: String,
    pub(super) description: String,
}

#[derive(Debug, Deserialize)]
pub(super) struct Event {
    pub(super) entity: String,
    pub(super) event: String,
    pub(super) payload: EventPayload,
}

/// Only payouts are read; other events are named and no more.
#[derive(Debug, Deserialize)]
pub(super) struct EventPayload {
    pub(super) payout: Option<EventPayout>,
}

#[derive(Debug, Deserialize)]
pub(super) struct EventPayout {
    pub(super) entity: EventEntity,
}

#[derive(Debug, Deserialize)]
pub(super) struct EventEntity {
    pub(super) id: String,
    pub(super) reference_id: Option<String>,
}
