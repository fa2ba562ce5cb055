//! Planning a payout and its attempts.
//!
//! Invariant: the bytes of an attempt are stored before they are first sent and never change; the
//! merchant's rupees are held in the books before the rail hears of them. What is paid is what the
//! conversion's legs credited, whatever the fees are today.

use primitives::{PaymentId, PayoutId};
use serde_json::json;
use sha2::{Digest, Sha256};
use sqlx::{PgConnection, Row};

use super::{
    Payout, PayoutAttempt, PayoutEvent, PayoutState, attempt_in, get_in, lock_in, store::step_in,
};
use crate::{
    Base, Error, Record,
    bookkeeping::{self, promises},
    case,
    jobs::PayOut,
    money_column, payment,
    switch::{self, Switch},
};

/// The rail's bytes of one attempt, made by the room that knows the rail.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Frozen {
    pub idempotency_key: String,
    pub reference: String,
    pub fund_account_id: String,
    pub body: String,
}

/// What the plan beat decided.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Planned {
    /// Send this, after marking it sent.
    Attempt(Box<PayoutAttempt>),
    /// Payouts are switched off.
    Stopped,
    /// The payout does not wait for a new attempt.
    NotDue,
}

/// Plans the payout of a payment whose crypto is sold, and asks for it to be sent. Quiet when the
/// payout exists.
///
/// # Errors
/// `Database`, `Queue`, `Inconsistent`.
pub async fn plan_in(
    conn: &mut PgConnection,
    base: &Base,
    payment_id: PaymentId,
) -> Result<(), Error> {
    let payment = payment::lock_in(conn, payment_id).await?;
    let net = promises::credited_in(conn, &payment).await?;
    if !net.is_positive() {
        // Taken back by a reversal since: there is nothing to pay, and the reversal has its case.
        tracing::warn!(payment = %payment.id, "nothing is owed for this payment: no payout");
        return Ok(());
    }
    let row = sqlx::query("select vpa, payee_name from payout_destinations where id = $1")
        .bind(payment.destination.uuid())
        .fetch_one(&mut *conn)
        .await?;
    let id = PayoutId::from_uuid(primitives::derived_uuid(&["payout", &payment.id.to_string()]));
    let now = base.now();
    let inserted = sqlx::query(
        "insert into payouts (id, payment_id, merchant_id, destination_id, rail, vpa, payee_name,
           amount_minor, state, created_at, updated_at)
         values ($1, $2, $3, $4, $5, $6, $7, $8::text::numeric, 'planned', $9, $9)
         on conflict (payment_id) do nothing",
    )
    .bind(id.uuid())
    .bind(payment.id.uuid())
    .bind(payment.merchant.uuid())
    .bind(payment.destination.uuid())
    .bind(&base.settings.rail)
    .bind(row.try_get::<&str, _>("vpa")?)
    .bind(row.try_get::<&str, _>("payee_name")?)
    .bind(money_column::minor(net))
    .bind(now)
    .execute(&mut *conn)
    .await?;
    if inserted.rows_affected() == 1 {
        let record = Record {
            entity: "payout",
            id: id.uuid(),
            from: None,
            to: PayoutState::Planned.name(),
            event: "planned",
            cause: json!({ "amount": net }),
            at: now,
        };
        crate::record_in(conn, record).await?;
    }
    queue::enqueue(conn, &PayOut { payout: id }, now).await?;
    Ok(())
}

/// How often a person allowed one more attempt.
async fn retries_in(conn: &mut PgConnection, id: PayoutId) -> Result<i32, Error> {
    let retries = sqlx::query_scalar("select retries from payouts where id = $1")
        .bind(id.uuid())
        .fetch_one(conn)
        .await?;
    Ok(retries)
}

/// Why a parked payout was not tried again; nothing changed.
#[derive(Debug, thiserror::Error)]
pub enum RetryError {
    #[error("no such payout")]
    NotFound,
    #[error("a payout in state {0} is not parked")]
    NotParked(PayoutState),
    /// It may have paid, or may still.
    #[error("the last attempt is {0}: only the rail's own word can end it")]
    StillOpen(String),
    #[error("the case {0} is open: close it first, with a note of what was found")]
    Contradicted(String),
    #[error(transparent)]
    Internal(#[from] Error),
}

impl From<sqlx::Error> for RetryError {
    fn from(error: sqlx::Error) -> Self {
        Self::Internal(error.into())
    }
}

/// A person allows one more attempt at a parked payout: a new key, only after the last attempt
/// ended by the rail's own word and nothing of the rail contradicts that.
///
/// # Errors
/// `RetryError`.
pub async fn retry_in(
    conn: &mut PgConnection,
    base: &Base,
    id: PayoutId,
    note: &str,
) -> Result<(), RetryError> {
    let unlocked = match get_in(conn, id).await {
        Err(Error::Database(sqlx::Error::RowNotFound)) => return Err(RetryError::NotFound),
        found => found?,
    };
    let mut payment = payment::lock_in(conn, unlocked.payment).await?;
    let mut payout = lock_in(conn, id).await?;
    if payout.state != PayoutState::InReview {
        return Err(RetryError::NotParked(payout.state));
    }
    if let Some(last) = attempt_in(conn, id).await? {
        let ended = ["planned", "failed", "rejected", "cancelled", "reversed"];
        if !ended.contains(&last.state.as_str()) {
            return Err(RetryError::StillOpen(last.state));
        }
    }
    let doubt: Option<String> = sqlx::query_scalar(
        "select kind from cases where closed_at is null and (payment_id = $1
             or detail ->> 'payout' = $2)
           and kind in ('old_payout_attempt_paid', 'payout_mismatch', 'payout_body_mismatch')
         limit 1",
    )
    .bind(payment.id.uuid())
    .bind(id.to_string())
    .fetch_optional(&mut *conn)
    .await?;
    if let Some(kind) = doubt {
        return Err(RetryError::Contradicted(kind));
    }
    sqlx::query("update payouts set retries = retries + 1 where id = $1")
        .bind(id.uuid())
        .execute(&mut *conn)
        .await?;
    let cause = json!({ "by": "a person", "note": note });
    step_in(conn, base, &mut payout, PayoutEvent::TryAgain, cause.clone()).await?;
    if payment.state == payment::PaymentState::InReview {
        let event = payment::PaymentEvent::Resumed;
        payment::step_in(conn, base, &mut payment, event, cause).await?;
    }
    let subjects = format!("{id}:%");
    sqlx::query(
        "update cases set closed_at = $2, detail = detail || $3
         where kind = 'payout_stuck' and subject like $1 and closed_at is null",
    )
    .bind(subjects)
    .bind(base.now())
    .bind(json!({ "closed": note }))
    .execute(&mut *conn)
    .await?;
    queue::enqueue(conn, &PayOut { payout: id }, base.now()).await.map_err(Error::from)?;
    Ok(())
}

/// Keeps the rail's handles of a destination.
///
/// # Errors
/// `Database`.
pub async fn keep_handle_in(
    conn: &mut PgConnection,
    base: &Base,
    payout: &Payout,
    contact_id: &str,
    fund_account_id: &str,
) -> Result<(), Error> {
    sqlx::query(
        "insert into rail_beneficiaries (destination_id, rail, contact_id, fund_account_id,
           created_at)
         values ($1, $2, $3, $4, $5) on conflict do nothing",
    )
    .bind(payout.destination.uuid())
    .bind(&payout.rail)
    .bind(contact_id)
    .bind(fund_account_id)
    .bind(base.now())
    .execute(conn)
    .await?;
    Ok(())
}

/// Plans the next attempt: holds the rupees, stores the bytes. An attempt that was planned and
/// never sent is returned as it is.
///
/// # Errors
/// `Ledger(WouldOverdraw)` when the float is too low: roll back and wait.
pub async fn plan_attempt_in(
    conn: &mut PgConnection,
    base: &Base,
    id: PayoutId,
    freeze: &(dyn Fn(&Payout, i32) -> Frozen + Send + Sync),
) -> Result<Planned, Error> {
    if !switch::is_open_in(conn, Switch::Payouts).await? {
        return Ok(Planned::Stopped);
    }
    let owner = get_in(conn, id).await?.payment;
    payment::lock_in(conn, owner).await?;
    let mut payout = lock_in(conn, id).await?;
    if payout.state != PayoutState::Planned {
        return Ok(Planned::NotDue);
    }
    let last = attempt_in(conn, id).await?;
    if let Some(waiting) = last.as_ref().filter(|a| a.state == "planned") {
        return Ok(Planned::Attempt(Box::new(waiting.clone())));
    }
    let attempt = last.map_or(0, |a| a.attempt).saturating_add(1);
    if attempt > base.settings.payout_attempts_max.saturating_add(retries_in(conn, id).await?) {
        stop_in(conn, base, &mut payout, "too many attempts").await?;
        return Ok(Planned::NotDue);
    }
    let frozen = freeze(&payout, attempt);
    bookkeeping::payout_planned(conn, base, &payout, attempt).await?;
    sqlx::query(
        "insert into payout_attempts (payout_id, attempt, idempotency_key, reference,
           fund_account_id, body, body_sha256, state, planned_at)
         values ($1, $2, $3, $4, $5, $6, $7, 'planned', $8)",
    )
    .bind(id.uuid())
    .bind(attempt)
    .bind(&frozen.idempotency_key)
    .bind(&frozen.reference)
    .bind(&frozen.fund_account_id)
    .bind(&frozen.body)
    .bind(hex::encode(Sha256::digest(frozen.body.as_bytes())))
    .bind(base.now())
    .execute(&mut *conn)
    .await?;
    let planned = attempt_in(conn, id).await?;
    planned
        .map(|attempt| Planned::Attempt(Box::new(attempt)))
        .ok_or_else(|| Error::Inconsistent("payout attempt vanished".into()))
}

/// The last step before the call: `planned → sent`, for exactly one caller. `false` when somebody
/// else was first or payouts are switched off: do not send.
///
/// # Errors
/// `Database`.
pub async fn mark_sent_in(
    conn: &mut PgConnection,
    base: &Base,
    attempt: &PayoutAttempt,
) -> Result<bool, Error> {
    if !switch::is_open_in(conn, Switch::Payouts).await? {
        return Ok(false);
    }
    let mut payout = lock_in(conn, attempt.payout).await?;
    let marked = sqlx::query(
        "update payout_attempts set state = 'sent', sent_at = coalesce(sent_at, $3)
         where payout_id = $1 and attempt = $2 and state = 'planned'",
    )
    .bind(attempt.payout.uuid())
    .bind(attempt.attempt)
    .bind(base.now())
    .execute(&mut *conn)
    .await?;
    if marked.rows_affected() != 1 {
        return Ok(false);
    }
    let cause = json!({ "attempt": attempt.attempt, "reference": attempt.reference });
    step_in(conn, base, &mut payout, PayoutEvent::Sent, cause).await?;
    Ok(true)
}

/// Ends the automatic work on a payout: a person must look. The rupees stay owed.
pub(super) async fn stop_in(
    conn: &mut PgConnection,
    base: &Base,
    payout: &mut Payout,
    reason: &str,
) -> Result<(), Error> {
    step_in(conn, base, payout, PayoutEvent::NeedsPerson, json!({ "reason": reason })).await?;
    let attempts = attempt_in(conn, payout.id).await?.map_or(0, |a| a.attempt);
    let new = case::NewCase {
        kind: "payout_stuck",
        subject: &format!("{}:{attempts}", payout.id),
        payment: Some(payout.payment),
        amount: Some(payout.amount),
        detail: json!({ "reason": reason }),
    };
    case::open_in(conn, base, new).await?;
    let mut payment = payment::lock_in(conn, payout.payment).await?;
    if payment.state == payment::PaymentState::Settling {
        let cause = json!({ "reason": "payout_stuck", "why": reason });
        payment::step_in(conn, base, &mut payment, payment::PaymentEvent::NeedsPerson, cause)
            .await?;
    }
    Ok(())
}
