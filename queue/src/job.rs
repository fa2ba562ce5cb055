//! What a job is: its arguments, its limits, and the three good ways a run can end.
//!
//! Invariant: arguments hold ids only, so nothing here needs redaction and a retry reads the truth
//! afresh. Names and arguments of the product's jobs stand in `settlement::jobs`.

use std::time::Duration;

use chrono::{DateTime, Utc};
use serde::Serialize;
use serde::de::DeserializeOwned;

use crate::backoff::Policy;

/// The arguments of one kind of job.
pub trait JobArgs: Serialize + DeserializeOwned + Send + Sync + 'static {
    /// Name of the queue; one engine queue per kind.
    const KIND: &'static str;
    /// Failures in a row after which the job is `Killed` and a person must look.
    const MAX_ATTEMPTS: i32 = 20;
    /// How long one run may take. The body is not cancelled: it loses its lease.
    const TIMEOUT: Duration = Duration::from_secs(60);
    /// Worker streams per process.
    const WORKERS: usize = 2;
    /// How long to wait after a failure.
    const BACKOFF: Policy = Policy::DEFAULT;

    /// The business key: there is one row per kind and key, whose life `enqueue` prolongs.
    fn key(&self) -> String;
}

/// How a run ended well.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Outcome {
    Done,
    /// Waiting for something: come back at this time. Not an attempt.
    Again(DateTime<Utc>),
    /// A person must look; the row becomes `Killed` with this reason.
    Stop(String),
}
