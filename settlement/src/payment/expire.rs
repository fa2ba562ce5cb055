//! The end of waiting: expiry and cancellation.
//!
//! Invariant: a payment expires only when every network it may be paid on was followed past its
//! deadline: by a block stamped after it, or, where no block comes for long, by standing at the
//! head all that while. A node that is down is unknown, never "no deposit". Review always has a
//! case.

use chrono::{DateTime, TimeDelta, Utc};
use primitives::{Amount, MerchantId, NetworkId, PaymentId};
use serde_json::json;
use sqlx::PgConnection;

use super::{
    Payment, PaymentEvent, PaymentState,
    accept::{DUST_NOTE, confirmed_sums, promise_sum_back_in},
    arrived::{MEMPOOL_GRACE, close_in, is_dust_in, policy_of_in},
    find, lock_in, remember_policy_in, step_in,
};
use crate::{
    Base, Error, case,
    merchant_policy::{Action, MerchantPolicy},
};

/// What became of a payment whose time is up.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Expiry {
    /// Expired, in review, or already past waiting.
    Ended,
    /// Look again then: not due, a deposit is still being confirmed, or a network lags.
    NotYet(DateTime<Utc>),
}

/// Why a cancellation was refused.
#[derive(Debug, thiserror::Error)]
pub enum CancelError {
    #[error("no such payment")]
    NotFound,
    /// Money is on its way or has arrived.
    #[error("a payment in state {0} cannot be cancelled")]
    TooLate(PaymentState),
    #[error(transparent)]
    Internal(#[from] Error),
}

/// Ends a payment whose deadline has passed.
///
/// # Errors
/// `Database`, `Ledger`.
pub async fn expire_in(
    conn: &mut PgConnection,
    base: &Base,
    id: PaymentId,
) -> Result<Expiry, Error> {
    let mut payment = lock_in(conn, id).await?;
    if !payment.state.is_payable() {
        return Ok(Expiry::Ended);
    }
    let now = base.now();
    if now < payment.expires_at {
        return Ok(Expiry::NotYet(payment.expires_at));
    }
    if awaits_a_network(conn, base, &payment).await?
        || awaits_a_deposit(conn, base, &payment).await?
    {
        return Ok(Expiry::NotYet(now + TimeDelta::seconds(5)));
    }
    let policy = policy_of_in(conn, Some(&payment)).await?;
    let (mut short, mut dust) = (Vec::new(), Vec::new());
    for (network, amount) in confirmed_sums(conn, payment.id).await? {
        let worthless = is_dust_in(conn, base, amount, &policy).await?;
        if worthless { &mut dust } else { &mut short }.push((network, amount));
    }
    for (network, amount) in &dust {
        underpaid_in(conn, base, &payment, (network, *amount), &policy, "dust").await?;
    }
    for (network, amount) in &short {
        underpaid_in(conn, base, &payment, (network, *amount), &policy, "underpaid").await?;
    }
    if !short.is_empty() {
        remember_policy_in(conn, &payment, policy.version).await?;
        let received: Vec<Amount> = short.iter().map(|(_, amount)| *amount).collect();
        let cause = json!({ "reason": "underpaid", "received": received });
        step_in(conn, base, &mut payment, PaymentEvent::TimeUpShort, cause).await?;
    } else if let Some(reason) = set_aside(conn, &payment).await? {
        ensure_case_in(conn, base, &payment, reason).await?;
        let cause = json!({ "reason": reason });
        step_in(conn, base, &mut payment, PaymentEvent::TimeUpShort, cause).await?;
    } else {
        step_in(conn, base, &mut payment, PaymentEvent::TimeUp, json!({})).await?;
    }
    Ok(Expiry::Ended)
}

/// Less than a quote asked for had come when the time was up: it goes back, or a person decides.
async fn underpaid_in(
    conn: &mut PgConnection,
    base: &Base,
    payment: &Payment,
    (network, amount): (&NetworkId, Amount),
    policy: &MerchantPolicy,
    kind: &'static str,
) -> Result<(), Error> {
    let subject = format!("{}:{network}:{}", payment.id, amount.asset());
    if policy.choices.short == Action::Review && kind != "dust" {
        let new = case::NewCase {
            kind,
            subject: &subject,
            payment: Some(payment.id),
            amount: Some(amount),
            detail: json!({ "action": "review", "policy_version": policy.version }),
        };
        return case::open_in(conn, base, new).await;
    }
    let sum = (network, amount);
    promise_sum_back_in(conn, base, payment, sum, kind, policy.version).await?;
    if kind == "dust" {
        close_in(conn, base, kind, &subject, DUST_NOTE).await?;
    }
    Ok(())
}

/// Why final money of this payment was set aside, if any was that is worth a look. What was
/// orphaned since, or given to another payment, is no reason.
async fn set_aside(
    conn: &mut PgConnection,
    payment: &Payment,
) -> Result<Option<&'static str>, Error> {
    let reasons: Vec<String> = sqlx::query_scalar(
        "select d.reason from deposits d
         where d.payment_id = $1 and d.state = 'confirmed' and d.purpose = 'suspense'
           and left_of(d) > 0
           and (select o.outcome from deposit_outcomes o where o.deposit_id = d.id
                order by o.id desc limit 1) is distinct from 'dust'",
    )
    .bind(payment.id.uuid())
    .fetch_all(conn)
    .await?;
    let wrong = reasons.iter().any(|reason| reason == "wrong_asset");
    Ok(match (wrong, reasons.is_empty()) {
        (true, _) => Some("wrong_asset"),
        (false, false) => Some("late"),
        (false, true) => None,
    })
}

/// Nobody is called to a review without a case; the one that was opened when the money was final
/// may have been closed in between.
async fn ensure_case_in(
    conn: &mut PgConnection,
    base: &Base,
    payment: &Payment,
    reason: &str,
) -> Result<(), Error> {
    let open: bool = sqlx::query_scalar(
        "select exists (select from cases where payment_id = $1 and closed_at is null)",
    )
    .bind(payment.id.uuid())
    .fetch_one(&mut *conn)
    .await?;
    if open {
        return Ok(());
    }
    let new = case::NewCase {
        kind: if reason == "wrong_asset" { "wrong_asset" } else { "late_deposit" },
        subject: &payment.id.to_string(),
        payment: Some(payment.id),
        amount: None,
        detail: json!({ "reason": reason }),
    };
    case::open_in(conn, base, new).await
}

/// A network the payment may be paid on that was not yet followed past the deadline. Standing at
/// the head counts from the first look that found nothing new to the last one: nobody looked after
/// that.
async fn awaits_a_network(
    conn: &mut PgConnection,
    base: &Base,
    payment: &Payment,
) -> Result<bool, Error> {
    let lagging: bool = sqlx::query_scalar(
        "select exists (select from deposit_addresses a
           left join chain_cursors c on c.network = a.network
           left join chain_blocks b on b.network = c.network and b.hash = c.hash
           where a.payment_id = $1 and (
             coalesce(c.scanned_at, '-infinity') <= $2
             or (coalesce(b.stamped_at, '-infinity') <= $2 and (c.standing_since is null
               or c.scanned_at - greatest(c.standing_since, $2) < $3 * interval '1 second'))))",
    )
    .bind(payment.id.uuid())
    .bind(payment.expires_at)
    .bind(base.settings.expiry_quiet_s)
    .fetch_one(conn)
    .await?;
    Ok(lagging)
}

/// Money of this payment that is not final yet, whatever it turns out to be for, or that is on its
/// way since before the deadline. What one node forgot may be in another's mempool and be mined;
/// what was replaced may not.
async fn awaits_a_deposit(
    conn: &mut PgConnection,
    base: &Base,
    payment: &Payment,
) -> Result<bool, Error> {
    let waits_for_blocks = base.now() <= payment.expires_at + MEMPOOL_GRACE;
    let pending: bool = sqlx::query_scalar(
        "select exists (select from deposits where payment_id = $1
           and (state = 'seen'
             or (state in ('pending', 'dropped') and $2 and seen_at <= $3)))",
    )
    .bind(payment.id.uuid())
    .bind(waits_for_blocks)
    .bind(payment.expires_at)
    .fetch_one(conn)
    .await?;
    Ok(pending)
}

/// Cancels a payment nobody has paid yet. Its addresses stay watched for ever.
///
/// # Errors
/// `NotFound` also for another merchant's payment; `TooLate` once money was seen.
pub async fn cancel_in(
    conn: &mut PgConnection,
    base: &Base,
    merchant: MerchantId,
    id: PaymentId,
) -> Result<Payment, CancelError> {
    find(conn, merchant, id).await?.ok_or(CancelError::NotFound)?;
    let mut payment = lock_in(conn, id).await?;
    if payment.state == PaymentState::Cancelled {
        return Ok(payment);
    }
    if payment.state != PaymentState::AwaitingDeposit || payment.flags != super::Flags::default() {
        return Err(CancelError::TooLate(payment.state));
    }
    step_in(conn, base, &mut payment, PaymentEvent::CancelAsked, json!({})).await?;
    Ok(payment)
}
