//! What people see of the queue, and the two things they may do: retry and stop.
//!
//! Invariant: reads never scan the history of done jobs; actions are single fenced statements. Who
//! may act, and the audit of it, is the caller's business.

use chrono::{DateTime, Utc};
use serde::Serialize;
use sqlx::{FromRow, PgConnection};

use crate::error::{QueueError, storable};

const LIMIT_MAX: i64 = 500;

/// One queue at a glance.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, FromRow)]
pub struct QueueDepth {
    pub kind: String,
    /// Waiting for a worker or for their time.
    pub pending: i64,
    /// Of those, and of the failed ones, due now.
    pub due: i64,
    pub running: i64,
    /// Waiting out a back-off.
    pub failed: i64,
    /// Killed: a person must look.
    pub dead: i64,
    /// How long the oldest due job has been waiting.
    pub oldest_due_seconds: Option<i64>,
}

/// One job. `error` is the last stored reason, if the last run ended badly.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, FromRow)]
pub struct Job {
    pub id: String,
    pub kind: String,
    pub key: Option<String>,
    pub state: String,
    pub attempts: i32,
    pub max_attempts: i32,
    pub run_at: DateTime<Utc>,
    pub done_at: Option<DateTime<Utc>>,
    pub worker: Option<String>,
    pub error: Option<String>,
}

/// One run of a job.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, FromRow)]
pub struct Attempt {
    pub run: String,
    pub attempt: i32,
    pub worker: String,
    pub started_at: DateTime<Utc>,
    pub ended_at: Option<DateTime<Utc>>,
    /// done, again, stopped, failed, lost; none while it runs.
    pub outcome: Option<String>,
    pub error: Option<String>,
}

/// The state of a row, as the engine spells it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum State {
    Pending,
    /// Fetched by a worker, body not begun.
    Queued,
    Running,
    /// Waiting out a back-off.
    Failed,
    Killed,
    Done,
}

impl State {
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Pending => "Pending",
            Self::Queued => "Queued",
            Self::Running => "Running",
            Self::Failed => "Failed",
            Self::Killed => "Killed",
            Self::Done => "Done",
        }
    }
}

/// Which jobs to list, newest first. `before` is the id of the last job of the page before.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Filter {
    pub kind: Option<String>,
    pub state: Option<State>,
    pub key: Option<String>,
    pub before: Option<String>,
    pub limit: Option<i64>,
}

/// All queues that have anything but done jobs.
pub async fn queues(conn: &mut PgConnection) -> Result<Vec<QueueDepth>, QueueError> {
    Ok(sqlx::query_as(
        "SELECT job_type AS kind, \
           count(*) FILTER (WHERE status = 'Pending') AS pending, \
           count(*) FILTER (WHERE status IN ('Pending', 'Failed') AND run_at <= now()) AS due, \
           count(*) FILTER (WHERE status IN ('Queued', 'Running')) AS running, \
           count(*) FILTER (WHERE status = 'Failed') AS failed, \
           count(*) FILTER (WHERE status = 'Killed') AS dead, \
           extract(epoch FROM now() - min(run_at) FILTER ( \
             WHERE status IN ('Pending', 'Failed') AND run_at <= now()))::bigint \
             AS oldest_due_seconds \
         FROM apalis.jobs WHERE status <> 'Done' GROUP BY job_type ORDER BY job_type",
    )
    .fetch_all(conn)
    .await?)
}

/// One page of jobs, at most 500.
pub async fn jobs(conn: &mut PgConnection, filter: &Filter) -> Result<Vec<Job>, QueueError> {
    Ok(sqlx::query_as(
        "SELECT id, job_type AS kind, idempotency_key AS key, status AS state, attempts, \
           max_attempts, run_at, done_at, lock_by AS worker, last_result ->> 'Err' AS error \
         FROM apalis.jobs WHERE ($1::text IS NULL OR job_type = $1) \
           AND ($2::text IS NULL OR status = $2) AND ($3::text IS NULL OR idempotency_key = $3) \
           AND ($4::text IS NULL OR id < $4) ORDER BY id DESC LIMIT $5",
    )
    .bind(&filter.kind)
    .bind(filter.state.map(State::as_str))
    .bind(&filter.key)
    .bind(&filter.before)
    .bind(filter.limit.unwrap_or(100).clamp(1, LIMIT_MAX))
    .fetch_all(conn)
    .await?)
}

/// The latest runs of a job, newest first, at most 500.
pub async fn attempts(conn: &mut PgConnection, job_id: &str) -> Result<Vec<Attempt>, QueueError> {
    Ok(sqlx::query_as(
        "SELECT run, attempt, worker, started_at, ended_at, outcome, error \
         FROM jobs.job_attempts WHERE job_id = $1 ORDER BY started_at DESC LIMIT $2",
    )
    .bind(job_id)
    .bind(LIMIT_MAX)
    .fetch_all(conn)
    .await?)
}

/// Runs a dead or backing-off job again from its first attempt. False if it is in no such state.
pub async fn retry(
    conn: &mut PgConnection,
    job_id: &str,
    at: DateTime<Utc>,
) -> Result<bool, QueueError> {
    let done = sqlx::query(
        "UPDATE apalis.jobs SET status = 'Pending', attempts = 0, run_at = $2, lock_by = NULL, \
           lock_at = NULL, done_at = NULL WHERE id = $1 AND status IN ('Killed', 'Failed')",
    )
    .bind(job_id)
    .bind(at)
    .execute(conn)
    .await?;
    Ok(done.rows_affected() == 1)
}

/// Ends a job for good, with a reason. A run under way loses its lease: whatever it still tries to
/// commit through its fence is refused. False if the job had ended already.
pub async fn stop(conn: &mut PgConnection, job_id: &str, reason: &str) -> Result<bool, QueueError> {
    let done = sqlx::query(
        "UPDATE apalis.jobs SET status = 'Killed', done_at = now(), lock_by = NULL, \
           lock_at = NULL, last_result = $2, metadata = metadata - 'rerun_at'::text \
         WHERE id = $1 AND status NOT IN ('Done', 'Killed')",
    )
    .bind(job_id)
    .bind(serde_json::json!({ "Err": storable(reason) }))
    .execute(conn)
    .await?;
    Ok(done.rows_affected() == 1)
}
