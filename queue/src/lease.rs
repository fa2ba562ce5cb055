//! The right to act as the holder of one run of a job.
//!
//! Invariant: whatever is written through a lease is fenced by job, worker *and* run token. The
//! token is new for every run, so even the same worker cannot finish a run it has lost and taken
//! up again.

use std::sync::Arc;

use chrono::{DateTime, Utc};
use sqlx::PgConnection;

use crate::error::{JobError, storable};
use crate::job::Outcome;

#[derive(Debug, Clone)]
pub struct Lease(Arc<Held>);

#[derive(Debug)]
struct Held {
    job_id: String,
    worker: Arc<str>,
    run: String,
    attempt: i32,
}

impl Lease {
    pub(crate) fn new(job_id: String, worker: Arc<str>, run: String, attempt: i32) -> Self {
        Self(Arc::new(Held { job_id, worker, run, attempt }))
    }

    /// 1 for the first try since the job was enqueued or last waited.
    #[must_use]
    pub fn attempt(&self) -> i32 {
        self.0.attempt
    }

    #[must_use]
    pub fn job_id(&self) -> &str {
        &self.0.job_id
    }

    /// Fails with `LeaseLost` unless this run still holds the job, and keeps it so until the
    /// transaction ends. Use it at the start of any transaction that must be fenced.
    ///
    /// The lock is the weakest that holds off a takeover (`FOR KEY SHARE`): others may still leave
    /// a re-run mark, so it cannot deadlock with an `enqueue` that comes after business locks.
    pub async fn hold_in(&self, conn: &mut PgConnection) -> Result<(), JobError> {
        let held: Option<i32> = sqlx::query_scalar(
            "SELECT 1 FROM apalis.jobs WHERE id = $1 AND lock_by = $2 AND status = 'Running' \
             AND metadata -> 'run' = $3 FOR KEY SHARE",
        )
        .bind(&self.0.job_id)
        .bind(&*self.0.worker)
        .bind(&self.0.run)
        .fetch_optional(conn)
        .await?;
        held.map(|_| ()).ok_or(JobError::LeaseLost)
    }

    /// Completes the job inside the caller's business transaction; `LeaseLost` means: roll back.
    /// The supervisor then finds nothing left to do.
    pub async fn finish_in(
        &self,
        conn: &mut PgConnection,
        outcome: &Outcome,
    ) -> Result<(), JobError> {
        if self.complete(conn, outcome).await? { Ok(()) } else { Err(JobError::LeaseLost) }
    }

    /// Writes the outcome; false if this run no longer holds the job.
    pub(crate) async fn complete(
        &self,
        conn: &mut PgConnection,
        outcome: &Outcome,
    ) -> Result<bool, sqlx::Error> {
        let (status, result, at) = match outcome {
            Outcome::Done => ("Done", serde_json::json!({ "Ok": "done" }), None),
            Outcome::Again(at) => ("Pending", serde_json::json!({ "Again": at }), Some(*at)),
            Outcome::Stop(why) => ("Killed", serde_json::json!({ "Err": storable(why) }), None),
        };
        let done = sqlx::query(
            "UPDATE apalis.jobs SET status = $4, last_result = $5, \
               run_at = coalesce($6, run_at), \
               done_at = CASE WHEN $4 = 'Pending' THEN NULL ELSE now() END \
             WHERE id = $1 AND lock_by = $2 AND status = 'Running' AND metadata -> 'run' = $3",
        )
        .bind(&self.0.job_id)
        .bind(&*self.0.worker)
        .bind(&self.0.run)
        .bind(status)
        .bind(result)
        .bind(at)
        .execute(conn)
        .await?;
        Ok(done.rows_affected() == 1)
    }

    /// Takes the lease away after a failure; the trigger counts and backs off from `now` (the
    /// database's, if none is given) and decides the status, which is returned: `Failed` or
    /// `Killed`. `None` if this run no longer holds the job.
    ///
    /// `FOR UPDATE` waits for a transaction of the body that holds the lease right now: if it
    /// commits its own completion, there is nothing left to fail.
    pub(crate) async fn fail(
        &self,
        conn: &mut PgConnection,
        failure: &FailedRun,
        now: Option<DateTime<Utc>>,
    ) -> Result<Option<String>, sqlx::Error> {
        sqlx::query_scalar(
            "WITH held AS ( \
               SELECT id FROM apalis.jobs WHERE id = $1 AND lock_by = $2 AND status = 'Running' \
               AND metadata -> 'run' = $3 FOR UPDATE) \
             UPDATE apalis.jobs AS j SET status = 'Failed', last_result = $4, \
               metadata = j.metadata \
                 || CASE WHEN $5::text IS NULL THEN ''::hstore \
                         ELSE hstore('retry_after_ms', $5) END \
                 || CASE WHEN $6::timestamptz IS NULL THEN ''::hstore \
                         ELSE hstore('now', $6::timestamptz::text) END \
             FROM held WHERE j.id = held.id RETURNING j.status",
        )
        .bind(&self.0.job_id)
        .bind(&*self.0.worker)
        .bind(&self.0.run)
        .bind(serde_json::json!({ "Err": storable(&failure.error) }))
        .bind(failure.retry_after.map(|wait| wait.as_millis().to_string()))
        .bind(now)
        .fetch_optional(conn)
        .await
    }

    /// Keeps the worker's lease alive while the body runs, even if the worker's own loop has ended
    /// with a database error and been restarted under another name.
    pub(crate) async fn beat(&self, conn: &mut PgConnection) -> Result<(), sqlx::Error> {
        sqlx::query(
            "UPDATE apalis.workers SET last_seen = now() WHERE id = $2 AND EXISTS ( \
               SELECT FROM apalis.jobs WHERE id = $1 AND lock_by = $2 AND status = 'Running' \
               AND metadata -> 'run' = $3)",
        )
        .bind(&self.0.job_id)
        .bind(&*self.0.worker)
        .bind(&self.0.run)
        .execute(conn)
        .await?;
        Ok(())
    }
}

/// A run that ended badly, in the words that are stored.
#[derive(Debug)]
pub(crate) struct FailedRun {
    pub(crate) error: String,
    pub(crate) retry_after: Option<std::time::Duration>,
}
