//! When a worker stream looks for work: on a notification, on the process's poll, or on its own
//! slow tick, whichever comes first.
//!
//! Invariant: a due job is found within the poll interval even if every notification is lost,
//! because the poll asks the database what *is* due, not what has changed. (The engine's own
//! strategies drop a wake-up that arrives during an empty fetch and then sleep until the
//! heartbeat.) One `LISTEN` connection and one query per interval serve all streams of the
//! process.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::task::{Context, Poll};
use std::time::Duration;

use apalis::prelude::{Backend, WorkerContext};
use apalis_core::backend::BackendConfig;
use apalis_postgres::{PgTask, PostgresStorage};
use futures::FutureExt;
use futures::task::AtomicWaker;
use serde::Deserialize;
use sqlx::PgPool;
use sqlx::postgres::PgListener;
use tokio::time::{Instant, Sleep};

use crate::error::chain;

/// Where apalis announces inserts, and our trigger re-armed rows.
const CHANNEL: &str = "apalis::job::insert";
/// A notification may arrive while a fetch that cannot see the row yet is under way: look again.
const SECOND_LOOK: Duration = Duration::from_millis(25);
/// A stream's own tick, in poll intervals; it only matters while the process's poll fails.
const OWN_TICK_POLLS: u32 = 10;

/// The bell of one worker stream. It outlives restarts of the stream.
#[derive(Debug, Default)]
pub(super) struct Bell {
    waker: AtomicWaker,
    rung: AtomicBool,
}

impl Bell {
    pub(super) fn ring(&self) {
        self.rung.store(true, Ordering::Release);
        self.waker.wake();
    }
}

type Storage = PostgresStorage<Vec<u8>>;

/// The engine's storage, started after a delay and woken by our bell and tick.
///
/// Arguments stay bytes here: a row that does not decode must fail its job, not end the worker.
pub(super) struct Wakeful {
    storage: Storage,
    bell: Arc<Bell>,
    start: Option<std::pin::Pin<Box<Sleep>>>,
    second_look: Option<std::pin::Pin<Box<Sleep>>>,
    tick: std::pin::Pin<Box<Sleep>>,
    tick_every: Duration,
}

impl Wakeful {
    pub(super) fn new(storage: Storage, bell: Arc<Bell>, poll: Duration, delay: Duration) -> Self {
        let tick_every = poll.saturating_mul(OWN_TICK_POLLS);
        Self {
            storage,
            bell,
            start: (!delay.is_zero()).then(|| Box::pin(tokio::time::sleep(delay))),
            second_look: None,
            tick: Box::pin(tokio::time::sleep(tick_every)),
            tick_every,
        }
    }

    /// Arms every wake-up anew. Nothing is skipped here: each poll of the stream is also a fetch.
    fn arm(&mut self, cx: &mut Context<'_>) {
        self.bell.waker.register(cx.waker());
        if self.bell.rung.swap(false, Ordering::AcqRel) {
            self.second_look = Some(Box::pin(tokio::time::sleep(SECOND_LOOK)));
        }
        if let Some(look) = &mut self.second_look
            && look.poll_unpin(cx).is_ready()
        {
            self.second_look = None;
        }
        while self.tick.poll_unpin(cx).is_ready() {
            self.tick.as_mut().reset(Instant::now() + self.tick_every);
        }
    }
}

impl Backend for Wakeful {
    type Task = PgTask;
    type Error = apalis_postgres::Error;

    fn poll_ready(
        &mut self,
        cx: &mut Context<'_>,
        worker: &WorkerContext,
    ) -> Poll<Result<(), Self::Error>> {
        if let Some(start) = &mut self.start {
            if start.poll_unpin(cx).is_pending() {
                return Poll::Pending;
            }
            self.start = None;
        }
        self.storage.poll_ready(cx, worker)
    }

    fn poll_next(
        &mut self,
        cx: &mut Context<'_>,
        worker: &WorkerContext,
    ) -> Poll<Option<Result<PgTask, Self::Error>>> {
        self.arm(cx);
        self.storage.poll_next(cx, worker)
    }

    fn poll_close(
        &mut self,
        cx: &mut Context<'_>,
        worker: &WorkerContext,
    ) -> Poll<Result<(), Self::Error>> {
        self.storage.poll_close(cx, worker)
    }
}

impl BackendConfig for Wakeful {
    type Args = <Storage as BackendConfig>::Args;
    type Id = <Storage as BackendConfig>::Id;
    type Kind = <Storage as BackendConfig>::Kind;
    type Config = <Storage as BackendConfig>::Config;
    type Layer = <Storage as BackendConfig>::Layer;

    fn config(&self) -> &Self::Config {
        self.storage.config()
    }

    fn middleware(&mut self, worker: &mut WorkerContext) -> Self::Layer {
        self.storage.middleware(worker)
    }
}

/// All bells of the process, by kind.
#[derive(Debug, Default, Clone)]
pub(super) struct Bells(Vec<(&'static str, Arc<Bell>)>);

impl Bells {
    pub(super) fn add(&mut self, kind: &'static str) -> Arc<Bell> {
        let bell = Arc::new(Bell::default());
        self.0.push((kind, bell.clone()));
        bell
    }

    fn ring(&self, wanted: impl Fn(&str) -> bool) {
        self.0.iter().filter(|(kind, _)| wanted(kind)).for_each(|(_, bell)| bell.ring());
    }

    /// Rings on notifications. Weather only delays: the poll finds what is missed meanwhile.
    pub(super) async fn listen(self, pool: PgPool) {
        #[derive(Deserialize)]
        struct Inserted {
            job_type: String,
        }
        loop {
            let listening = async {
                let mut listener = PgListener::connect_with(&pool).await?;
                listener.listen(CHANNEL).await?;
                self.ring(|_| true);
                loop {
                    let heard = listener.recv().await?;
                    if let Ok(job) = serde_json::from_str::<Inserted>(heard.payload()) {
                        self.ring(|kind| kind == job.job_type);
                    }
                }
            };
            let Err::<std::convert::Infallible, sqlx::Error>(error) = listening.await;
            tracing::warn!(error = chain(&error), "lost the notifications of new jobs");
            tokio::time::sleep(Duration::from_secs(1)).await;
        }
    }

    /// Rings for every kind that has due work, until told to stop.
    pub(super) async fn poll(self, pool: PgPool, every: Duration, stop: Arc<AtomicBool>) {
        let mut kinds: Vec<&'static str> = self.0.iter().map(|(kind, _)| *kind).collect();
        kinds.dedup();
        while !stop.load(Ordering::Acquire) {
            match due(&pool, &kinds).await {
                Ok(due) => self.ring(|kind| due.iter().any(|due| due == kind)),
                Err(error) => tracing::warn!(error = chain(&error), "could not look for due jobs"),
            }
            tokio::time::sleep(every).await;
        }
    }
}

/// The kinds with due work: one probe per kind of the engine's own partial index.
async fn due(pool: &PgPool, kinds: &[&str]) -> Result<Vec<String>, sqlx::Error> {
    sqlx::query_scalar(
        "SELECT kind FROM unnest($1::text[]) AS kind WHERE EXISTS ( \
           SELECT FROM apalis.jobs WHERE job_type = kind AND run_at < now() \
           AND (status = 'Pending' OR (status = 'Failed' AND attempts < max_attempts)))",
    )
    .bind(kinds)
    .fetch_all(pool)
    .await
}
