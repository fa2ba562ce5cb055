//! Planning a sale: which payments, how much, at what limit, under which reference.
//!
//! Invariant: everything an order will say is frozen here before anything is sent, and its
//! reference is derived from (conversion, attempt), so a repeat recomputes the same order.

use chrono::{DateTime, TimeDelta, Utc};
use primitives::{Amount, Asset, ConversionId, PaymentId, derived_uuid};
use rust_decimal::{Decimal, RoundingStrategy};
use serde_json::json;
use sqlx::{PgConnection, Row};

use super::{
    AttemptState, Conversion, ConversionEvent, ConversionState, OrderAttempt, judge, lock_in,
    oldest_waiting_in, payments_of,
    record::finish_in,
    store::{attempts_in, step_in},
};
use crate::{
    Base, Error, Record, bookkeeping, case, money_column,
    payment::{self, PaymentEvent},
    rates, record_in, venue_freeze,
};

/// What the venue's market looks like now.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Market {
    pub best_bid: Decimal,
    pub price_tick: Decimal,
    pub quantity_step: Decimal,
    pub notional_min: Decimal,
}

/// What the plan beat decided.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Planned {
    /// Send this order, after marking it sent.
    Order(Box<OrderAttempt>),
    /// Nothing to sell, or all of it too small to sell.
    Nothing,
    /// Conversions are switched off, or the venue is frozen.
    Stopped,
    /// The venue's bid is far below the last price that could be believed, or there is none.
    OffMarket,
    /// Too many orders of this conversion ended short: a person must look.
    NeedsPerson,
    /// Not before then: an ended order may still have sold, or the venue has just refused one.
    Wait(DateTime<Utc>),
}

/// Gathers what waits to be sold of an asset into a new conversion with its first order.
///
/// # Errors
/// `Ledger(WouldOverdraw)` when the venue does not hold that much: roll back and call a person.
pub async fn plan_batch_in(
    conn: &mut PgConnection,
    base: &Base,
    asset: Asset,
    market: &Market,
) -> Result<Planned, Error> {
    if !venue_freeze::may_sell_in(conn, &base.settings.venue).await? {
        return Ok(Planned::Stopped);
    }
    let waiting = take_waiting(conn, base, asset).await?;
    if waiting.is_empty() {
        return Ok(Planned::Nothing);
    }
    if !is_near_market(conn, base, asset, market).await? {
        return Ok(Planned::OffMarket);
    }
    let mut total = Amount::zero(asset);
    for (_, amount) in &waiting {
        total = total.checked_add(*amount)?;
    }
    let sellable = sellable_part(total, market)?;
    let mut conversion = Conversion {
        id: ConversionId::from_uuid(base.uuid()),
        venue: base.settings.venue.clone(),
        asset,
        state: ConversionState::Planned,
        target: sellable,
        sold: Amount::zero(asset),
        dust: total.checked_sub(sellable)?,
        created_at: base.now(),
    };
    insert(conn, &conversion).await?;
    for (id, _) in &waiting {
        sqlx::query("update conversion_queue set conversion_id = $2 where payment_id = $1")
            .bind(id.uuid())
            .bind(conversion.id.uuid())
            .execute(&mut *conn)
            .await?;
        let mut payment = payment::lock_in(conn, *id).await?;
        let cause = json!({ "conversion": conversion.id });
        payment::step_in(conn, base, &mut payment, PaymentEvent::ConversionStarted, cause).await?;
    }
    if sellable.is_zero() {
        let cause = json!({ "reason": "below the venue's minimum", "dust": conversion.dust });
        step_in(conn, base, &mut conversion, ConversionEvent::AllSold, cause).await?;
        finish_in(conn, base, &conversion).await?;
        return Ok(Planned::Nothing);
    }
    plan_order(conn, base, &mut conversion, market).await
}

/// Plans the next order of a conversion whose last one ended short of the target.
///
/// # Errors
/// As [`plan_batch_in`].
pub async fn plan_next_in(
    conn: &mut PgConnection,
    base: &Base,
    id: ConversionId,
    market: &Market,
) -> Result<Planned, Error> {
    if !venue_freeze::may_go_on_in(conn, id).await? {
        return Ok(Planned::Stopped);
    }
    let mut conversion = lock_in(conn, id).await?;
    if !matches!(conversion.state, ConversionState::Rejected | ConversionState::PartlyFilled) {
        return Ok(Planned::Nothing);
    }
    let missing = conversion.target.checked_sub(conversion.sold)?;
    if sellable_part(missing, market)?.is_zero() {
        let cause = json!({ "reason": "the rest is below the venue's minimum", "rest": missing });
        conversion.state = conversion.state.next(ConversionEvent::NextOrderPlanned)?;
        step_in(conn, base, &mut conversion, ConversionEvent::AllSold, cause).await?;
        finish_in(conn, base, &conversion).await?;
        return Ok(Planned::Nothing);
    }
    let orders = attempts_in(conn, &conversion).await?;
    let used = orders.last().map_or(0, |last| last.attempt);
    let retries: i32 = sqlx::query_scalar("select retries from conversions where id = $1")
        .bind(id.uuid())
        .fetch_one(&mut *conn)
        .await?;
    if used >= base.settings.order_attempts_max.saturating_add(retries) {
        call_a_person_in(conn, base, &mut conversion, used).await?;
        return Ok(Planned::NeedsPerson);
    }
    if let Some(at) = not_before(base, &conversion, &orders).filter(|at| *at > base.now()) {
        return Ok(Planned::Wait(at));
    }
    if !is_near_market(conn, base, conversion.asset, market).await? {
        return Ok(Planned::OffMarket);
    }
    step_in(conn, base, &mut conversion, ConversionEvent::NextOrderPlanned, json!({})).await?;
    plan_order(conn, base, &mut conversion, market).await
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
    orders: i32,
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

/// True when the venue's best bid lies no further below the last price that could be believed than
/// an outlier may: an emptied or lying book must not take the batch for nothing.
async fn is_near_market(
    conn: &mut PgConnection,
    base: &Base,
    asset: Asset,
    market: &Market,
) -> Result<bool, Error> {
    let kept = Decimal::from(10_000_u32.saturating_sub(base.settings.outlier_bps.get()));
    let floor = rates::last_good_in(conn, base, asset)
        .await?
        .and_then(|price| price.checked_mul(kept))
        .and_then(|price| price.checked_div(Decimal::from(10_000)));
    Ok(floor.is_some_and(|floor| market.best_bid >= floor))
}

/// What waits to be sold, with its payments locked: payments first, in id order.
async fn take_waiting(
    conn: &mut PgConnection,
    base: &Base,
    asset: Asset,
) -> Result<Vec<(PaymentId, Amount)>, Error> {
    let age = TimeDelta::seconds(base.settings.conversion_age_s);
    let oldest = oldest_waiting_in(conn, asset).await?;
    if oldest.is_none_or(|oldest| oldest + age > base.now()) {
        return Ok(Vec::new());
    }
    sqlx::query(
        "select 1 from payments where id in (select payment_id from conversion_queue
           where asset = $1 and conversion_id is null) order by id for update",
    )
    .bind(asset.code())
    .fetch_all(&mut *conn)
    .await?;
    let rows = sqlx::query(
        "select payment_id, amount_minor::text as amount_minor from conversion_queue
         where asset = $1 and conversion_id is null order by payment_id limit 500 for update",
    )
    .bind(asset.code())
    .fetch_all(&mut *conn)
    .await?;
    rows.iter()
        .map(|row| {
            let amount = money_column::amount(row.try_get("amount_minor")?, asset)?;
            Ok((PaymentId::from_uuid(row.try_get("payment_id")?), amount))
        })
        .collect()
}

/// The largest multiple of the venue's step within `total`; zero when that is below the venue's
/// minimum.
fn sellable_part(total: Amount, market: &Market) -> Result<Amount, Error> {
    let units = to_units(total)?;
    let steps = units
        .checked_div(market.quantity_step)
        .ok_or_else(|| Error::Inconsistent("the venue's quantity step is zero".into()))?
        .trunc();
    let quantity = steps.checked_mul(market.quantity_step);
    let value = quantity.and_then(|q| q.checked_mul(market.best_bid));
    match (quantity, value) {
        (Some(quantity), Some(value)) if value >= market.notional_min => {
            let text = quantity.normalize().to_string();
            Ok(Amount::parse_units(&text, total.asset())?)
        }
        (Some(_), Some(_)) => Ok(Amount::zero(total.asset())),
        _ => Err(Error::Inconsistent("batch value out of range".into())),
    }
}

fn to_units(amount: Amount) -> Result<Decimal, Error> {
    Decimal::try_from_i128_with_scale(amount.minor(), amount.asset().scale())
        .map_err(|_| Error::Inconsistent("quantity out of range".into()))
}

/// The limit: the best bid less the slippage we accept, on the venue's tick.
fn limit_price(base: &Base, market: &Market) -> Result<Decimal, Error> {
    let kept = Decimal::from(10_000_u32.saturating_sub(base.settings.slippage_bps.get()));
    market
        .best_bid
        .checked_mul(kept)
        .and_then(|price| price.checked_div(Decimal::from(10_000)))
        .and_then(|price| price.checked_div(market.price_tick))
        .map(|ticks| ticks.round_dp_with_strategy(0, RoundingStrategy::ToZero))
        .and_then(|ticks| ticks.checked_mul(market.price_tick))
        .filter(|price| price.is_sign_positive() && !price.is_zero())
        .ok_or_else(|| Error::Inconsistent("no limit price".into()))
}

async fn insert(conn: &mut PgConnection, conversion: &Conversion) -> Result<(), Error> {
    sqlx::query(
        "insert into conversions (id, venue, asset, state, target_minor, dust_minor, created_at,
           updated_at)
         values ($1, $2, $3, $4, $5::text::numeric, $6::text::numeric, $7, $7)",
    )
    .bind(conversion.id.uuid())
    .bind(&conversion.venue)
    .bind(conversion.asset.code())
    .bind(conversion.state.name())
    .bind(money_column::minor(conversion.target))
    .bind(money_column::minor(conversion.dust))
    .bind(conversion.created_at)
    .execute(&mut *conn)
    .await?;
    let record = Record {
        entity: "conversion",
        id: conversion.id.uuid(),
        from: None,
        to: conversion.state.name(),
        event: "planned",
        cause: json!({ "target": conversion.target, "dust": conversion.dust }),
        at: conversion.created_at,
    };
    record_in(conn, record).await
}

async fn plan_order(
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
    let missing = sellable_part(conversion.target.checked_sub(conversion.sold)?, market)?;
    let derived = derived_uuid(&["order", &conversion.id.to_string(), &attempt.to_string()]);
    let planned = OrderAttempt {
        conversion: conversion.id,
        attempt,
        client_ref: format!("ck{}", derived.simple()),
        quantity: to_units(missing)?.normalize(),
        quantity_minor: missing,
        price: limit_price(base, market)?.normalize(),
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
           price, state, planned_at)
         values ($1, $2, $3, $4, $5::text::numeric, $6, 'planned', $7)",
    )
    .bind(conversion.id.uuid())
    .bind(attempt)
    .bind(&planned.client_ref)
    .bind(planned.quantity)
    .bind(money_column::minor(missing))
    .bind(planned.price)
    .bind(planned.planned_at)
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
