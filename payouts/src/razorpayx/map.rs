//! RazorpayX's words into ours, and an order into its exact bytes. Pure functions.
//!
//! Invariants: a status we do not know is processing; `processed` is not final; a body is made of
//! frozen fields in alphabetical order and nothing else, so it can be made again byte for byte.

use outbound::vendor_text;
use primitives::{Amount, Asset, derived_uuid};
use serde_json::json;

use super::wire;
use crate::{FrozenRequest, PayoutOrder, RailEvent, RailPayout, RailStatus, WebhookError};

/// Why an answer cannot be believed. Short, fixed, without the vendor's values.
pub(super) type Mapped<T> = Result<T, &'static str>;

const NARRATION_MAX: usize = 30;
const NAME_MIN: usize = 3;
const NAME_MAX: usize = 50;

/// The body has no `notes`: an absent field cannot differ between two sends.
pub(super) fn freeze(order: &PayoutOrder, account_number: &str) -> FrozenRequest {
    let attempt = order.attempt.to_string();
    let key = derived_uuid(&[&order.payout.to_string(), &attempt]);
    let reference = format!("{}-{attempt}", order.payout.uuid().simple());
    let body = json!({
        "account_number": account_number,
        "amount": paise(order.amount),
        "currency": "INR",
        "fund_account_id": order.handle.fund_account_id,
        "mode": "UPI",
        "narration": narration(&order.narration),
        "purpose": "payout",
        "queue_if_low_balance": true,
        "reference_id": reference,
    });
    FrozenRequest {
        idempotency_key: key.hyphenated().to_string(),
        reference,
        body: body.to_string(),
    }
}

/// Anything but positive rupees becomes 0, which is never sent.
fn paise(amount: Amount) -> i64 {
    let rupees = amount.asset() == Asset::Inr && amount.is_positive();
    i64::try_from(amount.minor()).ok().filter(|_| rupees).unwrap_or(0)
}

fn narration(text: &str) -> String {
    let plain = text.chars().filter(|c| c.is_ascii_alphanumeric() || *c == ' ');
    plain.take(NARRATION_MAX).collect::<String>().trim().to_owned()
}

/// The rail wants 3 to 50 characters; a shop may be called less.
pub(super) fn contact_name(name: &str) -> String {
    let plain: String = name.chars().filter(|c| !c.is_control()).take(NAME_MAX).collect();
    let plain = plain.trim();
    if plain.chars().count() < NAME_MIN { format!("Shop {plain}.") } else { plain.to_owned() }
}

pub(super) fn status(text: &str) -> RailStatus {
    match text {
        "pending" => RailStatus::Pending,
        // Accepted and not yet on its way, as a queued one.
        "queued" | "scheduled" => RailStatus::Queued,
        "processed" => RailStatus::Processed,
        "failed" => RailStatus::Failed,
        "rejected" => RailStatus::Rejected,
        "cancelled" => RailStatus::Cancelled,
        "reversed" => RailStatus::Reversed,
        // `processing`, and whatever they invent next.
        _ => RailStatus::Processing,
    }
}

/// Reasons after which the vendor says the same payment may succeed later, with a new key.
fn may_succeed_later(reason: &str) -> bool {
    matches!(
        reason,
        "amount_limit_exhausted_neft"
            | "beneficiary_bank_failure"
            | "beneficiary_bank_offline"
            | "beneficiary_bank_technical_error"
            | "beneficiary_psp_offline"
            | "gateway_down"
            | "gateway_technical_error"
            | "gateway_timeout"
            | "insufficient_funds"
            | "npci_beneficiary_timeout"
            | "server_error_temporary"
    )
}

pub(super) fn payout(wire: &wire::Payout) -> Mapped<RailPayout> {
    if wire.entity != "payout" || !is_id(&wire.id) || !is_id(&wire.fund_account_id) {
        return Err("not a payout");
    }
    if wire.currency != "INR" || wire.amount <= 0 {
        return Err("payout without an amount in rupees");
    }
    let status = status(&wire.status);
    let (fees, tax) = costs(wire, status)?;
    let why = wire.status_details.as_ref().or(wire.error.as_ref());
    let reason = why.and_then(|why| why.reason.as_deref()).filter(|r| !is_nothing(r));
    let ended_badly = matches!(status, RailStatus::Failed | RailStatus::Reversed);
    Ok(RailPayout {
        rail_payout_id: wire.id.clone(),
        reference: wire.reference_id.clone(),
        status,
        amount: rupees(wire.amount)?,
        fees,
        tax,
        utr: wire.utr.clone().filter(|utr| !is_nothing(utr)),
        fund_account_id: wire.fund_account_id.clone(),
        reason: reason.map(vendor_text),
        retryable: ended_badly && reason.is_some_and(may_succeed_later),
    })
}

/// Costs are filled in once the money moves; before that a zero means "not yet".
fn costs(wire: &wire::Payout, status: RailStatus) -> Mapped<(Option<Amount>, Option<Amount>)> {
    let waiting = matches!(status, RailStatus::Pending | RailStatus::Queued);
    let (Some(fees), tax) = (wire.fees, wire.tax.unwrap_or(0)) else {
        return Ok((None, None));
    };
    if fees < 0 || tax < 0 || tax > fees {
        return Err("payout whose costs do not add up");
    }
    if waiting && fees == 0 {
        return Ok((None, None));
    }
    Ok((Some(rupees(fees)?), Some(rupees(tax)?)))
}

/// This vendor writes nothing as null, as empty text and as the word "null".
fn is_nothing(text: &str) -> bool {
    text.trim().is_empty() || text == "null"
}

pub(super) fn rupees(paise: i64) -> Mapped<Amount> {
    Amount::try_new(i128::from(paise), Asset::Inr).map_err(|_| "amount out of range")
}

/// `pout_…`, `fa_…`, `cont_…`: letters, digits and underscores, so it is safe in a path.
pub(super) fn is_id(text: &str) -> bool {
    (1..=40).contains(&text.len()) && text.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'_')
}

/// A reference fit for a query as it stands.
pub(super) fn is_reference(text: &str) -> bool {
    (1..=40).contains(&text.len())
        && text.bytes().all(|b| b.is_ascii_alphanumeric() || matches!(b, b'-' | b'_'))
}

/// The answer to a send must be about what was sent: same amount, person and reference.
pub(super) fn is_answer_to(sent: &wire::Sent, answer: &RailPayout) -> bool {
    answer.amount.minor() == i128::from(sent.amount)
        && answer.fund_account_id == sent.fund_account_id
        && answer.reference.as_deref() == Some(sent.reference_id.as_str())
}

pub(super) fn event(body: &[u8]) -> Result<RailEvent, WebhookError> {
    let unreadable = |what: &str| WebhookError::Unreadable(what.to_owned());
    let event: wire::Event =
        serde_json::from_slice(body).map_err(|_| unreadable("not an event"))?;
    if event.entity != "event" || !is_event_name(&event.event) {
        return Err(unreadable("not an event"));
    }
    let entity = event.payload.payout.map(|payout| payout.entity);
    if entity.as_ref().is_some_and(|entity| !is_id(&entity.id)) {
        return Err(unreadable("no payout id"));
    }
    let (id, reference) = entity.map(|e| (e.id, e.reference_id)).unzip();
    Ok(RailEvent {
        event: event.event,
        rail_payout_id: id,
        reference: reference.flatten().filter(|reference| is_reference(reference)),
    })
}

fn is_event_name(text: &str) -> bool {
    (1..=64).contains(&text.len())
        && text.bytes().all(|b| b.is_ascii_lowercase() || matches!(b, b'.' | b'_'))
}
