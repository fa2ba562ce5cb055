//! Reading conversions, and the one function that moves their state.

use chrono::{DateTime, Utc};
use primitives::{Amount, Asset, ConversionId, PaymentId};
use serde_json::Value;
use sqlx::{PgConnection, Row, postgres::PgRow};

use super::{
    AttemptState, Conversion, ConversionEvent, ConversionState, OrderAttempt, Part, route::Route,
};
use crate::{Base, Error, Record, money_column, record_in};

fn read(row: &PgRow) -> Result<Conversion, Error> {
    let asset = money_column::asset(row.try_get("asset")?)?;
    let amount = |column| -> Result<Amount, Error> {
        money_column::amount(row.try_get::<&str, _>(column)?, asset)
    };
    Ok(Conversion {
        id: ConversionId::from_uuid(row.try_get("id")?),
        root: ConversionId::from_uuid(row.try_get("root")?),
        part: Part::parse(row.try_get("part")?)?,
        venue: row.try_get("venue")?,
        asset,
        quote: money_column::asset(row.try_get("quote")?)?,
        state: ConversionState::parse(row.try_get("state")?)?,
        input: amount("input_minor")?,
        target: amount("target_minor")?,
        sold: amount("sold_minor")?,
        dust: amount("dust_minor")?,
        taken: amount("taken_minor")?,
        created_at: row.try_get("created_at")?,
    })
}

macro_rules! select_conversion {
    ($rest:literal) => {
        concat!(
            "select id, coalesce(root, id) as root, part, venue, asset, quote, state, \
             target_minor::text as target_minor, sold_minor::text as sold_minor, \
             dust_minor::text as dust_minor, taken_minor::text as taken_minor, \
             input_minor::text as input_minor, created_at \
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

/// As [`lock_in`], with the payments of its batch and the batch's first part locked before it:
/// whoever may end the sale, or park it, changes them, and payments come first everywhere. The
/// first part before anything is posted: whoever looks at it again holds it when it posts.
///
/// # Errors
/// As [`lock_in`].
pub(super) async fn lock_with_payments_in(
    conn: &mut PgConnection,
    id: ConversionId,
) -> Result<Conversion, Error> {
    // A batch is given no other payment once it is planned.
    sqlx::query(
        "select 1 from payments where id in (select w.payment_id from conversion_queue w
           join conversions c on w.conversion_id = coalesce(c.root, c.id) where c.id = $1)
         order by id for update",
    )
    .bind(id.uuid())
    .fetch_all(&mut *conn)
    .await?;
    let root = get_in(conn, id).await?.root;
    if root != id {
        lock_in(conn, root).await?;
    }
    lock_in(conn, id).await
}

/// Every conversion of a batch, the first one first.
///
/// # Errors
/// `Database`.
pub async fn parts_of(
    conn: &mut PgConnection,
    root: ConversionId,
) -> Result<Vec<Conversion>, Error> {
    let rows = sqlx::query(select_conversion!(
        "where id = $1 or root = $1 order by root is not null, created_at, id"
    ))
    .bind(root.uuid())
    .fetch_all(conn)
    .await?;
    rows.iter().map(read).collect()
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
           kind, state, venue_order_id, planned_at, sent_at, cancel_at, closed_at, looked_at,
           send_after, missing_since
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
        venue: conversion.venue.clone(),
        sell: conversion.asset,
        quote: conversion.quote,
        attempt: row.try_get("attempt")?,
        client_ref: row.try_get("client_ref")?,
        quantity: row.try_get("quantity")?,
        quantity_minor: money_column::amount(
            row.try_get::<&str, _>("quantity_minor")?,
            conversion.asset,
        )?,
        price: row.try_get("price")?,
        is_immediate: row.try_get::<&str, _>("kind")? == "immediate_or_cancel",
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

/// The payments whose crypto the batch of a conversion sells, in a fixed order.
///
/// # Errors
/// `Database`.
pub async fn payments_of(
    conn: &mut PgConnection,
    conversion: &Conversion,
) -> Result<Vec<(PaymentId, Amount)>, Error> {
    let rows = sqlx::query(
        "select payment_id, asset, amount_minor::text as amount_minor from conversion_queue
         where conversion_id = $1 order by payment_id",
    )
    .bind(conversion.root.uuid())
    .fetch_all(conn)
    .await?;
    rows.iter()
        .map(|row| {
            let asset = money_column::asset(row.try_get("asset")?)?;
            let amount = money_column::amount(row.try_get("amount_minor")?, asset)?;
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

/// True when a venue's trade is in our books, be it under the bare number, as trades of rupee
/// markets once were.
///
/// # Errors
/// `Database`.
pub async fn knows_trade(
    conn: &mut PgConnection,
    venue: &str,
    trade_id: &str,
) -> Result<bool, Error> {
    let known = sqlx::query_scalar(
        "select exists (select from fills f join conversions c on c.id = f.conversion_id
               where f.venue = $1 and (f.trade_id = $2
                 or (c.quote = 'INR' and c.asset || c.quote || '-' || f.trade_id = $2)))",
    )
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

/// Writes a new conversion, quiet when it is there, and the first step of its story. `parent` is
/// the part it came out of, if it is not the first.
pub(super) async fn insert_in(
    conn: &mut PgConnection,
    new: &Conversion,
    parent: Option<ConversionId>,
    route: Option<&Route>,
    cause: Value,
) -> Result<(), Error> {
    let route = route.map(serde_json::to_value).transpose();
    let inserted = sqlx::query(
        "insert into conversions (id, root, parent, part, venue, asset, quote, state, target_minor,
           dust_minor, taken_minor, route, created_at, updated_at, input_minor)
         values ($1, $2, $3, $4, $5, $6, $7, $8, $9::text::numeric, $10::text::numeric,
           $11::text::numeric, $12, $13, $13, $14::text::numeric) on conflict (id) do nothing",
    )
    .bind(new.id.uuid())
    .bind(parent.map(|_| new.root.uuid()))
    .bind(parent.map(ConversionId::uuid))
    .bind(new.part.name())
    .bind(&new.venue)
    .bind(new.asset.code())
    .bind(new.quote.code())
    .bind(new.state.name())
    .bind(money_column::minor(new.target))
    .bind(money_column::minor(new.dust))
    .bind(money_column::minor(new.taken))
    .bind(route.map_err(|_| Error::Inconsistent("a route that cannot be written".into()))?)
    .bind(new.created_at)
    .bind(money_column::minor(new.input))
    .execute(&mut *conn)
    .await?;
    if inserted.rows_affected() == 0 {
        return Ok(());
    }
    let record = Record {
        entity: "conversion",
        id: new.id.uuid(),
        from: None,
        to: new.state.name(),
        event: "planned",
        cause,
        at: new.created_at,
    };
    record_in(conn, record).await
}
