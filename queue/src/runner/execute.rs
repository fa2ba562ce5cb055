//! One supervised run: mark it running, start the body, wait within limits, write the outcome.
//!
//! Invariant: whatever the body does (answers, errs, panics, overruns, sends back nonsense), the
//! row leaves `Running` or somebody else already holds it. A write that meets a database error is
//! tried until it succeeds: while this worker is alive nobody else would rescue the row.

use std::any::Any;
use std::sync::Arc;
use std::time::Duration;

use backon::ExponentialBackoff;
use chrono::{DateTime, Utc};
use sqlx::PgPool;
use tokio::task::{JoinError, JoinHandle};
use tokio::time::Instant;

use super::kinds::Kind;
use crate::backoff::Policy;
use crate::error::{JobError, chain};
use crate::job::Outcome;
use crate::lease::{FailedRun, Lease};

/// Between tries to write down what must be written down.
const INSISTING: Policy = Policy { base: Duration::from_millis(50), cap: Duration::from_secs(5) };

/// A job may ask for a later retry, but not so late that it looks lost.
const RETRY_AFTER_MAX: Duration = Duration::from_secs(30 * 24 * 3600);

/// A job row that was handed to this worker.
pub(super) struct Claim {
    pub(super) job_id: String,
    pub(super) kind: Arc<Kind>,
    pub(super) worker: Arc<str>,
}

/// How a run ended.
#[derive(Debug)]
pub(super) enum Ended {
    /// The row was not ours any more when we wanted to begin.
    NotOurs,
    /// The body answered; its completion is written, by itself or by us.
    Well,
    /// The body failed and that is written.
    Badly { attempt: i32, error: String },
    /// Another worker had taken over before the outcome was written.
    Lost,
}

pub(super) struct Supervisor {
    pub(super) pool: PgPool,
    pub(super) heartbeat: Duration,
    /// The time back-off counts from; `None` is the database's.
    pub(super) now: Option<Arc<dyn Fn() -> DateTime<Utc> + Send + Sync>>,
}

impl Supervisor {
    pub(super) async fn run(&self, claim: &Claim) -> Ended {
        let Some((lease, args)) = self.begin(claim).await else {
            return Ended::NotOurs;
        };
        let answer = match claim.kind.start(&args, lease.clone()) {
            Ok(body) => self.wait(body, claim.kind.timeout, &lease).await,
            Err(error) => Err(failed(format!("the arguments do not decode: {error}"))),
        };
        match answer {
            Ok(outcome) => self.complete(&lease, &outcome).await,
            Err(failure) => self.fail(&lease, failure).await,
        }
    }

    /// `Queued` → `Running` with a fresh run token, and a row in the attempt log.
    async fn begin(&self, claim: &Claim) -> Option<(Lease, Vec<u8>)> {
        let run = ulid::Ulid::generate().to_string();
        let mut insisting = Insisting::to("begin a job");
        let started = loop {
            match self.mark_running(claim, &run).await {
                Ok(started) => break started,
                Err(error) => insisting.after(error).await?,
            }
        };
        let (args, attempt) = started?;
        let lease = Lease::new(claim.job_id.clone(), claim.worker.clone(), run, attempt);
        Some((lease, args))
    }

    /// May be repeated with the same token: an answer may be lost after the commit.
    async fn mark_running(
        &self,
        claim: &Claim,
        run: &str,
    ) -> Result<Option<(Vec<u8>, i32)>, sqlx::Error> {
        sqlx::query_as(
            "WITH started AS ( \
               UPDATE apalis.jobs SET status = 'Running', lock_at = now(), \
                 metadata = coalesce(metadata, ''::hstore) || hstore('run', $3) \
               WHERE id = $1 AND lock_by = $2 AND (status = 'Queued' \
                 OR (status = 'Running' AND metadata -> 'run' = $3)) \
               RETURNING id, job_type, idempotency_key, attempts, job \
             ), logged AS ( \
               INSERT INTO jobs.job_attempts (run, job_id, kind, key, attempt, worker) \
               SELECT $3, id, job_type, idempotency_key, attempts + 1, $2 FROM started \
               ON CONFLICT (run) DO NOTHING) \
             SELECT job, attempts + 1 FROM started",
        )
        .bind(&claim.job_id)
        .bind(&*claim.worker)
        .bind(run)
        .fetch_optional(&self.pool)
        .await
    }

    /// Waits for the body and keeps its worker's lease alive meanwhile. Past the limit the body is
    /// left to itself: its fence refuses whatever it still tries to write.
    async fn wait(
        &self,
        mut body: JoinHandle<Result<Outcome, JobError>>,
        limit: Duration,
        lease: &Lease,
    ) -> Result<Outcome, FailedRun> {
        let end = Instant::now() + limit;
        loop {
            let left = end.saturating_duration_since(Instant::now());
            match tokio::time::timeout(left.min(self.heartbeat), &mut body).await {
                Ok(Ok(Ok(outcome))) => return Ok(outcome),
                Ok(Ok(Err(error))) => return Err(in_our_words(error)),
                Ok(Err(error)) => return Err(failed(panic_text(error))),
                Err(_) if left <= self.heartbeat => {
                    return Err(failed(format!("ran longer than {} ms", limit.as_millis())));
                }
                Err(_) => self.beat(lease).await,
            }
        }
    }

    async fn beat(&self, lease: &Lease) {
        let beaten = async { lease.beat(&mut *self.pool.acquire().await?).await };
        if let Err(error) = beaten.await {
            tracing::warn!(error = chain(&error), "a running job could not renew its lease");
        }
    }

    async fn complete(&self, lease: &Lease, outcome: &Outcome) -> Ended {
        let mut insisting = Insisting::to("complete a job");
        loop {
            let written = async { lease.complete(&mut *self.pool.acquire().await?, outcome).await };
            match written.await {
                // False: the body completed the job in its own transaction, or it lost the job and
                // was refused there. Either way there is nothing left to write.
                Ok(_) => {
                    if let Outcome::Stop(reason) = outcome {
                        let job = lease.job_id();
                        tracing::error!(job, reason, "a job stopped: somebody must look");
                    }
                    return Ended::Well;
                }
                Err(error) => {
                    if insisting.after(error).await.is_none() {
                        return Ended::Lost;
                    }
                }
            }
        }
    }

    async fn fail(&self, lease: &Lease, failure: FailedRun) -> Ended {
        let now = self.now.as_ref().map(|now| now());
        let mut insisting = Insisting::to("record a failed job");
        let written = loop {
            let written =
                async { lease.fail(&mut *self.pool.acquire().await?, &failure, now).await };
            match written.await {
                Ok(written) => break written,
                Err(error) => {
                    if insisting.after(error).await.is_none() {
                        break None;
                    }
                }
            }
        };
        let Some(status) = written else {
            return Ended::Lost;
        };
        let (job, attempt, error) = (lease.job_id(), lease.attempt(), &failure.error);
        if status == "Killed" {
            tracing::error!(job, attempt, error, "a job is dead: somebody must look");
        } else {
            tracing::warn!(job, attempt, error, "a job failed and will be tried again");
        }
        Ended::Badly { attempt, error: failure.error }
    }
}

/// Patience with the database, for writes that have to succeed sooner or later.
struct Insisting {
    what: &'static str,
    waits: ExponentialBackoff,
}

impl Insisting {
    fn to(what: &'static str) -> Self {
        Self { what, waits: INSISTING.patient() }
    }

    /// Waits before the next try. `None` only when the pool is closed: the process is ending, its
    /// names fall silent, and the lease does the rest.
    async fn after(&mut self, error: sqlx::Error) -> Option<()> {
        if matches!(error, sqlx::Error::PoolClosed) {
            return None;
        }
        tracing::warn!(error = chain(&error), "could not {}, trying again", self.what);
        tokio::time::sleep(self.waits.next().unwrap_or(INSISTING.cap)).await;
        Some(())
    }
}

fn failed(error: String) -> FailedRun {
    FailedRun { error, retry_after: None }
}

fn in_our_words(error: JobError) -> FailedRun {
    match error {
        JobError::RetryAfter(wait, error) => {
            FailedRun { error, retry_after: Some(wait.min(RETRY_AFTER_MAX)) }
        }
        // Usually nothing is written for it: the fence of the failure finds the lease gone, too.
        JobError::LeaseLost | JobError::Failed(_) => failed(error.to_string()),
    }
}

fn panic_text(error: JoinError) -> String {
    let payload: Box<dyn Any + Send> = match error.try_into_panic() {
        Ok(payload) => payload,
        Err(error) => return format!("the body was cancelled: {error}"),
    };
    let text = payload
        .downcast_ref::<&str>()
        .map(|text| (*text).to_owned())
        .or_else(|| payload.downcast_ref::<String>().cloned());
    format!("panicked: {}", text.as_deref().unwrap_or("no message"))
}
