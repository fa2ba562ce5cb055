//! The executions of orders: booked once each, and what they add up to.
//!
//! Invariant: a trade is booked once, whoever reports it and however late; one that is taken back
//! counts no more. What a venue does with a trade it has told us stands in `turns`.

use primitives::{Amount, Asset};
use serde_json::json;
use sqlx::PgConnection;

use super::{Conversion, ConversionState, FillFacts, OrderAttempt, dust, judge};
use crate::{
    Base, Error,
    bookkeeping::{self, sales::OrderName},
    case, money_column,
};

pub(super) const fn name<'a>(conversion: &'a Conversion, order: &'a OrderAttempt) -> OrderName<'a> {
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
    let known = FillFacts {
        trade_id: name_in(conn, conversion, order, &fill.trade_id).await?,
        ..fill.clone()
    };
    let fill = &known;
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
    post_in(conn, base, conversion, order, fill).await?;
    Ok(true)
}

/// Posts an execution that counts, of an order that is alive or has ended.
pub(super) async fn post_in(
    conn: &mut PgConnection,
    base: &Base,
    conversion: &Conversion,
    order: &OrderAttempt,
    fill: &FillFacts,
) -> Result<(), Error> {
    if order.state.is_live() {
        let (venue, id) = (&conversion.venue, conversion.id.uuid());
        return bookkeeping::filled(conn, base, venue, id, fill).await;
    }
    bookkeeping::sales::filled_late(conn, base, name(conversion, order), fill).await
}

/// The name a trade is booked under: its own, or the bare number if an older release has booked it
/// so. What is booked is never renamed.
async fn name_in(
    conn: &mut PgConnection,
    conversion: &Conversion,
    order: &OrderAttempt,
    trade_id: &str,
) -> Result<String, Error> {
    let Some(bare) = bare_name(conversion, trade_id) else { return Ok(trade_id.to_owned()) };
    let is_old: bool = sqlx::query_scalar(
        "select exists (select from fills
           where venue = $1 and trade_id = $2 and conversion_id = $3 and attempt = $4)",
    )
    .bind(&conversion.venue)
    .bind(bare)
    .bind(conversion.id.uuid())
    .bind(order.attempt)
    .fetch_one(conn)
    .await?;
    Ok(if is_old { bare } else { trade_id }.to_owned())
}

/// What a trade of a rupee market was called before its market was part of its name.
pub(super) fn bare_name<'a>(conversion: &Conversion, trade_id: &'a str) -> Option<&'a str> {
    let market = format!("{}{}-", conversion.asset, conversion.quote);
    trade_id.strip_prefix(&market).filter(|_| conversion.quote == Asset::Inr)
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
           (select from fills_taken_back r where r.venue = f.venue and r.trade_id = f.trade_id)",
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
           (select from fills_taken_back r where r.venue = f.venue and r.trade_id = f.trade_id)",
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
