//! What every payout rail must keep, whoever the vendor is.
//!
//! Each function drives the public trait only and names the first promise that was broken. They
//! are run by the tests against a simulator; a new rail is not done until they pass.

use primitives::{CallError, CallResult};

use crate::{BODY_MISMATCH, Beneficiary, BeneficiaryHandle, PayoutOrder, Rail, RailPayout};

/// The promise that was broken.
pub type Conformity = Result<(), String>;

fn hold(promise: bool, sentence: &str) -> Conformity {
    if promise { Ok(()) } else { Err(sentence.to_owned()) }
}

fn done<T>(result: CallResult<T>, call: &str) -> Result<T, String> {
    result.map_err(|error| format!("{call} failed: {error}"))
}

/// The same beneficiary has the same handles, however often it is ensured.
///
/// # Errors
/// The first broken promise.
pub async fn beneficiary_is_created_once(
    rail: &dyn Rail,
    who: &Beneficiary,
) -> Result<BeneficiaryHandle, String> {
    let first = done(rail.ensure_beneficiary(who).await, "ensure_beneficiary")?;
    let again = done(rail.ensure_beneficiary(who).await, "ensure_beneficiary again")?;
    hold(first == again, "the same details give the same handles")?;
    Ok(first)
}

/// Freezing is pure, and every attempt has its own key and reference.
///
/// # Errors
/// The first broken promise.
pub fn freezing_is_pure(rail: &dyn Rail, order: &PayoutOrder) -> Conformity {
    let first = rail.freeze(order);
    hold(first == rail.freeze(order), "the same order gives the same bytes")?;
    let mut next = order.clone();
    next.attempt = next.attempt.saturating_add(1);
    let next = rail.freeze(&next);
    hold(next.idempotency_key != first.idempotency_key, "an attempt has its own key")?;
    hold(next.reference != first.reference, "an attempt has its own reference")?;
    hold((4..=36).contains(&first.idempotency_key.len()), "a key has 4 to 36 characters")?;
    hold((1..=40).contains(&first.reference.len()), "a reference has at most 40 characters")?;
    hold(first.body.contains(&first.reference), "the body carries the reference")
}

/// Sending twice pays once; fetch and find agree with send about what was paid to whom.
///
/// # Errors
/// The first broken promise.
pub async fn sending_twice_pays_once(
    rail: &dyn Rail,
    order: &PayoutOrder,
) -> Result<RailPayout, String> {
    let frozen = rail.freeze(order);
    let before = done(rail.find(&frozen.reference).await, "find")?;
    hold(before.is_none(), "an unused reference finds nothing")?;
    let sent = done(rail.send(&frozen).await, "send")?;
    let again = done(rail.send(&frozen).await, "send again")?;
    hold(again.rail_payout_id == sent.rail_payout_id, "the same request is the same payout")?;
    let fetched = done(rail.fetch(&sent.rail_payout_id).await, "fetch")?;
    let found = done(rail.find(&frozen.reference).await, "find")?.ok_or("a payout is found")?;
    for seen in [&sent, &again, &fetched, &found] {
        hold(seen.rail_payout_id == sent.rail_payout_id, "find and fetch agree with send")?;
        hold(seen.amount == order.amount, "the amount is the one ordered")?;
        hold(
            seen.fund_account_id == order.handle.fund_account_id,
            "the person is the one ordered",
        )?;
        hold(seen.reference.as_deref() == Some(&frozen.reference), "the reference is ours")?;
    }
    Ok(sent)
}

/// A key that was used does not pay for another body, and says so under its own code.
///
/// # Errors
/// The first broken promise.
pub async fn a_key_belongs_to_its_body(rail: &dyn Rail, sent: &PayoutOrder) -> Conformity {
    let mut changed = sent.clone();
    changed.narration = "Something else".into();
    let changed = rail.freeze(&changed);
    hold(changed.idempotency_key == rail.freeze(sent).idempotency_key, "the key is the attempt's")?;
    match rail.send(&changed).await {
        Err(CallError::Rejected { code, .. }) => hold(code == BODY_MISMATCH, "it has its own code"),
        other => Err(format!("another body under a used key is refused, not {other:?}")),
    }
}

/// What was never sent cannot be fetched, and that is an error and not a payout.
///
/// # Errors
/// The first broken promise.
pub async fn unknown_ids_are_refused(rail: &dyn Rail, id: &str) -> Conformity {
    match rail.fetch(id).await {
        Err(CallError::Rejected { .. }) => Ok(()),
        other => Err(format!("an unknown id is refused, not {other:?}")),
    }
}

/// The balance can be read and is in rupees.
///
/// # Errors
/// The first broken promise.
pub async fn balance_is_readable(rail: &dyn Rail) -> Conformity {
    let balance = done(rail.balance().await, "balance")?;
    hold(balance.available.asset() == primitives::Asset::Inr, "a balance is in rupees")
}

/// No signature, two, or a wrong one: nothing is read, whatever the body says.
///
/// # Errors
/// The first broken promise.
pub fn unsigned_webhooks_are_refused(rail: &dyn Rail, body: &[u8], signature: &str) -> Conformity {
    hold(rail.read_webhook(&[signature], body).is_ok(), "a signed webhook is read")?;
    let upper = signature.to_ascii_uppercase();
    let spaced = format!("{signature} ");
    let cut = signature.get(..62).unwrap_or_default();
    let wrong = "0".repeat(64);
    let table: [&[&str]; 8] = [
        &[],
        &[""],
        &[signature, signature],
        &[&upper],
        &[&spaced],
        &[cut],
        &[&wrong],
        &["bm90IGhleA=="],
    ];
    for signatures in table {
        hold(rail.read_webhook(signatures, body).is_err(), "a bad signature is refused")?;
    }
    let changed = [body, b" "].concat();
    hold(rail.read_webhook(&[signature], &changed).is_err(), "another body is refused")
}
