//! Every way a run can end, on a manual clock: what is counted, how long is waited, who must look.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::time::Duration;

use chrono::TimeDelta;
use primitives::Clock;
use queue::{Enqueued, JobArgs, JobError, Outcome, QueueError, Runner};
use serde::{Deserialize, Serialize};

use crate::support::{Scripted, Stage, body, noon, scripted, with_db};

fn fails() -> Result<Outcome, JobError> {
    Err(JobError::Failed("bank said no".to_owned()))
}

/// Four failures of a job with four attempts: each wait longer than the one before, then dead.
#[tokio::test]
async fn errors_count_back_off_and_end() {
    with_db(|db| async move {
        let stage = Stage::new(&db.pool, body(|_, _| async { fails() }));
        db.enqueue(&scripted("x"), noon()).await;
        let mut waits = Vec::new();
        for attempt in 1..=3 {
            let drained = stage.runner.drain().await.unwrap();
            assert_eq!(drained.failures.len(), 1);
            assert_eq!(drained.failures[0].error, "bank said no");
            assert_eq!((drained.failures[0].attempt, drained.runs), (attempt, 1));
            let (status, attempts, run_at) = db.job("scripted").await;
            assert_eq!((status.as_str(), attempts), ("Failed", attempt));
            let wait = run_at - stage.clock.now();
            waits.push(wait);
            stage.clock.advance(wait - TimeDelta::milliseconds(1));
            assert_eq!(stage.runner.drain().await.unwrap().runs, 0, "not before its time");
            stage.clock.advance(TimeDelta::milliseconds(1));
        }
        assert!(waits.is_sorted_by(|a, b| a < b), "{waits:?}");
        for (wait, seconds) in waits.iter().zip([1, 2, 4]) {
            let ms = wait.num_milliseconds();
            assert!((750 * seconds..=1250 * seconds).contains(&ms), "{ms} for {seconds} s");
        }
        assert_eq!(stage.runner.drain().await.unwrap().failures.len(), 1);
        let (status, attempts, _) = db.job("scripted").await;
        assert_eq!((status.as_str(), attempts), ("Killed", 4));
        stage.clock.advance(TimeDelta::days(30));
        assert_eq!(stage.runner.drain().await.unwrap().runs, 0, "dead is dead");
        assert_eq!(db.log("scripted").await, ["failed"; 4]);
        assert_eq!(db.text("SELECT last_result ->> 'Err' FROM apalis.jobs").await, "bank said no");
    })
    .await;
}

#[tokio::test]
async fn retry_after_waits_exactly_as_told_and_counts() {
    with_db(|db| async move {
        let wait = Duration::from_millis(2500);
        let slow = move || async move { Err(JobError::RetryAfter(wait, "slow down".to_owned())) };
        let stage = Stage::new(&db.pool, body(move |_, _| slow()));
        db.enqueue(&scripted("x"), noon()).await;
        stage.runner.drain().await.unwrap();
        let (status, attempts, run_at) = db.job("scripted").await;
        assert_eq!((status.as_str(), attempts), ("Failed", 1));
        assert_eq!(run_at - noon(), TimeDelta::milliseconds(2500));
        for _ in 0..10 {
            stage.clock.advance(TimeDelta::seconds(3));
            stage.runner.drain().await.unwrap();
        }
        assert_eq!(db.job("scripted").await.0, "Killed", "a retry hint is no way past the cap");
        assert_eq!(stage.calls().len(), 4);
    })
    .await;
}

/// Waiting is not an attempt, and it ends a row of failures.
#[tokio::test]
async fn again_burns_no_attempt() {
    with_db(|db| async move {
        let clock = Arc::new(std::sync::OnceLock::<primitives::ManualClock>::new());
        let (seen, count) = (clock.clone(), AtomicUsize::new(0));
        let stage = Stage::new(
            &db.pool,
            body(move |_, _| {
                let at = seen.get().unwrap().now() + TimeDelta::seconds(30);
                let run = count.fetch_add(1, Ordering::Relaxed);
                async move {
                    match run {
                        20 => Ok(Outcome::Done),
                        run if run % 5 == 4 => fails(),
                        _ => Ok(Outcome::Again(at)),
                    }
                }
            }),
        );
        clock.set(stage.clock.clone()).unwrap();
        db.enqueue(&scripted("x"), noon()).await;
        stage.runner.drain().await.unwrap();
        let waiting = db.job("scripted").await;
        assert_eq!(waiting, ("Pending".to_owned(), 0, noon() + TimeDelta::seconds(30)));
        for _ in 0..20 {
            stage.clock.advance(TimeDelta::seconds(30));
            stage.runner.drain().await.unwrap();
        }
        assert_eq!(db.job("scripted").await.0, "Done", "21 runs, 4 failures, cap 4");
        let attempts: Vec<i32> = stage.calls().into_iter().map(|(_, attempt)| attempt).collect();
        assert_eq!(attempts[..6], [1, 1, 1, 1, 1, 2]);
        assert_eq!(db.log("scripted").await[..5], ["again", "again", "again", "again", "failed"]);
    })
    .await;
}

#[tokio::test]
async fn stop_kills_at_once_with_its_reason() {
    with_db(|db| async move {
        let stop = || async { Ok(Outcome::Stop("the VPA is not his".to_owned())) };
        let stage = Stage::new(&db.pool, body(move |_, _| stop()));
        db.enqueue(&scripted("x"), noon()).await;
        let drained = stage.runner.drain().await.unwrap();
        assert_eq!((drained.runs, drained.failures.len()), (1, 0));
        stage.clock.advance(TimeDelta::days(1));
        assert_eq!(stage.runner.drain().await.unwrap().runs, 0);
        assert_eq!(db.job("scripted").await.0, "Killed");
        assert_eq!(db.log("scripted").await, ["stopped"]);
        assert_eq!(
            db.text("SELECT last_result ->> 'Err' FROM apalis.jobs").await,
            "the VPA is not his"
        );
    })
    .await;
}

/// A panic, before or inside the future, is a failure like any other.
#[tokio::test]
async fn a_panic_is_a_failure() {
    with_db(|db| async move {
        let stage = Stage::new(
            &db.pool,
            body(|name, _| {
                assert!(name != "early", "early bird");
                async { panic!("boom") }
            }),
        );
        db.enqueue(&scripted("early"), noon()).await;
        db.enqueue(&scripted("late"), noon()).await;
        for _ in 0..4 {
            let drained = stage.runner.drain().await.unwrap();
            let mut errors: Vec<&str> =
                drained.failures.iter().map(|failure| failure.error.as_str()).collect();
            errors.sort_unstable();
            assert_eq!(errors, ["panicked: boom", "panicked: early bird"]);
            stage.clock.advance(TimeDelta::minutes(1));
        }
        assert_eq!(db.count("SELECT count(*) FROM apalis.jobs WHERE status = 'Killed'").await, 2);
    })
    .await;
}

/// A body that overruns loses its lease; when it wakes up, its fence refuses it, even though the
/// same worker name has taken the job up again meanwhile.
#[tokio::test(flavor = "multi_thread")]
async fn an_overrun_loses_its_lease() {
    with_db(|db| async move {
        let (late, pool) = (Arc::new(AtomicUsize::new(0)), db.pool.clone());
        let (refused, release) = (late.clone(), Arc::new(AtomicBool::new(false)));
        let go = release.clone();
        let stage = Stage::new(
            &db.pool,
            body(move |_, lease| {
                let (lease, pool, refused) = (lease.clone(), pool.clone(), refused.clone());
                let go = go.clone();
                async move {
                    if lease.attempt() == 1 {
                        while !go.load(Ordering::Acquire) {
                            tokio::time::sleep(Duration::from_millis(20)).await;
                        }
                        let mut tx = pool.begin().await?;
                        let held = lease.hold_in(&mut tx).await;
                        assert!(matches!(held, Err(JobError::LeaseLost)));
                        let finished = lease.finish_in(&mut tx, &Outcome::Done).await;
                        assert!(matches!(finished, Err(JobError::LeaseLost)));
                        refused.fetch_add(1, Ordering::AcqRel);
                    } else {
                        go.store(true, Ordering::Release);
                        for _ in 0..100 {
                            if refused.load(Ordering::Acquire) == 1 {
                                break;
                            }
                            tokio::time::sleep(Duration::from_millis(20)).await;
                        }
                        assert_eq!(refused.load(Ordering::Acquire), 1, "tried while we run");
                    }
                    Ok(Outcome::Done)
                }
            }),
        );
        db.enqueue(&scripted("x"), noon()).await;
        let drained = stage.runner.drain().await.unwrap();
        assert_eq!(drained.failures[0].error, "ran longer than 3000 ms");
        assert_eq!(db.job("scripted").await.0, "Failed");
        stage.clock.advance(TimeDelta::seconds(2));
        assert_eq!(stage.runner.drain().await.unwrap().failures, []);
        assert_eq!(db.job("scripted").await.0, "Done");
        assert_eq!(late.load(Ordering::Acquire), 1);
        assert_eq!(db.log("scripted").await, ["failed", "done"]);
    })
    .await;
}

/// An enqueue during a run is never lost, whatever way the run ends.
#[tokio::test]
async fn a_wish_during_the_run_is_granted_after_it() {
    with_db(|db| async move {
        let runs = Arc::new(AtomicUsize::new(0));
        let (count, asker) = (runs.clone(), db.clone());
        let stage = Stage::new(
            &db.pool,
            body(move |name, lease| {
                let first = count.fetch_add(1, Ordering::AcqRel) == 0;
                let (db, name, lease) = (asker.clone(), name.to_owned(), lease.clone());
                async move {
                    if !first {
                        return Ok(Outcome::Done);
                    }
                    assert_eq!(db.enqueue(&scripted(&name), noon()).await, Enqueued::AlreadyQueued);
                    match name.as_str() {
                        "done" => Ok(Outcome::Done),
                        "again" => Ok(Outcome::Again(noon() + TimeDelta::days(9))),
                        "stop" => Ok(Outcome::Stop("look".to_owned())),
                        "finish" => {
                            let mut tx = db.pool.begin().await?;
                            lease.hold_in(&mut tx).await?;
                            lease.finish_in(&mut tx, &Outcome::Done).await?;
                            tx.commit().await?;
                            Ok(Outcome::Done)
                        }
                        _ => fails(),
                    }
                }
            }),
        );
        for name in ["done", "again", "stop", "finish"] {
            runs.store(0, Ordering::Release);
            db.enqueue(&scripted(name), noon()).await;
            assert_eq!(stage.runner.drain().await.unwrap().runs, 2, "{name}");
        }
        // A failure is followed by a retry anyway: the wish rides on it and spares the back-off.
        runs.store(0, Ordering::Release);
        db.enqueue(&scripted("fail"), noon()).await;
        assert_eq!(stage.runner.drain().await.unwrap().runs, 1);
        stage.clock.advance(TimeDelta::seconds(2));
        assert_eq!(stage.runner.drain().await.unwrap().runs, 1);
        assert_eq!(db.count("SELECT count(*) FROM apalis.jobs WHERE status = 'Done'").await, 5);
        assert_eq!(
            db.count("SELECT count(*) FROM apalis.jobs WHERE metadata ? 'rerun_at'").await,
            0
        );
    })
    .await;
}

/// The enqueuer commits after the run has ended and was waiting for its row: no lost wake-up
/// either.
#[tokio::test(flavor = "multi_thread")]
async fn a_wish_committed_late_is_granted_too() {
    with_db(|db| async move {
        let asker = db.clone();
        let stage = Stage::new(
            &db.pool,
            body(move |_, lease| {
                let (db, first) = (asker.clone(), lease.attempt());
                async move {
                    if db.count("SELECT count(*) FROM effects").await == 0 && first == 1 {
                        let mut tx = db.pool.begin().await?;
                        queue::enqueue(&mut tx, &scripted("x"), noon()).await?;
                        sqlx::query("INSERT INTO effects (job, pid) VALUES ('x', 0)")
                            .execute(&mut *tx)
                            .await?;
                        tokio::spawn(async move {
                            tokio::time::sleep(Duration::from_millis(150)).await;
                            tx.commit().await.unwrap();
                        });
                    }
                    Ok(Outcome::Done)
                }
            }),
        );
        db.enqueue(&scripted("x"), noon()).await;
        assert_eq!(stage.runner.drain().await.unwrap().runs, 2);
    })
    .await;
}

/// What cannot be decoded fails its own job and nobody else.
#[tokio::test]
async fn arguments_that_do_not_decode_fail_the_job() {
    with_db(|db| async move {
        let stage = Stage::new(&db.pool, body(|_, _| async { Ok(Outcome::Done) }));
        db.enqueue(&scripted("bad"), noon()).await;
        sqlx::query("UPDATE apalis.jobs SET job = '\\x00ff'").execute(&db.owner).await.unwrap();
        db.enqueue(&scripted("good"), noon()).await;
        let drained = stage.runner.drain().await.unwrap();
        assert_eq!((drained.runs, drained.failures.len()), (2, 1));
        assert!(drained.failures[0].error.starts_with("the arguments do not decode"));
        assert_eq!(stage.calls(), [("good".to_owned(), 1)]);
    })
    .await;
}

/// Error text of any shape can be stored.
#[tokio::test]
async fn hostile_error_text_is_storable() {
    with_db(|db| async move {
        let nasty = format!("nul \0, quote ', \u{1F4A5}, {}", "long ".repeat(1000));
        let stage = Stage::new(
            &db.pool,
            body(move |_, _| {
                let nasty = nasty.clone();
                async move { Err(JobError::Failed(nasty)) }
            }),
        );
        db.enqueue(&scripted("x"), noon()).await;
        assert_eq!(stage.runner.drain().await.unwrap().failures.len(), 1);
        let kept = db.text("SELECT error FROM jobs.job_attempts").await;
        assert!(kept.starts_with("nul  , quote ', \u{1F4A5}") && kept.chars().count() == 1000);
    })
    .await;
}

#[derive(Serialize, Deserialize)]
struct Quick;

impl JobArgs for Quick {
    const KIND: &'static str = "quick";
    const BACKOFF: queue::backoff::Policy =
        queue::backoff::Policy { base: Duration::from_millis(10), cap: Duration::from_millis(40) };

    fn key(&self) -> String {
        "quick".to_owned()
    }
}

/// A kind's own policy travels with its rows; with 20 attempts by default it ends at its cap.
#[tokio::test]
async fn a_kind_may_have_its_own_policy() {
    with_db(|db| async move {
        let clock = primitives::ManualClock::new(noon());
        let runner = Runner::new(db.pool.clone(), Arc::new(clock.clone()), "quick")
            .register::<Quick, _>(|_, _| async { fails() });
        db.enqueue(&Quick, noon()).await;
        for attempt in 1..20 {
            runner.drain().await.unwrap();
            let (status, attempts, run_at) = db.job("quick").await;
            assert_eq!((status.as_str(), attempts), ("Failed", attempt));
            let wait = run_at - clock.now();
            assert!(wait <= TimeDelta::milliseconds(50), "{wait}");
            clock.advance(wait);
        }
        runner.drain().await.unwrap();
        assert_eq!(db.job("quick").await.0, "Killed");
    })
    .await;
}

/// Due means due by our clock; the order is time, kind, key; what a job makes due runs in the same
/// drain; a drain that cannot come to rest says so; a kind registered twice is refused.
#[tokio::test]
async fn a_drain_follows_our_clock() {
    with_db(|db| async move {
        let asker = db.clone();
        let stage = Stage::new(
            &db.pool,
            body(move |name, _| {
                let (db, follow) = (asker.clone(), name == "b");
                async move {
                    if follow {
                        db.enqueue(&scripted("follow"), noon()).await;
                    }
                    Ok(Outcome::Done)
                }
            }),
        );
        for (name, minutes) in [("c", 0), ("tomorrow", 1440), ("b", 0), ("a", 1), ("past", -60)] {
            db.enqueue(&scripted(name), noon() + TimeDelta::minutes(minutes)).await;
        }
        let names = |stage: &Stage| -> Vec<String> {
            stage.calls().into_iter().map(|(name, _)| name).collect()
        };
        assert_eq!(stage.runner.drain().await.unwrap().runs, 4);
        assert_eq!(names(&stage), ["past", "b", "c", "follow"]);
        stage.clock.advance(TimeDelta::minutes(1));
        assert_eq!(stage.runner.drain().await.unwrap().runs, 1);
        assert_eq!(names(&stage)[4..], ["a"]);

        let twice = stage.runner.register::<Scripted, _>(|_, _| async { Ok(Outcome::Done) });
        assert!(matches!(twice.drain().await, Err(QueueError::DuplicateKind("scripted"))));
    })
    .await;
}

/// A drain dropped in the middle of a body (a crash, in a story) leaves an orphan; the next drain
/// of the same runner takes it back and counts it as an attempt.
#[tokio::test(flavor = "multi_thread")]
async fn a_drain_that_was_dropped_leaves_no_orphan() {
    with_db(|db| async move {
        let stage = Stage::new(
            &db.pool,
            body(|_, lease| {
                let first = lease.attempt() == 1;
                async move {
                    if first {
                        std::future::pending::<()>().await;
                    }
                    Ok(Outcome::Done)
                }
            }),
        );
        db.enqueue(&scripted("x"), noon()).await;
        let begun = async {
            while stage.calls().is_empty() {
                tokio::time::sleep(Duration::from_millis(5)).await;
            }
        };
        tokio::select! {
            drained = stage.runner.drain() => panic!("the body has no end: {drained:?}"),
            () = begun => {}
        }
        assert_eq!(db.job("scripted").await.0, "Running");
        assert_eq!(stage.runner.drain().await.unwrap().runs, 1);
        assert_eq!(db.job("scripted").await.0, "Done");
        assert_eq!(stage.calls(), [("x".to_owned(), 1), ("x".to_owned(), 2)]);
        assert_eq!(db.log("scripted").await, ["lost", "done"]);
    })
    .await;
}
