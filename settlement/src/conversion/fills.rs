//! The executions of orders: booked once each, and taken back where the venue takes them back.
//!
//! Invariant: a trade is booked once, whoever reports it and however late; one that was taken back
//! counts no more, and is booked by a contra entry, never edited.

use std::collections::BTreeSet;

use chrono::{DateTime, TimeDelta, Utc};
use primitives::Amount;
use serde_json::json;
use sqlx::{PgConnection, Row};

use super::{
    Conversion, ConversionState, FillFacts, OrderAttempt, OrderFacts, dust,
    judge::{self, Missing},
};
use crate::{
    Base, Error,
    bookkeeping::{self, sales::OrderName},
    case, money_column,
};

const fn name<'a>(conversion: &'a Conversion, order: &'a OrderAttempt) -> OrderName<'a> {
    OrderName {
        venue: conversion.venue.as_str(),
        conversion: conversion.id.uuid(),
        client_ref: order.client_ref.as_str(),
    }
}

/// Books one execution; quiet when it is booked. True when it was new.
pub(super) async fn book_in(
    conn: &mut PgConnection,
    base: &Base,
    conversion: &Conversion,
    order: &OrderAttempt,
    fill: &FillFacts,
) -> Result<bool, Error> {
    in_its_assets(conversion, fill)?;
    let inserted = sqlx::query(
        "insert into fills (venue, trade_id, conversion_id, attempt, sold_minor, gross_minor,
           fee_minor, fee_gst_minor, tds_minor, price, executed_at, recorded_at, fee_asset)
         values ($1, $2, $3, $4, $5::text::numeric, $6::text::numeric, $7::text::numeric,
           $8::text::numeric, $9::text::numeric, $10, $11, $12, $13)
         on conflict (venue, trade_id) do nothing",
    )
    .bind(&conversion.venue)
    .bind(&fill.trade_id)
    .bind(conversion.id.uuid())
    .bind(order.attempt)
    .bind(money_column::minor(fill.sold))
    .bind(money_column::minor(fill.gross))
    .bind(money_column::minor(fill.fee))
    .bind(money_column::minor(fill.fee_gst))
    .bind(money_column::minor(fill.tds))
    .bind(fill.price)
    .bind(fill.executed_at)
    .bind(base.now())
    .bind(fill.fee.asset().code())
    .execute(&mut *conn)
    .await?;
    if inserted.rows_affected() == 0 {
        same_fill(conn, conversion, order.attempt, fill).await?;
        return Ok(false);
    }
    if order.state.is_live() {
        let (venue, id) = (&conversion.venue, conversion.id.uuid());
        bookkeeping::filled(conn, base, venue, id, fill).await?;
    } else {
        bookkeeping::sales::filled_late(conn, base, name(conversion, order), fill).await?;
    }
    Ok(true)
}

/// A fill speaks of what its conversion sells, for what it brings.
fn in_its_assets(conversion: &Conversion, fill: &FillFacts) -> Result<(), Error> {
    let quoted = [fill.gross, fill.fee_gst, fill.tds].iter().all(|a| a.asset() == conversion.quote);
    if quoted && fill.sold.asset() == conversion.asset {
        return Ok(());
    }
    Err(Error::Inconsistent(format!("trade {} is of another market", fill.trade_id)))
}

/// A trade we know must be this very one: another under its number is the venue's contradiction.
async fn same_fill(
    conn: &mut PgConnection,
    conversion: &Conversion,
    attempt: i32,
    fill: &FillFacts,
) -> Result<(), Error> {
    let same: bool = sqlx::query_scalar(
        "select conversion_id = $3 and attempt = $4 and sold_minor = $5::text::numeric
           and gross_minor = $6::text::numeric from fills where venue = $1 and trade_id = $2",
    )
    .bind(&conversion.venue)
    .bind(&fill.trade_id)
    .bind(conversion.id.uuid())
    .bind(attempt)
    .bind(money_column::minor(fill.sold))
    .bind(money_column::minor(fill.gross))
    .fetch_one(conn)
    .await?;
    if same {
        return Ok(());
    }
    Err(Error::Inconsistent(format!("trade {} is booked with other content", fill.trade_id)))
}

/// What the booked fills add up to: of the conversion, and of this order. What was taken back does
/// not count.
pub(super) async fn sums(
    conn: &mut PgConnection,
    conversion: &Conversion,
    attempt: i32,
) -> Result<(Amount, Amount), Error> {
    let (all, of_order): (String, String) = sqlx::query_as(
        "select coalesce(sum(sold_minor), 0)::text,
                coalesce(sum(sold_minor) filter (where attempt = $2), 0)::text
         from fills f where conversion_id = $1 and not exists
           (select from fill_reversals r where r.venue = f.venue and r.trade_id = f.trade_id)",
    )
    .bind(conversion.id.uuid())
    .bind(attempt)
    .fetch_one(conn)
    .await?;
    let amount = |text: &str| money_column::amount(text, conversion.asset);
    Ok((amount(&all)?, amount(&of_order)?))
}

/// What the booked fills left us of the quote asset. What was taken back does not count.
pub(super) async fn proceeds_in(
    conn: &mut PgConnection,
    conversion: &Conversion,
) -> Result<Amount, Error> {
    let net: String = sqlx::query_scalar(
        "select coalesce(sum(gross_minor - fee_gst_minor - tds_minor
           - case when fee_asset = $2 then fee_minor else 0 end), 0)::text
         from fills f where conversion_id = $1 and not exists
           (select from fill_reversals r where r.venue = f.venue and r.trade_id = f.trade_id)",
    )
    .bind(conversion.id.uuid())
    .bind(conversion.quote.code())
    .fetch_one(conn)
    .await?;
    money_column::amount(&net, conversion.quote)
}

/// Writes what is sold of the conversion, never beyond its target: more than that is a case, unless
/// some of it may have been taken back. Answers what is booked of this order.
pub(super) async fn count_in(
    conn: &mut PgConnection,
    base: &Base,
    conversion: &mut Conversion,
    attempt: i32,
    is_certain: bool,
) -> Result<Amount, Error> {
    let (all, of_order) = sums(conn, conversion, attempt).await?;
    let sold = judge::sold(conversion.target, all)?;
    if sold.beyond.is_positive() && is_certain {
        let new = case::NewCase {
            kind: "oversold",
            subject: &conversion.id.to_string(),
            payment: None,
            amount: Some(sold.beyond),
            detail: json!({ "venue": conversion.venue, "attempt": attempt, "sold": all }),
        };
        case::open_in(conn, base, new).await?;
    }
    conversion.sold = sold.counted;
    sqlx::query("update conversions set sold_minor = $2::text::numeric where id = $1")
        .bind(conversion.id.uuid())
        .bind(money_column::minor(conversion.sold))
        .execute(&mut *conn)
        .await?;
    if conversion.state == ConversionState::Filled {
        dust::true_up_in(conn, base, conversion, "a correction after the end").await?;
    }
    Ok(of_order)
}

/// Takes back what the venue does not list any more of an order it calls closed: only after two
/// looks with time between. Answers when to look again, while it is not certain.
pub(super) async fn reverse_missing_in(
    conn: &mut PgConnection,
    base: &Base,
    conversion: &Conversion,
    order: &OrderAttempt,
    facts: &OrderFacts,
) -> Result<Option<DateTime<Utc>>, Error> {
    let missing = unlisted(conn, conversion, order, facts).await?;
    let gap = TimeDelta::seconds(base.settings.absence_gap_s);
    if missing.is_empty() {
        set_missing_since(conn, order, None).await?;
        return Ok(None);
    }
    let mut listed = Amount::zero(conversion.asset);
    for fill in &facts.fills {
        listed = listed.checked_add(fill.sold)?;
    }
    let adds_up = facts.closed && listed == facts.executed;
    match judge::missing(adds_up, order.missing_since, base.now(), gap) {
        Missing::NotTold => {
            set_missing_since(conn, order, None).await?;
            return Ok(Some(base.now() + gap));
        }
        Missing::Since(since, due) => {
            set_missing_since(conn, order, Some(since)).await?;
            return Ok(Some(due));
        }
        Missing::TakenBack => {}
    }
    for fill in &missing {
        reverse_in(conn, base, conversion, order, fill).await?;
    }
    set_missing_since(conn, order, None).await?;
    Ok(None)
}

async fn reverse_in(
    conn: &mut PgConnection,
    base: &Base,
    conversion: &Conversion,
    order: &OrderAttempt,
    fill: &FillFacts,
) -> Result<(), Error> {
    sqlx::query("insert into fill_reversals (venue, trade_id, recorded_at) values ($1, $2, $3)")
        .bind(&conversion.venue)
        .bind(&fill.trade_id)
        .bind(base.now())
        .execute(&mut *conn)
        .await?;
    let (order_name, ended) = (name(conversion, order), !order.state.is_live());
    bookkeeping::sales::fill_reversed(conn, base, order_name, fill, ended).await?;
    let new = case::NewCase {
        kind: "fill_reversed",
        subject: &format!("{}:{}", conversion.venue, fill.trade_id),
        payment: None,
        amount: Some(fill.sold),
        detail: json!({
            "conversion": conversion.id, "order": order.client_ref, "gross": fill.gross,
            "state": conversion.state.name(),
        }),
    };
    case::open_in(conn, base, new).await
}

/// Booked executions of the order that still count and that the venue does not list.
async fn unlisted(
    conn: &mut PgConnection,
    conversion: &Conversion,
    order: &OrderAttempt,
    facts: &OrderFacts,
) -> Result<Vec<FillFacts>, Error> {
    let rows = sqlx::query(
        "select trade_id, sold_minor::text as sold, gross_minor::text as gross,
           fee_minor::text as fee, fee_gst_minor::text as fee_gst, tds_minor::text as tds, price,
           executed_at, fee_asset
         from fills f where conversion_id = $1 and attempt = $2 and not exists
           (select from fill_reversals r where r.venue = f.venue and r.trade_id = f.trade_id)
         order by trade_id",
    )
    .bind(conversion.id.uuid())
    .bind(order.attempt)
    .fetch_all(conn)
    .await?;
    let listed: BTreeSet<&str> = facts.fills.iter().map(|fill| fill.trade_id.as_str()).collect();
    let mut missing = Vec::new();
    for row in rows {
        let trade_id: String = row.try_get("trade_id")?;
        if listed.contains(trade_id.as_str()) {
            continue;
        }
        let of = |column, asset| money_column::amount(row.try_get(column)?, asset);
        let quote = conversion.quote;
        missing.push(FillFacts {
            trade_id,
            sold: money_column::amount(row.try_get("sold")?, conversion.asset)?,
            gross: of("gross", quote)?,
            fee: of("fee", money_column::asset(row.try_get("fee_asset")?)?)?,
            fee_gst: of("fee_gst", quote)?,
            tds: of("tds", quote)?,
            price: row.try_get("price")?,
            executed_at: row.try_get("executed_at")?,
        });
    }
    Ok(missing)
}

async fn set_missing_since(
    conn: &mut PgConnection,
    order: &OrderAttempt,
    since: Option<DateTime<Utc>>,
) -> Result<(), Error> {
    if order.missing_since == since {
        return Ok(());
    }
    sqlx::query(
        "update order_attempts set missing_since = $3 where conversion_id = $1 and attempt = $2",
    )
    .bind(order.conversion.uuid())
    .bind(order.attempt)
    .bind(since)
    .execute(conn)
    .await?;
    Ok(())
}
