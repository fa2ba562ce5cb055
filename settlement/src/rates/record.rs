//! Writing a judged tick: the row, what changed with it, and the range of the minutes before.
//!
//! Invariant: ticks of one asset are written one after the other, so that an event is a change
//! against the word before it, whoever wrote that.

use std::collections::BTreeMap;

use chrono::{DateTime, TimeDelta, Utc};
use primitives::Asset;
use rust_decimal::Decimal;
use serde_json::Value;
use sqlx::{PgConnection, Row};

use super::{
    BoardRate, Routes, Verdict, events,
    history::{last_usable_in, verdict_in},
    judge::Judgement,
};
use crate::{
    Base, Error,
    conversion::{Market, Offer},
    money_column,
};

/// Over how long the range is taken that a restless price is known by.
const RANGE: TimeDelta = TimeDelta::minutes(10);

/// Appends a judged tick to the history and answers it with its number.
///
/// # Errors
/// `Database`.
pub async fn record_in(
    conn: &mut PgConnection,
    base: &Base,
    asset: Asset,
    judged: Judgement,
    routes: impl Into<Routes>,
) -> Result<BoardRate, Error> {
    let routes = routes.into();
    // The time is taken behind the lock: ticks are written in the order of their stamps.
    alone_in(conn, asset).await?;
    let at = base.now();
    let routes = named(routes, (asset, &base.settings.venue), at);
    let before = verdict_in(conn, asset).await?.map(|(verdict, _)| verdict);
    let range = range_in(conn, asset, at, middle(&judged)).await?;
    let mut rate = BoardRate {
        tick: 0,
        base: asset,
        at,
        verdict: judged.verdict,
        bid: judged.bid,
        ask: judged.ask,
        sources: judged.sources,
        bids: routes.direct(),
        routes: routes.books,
        markets: routes.markets,
        range,
    };
    rate.tick = insert_in(conn, &rate).await?;
    rate.name_routes();
    events::note_in(conn, base, before.as_ref(), &rate).await?;
    Ok(rate)
}

/// Whoever writes a tick of an asset waits for the one who writes another.
async fn alone_in(conn: &mut PgConnection, asset: Asset) -> Result<(), Error> {
    sqlx::query("select pg_advisory_xact_lock(hashtextextended('rate:' || $1, 0))")
        .bind(asset.code())
        .execute(conn)
        .await?;
    Ok(())
}

fn middle(judged: &Judgement) -> Option<Decimal> {
    judged.bid?.checked_add(judged.ask?)?.checked_div(Decimal::TWO)
}

/// A book alone is the rupee market of the settings' venue, of which nothing else is known.
fn named(mut routes: Routes, (asset, venue): (Asset, &str), at: DateTime<Utc>) -> Routes {
    for route in routes.books.iter_mut().filter(|route| route.venues.is_empty()) {
        route.venues = vec![venue.to_owned()];
        let market = Ok(Market::of_book(route.bids.clone(), at));
        let venue = venue.to_owned();
        routes.markets.push(Offer { venue, sell: asset, quote: Asset::Inr, market });
    }
    routes
}

/// The lowest and the highest middle of the last minutes, the one of now among them.
async fn range_in(
    conn: &mut PgConnection,
    asset: Asset,
    at: DateTime<Utc>,
    now: Option<Decimal>,
) -> Result<Option<(Decimal, Decimal)>, Error> {
    let Some(now) = now else { return Ok(None) };
    let (low, high): (Option<Decimal>, Option<Decimal>) = sqlx::query_as(
        "select min(bid + ask) / 2, max(bid + ask) / 2 from rate_ticks
         where base = $1 and at >= $2 and verdict <> 'unusable'",
    )
    .bind(asset.code())
    .bind(at - RANGE)
    .fetch_one(conn)
    .await?;
    Ok(Some((low.map_or(now, |low| low.min(now)), high.map_or(now, |high| high.max(now)))))
}

async fn insert_in(conn: &mut PgConnection, rate: &BoardRate) -> Result<i64, Error> {
    let json = |value: Result<Value, serde_json::Error>| {
        value.map_err(|_| Error::Inconsistent("rate tick".into()))
    };
    let (verdict, reason) = rate.verdict.parts();
    Ok(sqlx::query_scalar(
        "insert into rate_ticks
           (base, at, verdict, reason, bid, ask, sources, bids, routes, low, high, markets)
         values ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12) returning id",
    )
    .bind(rate.base.code())
    .bind(rate.at)
    .bind(verdict)
    .bind(reason)
    .bind(rate.bid)
    .bind(rate.ask)
    .bind(json(serde_json::to_value(&rate.sources))?)
    .bind(json(serde_json::to_value(&rate.bids))?)
    .bind(json(serde_json::to_value(&rate.routes))?)
    .bind(rate.range.map(|(low, _)| low))
    .bind(rate.range.map(|(_, high)| high))
    .bind(json(serde_json::to_value(&rate.markets))?)
    .fetch_one(conn)
    .await?)
}

/// The newest tick of an asset, as whoever watches a stream compares with it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Last {
    pub at: DateTime<Utc>,
    /// Absent when there was no price.
    pub middle: Option<Decimal>,
}

/// The newest tick of every asset that had one in the last minutes.
///
/// # Errors
/// `Database`, `Inconsistent`.
pub async fn last_ticks_in(
    conn: &mut PgConnection,
    base: &Base,
) -> Result<BTreeMap<Asset, Last>, Error> {
    let rows = sqlx::query(
        "select distinct on (base) base, at, (bid + ask) / 2 as middle from rate_ticks
         where at >= $1 order by base, id desc",
    )
    .bind(base.now() - TimeDelta::minutes(5))
    .fetch_all(conn)
    .await?;
    rows.iter()
        .map(|row| {
            let last = Last { at: row.try_get("at")?, middle: row.try_get("middle")? };
            Ok((money_column::asset(row.try_get("base")?)?, last))
        })
        .collect()
}

/// Records that there is nothing to judge an asset by, once what is known of it has grown too old
/// for quotes anyway: silence must be seen too. `None` while the last tick still holds.
///
/// # Errors
/// `Database`.
pub async fn missing_in(
    conn: &mut PgConnection,
    base: &Base,
    asset: Asset,
    why: &str,
) -> Result<Option<BoardRate>, Error> {
    let last = last_usable_in(conn, asset).await?;
    let oldest = base.now() - TimeDelta::seconds(base.settings.rate_max_age_s);
    if last.is_some_and(|(_, at)| at >= oldest) {
        let newest = verdict_in(conn, asset).await?;
        if newest.is_some_and(|(verdict, _)| !matches!(verdict, Verdict::Unusable(_))) {
            return Ok(None);
        }
    }
    let judged = Judgement {
        verdict: Verdict::Unusable(why.to_owned()),
        bid: None,
        ask: None,
        sources: Vec::new(),
    };
    record_in(conn, base, asset, judged, Routes::default()).await.map(Some)
}
