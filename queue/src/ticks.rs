//! Periodic work without a cron: each process computes the current tick, one insert wins.
//!
//! Invariant: one run per tick however many processes tick, because the key `cron:{name}:{tick}` is
//! unique. A tick is skipped while an earlier one of the same name is pending or running, missed
//! ticks are not made up for, and a new tick replaces an earlier one that is backing off (its
//! attempts stay in the log).

use std::sync::Arc;
use std::time::Duration;

use chrono::{DateTime, TimeDelta, Utc};
use primitives::Clock;
use sqlx::{PgConnection, PgPool};
use tokio::sync::watch;

use crate::enqueue::{Enqueued, Prepared, insert_once};
use crate::error::{QueueError, chain};
use crate::job::JobArgs;

/// No sleep between ticks is longer: clocks may be set.
const SLEEP_MAX: Duration = Duration::from_secs(1);
const SLEEP_MIN: Duration = Duration::from_millis(20);
/// Keys of ticks are kept this long, at least.
const KEPT: TimeDelta = TimeDelta::days(1);

type Make = dyn Fn(String) -> Result<Prepared, QueueError> + Send + Sync;

struct Entry {
    name: &'static str,
    every_ms: i64,
    make: Box<Make>,
}

/// What runs how often. Build it once, tick it from every process.
#[derive(Default)]
pub struct Schedule(Vec<Entry>);

impl std::fmt::Debug for Schedule {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_list().entries(self.0.iter().map(|entry| (entry.name, entry.every_ms))).finish()
    }
}

impl Schedule {
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// Adds a line. `name` is unique per schedule and part of the job's key; intervals are whole
    /// milliseconds, at least one.
    #[must_use]
    pub fn every<J: JobArgs>(
        mut self,
        name: &'static str,
        every: Duration,
        make: impl Fn() -> J + Send + Sync + 'static,
    ) -> Self {
        let every_ms = i64::try_from(every.as_millis()).unwrap_or(i64::MAX).max(1);
        let make = Box::new(move |key| Prepared::new(&make(), key));
        self.0.push(Entry { name, every_ms, make });
        self
    }

    /// Enqueues whatever is due in the tick `now` falls into; returns how many jobs are new.
    pub async fn tick(
        &self,
        conn: &mut PgConnection,
        now: DateTime<Utc>,
    ) -> Result<usize, QueueError> {
        let mut new: usize = 0;
        for entry in &self.0 {
            if entry.tick(conn, now).await? == Enqueued::New {
                new = new.saturating_add(1);
            }
        }
        Ok(new)
    }

    /// Ticks until `shutdown` becomes true. Weather is logged and the tick is tried again.
    pub async fn run(
        self,
        pool: PgPool,
        clock: Arc<dyn Clock>,
        mut shutdown: watch::Receiver<bool>,
    ) {
        let mut settled: Vec<i64> = vec![-1; self.0.len()];
        loop {
            let now = clock.now();
            for (entry, settled) in self.0.iter().zip(&mut settled) {
                if *settled == entry.number(now) {
                    continue;
                }
                let ticked = async { entry.tick(&mut *pool.acquire().await?, now).await };
                match ticked.await {
                    Ok(_) => *settled = entry.number(now),
                    Err(error) => {
                        tracing::warn!(tick = entry.name, error = chain(&error), "a tick failed");
                    }
                }
            }
            let pause = tokio::time::sleep(self.until_next(clock.now()));
            tokio::select! {
                () = pause => {}
                _ = shutdown.wait_for(|wanted| *wanted) => return,
            }
        }
    }

    fn until_next(&self, now: DateTime<Utc>) -> Duration {
        let left = self.0.iter().map(|entry| {
            let past = now.timestamp_millis().rem_euclid(entry.every_ms);
            u64::try_from(entry.every_ms.saturating_sub(past)).unwrap_or(0)
        });
        left.min().map_or(SLEEP_MAX, Duration::from_millis).clamp(SLEEP_MIN, SLEEP_MAX)
    }
}

impl Entry {
    fn number(&self, now: DateTime<Utc>) -> i64 {
        now.timestamp_millis().div_euclid(self.every_ms)
    }

    async fn tick(
        &self,
        conn: &mut PgConnection,
        now: DateTime<Utc>,
    ) -> Result<Enqueued, QueueError> {
        let prefix = format!("cron:{}:", self.name);
        let job = (self.make)(format!("{prefix}{}", self.number(now)))?;
        let open: bool = sqlx::query_scalar(
            "SELECT EXISTS (SELECT FROM apalis.jobs WHERE job_type = $1 AND status <> 'Done' \
             AND status IN ('Pending', 'Queued', 'Running') AND starts_with(idempotency_key, $2))",
        )
        .bind(job.kind())
        .bind(&prefix)
        .fetch_one(&mut *conn)
        .await?;
        if open {
            return Ok(Enqueued::AlreadyQueued);
        }
        let enqueued = insert_once(&mut *conn, &job, now).await?;
        if enqueued == Enqueued::New {
            self.forget(conn, &job, &prefix, now).await?;
        }
        Ok(enqueued)
    }

    /// Earlier ticks that back off are moot now; ended ones are kept long enough that no process
    /// with a slow clock can run them again.
    async fn forget(
        &self,
        conn: &mut PgConnection,
        job: &Prepared,
        prefix: &str,
        now: DateTime<Utc>,
    ) -> Result<(), QueueError> {
        let two_ticks = TimeDelta::milliseconds(self.every_ms.saturating_mul(2).min(1 << 50));
        let before = now.checked_sub_signed(two_ticks.max(KEPT)).unwrap_or(DateTime::UNIX_EPOCH);
        sqlx::query(
            "DELETE FROM apalis.jobs WHERE job_type = $1 AND starts_with(idempotency_key, $2) \
             AND idempotency_key <> $3 AND (status = 'Failed' \
               OR (status IN ('Done', 'Killed') AND run_at < $4))",
        )
        .bind(job.kind())
        .bind(prefix)
        .bind(job.key())
        .bind(before)
        .execute(conn)
        .await?;
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn entry(every_ms: i64) -> Entry {
        let make = Box::new(|_: String| Err(QueueError::DuplicateKind("never made")));
        Entry { name: "rates", every_ms, make }
    }

    #[test]
    fn ticks_are_the_same_for_everybody_within_an_interval() {
        let entry = entry(30_000);
        let at = |ms| entry.number(DateTime::from_timestamp_millis(ms).unwrap());
        assert_eq!(at(60_000), at(89_999));
        assert_eq!(at(90_000), at(60_000) + 1);
        assert_eq!(at(-1), -1);
    }

    #[test]
    fn sleeps_to_the_next_boundary_within_limits() {
        let schedule = Schedule(vec![entry(30_000), entry(700)]);
        let left = |ms| schedule.until_next(DateTime::from_timestamp_millis(ms).unwrap());
        assert_eq!(left(0), Duration::from_millis(700));
        assert_eq!(left(699), SLEEP_MIN);
        assert_eq!(Schedule::new().until_next(DateTime::UNIX_EPOCH), SLEEP_MAX);
    }
}
