//! One worker stream: an apalis worker around our supervisor, named anew at every start.
//!
//! Invariant: one job at a time per stream (`batch_size(1)` and a concurrency of one), none of the
//! engine's retry, timeout or panic layers, and neither its lock marks nor its acknowledgements:
//! the supervisor writes all states itself, fenced.

use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};
use std::task::{Context, Poll};
use std::time::Duration;

use apalis::prelude::{BoxDynError, Worker, WorkerContext};
use apalis_postgres::{Config, PgTask, PostgresStorage};
use futures::future::BoxFuture;
use tower::Service;
use tower::limit::ConcurrencyLimitLayer;

use super::engine::Shared;
use super::execute::Claim;
use super::kinds::Kind;
use super::wakeup::{Bell, Wakeful};
use crate::backoff::Policy;

/// Between restarts of a stream that ended with an error.
const RESTARTING: Policy = Policy { base: Duration::from_millis(100), cap: Duration::from_secs(5) };

/// The place of one stream in the process; workers come and go in it.
pub(super) struct Slot {
    pub(super) kind: Arc<Kind>,
    pub(super) index: usize,
    pub(super) bell: Arc<Bell>,
    /// Ends in a row of workers that did not live to their second heartbeat.
    ends: AtomicU32,
    /// Heartbeats of the present worker; registering counts as the first.
    beats: AtomicU32,
}

impl Slot {
    pub(super) fn new(kind: Arc<Kind>, index: usize, bell: Arc<Bell>) -> Self {
        Self { kind, index, bell, ends: AtomicU32::new(0), beats: AtomicU32::new(0) }
    }

    pub(super) fn beat(&self) {
        if self.beats.fetch_add(1, Ordering::AcqRel) > 0 {
            self.ends.store(0, Ordering::Release);
        }
    }

    /// Counts the end of a worker.
    pub(super) fn end(&self) -> u32 {
        self.beats.store(0, Ordering::Release);
        self.ends.fetch_add(1, Ordering::AcqRel).saturating_add(1)
    }
}

pub(super) type Stream = Worker<Vec<u8>, Wakeful, RunOne, ConcurrencyLimitLayer>;

/// A new worker for this slot, under a name nobody has ever had.
pub(super) fn build(shared: &Arc<Shared>, slot: &Arc<Slot>) -> Stream {
    let name = shared.christen(slot);
    let timings = shared.timings;
    let config = Config::default()
        .queue(slot.kind.name)
        .batch_size(1)
        .heartbeat_interval(timings.heartbeat)
        .missed_heartbeats(timings.missed)
        .lock_tasks(false)
        .persist_results(false);
    let storage = PostgresStorage::<Vec<u8>>::new(&shared.pool).with_config(config);
    let delay = match slot.ends.load(Ordering::Acquire) {
        0 => Duration::ZERO,
        ends => RESTARTING.ceiling(ends),
    };
    let storage = Wakeful::new(storage, slot.bell.clone(), timings.poll, delay);
    let service = RunOne { shared: shared.clone(), kind: slot.kind.clone(), worker: name.clone() };
    Worker::new(WorkerContext::new(&name), storage, service, ConcurrencyLimitLayer::new(1))
}

#[derive(Clone)]
pub(super) struct RunOne {
    shared: Arc<Shared>,
    kind: Arc<Kind>,
    worker: Arc<str>,
}

impl Service<PgTask> for RunOne {
    type Response = ();
    type Error = BoxDynError;
    type Future = BoxFuture<'static, Result<(), BoxDynError>>;

    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<Result<(), BoxDynError>> {
        Poll::Ready(Ok(()))
    }

    /// The supervisor runs in its own task: if the worker's loop ends, the run does not.
    fn call(&mut self, task: PgTask) -> Self::Future {
        let claim = task.ctx().task_id().map(|id| Claim {
            job_id: id.to_string(),
            kind: self.kind.clone(),
            worker: self.worker.clone(),
        });
        let running = claim.map(|claim| {
            let counted = self.shared.in_flight();
            let shared = self.shared.clone();
            tokio::spawn(async move {
                shared.supervisor.run(&claim).await;
                drop(counted);
            })
        });
        Box::pin(async move {
            if let Some(running) = running {
                running.await?;
            }
            Ok(())
        })
    }
}
