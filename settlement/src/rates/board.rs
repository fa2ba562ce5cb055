//! Where ticks are kept: every one in Postgres, the newest of each asset in Redis for readers.
//!
//! Invariant: Redis is a shortcut. Its absence, slowness or nonsense costs a query, never a wrong
//! price: a tick read from it must be newer than what is too old anyway.

use std::time::Duration;

use chrono::{DateTime, TimeDelta, Utc};
use primitives::Asset;
use redis::AsyncCommands;
use rust_decimal::Decimal;
use serde_json::Value;
use sqlx::{PgConnection, Row, postgres::PgRow};

use super::{BoardRate, RateRefusal, Verdict, judge::Judgement};
use crate::{Base, Error, money_column};

/// Clocks of two processes of one fleet may differ by this much.
const CLOCKS_APART_S: i64 = 5;

const REDIS_TIMEOUT: Duration = Duration::from_millis(150);

/// The reader's side of the board.
#[derive(Clone)]
pub struct Board {
    base: Base,
    redis: Option<redis::aio::ConnectionManager>,
}

impl std::fmt::Debug for Board {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Board").field("redis", &self.redis.is_some()).finish_non_exhaustive()
    }
}

fn redis_key(asset: Asset) -> String {
    format!("chukta:rate:{asset}")
}

impl Board {
    /// A board over Postgres, with Redis in front of it when there is one.
    #[must_use]
    pub const fn new(base: Base, redis: Option<redis::aio::ConnectionManager>) -> Self {
        Self { base, redis }
    }

    /// A board with the Redis at `url` in front. A Redis that is away is tried again in the
    /// background; nothing waits for it.
    #[must_use]
    pub fn connect(base: Base, url: &str) -> Self {
        let config = redis::aio::ConnectionManagerConfig::new()
            .set_connection_timeout(Some(REDIS_TIMEOUT))
            .set_response_timeout(Some(REDIS_TIMEOUT))
            .set_number_of_retries(1);
        let manager = redis::Client::open(url)
            .and_then(|client| redis::aio::ConnectionManager::new_lazy_with_config(client, config));
        if manager.is_err() {
            tracing::warn!("the redis URL cannot be used: rates come from postgres");
        }
        Self { base, redis: manager.ok() }
    }

    /// The newest usable rate of an asset.
    ///
    /// # Errors
    /// `RateRefusal`: no rate, too old, or judged unusable.
    pub async fn latest(&self, asset: Asset) -> Result<BoardRate, RateRefusal> {
        let rate = self.newest(asset).await?.ok_or(RateRefusal::Missing)?;
        let age = self.base.now().signed_duration_since(rate.at);
        if !self.is_fresh(&rate) {
            return Err(RateRefusal::Stale { age_s: age.num_seconds() });
        }
        match rate.verdict {
            Verdict::Unusable(why) => Err(RateRefusal::Unusable(why)),
            Verdict::Good | Verdict::Degraded(_) => Ok(rate),
        }
    }

    /// The newest line of every asset that has one, usable or not.
    ///
    /// # Errors
    /// `Database`.
    pub async fn all(&self) -> Result<Vec<BoardRate>, Error> {
        let mut lines = Vec::new();
        for asset in Asset::ALL.into_iter().filter(|a| a.is_crypto()) {
            lines.extend(self.newest(asset).await?);
        }
        Ok(lines)
    }

    /// Puts a tick in front for readers. Failure is quiet: Postgres has it.
    pub async fn publish(&self, rate: &BoardRate) {
        let (Some(redis), Ok(text)) = (&self.redis, serde_json::to_string(rate)) else { return };
        let mut redis = redis.clone();
        let life_s = u64::try_from(self.base.settings.rate_max_age_s).unwrap_or(60);
        let write = redis.set_ex::<_, _, ()>(redis_key(rate.base), text, life_s);
        if !matches!(tokio::time::timeout(REDIS_TIMEOUT, write).await, Ok(Ok(()))) {
            tracing::warn!(asset = %rate.base, "rate not published to redis");
        }
    }

    async fn newest(&self, asset: Asset) -> Result<Option<BoardRate>, Error> {
        if let Some(rate) = self.cached(asset).await {
            return Ok(Some(rate));
        }
        let mut conn = self.base.pool.acquire().await?;
        latest_in(&mut conn, asset).await
    }

    async fn cached(&self, asset: Asset) -> Option<BoardRate> {
        let mut redis = self.redis.clone()?;
        let read = redis.get::<_, Option<String>>(redis_key(asset));
        let text = tokio::time::timeout(REDIS_TIMEOUT, read).await.ok()?.ok()??;
        let rate: BoardRate = serde_json::from_str(&text).ok()?;
        (rate.base == asset && self.is_fresh(&rate)).then_some(rate)
    }

    /// Not too old, and not from a future that our own clock does not know (nonsense in Redis, or
    /// another process's broken clock).
    fn is_fresh(&self, rate: &BoardRate) -> bool {
        let age = self.base.now().signed_duration_since(rate.at);
        let newest = TimeDelta::seconds(-CLOCKS_APART_S);
        age >= newest && age <= TimeDelta::seconds(self.base.settings.rate_max_age_s)
    }
}

fn read(row: &PgRow) -> Result<BoardRate, Error> {
    let broken = |_| Error::Inconsistent("stored rate tick".into());
    Ok(BoardRate {
        tick: row.try_get("id")?,
        base: money_column::asset(row.try_get("base")?)?,
        at: row.try_get::<DateTime<Utc>, _>("at")?,
        verdict: Verdict::from_parts(row.try_get("verdict")?, row.try_get("reason")?),
        bid: row.try_get("bid")?,
        ask: row.try_get("ask")?,
        sources: serde_json::from_value(row.try_get::<Value, _>("sources")?).map_err(broken)?,
        bids: serde_json::from_value(row.try_get::<Value, _>("bids")?).map_err(broken)?,
    })
}

/// The newest tick of an asset in the history.
///
/// # Errors
/// `Database`, `Inconsistent`.
pub async fn latest_in(conn: &mut PgConnection, asset: Asset) -> Result<Option<BoardRate>, Error> {
    sqlx::query(
        "select id, base, at, verdict, reason, bid, ask, sources, bids from rate_ticks
         where base = $1 order by id desc limit 1",
    )
    .bind(asset.code())
    .fetch_optional(conn)
    .await?
    .map(|row| read(&row))
    .transpose()
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
    let row = sqlx::query(
        "select (bid + ask) / 2 as middle, at from rate_ticks
         where base = $1 and verdict <> 'unusable' order by id desc limit 1",
    )
    .bind(asset.code())
    .fetch_optional(conn)
    .await?;
    row.map(|row| Ok((row.try_get("middle")?, row.try_get("at")?))).transpose()
}

/// Appends a judged tick to the history and answers it with its number.
///
/// # Errors
/// `Database`.
pub async fn record_in(
    conn: &mut PgConnection,
    base: &Base,
    asset: Asset,
    judged: Judgement,
    bids: Vec<super::Level>,
) -> Result<BoardRate, Error> {
    let now = base.now();
    let (verdict, reason) = judged.verdict.parts();
    let json = |value: Result<Value, serde_json::Error>| {
        value.map_err(|_| Error::Inconsistent("rate tick".into()))
    };
    let tick: i64 = sqlx::query_scalar(
        "insert into rate_ticks (base, at, verdict, reason, bid, ask, sources, bids)
         values ($1, $2, $3, $4, $5, $6, $7, $8) returning id",
    )
    .bind(asset.code())
    .bind(now)
    .bind(verdict)
    .bind(reason)
    .bind(judged.bid)
    .bind(judged.ask)
    .bind(json(serde_json::to_value(&judged.sources))?)
    .bind(json(serde_json::to_value(&bids))?)
    .fetch_one(conn)
    .await?;
    Ok(BoardRate {
        tick,
        base: asset,
        at: now,
        verdict: judged.verdict,
        bid: judged.bid,
        ask: judged.ask,
        sources: judged.sources,
        bids,
    })
}
