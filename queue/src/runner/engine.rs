//! Drives the engine's monitor: starts the streams, restarts those that end, shuts all down.
//!
//! Invariant: a stream that ends (any database error ends one) comes back under a new name after a
//! growing delay; if it cannot, the whole process gives up instead of living on without it.

use std::collections::HashMap;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use apalis::prelude::{Event, Monitor};
use sqlx::PgPool;
use tokio::sync::watch;

use super::execute::Supervisor;
use super::kinds::Kind;
use super::wakeup::Bells;
use super::workers::{self, Slot};
use super::{GRACE_MAX, Timings};
use crate::error::{QueueError, chain};

/// How long a shutdown waits for the database to hear of it.
const SIGN_OFF_MAX: Duration = Duration::from_secs(5);

/// The life sign of a running process.
#[derive(Debug, Clone, Default)]
pub struct Pulse(Arc<Mutex<Option<Instant>>>);

impl Pulse {
    /// Time since any worker of this process last reached the database; `None` before the first.
    #[must_use]
    pub fn age(&self) -> Option<Duration> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).map(|beat| beat.elapsed())
    }

    fn beat(&self) {
        *self.0.lock().unwrap_or_else(PoisonError::into_inner) = Some(Instant::now());
    }
}

/// What all streams of a process share.
pub(super) struct Shared {
    pub(super) pool: PgPool,
    pub(super) timings: Timings,
    pub(super) supervisor: Supervisor,
    process: String,
    running: watch::Sender<usize>,
    /// Every name ever given in this process, with the slot it was given to.
    names: Mutex<HashMap<Arc<str>, Arc<Slot>>>,
}

/// Counts one run while it lives.
pub(super) struct InFlight(watch::Sender<usize>);

impl Drop for InFlight {
    fn drop(&mut self) {
        self.0.send_modify(|running| *running = running.saturating_sub(1));
    }
}

impl Shared {
    pub(super) fn in_flight(&self) -> InFlight {
        self.running.send_modify(|running| *running = running.saturating_add(1));
        InFlight(self.running.clone())
    }

    pub(super) fn christen(&self, slot: &Arc<Slot>) -> Arc<str> {
        let token = ulid::Ulid::generate();
        let name = format!("{}/{}/{}/{token}", self.process, slot.kind.name, slot.index);
        let name: Arc<str> = name.into();
        self.with_names(|names| names.insert(name.clone(), slot.clone()));
        name
    }

    fn slot(&self, name: &str) -> Option<Arc<Slot>> {
        self.with_names(|names| names.get(name).cloned())
    }

    fn with_names<T>(&self, f: impl FnOnce(&mut HashMap<Arc<str>, Arc<Slot>>) -> T) -> T {
        f(&mut self.names.lock().unwrap_or_else(PoisonError::into_inner))
    }

    /// Hands back what was fetched and not begun, and signs off the names that hold nothing.
    async fn sign_off(&self) -> Result<(), sqlx::Error> {
        let names: Vec<String> =
            self.with_names(|names| names.keys().map(ToString::to_string).collect());
        sqlx::query(
            "UPDATE apalis.jobs SET status = 'Pending', lock_by = NULL, lock_at = NULL \
             WHERE lock_by = ANY ($1) AND status = 'Queued'",
        )
        .bind(&names)
        .execute(&self.pool)
        .await?;
        sqlx::query(
            "DELETE FROM apalis.workers AS w WHERE id = ANY ($1) \
             AND NOT EXISTS (SELECT FROM apalis.jobs AS j WHERE j.lock_by = w.id)",
        )
        .bind(&names)
        .execute(&self.pool)
        .await?;
        Ok(())
    }
}

pub(super) struct Engine {
    shared: Arc<Shared>,
    pulse: Pulse,
}

impl Engine {
    pub(super) fn new(pool: PgPool, process: String, timings: Timings, pulse: Pulse) -> Self {
        let supervisor = Supervisor { pool: pool.clone(), heartbeat: timings.heartbeat, now: None };
        let running = watch::Sender::new(0);
        let names = Mutex::default();
        let shared = Shared { pool, timings, supervisor, process, running, names };
        Self { shared: Arc::new(shared), pulse }
    }

    pub(super) async fn run(
        self,
        kinds: Vec<Arc<Kind>>,
        mut shutdown: watch::Receiver<bool>,
    ) -> Result<(), QueueError> {
        let shared = self.shared.clone();
        let grace = shared.timings.grace.unwrap_or_else(|| longest(&kinds)).min(GRACE_MAX);
        let (gave_up, mut giving_up) = watch::channel(None::<String>);
        let mut bells = Bells::default();
        let monitor = self.monitor(&kinds, &mut bells, gave_up.clone());
        let control = monitor.context();
        let mut streams = tokio::spawn(monitor.run());
        let stop = Arc::new(AtomicBool::new(false));
        let listening = tokio::spawn(bells.clone().listen(shared.pool.clone()));
        let polling =
            tokio::spawn(bells.poll(shared.pool.clone(), shared.timings.poll, stop.clone()));

        // Nothing here is a database call: all three arms may be dropped at any point.
        let mut ended = false;
        tokio::select! {
            _ = shutdown.wait_for(|wanted| *wanted) => {}
            _ = giving_up.wait_for(Option::is_some) => {}
            _ = &mut streams => ended = true,
        }
        let lost = gave_up.borrow().clone();
        if control.shutdown().is_err() {
            tracing::warn!("the workers did not take the shutdown signal");
        }
        stop.store(true, Ordering::Release);
        // It only ever waits for news; no transaction is open on that connection.
        listening.abort();
        let mut running = shared.running.subscribe();
        let rest = async {
            if !ended && (&mut streams).await.is_err() {
                tracing::error!("the monitor of the workers panicked");
            }
            running.wait_for(|running| *running == 0).await.is_ok()
        };
        if tokio::time::timeout(grace, rest).await.is_err() {
            tracing::warn!("shut down with jobs still running: their leases will run out");
            streams.abort();
        }
        // Database calls run to their end in tasks of their own; only our patience is limited.
        let leave = shared.clone();
        let leaving = tokio::spawn(async move {
            if polling.await.is_err() {
                tracing::error!("the poll for due jobs panicked");
            }
            if let Err(error) = leave.sign_off().await {
                tracing::warn!(error = chain(&error), "could not sign off");
            }
        });
        if tokio::time::timeout(SIGN_OFF_MAX, leaving).await.is_err() {
            tracing::warn!("left without signing off: the leases will run out");
        }
        match lost {
            Some(why) => Err(QueueError::WorkersEnded(why)),
            None if ended => Err(QueueError::WorkersEnded("all streams ended".to_owned())),
            None => Ok(()),
        }
    }

    fn monitor(
        &self,
        kinds: &[Arc<Kind>],
        bells: &mut Bells,
        gave_up: watch::Sender<Option<String>>,
    ) -> Monitor {
        let limit = self.shared.timings.restarts;
        let shared = self.shared.clone();
        let monitor = Monitor::new().should_restart(move |worker, error| {
            let Some(slot) = shared.slot(worker.name()) else {
                return false;
            };
            let ends = slot.end();
            tracing::warn!(worker = worker.name(), ends, error = chain(error), "a worker ended");
            if ends > limit {
                gave_up.send_replace(Some(format!("{}: {}", slot.kind.name, chain(error))));
            }
            ends <= limit
        });
        let (shared, pulse) = (self.shared.clone(), self.pulse.clone());
        let mut monitor = monitor.on_event(move |worker, event| {
            if matches!(event, Event::HeartBeat) {
                pulse.beat();
                if let Some(slot) = shared.slot(worker.name()) {
                    slot.beat();
                }
            }
        });
        for kind in kinds {
            for index in 0..kind.workers {
                let bell = bells.add(kind.name);
                let slot = Arc::new(Slot::new(kind.clone(), index, bell));
                let shared = self.shared.clone();
                monitor = monitor.register(move |_| workers::build(&shared, &slot));
            }
        }
        monitor
    }
}

fn longest(kinds: &[Arc<Kind>]) -> Duration {
    kinds.iter().map(|kind| kind.timeout).max().unwrap_or_default()
}
