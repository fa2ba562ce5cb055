//! The runner: every registered kind, its handler and the settings of this process.
//!
//! Invariant: `run` (the engine's loop, database time) and `drain` (our loop, our clock) go
//! through the same supervised execution and the same fenced completion. `run` returns only after
//! the bodies it started have ended or the grace is over, and with an error if a worker stream
//! could not be kept alive: the process must then exit and be started again.

mod drain;
mod engine;
mod execute;
mod kinds;
mod wakeup;
mod workers;

use std::collections::HashSet;
use std::sync::Arc;
use std::time::Duration;

use primitives::Clock;
use sqlx::PgPool;
use tokio::sync::watch;

pub use drain::{Drained, Failure};
pub use engine::Pulse;

use crate::error::{JobError, QueueError};
use crate::job::{JobArgs, Outcome};
use crate::lease::Lease;
use kinds::Kind;

/// Timings of one process. Tests shorten them; production keeps the defaults.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Timings {
    /// How often a worker says it is alive.
    pub(crate) heartbeat: Duration,
    /// After this many missed beats others take its jobs. 5 s × 3.
    pub(crate) missed: usize,
    /// Delayed jobs and lost notifications are found within this time.
    pub(crate) poll: Duration,
    /// How long a shutdown waits for running bodies; by default the longest job's timeout.
    pub(crate) grace: Option<Duration>,
    /// How many times in a row a worker stream may end before its process gives up.
    pub(crate) restarts: u32,
}

impl Default for Timings {
    fn default() -> Self {
        Self {
            heartbeat: Duration::from_secs(5),
            missed: 3,
            poll: Duration::from_millis(200),
            grace: None,
            restarts: 50,
        }
    }
}

/// No grace is longer than this, whatever the jobs ask for.
const GRACE_MAX: Duration = Duration::from_secs(120);

pub struct Runner {
    pool: PgPool,
    clock: Arc<dyn Clock>,
    /// Role, host and a token of this process start: no two runners ever share a worker name.
    name: String,
    kinds: Vec<Arc<Kind>>,
    timings: Timings,
    pulse: Pulse,
    draining: tokio::sync::Mutex<()>,
}

impl std::fmt::Debug for Runner {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Runner").field("name", &self.name).finish_non_exhaustive()
    }
}

impl Runner {
    /// `name` is the role of this process, such as `work`.
    #[must_use]
    pub fn new(pool: PgPool, clock: Arc<dyn Clock>, name: &str) -> Self {
        Self {
            pool,
            clock,
            name: process_name(name),
            kinds: Vec::new(),
            timings: Timings::default(),
            pulse: Pulse::default(),
            draining: tokio::sync::Mutex::new(()),
        }
    }

    /// Adds a kind of job. Registering a kind twice makes `run` and `drain` refuse.
    #[must_use]
    pub fn register<J, Fut>(
        mut self,
        handler: impl Fn(J, Lease) -> Fut + Send + Sync + 'static,
    ) -> Self
    where
        J: JobArgs,
        Fut: Future<Output = Result<Outcome, JobError>> + Send + 'static,
    {
        self.kinds.push(Arc::new(Kind::new(handler)));
        self
    }

    /// Lease timing: silent for `every × missed` means dead. Default 5 s × 3; the engine counts
    /// whole seconds, so not less than 1 s × 2.
    #[must_use]
    pub fn heartbeat(mut self, every: Duration, missed: usize) -> Self {
        self.timings.heartbeat = every.max(Duration::from_secs(1));
        self.timings.missed = missed.max(2);
        self
    }

    /// How soon a due job is found when no notification tells of it. Default 200 ms.
    #[must_use]
    pub fn poll_every(mut self, every: Duration) -> Self {
        self.timings.poll = every;
        self
    }

    /// How long a shutdown waits for running bodies. Default: the longest timeout registered, at
    /// most two minutes.
    #[must_use]
    pub fn grace(mut self, grace: Duration) -> Self {
        self.timings.grace = Some(grace);
        self
    }

    /// How many times in a row a worker stream may end without a heartbeat in between. Default 50.
    #[must_use]
    pub fn restart_limit(mut self, times: u32) -> Self {
        self.timings.restarts = times;
        self
    }

    /// The kinds registered so far, in order.
    #[must_use]
    pub fn kinds(&self) -> Vec<&'static str> {
        self.kinds.iter().map(|kind| kind.name).collect()
    }

    /// The life sign of `run`, for a readiness probe. Take it before `run` consumes the runner.
    #[must_use]
    pub fn pulse(&self) -> Pulse {
        self.pulse.clone()
    }

    /// Works until `shutdown` becomes true (or its sender is gone).
    ///
    /// On shutdown: no new job is fetched, running bodies may finish within the grace, and what was
    /// fetched but not begun is handed back without counting an attempt.
    ///
    /// # Errors
    ///
    /// When a worker stream ended for good; the other streams are shut down gracefully first.
    pub async fn run(self, shutdown: watch::Receiver<bool>) -> Result<(), QueueError> {
        self.refuse_duplicates()?;
        engine::Engine::new(self.pool, self.name, self.timings, self.pulse)
            .run(self.kinds, shutdown)
            .await
    }

    fn refuse_duplicates(&self) -> Result<(), QueueError> {
        let mut seen = HashSet::new();
        match self.kinds.iter().find(|kind| !seen.insert(kind.name)) {
            Some(twice) => Err(QueueError::DuplicateKind(twice.name)),
            None => Ok(()),
        }
    }
}

/// `role-host-ULID`. A name is never used twice, or the orphans of its first bearer would look
/// alive.
fn process_name(role: &str) -> String {
    let host = std::fs::read_to_string("/proc/sys/kernel/hostname").unwrap_or_default();
    let host = match host.trim() {
        "" => "host",
        host => host,
    };
    format!("{role}-{host}-{}", ulid::Ulid::generate())
}
