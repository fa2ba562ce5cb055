//! A database per test, the jobs the tests run, and small helpers.
//!
//! The database is empty but for `queue::setup`: these proofs need nothing of the product's schema,
//! so they do not go through `testkit-db`.

use std::sync::atomic::{AtomicU32, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use chrono::{DateTime, Utc};
use futures::FutureExt;
use primitives::{ManualClock, SystemClock};
use queue::{JobArgs, JobError, Lease, Outcome, Runner};
use serde::{Deserialize, Serialize};
use sqlx::postgres::{PgConnectOptions, PgPoolOptions};
use sqlx::{AssertSqlSafe, PgPool};
use tokio::sync::watch;
use tokio::task::JoinHandle;

/// One database: the owner's pool for setup and mischief, the application's for everything else.
#[derive(Clone)]
pub struct Db {
    pub name: String,
    pub owner: PgPool,
    pub pool: PgPool,
}

fn server() -> PgConnectOptions {
    let url = std::env::var("CHUKTA_TEST_POSTGRES_URL")
        .expect("CHUKTA_TEST_POSTGRES_URL is not set: run these tests with `make test`");
    url.parse().expect("CHUKTA_TEST_POSTGRES_URL is a PostgreSQL URL")
}

pub async fn connect(database: &str, role: Option<&str>, connections: u32) -> PgPool {
    let mut options = server().database(database);
    if let Some(role) = role {
        options = options.username(role);
    }
    PgPoolOptions::new().max_connections(connections).connect_with(options).await.unwrap()
}

/// Runs a test on a fresh database and removes it afterwards, also when the test fails.
pub async fn with_db<Fut: Future<Output = ()>>(test: impl FnOnce(Db) -> Fut) {
    static COUNT: AtomicU32 = AtomicU32::new(0);
    let count = COUNT.fetch_add(1, Ordering::Relaxed);
    let micros = Utc::now().timestamp_micros();
    let name = format!("queue_it_{}_{micros}_{count}", std::process::id());
    let admin = PgPoolOptions::new().max_connections(1).connect_with(server()).await.unwrap();
    sqlx::query(AssertSqlSafe(format!("CREATE DATABASE {name}"))).execute(&admin).await.unwrap();
    let owner = connect(&name, None, 4).await;
    queue::setup(&owner).await.unwrap();
    sqlx::raw_sql(
        "CREATE TABLE effects (id bigserial PRIMARY KEY, job text NOT NULL, pid integer NOT NULL, \
           at timestamptz NOT NULL DEFAULT clock_timestamp()); \
         CREATE TABLE starts (id bigserial PRIMARY KEY, job text NOT NULL, pid integer NOT NULL, \
           at timestamptz NOT NULL DEFAULT clock_timestamp()); \
         GRANT ALL ON effects, starts, effects_id_seq, starts_id_seq TO chukta_app",
    )
    .execute(&owner)
    .await
    .unwrap();
    let pool = connect(&name, Some("chukta_app"), 20).await;
    let db = Db { name: name.clone(), owner: owner.clone(), pool: pool.clone() };
    let result = std::panic::AssertUnwindSafe(test(db)).catch_unwind().await;
    pool.close().await;
    owner.close().await;
    sqlx::query(AssertSqlSafe(format!("DROP DATABASE {name} WITH (FORCE)")))
        .execute(&admin)
        .await
        .unwrap();
    if let Err(panic) = result {
        std::panic::resume_unwind(panic);
    }
}

impl Db {
    pub async fn enqueue<J: JobArgs>(&self, job: &J, at: DateTime<Utc>) -> queue::Enqueued {
        let mut conn = self.pool.acquire().await.unwrap();
        queue::enqueue(&mut conn, job, at).await.unwrap()
    }

    pub async fn count(&self, query: &'static str) -> i64 {
        sqlx::query_scalar(query).fetch_one(&self.owner).await.unwrap()
    }

    pub async fn text(&self, query: &'static str) -> String {
        sqlx::query_scalar(query).fetch_one(&self.owner).await.unwrap()
    }

    /// Status, attempts and run time of the only job of a kind.
    pub async fn job(&self, kind: &str) -> (String, i32, DateTime<Utc>) {
        sqlx::query_as("SELECT status, attempts, run_at FROM apalis.jobs WHERE job_type = $1")
            .bind(kind)
            .fetch_one(&self.owner)
            .await
            .unwrap()
    }

    /// Outcomes of the attempt log of a kind, oldest first.
    pub async fn log(&self, kind: &str) -> Vec<String> {
        sqlx::query_scalar(
            "SELECT coalesce(outcome, 'open') FROM jobs.job_attempts WHERE kind = $1 \
             ORDER BY started_at",
        )
        .bind(kind)
        .fetch_all(&self.owner)
        .await
        .unwrap()
    }

    /// Waits until a query counts anything at all.
    pub async fn until_some(&self, what: &str, query: &'static str) {
        let end = std::time::Instant::now() + Duration::from_secs(60);
        while self.count(query).await == 0 {
            assert!(std::time::Instant::now() < end, "{what}: still nothing");
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    }

    /// Waits until a query counts what it should, or says what it counted instead.
    pub async fn until(&self, what: &str, within: Duration, query: &'static str, want: i64) {
        let end = std::time::Instant::now() + within;
        loop {
            let got = self.count(query).await;
            if got == want {
                return;
            }
            assert!(std::time::Instant::now() < end, "{what}: wanted {want}, still {got}");
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
    }
}

/// A job whose body is whatever the test scripted for it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Scripted {
    pub name: String,
}

impl JobArgs for Scripted {
    const KIND: &'static str = "scripted";
    const MAX_ATTEMPTS: i32 = 4;
    // Far above what a panic's backtrace takes on a busy machine, so that only sleepers overrun.
    const TIMEOUT: Duration = Duration::from_secs(3);

    fn key(&self) -> String {
        self.name.clone()
    }
}

pub fn scripted(name: &str) -> Scripted {
    Scripted { name: name.to_owned() }
}

/// A job with one effect in the database, written in the transaction that completes the job.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Effect {
    pub name: String,
    pub sleep_ms: u64,
    /// End the process instead, the first time or always.
    pub poison: bool,
}

impl JobArgs for Effect {
    const KIND: &'static str = "effect";
    const MAX_ATTEMPTS: i32 = 50;
    const TIMEOUT: Duration = Duration::from_secs(20);

    fn key(&self) -> String {
        self.name.clone()
    }
}

pub fn effect(name: impl ToString, sleep_ms: u64) -> Effect {
    Effect { name: name.to_string(), sleep_ms, poison: false }
}

/// The body of `Effect`: note the start, work a while, then effect and completion in one commit.
pub async fn run_effect(pool: PgPool, job: Effect, lease: Lease) -> Result<Outcome, JobError> {
    let pid = std::process::id() as i32;
    sqlx::query("INSERT INTO starts (job, pid) VALUES ($1, $2)")
        .bind(&job.name)
        .bind(pid)
        .execute(&pool)
        .await?;
    if job.poison {
        std::process::abort();
    }
    tokio::time::sleep(Duration::from_millis(job.sleep_ms)).await;
    let mut tx = pool.begin().await?;
    sqlx::query("INSERT INTO effects (job, pid) VALUES ($1, $2)")
        .bind(&job.name)
        .bind(pid)
        .execute(&mut *tx)
        .await?;
    lease.finish_in(&mut tx, &Outcome::Done).await?;
    tx.commit().await?;
    Ok(Outcome::Done)
}

pub fn effect_runner(pool: &PgPool) -> Runner {
    let work = pool.clone();
    Runner::new(pool.clone(), Arc::new(SystemClock), "test")
        .heartbeat(Duration::from_secs(1), 3)
        .poll_every(Duration::from_millis(100))
        .register::<Effect, _>(move |job, lease| run_effect(work.clone(), job, lease))
}

/// For tests in which nobody dies: no stall of a busy machine outlasts its lease.
pub fn patient_runner(pool: &PgPool) -> Runner {
    effect_runner(pool).heartbeat(Duration::from_secs(1), 10)
}

/// A runner in the background, and how to end it.
pub struct Running {
    stop: watch::Sender<bool>,
    task: JoinHandle<Result<(), queue::QueueError>>,
}

impl Running {
    pub fn start(runner: Runner) -> Self {
        let (stop, shutdown) = watch::channel(false);
        Self { stop, task: tokio::spawn(runner.run(shutdown)) }
    }

    pub async fn stop(self) -> Result<(), queue::QueueError> {
        self.stop.send_replace(true);
        self.task.await.unwrap()
    }

    pub async fn ended(self) -> Result<(), queue::QueueError> {
        self.task.await.unwrap()
    }
}

type Answer = Result<Outcome, JobError>;
type Body = Arc<dyn Fn(&str, &Lease) -> futures::future::BoxFuture<'static, Answer> + Send + Sync>;

/// A runner of `Scripted` jobs on a manual clock, and a note of every call: name and attempt.
pub struct Stage {
    pub clock: ManualClock,
    pub runner: Runner,
    pub calls: Arc<Mutex<Vec<(String, i32)>>>,
}

pub fn noon() -> DateTime<Utc> {
    "2026-03-01T12:00:00Z".parse().unwrap()
}

pub fn body<Fut>(f: impl Fn(&str, &Lease) -> Fut + Send + Sync + 'static) -> Body
where
    Fut: Future<Output = Answer> + Send + 'static,
{
    Arc::new(move |name, lease| Box::pin(f(name, lease)))
}

impl Stage {
    pub fn new(pool: &PgPool, body: Body) -> Self {
        let clock = ManualClock::new(noon());
        let calls = Arc::new(Mutex::new(Vec::new()));
        let runner = Runner::new(pool.clone(), Arc::new(clock.clone()), "stage")
            .register::<Scripted, _>(script(body, calls.clone()));
        Self { clock, runner, calls }
    }

    pub fn calls(&self) -> Vec<(String, i32)> {
        self.calls.lock().unwrap().clone()
    }
}

pub fn script(
    body: Body,
    calls: Arc<Mutex<Vec<(String, i32)>>>,
) -> impl Fn(Scripted, Lease) -> futures::future::BoxFuture<'static, Answer> + Send + Sync + 'static
{
    move |job, lease| {
        calls.lock().unwrap().push((job.name.clone(), lease.attempt()));
        body(&job.name, &lease)
    }
}
