//! Recording what became of an order.
//!
//! Invariant: a trade is booked once, whoever reports it. An order is closed in the books only when
//! the fills we have add up to what the venue says was executed.

use chrono::{DateTime, TimeDelta, Utc};
use primitives::{Amount, ConversionId};
use serde_json::{Value, json};
use sqlx::PgConnection;

use super::{
    AttemptState, Conversion, ConversionEvent, ConversionState, FillFacts, OrderAttempt, fills,
    finish::finish_in,
    hold::{release_in, silent_in},
    judge::{self, Standing},
    live_attempt_in, lock_in,
    store::{lock_with_payments_in, step_in},
    turns,
};
use crate::{Base, Error, bookkeeping, money_column};

/// An order as the venue tells it, in our words.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct OrderFacts {
    pub venue_order_id: String,
    /// True when the venue will execute no more of it.
    pub closed: bool,
    pub executed: Amount,
    pub fills: Vec<FillFacts>,
}

impl OrderFacts {
    /// What the listed executions add up to.
    pub(super) fn listed(&self) -> Result<Amount, Error> {
        let none = Ok(Amount::zero(self.executed.asset()));
        let sum = self.fills.iter().fold(none, |sum, fill| sum?.checked_add(fill.sold));
        Ok(sum?)
    }
}

/// What the record beat made of the facts.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum OrderOutcome {
    /// Still open, or its fills are not all told yet: ask again.
    Open,
    /// As `Open`, and it would sell more than is still to be sold: cancel its rest now.
    TooMuch,
    /// Everything is sold; the payouts are planned.
    Sold,
    /// It ended short of the target: plan the next order.
    Short,
    /// Not this conversion's live order any more.
    Old,
}

/// Records an order the venue knows.
///
/// # Errors
/// `Database`, `Ledger`, `Inconsistent` when the venue contradicts itself.
pub async fn order_in(
    conn: &mut PgConnection,
    base: &Base,
    id: ConversionId,
    attempt: i32,
    facts: &OrderFacts,
) -> Result<OrderOutcome, Error> {
    let mut conversion = lock_with_payments_in(conn, id).await?;
    let Some(order) = live(conn, &conversion, attempt).await? else {
        return Ok(OrderOutcome::Old);
    };
    release_in(conn, base, &id.to_string()).await?;
    // What was executed in the place of a trade that was taken back is booked after that trade.
    let again = turns::follow_in(conn, base, &conversion, &order, facts).await?;
    let new = if again.is_none() { facts.fills.as_slice() } else { &[] };
    for fill in new {
        fills::book_in(conn, base, &conversion, &order, fill).await?;
    }
    let certain = again.is_none();
    let of_order = fills::count_in(conn, base, &mut conversion, attempt, certain).await?;
    let said = (facts.executed, facts.closed);
    let standing = judge::standing(order.quantity_minor, of_order, said)?;
    if standing == Standing::Contradiction {
        return Err(Error::Inconsistent("the venue executed more than was ordered".into()));
    }
    set_attempt(conn, &order, AttemptState::Open, facts, None).await?;
    if conversion.state == ConversionState::Unknown {
        let cause = json!({ "order": order.client_ref, "venue_order": facts.venue_order_id });
        step_in(conn, base, &mut conversion, ConversionEvent::OrderFound, cause).await?;
    }
    let ended = if certain { standing } else { Standing::Open };
    let Standing::Ended(rest) = ended else {
        let open = order.quantity_minor.checked_sub(facts.executed)?;
        let too_much = judge::is_too_much(open, conversion.target, conversion.sold)?;
        return Ok(if too_much { OrderOutcome::TooMuch } else { OrderOutcome::Open });
    };
    let (venue, uuid) = (&conversion.venue, id.uuid());
    bookkeeping::order_closed(conn, base, venue, uuid, &order.client_ref, rest).await?;
    let end = if rest.is_zero() { AttemptState::Filled } else { AttemptState::Closed };
    set_attempt(conn, &order, end, facts, Some(base.now())).await?;
    let cause = json!({ "order": order.client_ref, "executed": facts.executed });
    if conversion.sold == conversion.target {
        step_in(conn, base, &mut conversion, ConversionEvent::AllSold, cause).await?;
        finish_in(conn, base, &conversion).await?;
        return Ok(OrderOutcome::Sold);
    }
    step_in(conn, base, &mut conversion, ConversionEvent::ClosedShort, cause).await?;
    Ok(OrderOutcome::Short)
}

async fn live(
    conn: &mut PgConnection,
    conversion: &Conversion,
    attempt: i32,
) -> Result<Option<OrderAttempt>, Error> {
    let order = live_attempt_in(conn, conversion).await?;
    Ok(order.filter(|o| o.attempt == attempt && o.state != AttemptState::Planned))
}

async fn set_attempt(
    conn: &mut PgConnection,
    order: &OrderAttempt,
    state: AttemptState,
    facts: &OrderFacts,
    closed_at: Option<DateTime<Utc>>,
) -> Result<(), Error> {
    sqlx::query(
        "update order_attempts set state = $3, venue_order_id = $4,
           executed_minor = $5::text::numeric, closed_at = $6
         where conversion_id = $1 and attempt = $2",
    )
    .bind(order.conversion.uuid())
    .bind(order.attempt)
    .bind(state.name())
    .bind(&facts.venue_order_id)
    .bind(money_column::minor(facts.executed))
    .bind(closed_at)
    .execute(conn)
    .await?;
    Ok(())
}

/// The venue refused the order, or proved that it never reached it: it did not happen.
///
/// # Errors
/// `Database`, `Ledger`.
pub async fn refused_in(
    conn: &mut PgConnection,
    base: &Base,
    id: ConversionId,
    attempt: i32,
    reason: &str,
) -> Result<(), Error> {
    let how = End { state: AttemptState::Rejected, event: ConversionEvent::OrderRefused };
    if end_unexecuted(conn, base, id, attempt, how, json!({ "reason": reason })).await? {
        silent_in(conn, base, id, &format!("the venue refuses our orders: {reason}")).await?;
    }
    Ok(())
}

/// An unknown order is proven absent; the proof is stored with it.
///
/// # Errors
/// `Database`, `Ledger`.
pub async fn absent_in(
    conn: &mut PgConnection,
    base: &Base,
    id: ConversionId,
    attempt: i32,
    proof: Value,
) -> Result<(), Error> {
    let how = End { state: AttemptState::Absent, event: ConversionEvent::OrderAbsent };
    if end_unexecuted(conn, base, id, attempt, how, json!({ "proof": proof })).await? {
        release_in(conn, base, &id.to_string()).await?;
    }
    Ok(())
}

struct End {
    state: AttemptState,
    event: ConversionEvent,
}

/// Answers whether it was this order's turn to end.
async fn end_unexecuted(
    conn: &mut PgConnection,
    base: &Base,
    id: ConversionId,
    attempt: i32,
    how: End,
    cause: Value,
) -> Result<bool, Error> {
    let mut conversion = lock_in(conn, id).await?;
    let Some(order) = live(conn, &conversion, attempt).await? else { return Ok(false) };
    sqlx::query(
        "update order_attempts set state = $3, closed_at = $4, note = $5,
           evidence = coalesce($6, evidence)
         where conversion_id = $1 and attempt = $2",
    )
    .bind(id.uuid())
    .bind(attempt)
    .bind(how.state.name())
    .bind(base.now())
    .bind(cause.get("reason").and_then(Value::as_str))
    .bind(cause.get("proof"))
    .execute(&mut *conn)
    .await?;
    let (venue, all) = (&conversion.venue, order.quantity_minor);
    bookkeeping::order_closed(conn, base, venue, id.uuid(), &order.client_ref, all).await?;
    step_in(conn, base, &mut conversion, how.event, cause).await?;
    Ok(true)
}

/// The answer to an order was lost: only the resolver may move it now.
///
/// # Errors
/// `Database`.
pub async fn unknown_in(
    conn: &mut PgConnection,
    base: &Base,
    id: ConversionId,
    attempt: i32,
    why: &str,
) -> Result<(), Error> {
    let how = End { state: AttemptState::Unknown, event: ConversionEvent::AnswerLost };
    leave_sent(conn, base, id, attempt, how, why).await
}

/// Nothing left this machine: the same order may be sent under the same reference, after a pause.
///
/// # Errors
/// `Database`.
pub async fn unsent_in(
    conn: &mut PgConnection,
    base: &Base,
    id: ConversionId,
    attempt: i32,
    why: &str,
    pause: Option<TimeDelta>,
) -> Result<(), Error> {
    let how = End { state: AttemptState::Planned, event: ConversionEvent::NotSent };
    leave_sent(conn, base, id, attempt, how, why).await?;
    let sends: i32 = sqlx::query_scalar(
        "select sends from order_attempts where conversion_id = $1 and attempt = $2",
    )
    .bind(id.uuid())
    .bind(attempt)
    .fetch_one(&mut *conn)
    .await?;
    silent_in(conn, base, id, &format!("no order reaches the venue: {why}")).await?;
    let pause = pause.unwrap_or_else(|| judge::pause_after_sends(i64::from(sends)));
    sqlx::query(
        "update order_attempts set send_after = $3
         where conversion_id = $1 and attempt = $2 and state = 'planned'",
    )
    .bind(id.uuid())
    .bind(attempt)
    .bind(base.now() + pause)
    .execute(conn)
    .await?;
    Ok(())
}

async fn leave_sent(
    conn: &mut PgConnection,
    base: &Base,
    id: ConversionId,
    attempt: i32,
    how: End,
    why: &str,
) -> Result<(), Error> {
    let mut conversion = lock_in(conn, id).await?;
    let moved = sqlx::query(
        "update order_attempts set state = $3, note = $4
         where conversion_id = $1 and attempt = $2 and state = 'sent'",
    )
    .bind(id.uuid())
    .bind(attempt)
    .bind(how.state.name())
    .bind(why)
    .execute(&mut *conn)
    .await?;
    if moved.rows_affected() == 0 {
        return Ok(());
    }
    let cause = json!({ "attempt": attempt, "why": why });
    step_in(conn, base, &mut conversion, how.event, cause).await
}

/// Notes that the rest of an order was asked to be cancelled. Asking is not an outcome.
///
/// # Errors
/// `Database`.
pub async fn cancel_asked_in(
    conn: &mut PgConnection,
    base: &Base,
    order: &OrderAttempt,
) -> Result<(), Error> {
    sqlx::query(
        "update order_attempts set cancel_at = coalesce(cancel_at, $3)
         where conversion_id = $1 and attempt = $2",
    )
    .bind(order.conversion.uuid())
    .bind(order.attempt)
    .bind(base.now())
    .execute(conn)
    .await?;
    Ok(())
}

/// Keeps the first sighting of absence, or answers the one kept before. A sighting of the order
/// clears nothing: it ends in [`order_in`].
///
/// # Errors
/// `Database`.
pub async fn evidence_in(
    conn: &mut PgConnection,
    order: &OrderAttempt,
    sighting: &Value,
) -> Result<Value, Error> {
    let kept = sqlx::query_scalar(
        "update order_attempts set evidence = coalesce(evidence, $3)
         where conversion_id = $1 and attempt = $2 returning evidence",
    )
    .bind(order.conversion.uuid())
    .bind(order.attempt)
    .bind(sighting)
    .fetch_one(conn)
    .await?;
    Ok(kept)
}

/// Forgets earlier sightings of absence: one look since then was not clean.
///
/// # Errors
/// `Database`.
pub async fn unclean_in(conn: &mut PgConnection, order: &OrderAttempt) -> Result<(), Error> {
    sqlx::query(
        "update order_attempts set evidence = null
         where conversion_id = $1 and attempt = $2 and state in ('sent', 'unknown', 'open')",
    )
    .bind(order.conversion.uuid())
    .bind(order.attempt)
    .execute(conn)
    .await?;
    Ok(())
}
