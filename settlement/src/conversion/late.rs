//! The look after the end: an order that was called ended is read once more when its venue can add
//! nothing any longer, and what came meanwhile is booked.
//!
//! Invariant: money first, then the plan. A late fill is booked whatever it does to the sale; an
//! order that would now sell too much is withdrawn or cancelled, and what was sold beyond the
//! target is a case. The last look is one in which order, list and books say the same, and nothing
//! was taken back or listed again for a fence.

use chrono::{DateTime, TimeDelta, Utc};
use primitives::ConversionId;
use serde_json::{Value, json};
use sqlx::PgConnection;

use super::{
    AttemptState, Conversion, ConversionEvent, OrderAttempt, OrderFacts, fills, get_in,
    hold::release_in,
    judge, live_attempt_in, lock_in,
    store::{attempts_in, step_in},
    turns,
};
use crate::{Base, Error, bookkeeping, case, money_column};

/// A venue that forgot an order it knew is asked again for so long.
const FORGOTTEN: TimeDelta = TimeDelta::minutes(15);

/// What a look after the end made of the order.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum LateLook {
    /// It is certain now.
    Done,
    /// Look again then.
    Later(DateTime<Utc>),
}

/// The ended orders of a conversion that wait for their last look, with when it is due.
///
/// # Errors
/// `Database`.
pub async fn unlooked_in(
    conn: &mut PgConnection,
    base: &Base,
    conversion: &Conversion,
) -> Result<Vec<(OrderAttempt, DateTime<Utc>)>, Error> {
    let fence = TimeDelta::seconds(base.settings.order_fence_s);
    let ended = attempts_in(conn, conversion).await?.into_iter().filter(OrderAttempt::is_unlooked);
    let due = |order: OrderAttempt| {
        let at = order.closed_at.unwrap_or(order.planned_at) + fence;
        (order, at)
    };
    let mut all: Vec<_> = ended.map(due).collect();
    all.sort_by_key(|(_, at)| *at);
    Ok(all)
}

/// Records what the venue says of an ended order; `None` when it does not know it.
///
/// # Errors
/// `Database`, `Ledger`, `Inconsistent` when the venue contradicts itself.
pub async fn late_in(
    conn: &mut PgConnection,
    base: &Base,
    id: ConversionId,
    attempt: i32,
    told: Option<&OrderFacts>,
) -> Result<LateLook, Error> {
    let mut conversion = lock_in(conn, id).await?;
    let all = attempts_in(conn, &conversion).await?;
    let Some(order) = all.into_iter().find(|o| o.attempt == attempt && o.is_unlooked()) else {
        return Ok(LateLook::Done);
    };
    release_in(conn, base, &id.to_string()).await?;
    let Some(facts) = told else { return forgotten(conn, base, &order).await };
    if order.state == AttemptState::Absent {
        let detail = json!({ "conversion": id, "venue_order": facts.venue_order_id });
        show(conn, base, "order_came_late", &order, detail).await?;
    }
    let again = turns::follow_in(conn, base, &conversion, &order, facts).await?;
    let new = if again.is_none() { facts.fills.as_slice() } else { &[] };
    for fill in new {
        fills::book_in(conn, base, &conversion, &order, fill).await?;
    }
    let certain = again.is_none();
    let booked = fills::count_in(conn, base, &mut conversion, attempt, certain).await?;
    withdraw_too_much(conn, base, &mut conversion).await?;
    sqlx::query(
        "update order_attempts set executed_minor = $3::text::numeric
         where conversion_id = $1 and attempt = $2",
    )
    .bind(id.uuid())
    .bind(attempt)
    .bind(money_column::minor(booked))
    .execute(&mut *conn)
    .await?;
    if let Some(at) = again {
        return not_yet(conn, base, &order, at).await;
    }
    let adds_up = facts.listed()? == facts.executed && booked == facts.executed;
    if !facts.closed || !adds_up {
        return not_yet(conn, base, &order, base.now() + TimeDelta::seconds(2)).await;
    }
    // The last look is one that sees what the look before it saw.
    let fence = TimeDelta::seconds(base.settings.order_fence_s);
    let turned = turns::last_turn_in(conn, &order).await?;
    if let Some(at) = turned.map(|turned| turned + fence).filter(|at| *at > base.now()) {
        return Ok(LateLook::Later(at));
    }
    looked(conn, base, &order).await
}

/// What the venue tells of an ended order does not add up yet. When that takes too long a person is
/// called, and the venue is asked less often.
async fn not_yet(
    conn: &mut PgConnection,
    base: &Base,
    order: &OrderAttempt,
    at: DateTime<Utc>,
) -> Result<LateLook, Error> {
    if base.now() < order.closed_at.unwrap_or(order.planned_at) + FORGOTTEN {
        return Ok(LateLook::Later(at));
    }
    let why = "what the venue tells of it after its end does not add up";
    let detail = json!({ "conversion": order.conversion, "why": why });
    show(conn, base, "order_unknown", order, detail).await?;
    Ok(LateLook::Later(at.max(base.now() + TimeDelta::minutes(1))))
}

async fn looked(
    conn: &mut PgConnection,
    base: &Base,
    order: &OrderAttempt,
) -> Result<LateLook, Error> {
    sqlx::query(
        "update order_attempts set looked_at = $3 where conversion_id = $1 and attempt = $2",
    )
    .bind(order.conversion.uuid())
    .bind(order.attempt)
    .bind(base.now())
    .execute(conn)
    .await?;
    Ok(LateLook::Done)
}

/// An absent order that stays unknown is as it should be. One that the venue knew is not gone
/// because the venue forgot it: it is asked for a while, then a person is called.
async fn forgotten(
    conn: &mut PgConnection,
    base: &Base,
    order: &OrderAttempt,
) -> Result<LateLook, Error> {
    if order.state == AttemptState::Absent {
        return looked(conn, base, order).await;
    }
    if base.now() < order.closed_at.unwrap_or(order.planned_at) + FORGOTTEN {
        return Ok(LateLook::Later(base.now() + TimeDelta::seconds(30)));
    }
    let detail = json!({ "conversion": order.conversion, "why": "the venue forgot it" });
    show(conn, base, "order_unknown", order, detail).await?;
    looked(conn, base, order).await
}

/// A late fill may leave less to sell than an order that is planned and not sent would sell.
async fn withdraw_too_much(
    conn: &mut PgConnection,
    base: &Base,
    conversion: &mut Conversion,
) -> Result<(), Error> {
    let Some(next) = live_attempt_in(conn, conversion).await? else { return Ok(()) };
    let quantity = next.quantity_minor;
    let too_much = judge::is_too_much(quantity, conversion.target, conversion.sold)?;
    if next.state != AttemptState::Planned || !too_much {
        return Ok(());
    }
    let why = "withdrawn: an earlier order filled late";
    sqlx::query(
        "update order_attempts set state = 'rejected', closed_at = $3, note = $4
         where conversion_id = $1 and attempt = $2 and state = 'planned'",
    )
    .bind(conversion.id.uuid())
    .bind(next.attempt)
    .bind(base.now())
    .bind(why)
    .execute(&mut *conn)
    .await?;
    let (venue, id) = (conversion.venue.clone(), conversion.id.uuid());
    bookkeeping::order_closed(conn, base, &venue, id, &next.client_ref, quantity).await?;
    let cause = json!({ "reason": why });
    step_in(conn, base, conversion, ConversionEvent::OrderRefused, cause).await
}

/// Calls a person to an order whose fate takes too long, once in its life and once after its end:
/// asking goes on, and a case that was closed is not opened again.
///
/// # Errors
/// `Database`.
pub async fn show_unknown_in(
    conn: &mut PgConnection,
    base: &Base,
    order: &OrderAttempt,
) -> Result<(), Error> {
    let state = order.state.name();
    let detail = json!({ "conversion": order.conversion, "state": state });
    show(conn, base, "order_unknown", order, detail).await
}

/// Calls a person to a sale of which the venue says what cannot be: nothing of that is booked, and
/// asking goes on. The case is that of the order in question.
///
/// # Errors
/// `Database`.
pub async fn show_contradiction_in(
    conn: &mut PgConnection,
    base: &Base,
    id: ConversionId,
    why: &str,
) -> Result<(), Error> {
    let conversion = get_in(conn, id).await?;
    let orders = attempts_in(conn, &conversion).await?;
    let live = |o: &&OrderAttempt| o.state.is_live();
    let unlooked = |o: &&OrderAttempt| o.is_unlooked();
    let found = orders.iter().find(unlooked).or_else(|| orders.iter().find(live));
    let Some(order) = found else { return Ok(()) };
    let why: String = why.chars().take(300).collect();
    let detail = json!({ "conversion": id, "contradiction": why });
    show(conn, base, "order_unknown", order, detail).await
}

async fn show(
    conn: &mut PgConnection,
    base: &Base,
    kind: &'static str,
    order: &OrderAttempt,
    detail: Value,
) -> Result<(), Error> {
    // What a person closed while the order lived says nothing of what it does after its end.
    let shown: bool = sqlx::query_scalar(
        "select exists (select from cases where kind = $1 and subject = $2
           and (closed_at is null or $3::timestamptz is null or closed_at >= $3))",
    )
    .bind(kind)
    .bind(&order.client_ref)
    .bind(order.closed_at)
    .fetch_one(&mut *conn)
    .await?;
    if shown {
        return Ok(());
    }
    let new = case::NewCase {
        kind,
        subject: &order.client_ref,
        payment: None,
        amount: Some(order.quantity_minor),
        detail,
    };
    case::open_in(conn, base, new).await
}
