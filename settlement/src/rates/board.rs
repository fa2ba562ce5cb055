//! The reader's side: the newest tick of each asset, from Redis or else from Postgres.
//!
//! Invariant: Redis is a shortcut. Its absence, slowness or nonsense costs a query, never a wrong
//! price: a tick read from it must be newer than what is too old anyway.

use std::time::Duration;

use chrono::TimeDelta;
use primitives::Asset;
use redis::AsyncCommands;

use super::{BoardRate, RateRefusal, Verdict, history::latest_in};
use crate::{Base, Error};

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
        let mut rate: BoardRate = serde_json::from_str(&text).ok()?;
        rate.name_routes();
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
