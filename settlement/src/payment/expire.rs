//! The end of waiting: expiry and cancellation.
//!
//! Invariant: a payment expires only after every network it may be paid on was scanned past its
//! deadline. A node that is down is unknown, never "no deposit".

use chrono::{DateTime, TimeDelta, Utc};
use primitives::{Amount, MerchantId, PaymentId};
use serde_json::json;
use sqlx::{PgConnection, Row};

use super::{Payment, PaymentEvent, PaymentState, accept::promise_back_in, find, lock_in, step_in};
use crate::{Base, Error, money_column};

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
    if awaits_a_network(conn, &payment).await? || awaits_a_deposit(conn, &payment).await? {
        return Ok(Expiry::NotYet(now + TimeDelta::seconds(5)));
    }
    let short = confirmed_sums(conn, &payment).await?;
    for amount in &short {
        let subject = format!("{}:{}", payment.id, amount.asset());
        promise_back_in(conn, base, &payment, *amount, "underpaid", &subject).await?;
    }
    if !short.is_empty() {
        let cause = json!({ "reason": "underpaid", "received": short });
        step_in(conn, base, &mut payment, PaymentEvent::TimeUpShort, cause).await?;
    } else if payment.flags.wrong_asset || payment.flags.late {
        let reason = if payment.flags.wrong_asset { "wrong_asset" } else { "late" };
        let cause = json!({ "reason": reason });
        step_in(conn, base, &mut payment, PaymentEvent::TimeUpShort, cause).await?;
    } else {
        if payment.state == PaymentState::Confirming {
            step_in(conn, base, &mut payment, PaymentEvent::DepositsGone, json!({})).await?;
        }
        step_in(conn, base, &mut payment, PaymentEvent::TimeUp, json!({})).await?;
    }
    Ok(Expiry::Ended)
}

async fn awaits_a_network(conn: &mut PgConnection, payment: &Payment) -> Result<bool, Error> {
    let lagging: bool = sqlx::query_scalar(
        "select exists (select from deposit_addresses a
           left join chain_cursors c on c.network = a.network
           where a.payment_id = $1 and coalesce(c.scanned_at, '-infinity') <= $2)",
    )
    .bind(payment.id.uuid())
    .bind(payment.expires_at)
    .fetch_one(conn)
    .await?;
    Ok(lagging)
}

async fn awaits_a_deposit(conn: &mut PgConnection, payment: &Payment) -> Result<bool, Error> {
    let pending: bool = sqlx::query_scalar(
        "select exists (select from deposits
           where payment_id = $1 and state = 'seen' and purpose = 'payment')",
    )
    .bind(payment.id.uuid())
    .fetch_one(conn)
    .await?;
    Ok(pending)
}

async fn confirmed_sums(conn: &mut PgConnection, payment: &Payment) -> Result<Vec<Amount>, Error> {
    let rows = sqlx::query(
        "select asset, sum(amount_minor)::text as total from deposits
         where payment_id = $1 and state = 'confirmed' and purpose = 'payment'
         group by asset order by asset",
    )
    .bind(payment.id.uuid())
    .fetch_all(conn)
    .await?;
    rows.iter()
        .map(|row| {
            let asset = money_column::asset(row.try_get("asset")?)?;
            money_column::amount(row.try_get("total")?, asset)
        })
        .collect()
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
