//! Reading conversions, and the one function that moves their state.

use chrono::{DateTime, Utc};
use primitives::{Amount, Asset, ConversionId, PaymentId};
use serde_json::Value;
use sqlx::{PgConnection, Row, postgres::PgRow};

use super::{AttemptState, Conversion, ConversionEvent, ConversionState, OrderAttempt};
use crate::{Base, Error, Record, money_column, record_in};

fn read(row: &PgRow) -> Result<Conversion, Error> {
    let asset = money_column::asset(row.try_get("asset")?)?;
    let amount = |column| -> Result<Amount, Error> {
        money_column::amount(row.try_get::<&str, _>(column)?, asset)
    };
    Ok(Conversion {
        id: ConversionId::from_uuid(row.try_get("id")?),
        venue: row.try_get("venue")?,
        asset,
        state: ConversionState::parse(row.try_get("state")?)?,
        target: amount("target_minor")?,
        sold: amount("sold_minor")?,
        dust: amount("dust_minor")?,
        created_at: row.try_get("created_at")?,
    })
}

macro_rules! select_conversion {
    ($rest:literal) => {
        concat!(
            "select id, venue, asset, state, target_minor::text as target_minor, \
             sold_minor::text as sold_minor, dust_minor::text as dust_minor, created_at \
             from conversions ",
            $rest
        )
    };
}

/// The conversion with this id.
///
/// # Errors
/// `Database`, `RowNotFound` inside it.
pub async fn get_in(conn: &mut PgConnection, id: ConversionId) -> Result<Conversion, Error> {
    let row =
        sqlx::query(select_conversion!("where id = $1")).bind(id.uuid()).fetch_one(conn).await?;
    read(&row)
}

/// As [`get_in`], locked until the transaction ends.
///
/// # Errors
/// `Database`, `RowNotFound` inside it.
pub async fn lock_in(conn: &mut PgConnection, id: ConversionId) -> Result<Conversion, Error> {
    let row = sqlx::query(select_conversion!("where id = $1 for update"))
        .bind(id.uuid())
        .fetch_one(conn)
        .await?;
    read(&row)
}

/// The one order of a conversion that is alive.
///
/// # Errors
/// `Database`.
pub async fn live_attempt_in(
    conn: &mut PgConnection,
    conversion: &Conversion,
) -> Result<Option<OrderAttempt>, Error> {
    Ok(attempts_in(conn, conversion).await?.into_iter().find(|order| order.state.is_live()))
}

/// Every order of a conversion, in order, locked until the transaction ends.
///
/// # Errors
/// `Database`.
pub(super) async fn attempts_in(
    conn: &mut PgConnection,
    conversion: &Conversion,
) -> Result<Vec<OrderAttempt>, Error> {
    let rows = sqlx::query(
        "select attempt, client_ref, quantity, quantity_minor::text as quantity_minor, price,
           state, venue_order_id, planned_at, sent_at, cancel_at, closed_at, looked_at, send_after,
           missing_since
         from order_attempts where conversion_id = $1 order by attempt for update",
    )
    .bind(conversion.id.uuid())
    .fetch_all(conn)
    .await?;
    rows.iter().map(|row| read_attempt(row, conversion)).collect()
}

fn read_attempt(row: &PgRow, conversion: &Conversion) -> Result<OrderAttempt, Error> {
    Ok(OrderAttempt {
        conversion: conversion.id,
        attempt: row.try_get("attempt")?,
        client_ref: row.try_get("client_ref")?,
        quantity: row.try_get("quantity")?,
        quantity_minor: money_column::amount(
            row.try_get::<&str, _>("quantity_minor")?,
            conversion.asset,
        )?,
        price: row.try_get("price")?,
        state: AttemptState::parse(row.try_get("state")?)?,
        venue_order_id: row.try_get("venue_order_id")?,
        planned_at: row.try_get("planned_at")?,
        sent_at: row.try_get("sent_at")?,
        cancel_at: row.try_get("cancel_at")?,
        closed_at: row.try_get("closed_at")?,
        looked_at: row.try_get("looked_at")?,
        send_after: row.try_get("send_after")?,
        missing_since: row.try_get("missing_since")?,
    })
}

/// True when another order of ours than `except` carries this reference and may rest at a venue.
///
/// # Errors
/// `Database`.
pub async fn knows_resting(
    conn: &mut PgConnection,
    client_ref: &str,
    except: &OrderAttempt,
) -> Result<bool, Error> {
    let known = sqlx::query_scalar(
        "select exists (select from order_attempts where client_ref = $1 and client_ref <> $2
           and state in ('sent', 'unknown', 'open'))",
    )
    .bind(client_ref)
    .bind(&except.client_ref)
    .fetch_one(conn)
    .await?;
    Ok(known)
}

/// The payments whose crypto a conversion sells, in a fixed order.
///
/// # Errors
/// `Database`.
pub async fn payments_of(
    conn: &mut PgConnection,
    conversion: &Conversion,
) -> Result<Vec<(PaymentId, Amount)>, Error> {
    let rows = sqlx::query(
        "select payment_id, amount_minor::text as amount_minor from conversion_queue
         where conversion_id = $1 order by payment_id",
    )
    .bind(conversion.id.uuid())
    .fetch_all(conn)
    .await?;
    rows.iter()
        .map(|row| {
            let amount = money_column::amount(row.try_get("amount_minor")?, conversion.asset)?;
            Ok((PaymentId::from_uuid(row.try_get("payment_id")?), amount))
        })
        .collect()
}

/// When the oldest accepted crypto of an asset that no conversion has taken was queued.
///
/// # Errors
/// `Database`.
pub async fn oldest_waiting_in(
    conn: &mut PgConnection,
    asset: Asset,
) -> Result<Option<DateTime<Utc>>, Error> {
    let oldest = sqlx::query_scalar(
        "select min(queued_at) from conversion_queue where asset = $1 and conversion_id is null",
    )
    .bind(asset.code())
    .fetch_one(conn)
    .await?;
    Ok(oldest)
}

/// True when a venue's trade is in our books.
///
/// # Errors
/// `Database`.
pub async fn knows_trade(
    conn: &mut PgConnection,
    venue: &str,
    trade_id: &str,
) -> Result<bool, Error> {
    let known =
        sqlx::query_scalar("select exists (select from fills where venue = $1 and trade_id = $2)")
            .bind(venue)
            .bind(trade_id)
            .fetch_one(conn)
            .await?;
    Ok(known)
}

/// Moves a locked conversion by one event and records the step.
///
/// # Errors
/// `Transition` when the state does not know the event, or `Database`.
pub(super) async fn step_in(
    conn: &mut PgConnection,
    base: &Base,
    conversion: &mut Conversion,
    event: ConversionEvent,
    cause: Value,
) -> Result<(), Error> {
    let from = conversion.state;
    let to = from.next(event)?;
    let now = base.now();
    sqlx::query(
        "update conversions set state = $2, sold_minor = $3::text::numeric, updated_at = $4
         where id = $1",
    )
    .bind(conversion.id.uuid())
    .bind(to.name())
    .bind(money_column::minor(conversion.sold))
    .bind(now)
    .execute(&mut *conn)
    .await?;
    conversion.state = to;
    let record = Record {
        entity: "conversion",
        id: conversion.id.uuid(),
        from: Some(from.name()),
        to: to.name(),
        event: event.name(),
        cause,
        at: now,
    };
    record_in(conn, record).await
}
