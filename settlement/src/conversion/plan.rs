//! Planning an order: how much, at what limit, of which kind, under which reference.
//!
//! Invariant: everything an order will say is frozen here before anything is sent, and its
//! reference is derived from (conversion, attempt), so a repeat recomputes the same order.

use chrono::{DateTime, TimeDelta, Utc};
use primitives::{Amount, ConversionId, derived_uuid};
use serde_json::json;
use sqlx::PgConnection;

use super::{
    AttemptState, Conversion, ConversionEvent, ConversionState, Market, Offer, OrderAttempt, Route,
    dust,
    finish::finish_in,
    hold::{hold_in, release_in, way_found_in},
    judge, lock_in, payments_of,
    route::units,
    store::{attempts_in, lock_with_payments_in, step_in},
    venues,
};
use crate::{
    Base, Error, bookkeeping, case, money_column,
    payment::{self, PaymentEvent},
    venue_freeze,
};

/// A thin book is sold into in parts: so many orders of which each sells something are as many
/// as one that sells nothing.
const ORDERS_PER_ATTEMPT: i64 = 10;

/// What the plan beat decided.
#[derive(Debug, Clone, PartialEq)]
pub enum Planned {
    /// Send this order, after marking it sent.
    Order(Box<OrderAttempt>),
    /// Nothing to sell, or all of it too small to sell.
    Nothing,
    /// Conversions are switched off, or the venue is frozen.
    Stopped,
    /// No way to rupees may be taken now: here is why, candidate by candidate.
    NoRoute(Box<Route>),
    /// Too many orders of this conversion ended short: a person must look.
    NeedsPerson,
    /// Not before then: an ended order may still have sold, the venue has just refused one, or the
    /// batch waits for company.
    Wait(DateTime<Utc>),
}

/// Plans the next order of a conversion whose last one ended short of the target, or the first one
/// of a part that waits. `offer` is its own market as it was seen.
///
/// # Errors
/// `Ledger(WouldOverdraw)` when the venue does not hold that much: roll back and call a person.
pub async fn plan_next_in(
    conn: &mut PgConnection,
    base: &Base,
    id: ConversionId,
    offer: &Offer,
) -> Result<Planned, Error> {
    if !venue_freeze::may_go_on_in(conn, id).await? {
        return Ok(Planned::Stopped);
    }
    let mut conversion = lock_with_payments_in(conn, id).await?;
    use ConversionState as S;
    if !matches!(conversion.state, S::Rejected | S::PartlyFilled | S::Waiting) {
        return Ok(Planned::Nothing);
    }
    let market = offer.market.as_ref();
    let market = market.map_err(|why| Error::Inconsistent(format!("no market: {why}")))?;
    // The same questions as of a batch, of this one market. What the sale may add to the venue was
    // asked when it came here.
    let missing = conversion.target.checked_sub(conversion.sold)?;
    let route = venues::market_in(conn, base, missing, std::slice::from_ref(offer)).await?;
    // Only a price that can be believed tells what is too small.
    let is_priced = route.taken().is_some() || route.is_below_minimum();
    if is_priced && is_sold_out_in(conn, base, &mut conversion, market).await? {
        return Ok(Planned::Nothing);
    }
    let orders = attempts_in(conn, &conversion).await?;
    if used_up_in(conn, base, id, orders.len()).await? {
        call_a_person_in(conn, base, &mut conversion, orders.len()).await?;
        return Ok(Planned::NeedsPerson);
    }
    if let Some(at) = not_before(base, &conversion, &orders).filter(|at| *at > base.now()) {
        return Ok(Planned::Wait(at));
    }
    if !is_priced {
        let waits = (id.to_string(), conversion.venue.clone());
        hold_in(conn, base, (&waits.0, Some(&waits.1)), &route).await?;
        return Ok(Planned::NoRoute(route.into()));
    }
    way_found_in(conn, base, &id.to_string()).await?;
    step_in(conn, base, &mut conversion, ConversionEvent::NextOrderPlanned, json!({})).await?;
    plan_order(conn, base, &mut conversion, market).await
}

/// Ends a sale of which nothing is left that this market takes. One that waits is cut to the
/// market's step first.
async fn is_sold_out_in(
    conn: &mut PgConnection,
    base: &Base,
    conversion: &mut Conversion,
    market: &Market,
) -> Result<bool, Error> {
    if conversion.state == ConversionState::Waiting {
        cut_in(conn, base, conversion, market).await?;
    }
    let missing = conversion.target.checked_sub(conversion.sold)?;
    if !market.sellable(missing, base.settings.slippage_bps)?.is_zero() {
        return Ok(false);
    }
    let cause = json!({ "reason": "the rest is below the venue's minimum", "rest": missing });
    step_in(conn, base, conversion, ConversionEvent::AllSold, cause).await?;
    release_in(conn, base, &conversion.id.to_string()).await?;
    finish_in(conn, base, conversion).await?;
    Ok(true)
}

/// True when a person must look: too many orders sold nothing at all, or far too many were needed.
async fn used_up_in(
    conn: &mut PgConnection,
    base: &Base,
    id: ConversionId,
    orders: usize,
) -> Result<bool, Error> {
    let (retries, empty): (i32, i64) = sqlx::query_as(
        "select retries, (select count(*) from order_attempts a
           where a.conversion_id = c.id and a.executed_minor = 0) from conversions c where id = $1",
    )
    .bind(id.uuid())
    .fetch_one(conn)
    .await?;
    let most = i64::from(base.settings.order_attempts_max.saturating_add(retries));
    let all = i64::try_from(orders).unwrap_or(i64::MAX);
    Ok(empty >= most || all >= most.saturating_mul(ORDERS_PER_ATTEMPT))
}

/// A part that waits learns its venue's step only now: it is cut to it, with the dust that fits.
async fn cut_in(
    conn: &mut PgConnection,
    base: &Base,
    conversion: &mut Conversion,
    market: &Market,
) -> Result<(), Error> {
    let input = conversion.input;
    let dust = dust::to_take_in(conn, conversion.asset, Some(conversion.id)).await?;
    let slippage = base.settings.slippage_bps;
    let mut target = market.sellable(input.checked_add(dust)?, slippage)?;
    let taken = if target.minor() > input.minor() { dust } else { Amount::zero(input.asset()) };
    if taken.is_zero() {
        target = market.sellable(input, slippage)?;
    }
    conversion.taken = taken;
    conversion.dust = input.checked_add(taken)?.checked_sub(target)?;
    conversion.target = target;
    sqlx::query(
        "update conversions set target_minor = $2::text::numeric, dust_minor = $3::text::numeric,
           taken_minor = $4::text::numeric where id = $1",
    )
    .bind(conversion.id.uuid())
    .bind(money_column::minor(conversion.target))
    .bind(money_column::minor(conversion.dust))
    .bind(money_column::minor(conversion.taken))
    .execute(&mut *conn)
    .await?;
    dust::true_up_in(conn, base, conversion, "below the venue's step").await
}

/// What the next order has to wait for: the last look at one that ended short, and a pause that
/// grows with the refusals in a row.
fn not_before(
    base: &Base,
    conversion: &Conversion,
    orders: &[OrderAttempt],
) -> Option<DateTime<Utc>> {
    let fence = TimeDelta::seconds(base.settings.order_fence_s);
    // One whose look is overdue holds the next order back just as well.
    let soon = base.now() + TimeDelta::seconds(1);
    let short = orders.iter().filter(|o| o.state == AttemptState::Closed && o.is_unlooked());
    let looks = short.map(|o| (o.closed_at.unwrap_or(o.planned_at) + fence).max(soon)).max();
    let refused = orders.iter().rev().take_while(|o| o.state == AttemptState::Rejected).count();
    let pause = judge::pause_after_refusals(i64::try_from(refused).unwrap_or(i64::MAX));
    let paused = (conversion.state == ConversionState::Rejected)
        .then(|| orders.last().and_then(|last| last.closed_at))
        .flatten()
        .map(|at| at + pause);
    looks.max(paused)
}

/// Too many orders ended short: the conversion and the payments it would have paid are in review.
async fn call_a_person_in(
    conn: &mut PgConnection,
    base: &Base,
    conversion: &mut Conversion,
    orders: usize,
) -> Result<(), Error> {
    let cause = json!({ "reason": "too many orders", "orders": orders });
    step_in(conn, base, conversion, ConversionEvent::NeedsPerson, cause).await?;
    let new = case::NewCase {
        kind: "conversion_stuck",
        subject: &conversion.id.to_string(),
        payment: None,
        amount: Some(conversion.target.checked_sub(conversion.sold)?),
        detail: json!({ "orders": orders }),
    };
    case::open_in(conn, base, new).await?;
    release_in(conn, base, &conversion.id.to_string()).await?;
    for (id, amount) in payments_of(conn, conversion).await? {
        let mut payment = payment::lock_in(conn, id).await?;
        if payment.state != payment::PaymentState::Settling {
            continue;
        }
        let cause = json!({ "reason": "conversion_stuck", "conversion": conversion.id });
        payment::step_in(conn, base, &mut payment, PaymentEvent::NeedsPerson, cause).await?;
        let new = case::NewCase {
            kind: "conversion_stuck",
            subject: &format!("{}:{id}", conversion.id),
            payment: Some(id),
            amount: Some(amount),
            detail: json!({ "conversion": conversion.id }),
        };
        case::open_in(conn, base, new).await?;
    }
    Ok(())
}

/// Freezes one order for what is still to be sold, at most as much as the venue takes in one.
pub(super) async fn plan_order(
    conn: &mut PgConnection,
    base: &Base,
    conversion: &mut Conversion,
    market: &Market,
) -> Result<Planned, Error> {
    let attempt: i32 = sqlx::query_scalar(
        "select coalesce(max(attempt), 0) + 1 from order_attempts where conversion_id = $1",
    )
    .bind(conversion.id.uuid())
    .fetch_one(&mut *conn)
    .await?;
    let slippage = base.settings.slippage_bps;
    let missing = conversion.target.checked_sub(conversion.sold)?;
    let missing = market.one_order(market.sellable(missing, slippage)?)?;
    let limit = market.limit(slippage);
    let price = limit.ok_or_else(|| Error::Inconsistent("no limit price".into()))?;
    let derived = derived_uuid(&["order", &conversion.id.to_string(), &attempt.to_string()]);
    let planned = OrderAttempt {
        conversion: conversion.id,
        venue: conversion.venue.clone(),
        sell: conversion.asset,
        quote: conversion.quote,
        attempt,
        client_ref: format!("ck{}", derived.simple()),
        quantity: units(missing)?.normalize(),
        quantity_minor: missing,
        price: price.normalize(),
        is_immediate: market.takes_immediate,
        state: AttemptState::Planned,
        venue_order_id: None,
        planned_at: base.now(),
        sent_at: None,
        cancel_at: None,
        closed_at: None,
        looked_at: None,
        send_after: None,
        missing_since: None,
    };
    sqlx::query(
        "insert into order_attempts (conversion_id, attempt, client_ref, quantity, quantity_minor,
           price, state, planned_at, kind)
         values ($1, $2, $3, $4, $5::text::numeric, $6, 'planned', $7, $8)",
    )
    .bind(conversion.id.uuid())
    .bind(attempt)
    .bind(&planned.client_ref)
    .bind(planned.quantity)
    .bind(money_column::minor(missing))
    .bind(planned.price)
    .bind(planned.planned_at)
    .bind(if planned.is_immediate { "immediate_or_cancel" } else { "limit" })
    .execute(&mut *conn)
    .await?;
    let (venue, id) = (&conversion.venue, conversion.id.uuid());
    bookkeeping::order_placed(conn, base, venue, id, &planned.client_ref, missing).await?;
    Ok(Planned::Order(Box::new(planned)))
}

/// The last step before the call: `planned → sent`, for exactly one caller. From here the order
/// may exist. Answers the time it was marked, which stamps the request; `None` when somebody else
/// was first or conversions are switched off: do not send.
///
/// # Errors
/// `Database`.
pub async fn mark_sent_in(
    conn: &mut PgConnection,
    base: &Base,
    order: &OrderAttempt,
) -> Result<Option<DateTime<Utc>>, Error> {
    if !venue_freeze::may_go_on_in(conn, order.conversion).await? {
        return Ok(None);
    }
    let now = base.now();
    let mut conversion = lock_in(conn, order.conversion).await?;
    let marked = sqlx::query(
        "update order_attempts set state = 'sent', sent_at = $3, sends = sends + 1
         where conversion_id = $1 and attempt = $2 and state = 'planned'",
    )
    .bind(order.conversion.uuid())
    .bind(order.attempt)
    .bind(now)
    .execute(&mut *conn)
    .await?;
    if marked.rows_affected() != 1 {
        return Ok(None);
    }
    let cause = json!({ "order": order.client_ref });
    step_in(conn, base, &mut conversion, ConversionEvent::OrderSent, cause).await?;
    Ok(Some(now))
}
