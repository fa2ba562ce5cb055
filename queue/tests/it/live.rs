//! The engine's loop inside this process: latency, failures, lost connections, shutdown.

use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use chrono::{TimeDelta, Utc};
use primitives::SystemClock;
use queue::{JobArgs, JobError, Outcome, QueueError, Runner};
use serde::{Deserialize, Serialize};

use crate::support::{
    Db, Running, Scripted, body, connect, effect, effect_runner, patient_runner, script, scripted,
    with_db,
};

/// A count that passes by would be missed: it is enough that it was reached.
const TWO_BEGUN: &str = "SELECT (count(*) >= 2)::int::bigint FROM starts";

fn live(db: &Db) -> Runner {
    Runner::new(db.pool.clone(), Arc::new(SystemClock), "live")
        .heartbeat(Duration::from_secs(1), 10)
        .poll_every(Duration::from_millis(100))
}

/// Panic, overrun and error under the real loop: each is retried after its back-off, none strands,
/// and the worker lives on.
#[tokio::test(flavor = "multi_thread")]
async fn nothing_strands_under_the_real_loop() {
    with_db(|db| async move {
        let calls = Arc::new(Mutex::new(Vec::new()));
        let bodies = body(|name, lease| {
            let (name, first) = (name.to_owned(), lease.attempt() == 1);
            async move {
                match name.as_str() {
                    "panic" if first => panic!("boom"),
                    "overrun" if first => {
                        tokio::time::sleep(Duration::from_secs(60)).await;
                        Ok(Outcome::Done)
                    }
                    "error" if first => Err(JobError::Failed("weather".to_owned())),
                    "later" if first => {
                        Err(JobError::RetryAfter(Duration::from_millis(300), "soon".to_owned()))
                    }
                    _ => Ok(Outcome::Done),
                }
            }
        });
        let runner = live(&db).register::<Scripted, _>(script(bodies, calls.clone()));
        let pulse = runner.pulse();
        let running = Running::start(runner);
        for name in ["panic", "overrun", "error", "later", "fine"] {
            db.enqueue(&scripted(name), Utc::now()).await;
        }
        let done = "SELECT count(*) FROM apalis.jobs WHERE status = 'Done'";
        db.until("all done", Duration::from_secs(60), done, 5).await;
        assert_eq!(calls.lock().unwrap().len(), 9);
        let errors = "SELECT string_agg(error, '; ' ORDER BY key) FROM jobs.job_attempts \
             WHERE outcome = 'failed'";
        assert_eq!(db.text(errors).await, "weather; soon; ran longer than 3000 ms; panicked: boom");
        assert!(pulse.age().is_some());
        running.stop().await.unwrap();
    })
    .await;
}

/// Immediate, delayed, re-armed and re-run jobs all start soon: no lost wake-ups in the poll.
#[tokio::test(flavor = "multi_thread")]
async fn due_jobs_start_soon() {
    with_db(|db| async move {
        let running = Running::start(patient_runner(&db.pool));
        tokio::time::sleep(Duration::from_millis(500)).await;
        let mut waits = Vec::new();
        for n in 0..30_u64 {
            let asked = Instant::now();
            // Every third is delayed, every second name is one that has run before.
            let delay = if n % 3 == 0 { 200 } else { 0 };
            let at = Utc::now() + TimeDelta::milliseconds(delay);
            let before = db.count("SELECT count(*) FROM effects").await;
            db.enqueue(&effect(n / 2, 0), at).await;
            while db.count("SELECT count(*) FROM effects").await == before {
                assert!(asked.elapsed() < Duration::from_secs(20), "a wake-up was lost");
                tokio::time::sleep(Duration::from_millis(5)).await;
            }
            waits.push(asked.elapsed().as_millis() as i64 - delay);
            tokio::time::sleep(Duration::from_millis(n * 7 % 40)).await;
        }
        waits.sort_unstable();
        println!("enqueue to effect, ms: {waits:?}");
        running.stop().await.unwrap();
    })
    .await;
}

/// Every connection of the process killed again and again, also in the middle of runs: each worker
/// comes back under a new name, every job has one effect.
#[tokio::test(flavor = "multi_thread")]
async fn a_storm_of_lost_connections_is_survived() {
    with_db(|db| async move {
        let storm = connect(&db.name, Some("chukta_app"), 16).await;
        let running = Running::start(effect_runner(&storm));
        for n in 0..60 {
            db.enqueue(&effect(n, 40), Utc::now()).await;
        }
        for _ in 0..25 {
            tokio::time::sleep(Duration::from_millis(80)).await;
            sqlx::query(
                "SELECT pg_terminate_backend(pid) FROM pg_stat_activity \
                 WHERE usename = 'chukta_app' AND datname = current_database() \
                 AND pid <> pg_backend_pid()",
            )
            .execute(&db.owner)
            .await
            .unwrap();
        }
        let done = "SELECT count(*) FROM apalis.jobs WHERE status = 'Done'";
        db.until("all done after the storm", Duration::from_secs(60), done, 60).await;
        assert_eq!(db.count("SELECT count(*) FROM effects").await, 60);
        assert_eq!(db.count("SELECT count(DISTINCT job) FROM effects").await, 60);
        running.stop().await.unwrap();
        storm.close().await;
    })
    .await;
}

/// A process whose workers cannot live says so instead of living on without them.
#[tokio::test(flavor = "multi_thread")]
async fn workers_that_cannot_live_end_the_runner() {
    with_db(|db| async move {
        sqlx::query("REVOKE INSERT ON apalis.workers FROM chukta_app")
            .execute(&db.owner)
            .await
            .unwrap();
        let running = Running::start(effect_runner(&db.pool).restart_limit(2));
        let ended = tokio::time::timeout(Duration::from_secs(30), running.ended()).await.unwrap();
        assert!(matches!(ended, Err(QueueError::WorkersEnded(why)) if why.contains("effect")));
    })
    .await;
}

/// Shutdown: the body under way finishes and is recorded, what waits stays waiting with its
/// attempts, and the names of the process are signed off.
#[tokio::test(flavor = "multi_thread")]
async fn shutdown_finishes_what_runs_and_begins_nothing() {
    with_db(|db| async move {
        let running = Running::start(patient_runner(&db.pool));
        // So many that some are left even if the stop is asked for late.
        for n in 0..60 {
            db.enqueue(&effect(n, 400), Utc::now()).await;
        }
        db.until("two begun", Duration::from_secs(30), TWO_BEGUN, 1).await;
        let asked = Instant::now();
        running.stop().await.unwrap();
        // The longest job's timeout is the grace: whoever waits for all of it takes longer.
        assert!(asked.elapsed() < Duration::from_secs(20), "{:?}", asked.elapsed());
        let started = db.count("SELECT count(*) FROM starts").await;
        assert!(started < 60, "it stopped fetching");
        assert_eq!(db.count("SELECT count(*) FROM effects").await, started);
        let rest = "SELECT count(*) FROM apalis.jobs WHERE status = 'Pending' AND attempts = 0 \
             AND lock_by IS NULL";
        assert_eq!(db.count(rest).await, 60 - started);
        assert_eq!(db.count("SELECT count(*) FROM apalis.workers").await, 0);
    })
    .await;
}

/// A job that may take longer than this test waits for anything.
#[derive(Serialize, Deserialize)]
struct Endless;

impl JobArgs for Endless {
    const KIND: &'static str = "endless";
    const TIMEOUT: Duration = Duration::from_secs(60);

    fn key(&self) -> String {
        "endless".to_owned()
    }
}

/// A body that outlasts the grace is left behind; its job is taken up by others once the lease
/// ends.
#[tokio::test(flavor = "multi_thread")]
async fn the_grace_is_bounded() {
    with_db(|db| async move {
        let runner = live(&db).grace(Duration::from_millis(300));
        let running = Running::start(runner.register::<Endless, _>(|_, _| async {
            std::thread::sleep(Duration::from_millis(1500));
            std::future::pending::<()>().await;
            Ok(Outcome::Done)
        }));
        db.enqueue(&Endless, Utc::now()).await;
        let begun = "SELECT count(*) FROM jobs.job_attempts";
        db.until("begun", Duration::from_secs(30), begun, 1).await;
        let asked = Instant::now();
        running.stop().await.unwrap();
        // Without a bound it would be the job's own 60 s.
        assert!(asked.elapsed() < Duration::from_secs(20), "{:?}", asked.elapsed());
    })
    .await;
}

/// Two runners share the work; nothing runs twice although both poll and listen.
#[tokio::test(flavor = "multi_thread")]
async fn two_runners_share_the_work() {
    with_db(|db| async move {
        let one = Running::start(patient_runner(&db.pool));
        let two = Running::start(patient_runner(&db.pool));
        for n in 0..80 {
            db.enqueue(&effect(n, 5), Utc::now()).await;
        }
        db.until("effects", Duration::from_secs(60), "SELECT count(*) FROM effects", 80).await;
        one.stop().await.unwrap();
        two.stop().await.unwrap();
        assert_eq!(db.count("SELECT count(*) FROM starts").await, 80);
        assert_eq!(db.count("SELECT count(*) FROM jobs.job_attempts").await, 80);
        assert_eq!(
            db.count("SELECT count(*) FROM apalis.jobs WHERE status = 'Done' AND attempts = 1")
                .await,
            80
        );
    })
    .await;
}
