//! Forgetting: finished rows, old attempts, workers that fell silent.
//!
//! Invariant: only `Done` rows are forgotten, never a dead job a person has not looked at. A key is
//! free again once its row is pruned, so lasting uniqueness belongs to a business table.

use sqlx::PgConnection;

use crate::error::QueueError;

/// How many rows went.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Pruned {
    pub jobs: u64,
    pub attempts: u64,
    pub workers: u64,
}

/// Removes jobs done more than 7 days ago, attempts ended more than 30 days ago and workers silent
/// for a day; at most 10,000 rows of each kind per call, by the database's clock.
pub async fn prune(conn: &mut PgConnection) -> Result<Pruned, QueueError> {
    let jobs = sqlx::query(
        "DELETE FROM apalis.jobs WHERE id IN ( \
           SELECT id FROM apalis.jobs \
           WHERE status = 'Done' AND done_at < now() - interval '7 days' \
           ORDER BY done_at LIMIT 10000 FOR UPDATE SKIP LOCKED)",
    )
    .execute(&mut *conn)
    .await?
    .rows_affected();
    let attempts = sqlx::query(
        "DELETE FROM jobs.job_attempts WHERE run IN ( \
           SELECT run FROM jobs.job_attempts WHERE ended_at < now() - interval '30 days' \
           ORDER BY ended_at LIMIT 10000)",
    )
    .execute(&mut *conn)
    .await?
    .rows_affected();
    let workers = sqlx::query(
        "DELETE FROM apalis.workers WHERE id IN ( \
           SELECT id FROM apalis.workers AS w WHERE last_seen < now() - interval '1 day' \
           AND NOT EXISTS (SELECT FROM apalis.jobs AS j WHERE j.lock_by = w.id) LIMIT 10000)",
    )
    .execute(&mut *conn)
    .await?
    .rows_affected();
    Ok(Pruned { jobs, attempts, workers })
}
