//! Asking for work, inside the caller's transaction.
//!
//! Invariant: after the caller's commit the job runs at least once more; a duplicate is quiet and
//! never aborts the transaction. There is one row per kind and key, so that a business event cannot
//! pile up jobs; its history stands in `jobs.job_attempts`.
//!
//! Locks the job row until the caller's transaction ends: enqueue after taking business locks.

use chrono::{DateTime, Utc};
use sqlx::PgConnection;
use sqlx::postgres::types::PgHstore;

use crate::backoff::Policy;
use crate::error::QueueError;
use crate::job::JobArgs;

const KEY_CHARS_MAX: usize = 500;

/// What an enqueue found.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Enqueued {
    New,
    /// The row was at its end, or waiting out a back-off, and is pending again.
    Again,
    /// A run that starts after the commit was already certain, or is now (re-run mark).
    AlreadyQueued,
}

/// Arguments and limits of one job, free of its type.
#[derive(Debug)]
pub(crate) struct Prepared {
    kind: &'static str,
    key: String,
    args: Vec<u8>,
    max_attempts: i32,
    metadata: PgHstore,
}

impl Prepared {
    pub(crate) fn new<J: JobArgs>(job: &J, key: String) -> Result<Self, QueueError> {
        let kind = J::KIND;
        if key.is_empty()
            || key.chars().count() > KEY_CHARS_MAX
            || key.chars().any(char::is_control)
        {
            return Err(QueueError::Key { kind });
        }
        let args = serde_json::to_vec(job).map_err(|source| QueueError::Encode { kind, source })?;
        let max_attempts = J::MAX_ATTEMPTS.max(1);
        Ok(Self { kind, key, args, max_attempts, metadata: policy_marks(J::BACKOFF) })
    }

    pub(crate) fn kind(&self) -> &'static str {
        self.kind
    }

    pub(crate) fn key(&self) -> &str {
        &self.key
    }
}

/// A policy of its own travels with the row, where the trigger finds it.
fn policy_marks(policy: Policy) -> PgHstore {
    let mut marks = PgHstore::default();
    if policy != Policy::DEFAULT {
        let base = policy.base.as_millis().max(1).to_string();
        let cap = policy.cap.as_millis().max(1).to_string();
        marks.0.insert("backoff_base_ms".to_owned(), Some(base));
        marks.0.insert("backoff_cap_ms".to_owned(), Some(cap));
    }
    marks
}

/// Makes sure this job runs at least once *after* the caller's transaction commits.
///
/// Pending: `run_at` becomes the earlier of both. Queued or running: a re-run mark makes it pending
/// again when the run ends. Done, failed or killed: pending again, attempts from zero.
pub async fn enqueue<J: JobArgs>(
    conn: &mut PgConnection,
    job: &J,
    at: DateTime<Utc>,
) -> Result<Enqueued, QueueError> {
    upsert(conn, &Prepared::new(job, job.key())?, at, &["Done", "Killed", "Failed"]).await
}

/// Like [`enqueue`], for sweepers: a row that waits, runs or backs off is left exactly as it is, so
/// that a sweep every minute does not undo the back-off of a failing job.
pub async fn ensure<J: JobArgs>(
    conn: &mut PgConnection,
    job: &J,
    at: DateTime<Utc>,
) -> Result<Enqueued, QueueError> {
    let job = Prepared::new(job, job.key())?;
    let live: bool = sqlx::query_scalar(
        "SELECT EXISTS (SELECT FROM apalis.jobs WHERE job_type = $1 AND idempotency_key = $2 \
         AND status IN ('Pending', 'Queued', 'Running', 'Failed'))",
    )
    .bind(job.kind)
    .bind(&job.key)
    .fetch_one(&mut *conn)
    .await?;
    if live {
        return Ok(Enqueued::AlreadyQueued);
    }
    upsert(conn, &job, at, &["Done", "Killed"]).await
}

/// At most once per key for ever (as long as the row is kept).
pub async fn enqueue_once<J: JobArgs>(
    conn: &mut PgConnection,
    job: &J,
    key: &str,
    at: DateTime<Utc>,
) -> Result<Enqueued, QueueError> {
    insert_once(conn, &Prepared::new(job, key.to_owned())?, at).await
}

pub(crate) async fn insert_once(
    conn: &mut PgConnection,
    job: &Prepared,
    at: DateTime<Utc>,
) -> Result<Enqueued, QueueError> {
    let inserted = sqlx::query(
        "INSERT INTO apalis.jobs (id, job_type, job, status, attempts, max_attempts, run_at, \
           priority, metadata, idempotency_key) \
         VALUES (apalis.generate_ulid(), $1, $2, 'Pending', 0, $3, $4, 0, $5, $6) \
         ON CONFLICT (job_type, idempotency_key) DO NOTHING",
    )
    .bind(job.kind)
    .bind(&job.args)
    .bind(job.max_attempts)
    .bind(at)
    .bind(&job.metadata)
    .bind(&job.key)
    .execute(conn)
    .await?
    .rows_affected();
    Ok(if inserted == 1 { Enqueued::New } else { Enqueued::AlreadyQueued })
}

/// One statement, so that there is no moment between looking and writing. `armed` names the call
/// that last made the row pending; comparing it tells a re-arm from a row that was pending anyway.
async fn upsert(
    conn: &mut PgConnection,
    job: &Prepared,
    at: DateTime<Utc>,
    rearm: &[&str],
) -> Result<Enqueued, QueueError> {
    let (inserted, armed): (bool, bool) = sqlx::query_as(
        "WITH fresh AS MATERIALIZED (SELECT apalis.generate_ulid() AS id) \
         INSERT INTO apalis.jobs AS j (id, job_type, job, status, attempts, max_attempts, run_at, \
           priority, metadata, idempotency_key) \
         SELECT id, $1, $2, 'Pending', 0, $3, $4, 0, \
           $5::hstore || hstore('armed', id), $6 FROM fresh \
         ON CONFLICT (job_type, idempotency_key) DO UPDATE SET \
           status = CASE WHEN j.status = ANY ($7::text[]) THEN 'Pending' ELSE j.status END, \
           attempts = CASE WHEN j.status = ANY ($7::text[]) THEN 0 ELSE j.attempts END, \
           max_attempts = CASE WHEN j.status = ANY ($7::text[]) THEN $3 ELSE j.max_attempts END, \
           job = CASE WHEN j.status = ANY ($7::text[]) THEN $2 ELSE j.job END, \
           done_at = CASE WHEN j.status = ANY ($7::text[]) THEN NULL ELSE j.done_at END, \
           run_at = CASE WHEN j.status = ANY ($7::text[]) THEN $4 \
                         WHEN j.status = 'Pending' THEN least(j.run_at, $4) \
                         ELSE j.run_at END, \
           metadata = CASE \
             WHEN j.status = ANY ($7::text[]) THEN excluded.metadata \
             WHEN j.status IN ('Queued', 'Running') THEN coalesce(j.metadata, ''::hstore) \
               || hstore('rerun_at', least((j.metadata -> 'rerun_at')::timestamptz, $4)::text) \
             ELSE j.metadata END \
         RETURNING xmax = 0, metadata -> 'armed' IS NOT DISTINCT FROM (SELECT id FROM fresh)",
    )
    .bind(job.kind)
    .bind(&job.args)
    .bind(job.max_attempts)
    .bind(at)
    .bind(&job.metadata)
    .bind(&job.key)
    .bind(rearm)
    .fetch_one(conn)
    .await?;
    Ok(match (inserted, armed) {
        (true, _) => Enqueued::New,
        (false, true) => Enqueued::Again,
        (false, false) => Enqueued::AlreadyQueued,
    })
}
