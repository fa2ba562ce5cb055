//! The reader's side: the newest tick of each asset, from Redis or else from Postgres.
//!
//! Invariant: Redis is a shortcut for readers. Its absence or slowness costs a query; its nonsense
//! is shown at most for as long as a rate may be old, and is never a price: a quote reads the
//! newest tick of the history itself (`quote::create`). Nobody is refused by its word alone, an
//! older tick never replaces a newer one there, and each database has names of its own.

use std::{sync::Arc, time::Duration};

use primitives::Asset;
use redis::AsyncCommands;
use tokio::sync::OnceCell;

use super::{BoardRate, RateRefusal, Verdict, history::latest_in, is_fresh};
use crate::{Base, Error};

/// Sets what is shown unless a newer tick is there already. Nonsense is overwritten.
const SHOW: &str = "
local shown = redis.call('GET', KEYS[1])
if shown then
  local is_json, rate = pcall(cjson.decode, shown)
  local tick = is_json and type(rate) == 'table' and tonumber(rate.tick)
  if tick and tick > tonumber(ARGV[1]) then return 0 end
end
redis.call('SET', KEYS[1], ARGV[2], 'EX', ARGV[3])
return 1";

const REDIS_TIMEOUT: Duration = Duration::from_millis(150);

/// The reader's side of the board.
#[derive(Clone)]
pub struct Board {
    base: Base,
    redis: Option<redis::aio::ConnectionManager>,
    /// What names this database among all that share a Redis; asked for once.
    home: Arc<OnceCell<String>>,
}

impl std::fmt::Debug for Board {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Board").field("redis", &self.redis.is_some()).finish_non_exhaustive()
    }
}

impl Board {
    /// A board over Postgres, with Redis in front of it when there is one.
    #[must_use]
    pub fn new(base: Base, redis: Option<redis::aio::ConnectionManager>) -> Self {
        Self { base, redis, home: Arc::default() }
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
        Self::new(base, manager.ok())
    }

    /// The newest usable rate of an asset. That there is none must be in the history.
    ///
    /// # Errors
    /// `RateRefusal`: no rate, too old, or judged unusable.
    pub async fn latest(&self, asset: Asset) -> Result<BoardRate, RateRefusal> {
        let is_usable = |rate: &BoardRate| !matches!(rate.verdict, Verdict::Unusable(_));
        let rate = match self.cached(asset).await.filter(is_usable) {
            Some(rate) => rate,
            None => self.stored(asset).await?.ok_or(RateRefusal::Missing)?,
        };
        let age = self.base.now().signed_duration_since(rate.at);
        if !is_fresh(&self.base, rate.at) {
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
        let Some(key) = self.key(rate.base).await else { return };
        let mut redis = redis.clone();
        let life_s = self.base.settings.rate_max_age_s.max(1);
        let mut show = redis::cmd("EVAL");
        show.arg(SHOW).arg(1).arg(key).arg(rate.tick).arg(text).arg(life_s);
        let write = show.query_async::<i64>(&mut redis);
        if !matches!(tokio::time::timeout(REDIS_TIMEOUT, write).await, Ok(Ok(_))) {
            tracing::warn!(asset = %rate.base, "rate not published to redis");
        }
    }

    /// Where an asset's tick is in Redis: the server and the database are part of the name, so that
    /// two fleets may share a Redis without a setting. `None` when they cannot be told: then there
    /// is no shortcut.
    async fn key(&self, asset: Asset) -> Option<String> {
        let ask = async || {
            sqlx::query_scalar::<_, String>(
                "select (select system_identifier from pg_control_system()) || ':' || oid
                 from pg_database where datname = current_database()",
            )
            .fetch_one(&self.base.pool)
            .await
        };
        match self.home.get_or_try_init(ask).await {
            Ok(home) => Some(format!("chukta:{home}:rate:{asset}")),
            Err(error) => {
                let error = Error::from(error);
                tracing::warn!(%error, "the database does not tell its name: redis is not used");
                None
            }
        }
    }

    async fn newest(&self, asset: Asset) -> Result<Option<BoardRate>, Error> {
        if let Some(rate) = self.cached(asset).await {
            return Ok(Some(rate));
        }
        self.stored(asset).await
    }

    async fn stored(&self, asset: Asset) -> Result<Option<BoardRate>, Error> {
        let mut conn = self.base.pool.acquire().await?;
        latest_in(&mut conn, asset).await
    }

    async fn cached(&self, asset: Asset) -> Option<BoardRate> {
        let mut redis = self.redis.clone()?;
        let read = redis.get::<_, Option<String>>(self.key(asset).await?);
        let text = tokio::time::timeout(REDIS_TIMEOUT, read).await.ok()?.ok()??;
        let mut rate: BoardRate = serde_json::from_str(&text).ok()?;
        rate.name_routes();
        (rate.base == asset && is_fresh(&self.base, rate.at)).then_some(rate)
    }
}
