//! Reading the history of ticks, and keeping it: days ahead of time, thinned with age.
//!
//! Invariant: the newest tick is the one that was written last, whatever clock stamped it. What is
//! asked for all the time looks at the last days only, so that its cost does not grow with the
//! history.

use chrono::{DateTime, TimeDelta, Utc};
use primitives::Asset;
use rust_decimal::Decimal;
use serde_json::Value;
use sqlx::{PgConnection, Row, postgres::PgRow};

use super::{BoardRate, RouteBook, Verdict};
use crate::{Base, Error, money_column};

fn read(row: &PgRow) -> Result<BoardRate, Error> {
    let broken = |_| Error::Inconsistent("stored rate tick".into());
    let bids = serde_json::from_value(row.try_get::<Value, _>("bids")?).map_err(broken)?;
    let routes: Option<Value> = row.try_get("routes")?;
    let markets: Option<Value> = row.try_get("markets")?;
    let range =
        row.try_get::<Option<Decimal>, _>("low")?.zip(row.try_get::<Option<Decimal>, _>("high")?);
    let mut rate = BoardRate {
        tick: row.try_get("id")?,
        base: money_column::asset(row.try_get("base")?)?,
        at: row.try_get::<DateTime<Utc>, _>("at")?,
        verdict: Verdict::from_parts(row.try_get("verdict")?, row.try_get("reason")?),
        bid: row.try_get("bid")?,
        ask: row.try_get("ask")?,
        sources: serde_json::from_value(row.try_get::<Value, _>("sources")?).map_err(broken)?,
        bids,
        routes: routes.map(serde_json::from_value).transpose().map_err(broken)?.unwrap_or_default(),
        markets: markets
            .map(serde_json::from_value)
            .transpose()
            .map_err(broken)?
            .unwrap_or_default(),
        range,
    };
    rate.name_routes();
    Ok(rate)
}

impl BoardRate {
    /// What an older version wrote has one way, the venue's own.
    pub(super) fn name_routes(&mut self) {
        if self.routes.is_empty() && !self.bids.is_empty() {
            let bids = self.bids.clone();
            self.routes.push(RouteBook { venues: Vec::new(), bids, refused: None });
        }
    }
}

/// A statement about the newest row, for the last days alone and for all of them.
macro_rules! newest {
    ($what:literal, $which:literal) => {
        [
            concat!(
                "select ",
                $what,
                " from rate_ticks where base = $1 and at >= now() - interval '2 days'",
                $which,
                " order by id desc limit 1"
            ),
            concat!(
                "select ",
                $what,
                " from rate_ticks where base = $1",
                $which,
                " order by id desc limit 1"
            ),
        ]
    };
}

async fn newest_row(
    conn: &mut PgConnection,
    asset: Asset,
    sql: [&'static str; 2],
) -> Result<Option<PgRow>, Error> {
    for sql in sql {
        let row = sqlx::query(sql).bind(asset.code()).fetch_optional(&mut *conn).await?;
        if row.is_some() {
            return Ok(row);
        }
    }
    Ok(None)
}

/// The newest tick of an asset in the history.
///
/// # Errors
/// `Database`, `Inconsistent`.
pub async fn latest_in(conn: &mut PgConnection, asset: Asset) -> Result<Option<BoardRate>, Error> {
    let sql = newest!(
        "id, base, at, verdict, reason, bid, ask, sources, bids, routes, markets, low, high",
        ""
    );
    newest_row(conn, asset, sql).await?.map(|row| read(&row)).transpose()
}

/// The newest word about an asset, with its time.
pub(crate) async fn verdict_in(
    conn: &mut PgConnection,
    asset: Asset,
) -> Result<Option<(Verdict, DateTime<Utc>)>, Error> {
    let row = newest_row(conn, asset, newest!("verdict, reason, at", "")).await?;
    row.map(|row| {
        let verdict = Verdict::from_parts(row.try_get("verdict")?, row.try_get("reason")?);
        Ok((verdict, row.try_get("at")?))
    })
    .transpose()
}

/// The median of the middles of the last ten minutes that could be used, the lower one of an even
/// number; `None` when nothing could.
///
/// # Errors
/// `Database`.
pub async fn median_in(
    conn: &mut PgConnection,
    base: &Base,
    asset: Asset,
) -> Result<Option<Decimal>, Error> {
    let median: Option<Decimal> = sqlx::query_scalar(
        "select percentile_disc(0.5) within group (order by (bid + ask) / 2) from rate_ticks
         where base = $1 and verdict <> 'unusable' and at >= $2",
    )
    .bind(asset.code())
    .bind(base.now() - TimeDelta::minutes(10))
    .fetch_one(conn)
    .await?;
    Ok(median)
}

/// The median of the last tick that could be used, if that was in the last ten minutes: what a sale
/// is compared with.
///
/// # Errors
/// `Database`.
pub async fn last_good_in(
    conn: &mut PgConnection,
    base: &Base,
    asset: Asset,
) -> Result<Option<Decimal>, Error> {
    let since = base.now() - TimeDelta::minutes(10);
    let price: Option<Decimal> = sqlx::query_scalar(
        "select (bid + ask) / 2 from rate_ticks
         where base = $1 and verdict <> 'unusable' and at >= $2 order by id desc limit 1",
    )
    .bind(asset.code())
    .bind(since)
    .fetch_optional(conn)
    .await?;
    Ok(price)
}

/// The middle of the newest tick that could be used, however old, with its time: what a jump is
/// measured from.
///
/// # Errors
/// `Database`.
pub async fn last_usable_in(
    conn: &mut PgConnection,
    asset: Asset,
) -> Result<Option<(Decimal, DateTime<Utc>)>, Error> {
    let sql = newest!("(bid + ask) / 2 as middle, at", " and verdict <> 'unusable'");
    let row = newest_row(conn, asset, sql).await?;
    row.map(|row| Ok((row.try_get("middle")?, row.try_get("at")?))).transpose()
}

/// Makes the partitions of the days to come; answers how many were new. A tick of a day without
/// one is kept all the same.
///
/// # Errors
/// `Database`: also when others kept the history busy.
pub async fn keep_days_in(conn: &mut PgConnection, base: &Base) -> Result<i32, Error> {
    let made = sqlx::query_scalar("select keep_rate_days($1)").bind(base.now());
    Ok(made.fetch_one(conn).await?)
}

/// Thins what is older than a week, ten days of it at most; answers how many ticks went.
///
/// # Errors
/// `Database`.
pub async fn thin_in(conn: &mut PgConnection, base: &Base) -> Result<i64, Error> {
    let gone = sqlx::query_scalar("select thin_rate_ticks($1)").bind(base.now());
    Ok(gone.fetch_one(conn).await?)
}
