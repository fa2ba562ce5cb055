//! Running due jobs by our own clock, without the engine's loop: for stories on a manual clock.
//!
//! Invariant: the same claim, the same supervised execution and the same fenced completion as in
//! production; only *due* means `run_at <= clock.now()`, one job runs at a time, and the order is a
//! function of the rows (priority, time, kind, key), so a replay runs alike.

use std::sync::Arc;

use primitives::Clock;

use super::execute::{Claim, Ended, Supervisor};
use super::{Kind, Runner};
use crate::error::QueueError;

/// More runs than any story needs: a job that always wants to run *now* never lets us rest.
const RUNS_MAX: usize = 20_000;

/// What a drain did.
#[derive(Debug, Default, Clone, PartialEq, Eq)]
pub struct Drained {
    /// Bodies that ran, well or badly.
    pub runs: usize,
    pub failures: Vec<Failure>,
}

/// One run that ended badly.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Failure {
    pub kind: &'static str,
    pub key: String,
    pub attempt: i32,
    pub error: String,
}

impl Runner {
    /// Runs every job of the registered kinds that is due by our clock, and those they make due,
    /// until none is left.
    ///
    /// Jobs held by an earlier drain of this runner that was dropped half-way are orphans: they are
    /// taken back first, as a lease that ran out would do.
    pub async fn drain(&self) -> Result<Drained, QueueError> {
        self.refuse_duplicates()?;
        let _alone = self.draining.lock().await;
        self.sign_on().await?;
        let clock: Arc<dyn Clock> = self.clock.clone();
        let supervisor = Supervisor {
            pool: self.pool.clone(),
            heartbeat: self.timings.heartbeat,
            now: Some(Arc::new(move || clock.now())),
        };
        let mut drained = Drained::default();
        while let Some((claim, key)) = self.claim_due().await? {
            if drained.runs >= RUNS_MAX {
                return Err(QueueError::Runaway(drained.runs));
            }
            match supervisor.run(&claim).await {
                Ended::NotOurs => continue,
                Ended::Well | Ended::Lost => {}
                Ended::Badly { attempt, error } => {
                    drained.failures.push(Failure { kind: claim.kind.name, key, attempt, error });
                }
            }
            drained.runs = drained.runs.saturating_add(1);
        }
        Ok(drained)
    }

    /// One name per kind, so that live workers of that kind rescue the jobs of a drain that died.
    async fn sign_on(&self) -> Result<(), sqlx::Error> {
        sqlx::query(
            "INSERT INTO apalis.workers (id, worker_type, storage_name, layers, last_seen) \
             SELECT $1 || kind, kind, 'drain', '', now() FROM unnest($2::text[]) AS kind \
             ON CONFLICT (id) DO UPDATE SET last_seen = now()",
        )
        .bind(self.drain_prefix())
        .bind(self.kinds())
        .execute(&self.pool)
        .await?;
        sqlx::query(
            "UPDATE apalis.jobs SET status = 'Pending', lock_by = NULL, lock_at = NULL, \
               last_result = '{\"Err\": \"Re-enqueued due to worker abandoning its drain.\"}' \
             WHERE lock_by IN (SELECT $1 || kind FROM unnest($2::text[]) AS kind) \
             AND status IN ('Queued', 'Running')",
        )
        .bind(self.drain_prefix())
        .bind(self.kinds())
        .execute(&self.pool)
        .await?;
        Ok(())
    }

    async fn claim_due(&self) -> Result<Option<(Claim, String)>, QueueError> {
        let claimed: Option<(String, String, Option<String>)> = sqlx::query_as(
            "UPDATE apalis.jobs SET status = 'Queued', lock_by = $1 || job_type, lock_at = now() \
             WHERE id = (SELECT id FROM apalis.jobs WHERE job_type = ANY ($2) AND run_at <= $3 \
               AND (status = 'Pending' OR (status = 'Failed' AND attempts < max_attempts)) \
               ORDER BY priority DESC, run_at, job_type, idempotency_key, id LIMIT 1 \
               FOR UPDATE SKIP LOCKED) \
             RETURNING id, job_type, idempotency_key",
        )
        .bind(self.drain_prefix())
        .bind(self.kinds())
        .bind(self.clock.now())
        .fetch_optional(&self.pool)
        .await?;
        Ok(claimed.and_then(|(job_id, job_type, key)| {
            let kind = self.kind(&job_type)?.clone();
            let worker: Arc<str> = format!("{}{job_type}", self.drain_prefix()).into();
            Some((Claim { job_id, kind, worker }, key.unwrap_or_default()))
        }))
    }

    fn drain_prefix(&self) -> String {
        format!("{}/drain/", self.name)
    }

    fn kind(&self, name: &str) -> Option<&Arc<Kind>> {
        self.kinds.iter().find(|kind| kind.name == name)
    }
}
