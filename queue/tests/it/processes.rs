//! Real processes that are killed, frozen and told to stop. The worker process is this very test
//! binary, started again with `worker_process` as its only test and its database in the
//! environment.

use std::process::Stdio;
use std::sync::Arc;
use std::time::{Duration, Instant};

use chrono::Utc;
use primitives::SystemClock;
use queue::ticks::Schedule;
use tokio::process::{Child, Command};
use tokio::signal::unix::{SignalKind, signal};
use tokio::sync::watch;

use crate::support::{Db, Effect, connect, effect, effect_runner, patient_runner, with_db};

const DATABASE: &str = "CHUKTA_QUEUE_TEST_DATABASE";
const TICKS: &str = "CHUKTA_QUEUE_TEST_TICKS";
const PATIENT: &str = "CHUKTA_QUEUE_TEST_PATIENT";
const DONE: &str = "SELECT count(*) FROM apalis.jobs WHERE status = 'Done'";
const EFFECTS: &str = "SELECT count(*) FROM effects";

/// Not a test of its own: without a database in the environment there is nothing to do.
#[tokio::test(flavor = "multi_thread")]
async fn worker_process() {
    let Ok(database) = std::env::var(DATABASE) else {
        return;
    };
    let pool = connect(&database, Some("chukta_app"), 12).await;
    let (stop, shutdown) = watch::channel(false);
    let mut term = signal(SignalKind::terminate()).unwrap();
    tokio::spawn(async move {
        term.recv().await;
        stop.send_replace(true);
    });
    if std::env::var(TICKS).is_ok() {
        let schedule = Schedule::new()
            .every("beat", Duration::from_millis(500), || effect("beat", 0))
            .every("other", Duration::from_millis(700), || effect("other", 0));
        tokio::spawn(schedule.run(pool.clone(), Arc::new(SystemClock), shutdown.clone()));
    }
    let patient = std::env::var(PATIENT).is_ok();
    let runner = if patient { patient_runner(&pool) } else { effect_runner(&pool) };
    runner.run(shutdown).await.unwrap();
}

struct Process(Child);

impl Process {
    fn start(db: &Db) -> Self {
        Self::spawn(Command::new(std::env::current_exe().unwrap()).env(DATABASE, &db.name))
    }

    /// One that nobody kills: its lease is long.
    fn start_patient(db: &Db) -> Self {
        let mut command = Command::new(std::env::current_exe().unwrap());
        Self::spawn(command.env(DATABASE, &db.name).env(PATIENT, "yes"))
    }

    fn start_ticking(db: &Db) -> Self {
        let mut command = Command::new(std::env::current_exe().unwrap());
        Self::spawn(command.env(DATABASE, &db.name).env(PATIENT, "yes").env(TICKS, "yes"))
    }

    fn spawn(command: &mut Command) -> Self {
        let child = command
            .args(["--exact", "processes::worker_process", "--nocapture", "--test-threads=1"])
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .kill_on_drop(true)
            .spawn()
            .unwrap();
        Self(child)
    }

    fn pid(&self) -> i32 {
        self.0.id().unwrap() as i32
    }

    async fn signal(&self, name: &str) {
        let sent = Command::new("kill").args([name, &self.pid().to_string()]).status().await;
        assert!(sent.unwrap().success());
    }

    /// `kill -9`, and gone.
    async fn kill(mut self) {
        self.0.kill().await.unwrap();
    }
}

/// Enough randomness to kill by, from a seed that a failure prints.
struct Dice(u64);

impl Dice {
    fn roll(&mut self, below: u64) -> u64 {
        self.0 = self.0.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1);
        (self.0 >> 33) % below
    }
}

/// Three worker processes, 150 jobs, ten random `kill -9` each followed by a restart: every job has
/// exactly one effect, none is left undone.
#[tokio::test(flavor = "multi_thread")]
async fn a_storm_of_kills_loses_and_doubles_nothing() {
    with_db(|db| async move {
        let seed = u64::from(std::process::id());
        println!("seed {seed}");
        let mut dice = Dice(seed);
        let mut fleet: Vec<Process> = (0..3).map(|_| Process::start(&db)).collect();
        for n in 0..150 {
            db.enqueue(&effect(n, 200), Utc::now()).await;
        }
        db.until_some("the fleet is at work", "SELECT count(*) FROM effects").await;
        for _ in 0..10 {
            tokio::time::sleep(Duration::from_millis(200 + dice.roll(400))).await;
            let victim = fleet.swap_remove(dice.roll(3) as usize);
            victim.kill().await;
            fleet.push(Process::start(&db));
        }
        db.until("all done", Duration::from_secs(120), DONE, 150).await;
        assert_eq!(db.count(EFFECTS).await, 150);
        assert_eq!(db.count("SELECT count(DISTINCT job) FROM effects").await, 150);
        let starts = db.count("SELECT count(*) FROM starts").await;
        assert!(starts > 150, "the kills met work under way");
        println!("150 jobs, 10 kills, {starts} starts, 150 effects");
        let open = "SELECT count(*) FROM jobs.job_attempts WHERE outcome IS NULL";
        assert_eq!(db.count(open).await, 0, "every run ended in the log, lost ones too");
        for process in fleet {
            process.kill().await;
        }
    })
    .await;
}

/// A worker frozen past its lease wakes up after another has done its job, and is refused.
#[tokio::test(flavor = "multi_thread")]
async fn a_frozen_worker_is_refused() {
    with_db(|db| async move {
        let frozen = Process::start(&db);
        // Long enough to be frozen in, and for both to be awake at once, on a busy machine too.
        db.enqueue(&effect("x", 5_000), Utc::now()).await;
        let starts = "SELECT count(*) FROM starts";
        db.until("begun", Duration::from_secs(30), starts, 1).await;
        frozen.signal("-STOP").await;
        let other = Process::start(&db);
        db.until("taken over", Duration::from_secs(60), starts, 2).await;
        // Resumed while the other is at work, so that both are awake at once.
        frozen.signal("-CONT").await;
        db.until("done", Duration::from_secs(30), DONE, 1).await;
        tokio::time::sleep(Duration::from_millis(1000)).await;
        assert_eq!(db.count(EFFECTS).await, 1);
        let by: i32 =
            sqlx::query_scalar("SELECT pid FROM effects").fetch_one(&db.owner).await.unwrap();
        assert_eq!(by, other.pid());
        assert_eq!(db.log("effect").await, ["lost", "done"]);
        assert_eq!(db.count("SELECT max(attempts)::bigint FROM apalis.jobs").await, 2);

        // The resumed process is alive and well: it registers anew and takes further work.
        other.kill().await;
        db.enqueue(&effect("y", 0), Utc::now()).await;
        db.until("works on", Duration::from_secs(60), EFFECTS, 2).await;
        frozen.kill().await;
    })
    .await;
}

/// A process killed in the middle of a job and started again at once (the same command, the same
/// role): the job is not held by a name that looks alive.
#[tokio::test(flavor = "multi_thread")]
async fn a_restart_in_place_strands_nothing() {
    with_db(|db| async move {
        let first = Process::start(&db);
        db.enqueue(&effect("x", 1000), Utc::now()).await;
        db.until("begun", Duration::from_secs(30), "SELECT count(*) FROM starts", 1).await;
        first.kill().await;
        let second = Process::start(&db);
        db.until("done after the lease", Duration::from_secs(60), DONE, 1).await;
        assert_eq!(db.count(EFFECTS).await, 1);
        second.kill().await;
    })
    .await;
}

/// SIGTERM: the run under way ends well, nothing is lost, nothing counted, the exit is clean.
#[tokio::test(flavor = "multi_thread")]
async fn sigterm_drains() {
    with_db(|db| async move {
        let mut process = Process::start_patient(&db);
        for n in 0..8 {
            db.enqueue(&effect(n, 700), Utc::now()).await;
        }
        // Not exactly two: a count that passes by would be missed.
        let begun = "SELECT (count(*) >= 2)::int::bigint FROM starts";
        db.until("begun", Duration::from_secs(30), begun, 1).await;
        process.signal("-TERM").await;
        // Whoever waits for the whole grace takes longer.
        let exit = tokio::time::timeout(Duration::from_secs(20), process.0.wait()).await;
        assert!(exit.unwrap().unwrap().success());
        let begun = db.count("SELECT count(*) FROM starts").await;
        assert_eq!(db.count(EFFECTS).await, begun);
        let rest = "SELECT count(*) FROM apalis.jobs WHERE status = 'Pending' AND attempts = 0";
        assert_eq!(db.count(rest).await, 8 - begun);
    })
    .await;
}

/// A job that takes its process with it comes to an end, and the others flow on.
#[tokio::test(flavor = "multi_thread")]
async fn a_poison_pill_is_buried() {
    with_db(|db| async move {
        let pill = Effect { poison: true, ..effect("pill", 0) };
        db.enqueue(&pill, Utc::now()).await;
        sqlx::query("UPDATE apalis.jobs SET max_attempts = 2").execute(&db.owner).await.unwrap();
        let mut process = Process::start(&db);
        let killed = "SELECT count(*) FROM apalis.jobs WHERE status = 'Killed'";
        let end = Instant::now() + Duration::from_secs(60);
        while db.count(killed).await == 0 {
            assert!(Instant::now() < end, "the pill is still alive");
            if process.0.try_wait().unwrap().is_some() {
                process = Process::start(&db);
            }
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
        assert_eq!(db.count("SELECT count(*) FROM starts").await, 2);
        db.enqueue(&effect("fine", 0), Utc::now()).await;
        db.until("others flow on", Duration::from_secs(30), DONE, 1).await;
        process.kill().await;
    })
    .await;
}

/// Two processes, each ticking and working: every tick has one key and ran once.
#[tokio::test(flavor = "multi_thread")]
async fn two_processes_ticking_run_each_tick_once() {
    with_db(|db| async move {
        let begun = Instant::now();
        let fleet = [Process::start_ticking(&db), Process::start_ticking(&db)];
        db.until_some("the fleet ticks", EFFECTS).await;
        tokio::time::sleep(Duration::from_millis(3500)).await;
        for mut process in fleet {
            process.signal("-TERM").await;
            assert!(process.0.wait().await.unwrap().success());
        }
        // No more than there were ticks meanwhile, those it began and ended in included.
        let lived = begun.elapsed();
        let within = |every: i64| lived.as_millis() as i64 / every + 2;
        let most = within(500) + within(700);
        let ticks = db.count(DONE).await;
        assert!((4..=most).contains(&ticks), "{ticks} ticks of 0.5 s and 0.7 s in {lived:?}");
        assert_eq!(db.count(EFFECTS).await, ticks);
        assert_eq!(db.count("SELECT count(*) FROM starts").await, ticks);
        let keys = "SELECT count(DISTINCT idempotency_key) FROM apalis.jobs";
        assert_eq!(db.count(keys).await, db.count("SELECT count(*) FROM apalis.jobs").await);
    })
    .await;
}
