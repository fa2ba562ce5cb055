//! Enqueueing belongs to the caller's transaction: it comes and goes with it and never breaks it.

use std::time::Duration;

use chrono::TimeDelta;
use queue::{Enqueued, JobArgs, Outcome, QueueError};
use serde::{Deserialize, Serialize};

use crate::support::{Running, Stage, body, effect, effect_runner, noon, scripted, with_db};

/// Cases A and B with the engine's loop running: a rollback runs nothing; nothing runs before the
/// commit; after it the job runs once, soon.
#[tokio::test(flavor = "multi_thread")]
async fn a_job_comes_and_goes_with_its_transaction() {
    with_db(|db| async move {
        let running = Running::start(effect_runner(&db.pool));
        let now = chrono::Utc::now();

        let mut tx = db.pool.begin().await.unwrap();
        sqlx::query("INSERT INTO effects (job, pid) VALUES ('payment', 0)")
            .execute(&mut *tx)
            .await
            .unwrap();
        assert_eq!(queue::enqueue(&mut tx, &effect("a", 0), now).await.unwrap(), Enqueued::New);
        tx.rollback().await.unwrap();

        let mut tx = db.pool.begin().await.unwrap();
        queue::enqueue(&mut tx, &effect("b", 0), now).await.unwrap();
        tokio::time::sleep(Duration::from_millis(500)).await;
        assert_eq!(db.count("SELECT count(*) FROM starts").await, 0, "nothing before the commit");
        tx.commit().await.unwrap();

        db.until("runs after commit", Duration::from_secs(20), "SELECT count(*) FROM effects", 1)
            .await;
        assert_eq!(db.text("SELECT string_agg(job, ',') FROM starts").await, "b");
        assert_eq!(db.count("SELECT count(*) FROM apalis.jobs").await, 1);
        running.stop().await.unwrap();
    })
    .await;
}

/// Cases E and F: a duplicate is told, and the transaction it met in commits.
#[tokio::test]
async fn a_duplicate_is_quiet_and_leaves_the_transaction_good() {
    with_db(|db| async move {
        let later = noon() + TimeDelta::hours(1);
        assert_eq!(db.enqueue(&scripted("x"), later).await, Enqueued::New);
        let mut tx = db.pool.begin().await.unwrap();
        let again = queue::enqueue(&mut tx, &scripted("x"), noon()).await.unwrap();
        assert_eq!(again, Enqueued::AlreadyQueued);
        let once = queue::enqueue_once(&mut tx, &scripted("x"), "x", noon()).await.unwrap();
        assert_eq!(once, Enqueued::AlreadyQueued);
        sqlx::query("INSERT INTO effects (job, pid) VALUES ('payment', 0)")
            .execute(&mut *tx)
            .await
            .unwrap();
        tx.commit().await.unwrap();
        assert_eq!(db.count("SELECT count(*) FROM effects").await, 1);
        assert_eq!(db.count("SELECT count(*) FROM apalis.jobs").await, 1);
        assert_eq!(db.job("scripted").await.2, noon(), "the earlier of both times");

        db.enqueue(&scripted("x"), later).await;
        assert_eq!(db.job("scripted").await.2, noon(), "never later");
    })
    .await;
}

/// A done, killed or failed row is armed again, from its first attempt; `enqueue_once` leaves it.
#[tokio::test]
async fn an_ended_job_is_armed_again() {
    with_db(|db| async move {
        let stage = Stage::new(&db.pool, body(|_, _| async { Ok(Outcome::Done) }));
        for status in ["Done", "Killed", "Failed"] {
            sqlx::query("DELETE FROM apalis.jobs").execute(&db.owner).await.unwrap();
            db.enqueue(&scripted("x"), noon()).await;
            sqlx::query(
                "UPDATE apalis.jobs SET status = $1, attempts = 3, done_at = now(), \
                 run_at = $2",
            )
            .bind(status)
            .bind(noon() + TimeDelta::days(1))
            .execute(&db.owner)
            .await
            .unwrap();
            let mut conn = db.pool.acquire().await.unwrap();
            let once = queue::enqueue_once(&mut conn, &scripted("x"), "x", noon()).await.unwrap();
            assert_eq!(once, Enqueued::AlreadyQueued);
            assert_eq!(stage.runner.drain().await.unwrap().runs, 0, "{status}");

            assert_eq!(db.enqueue(&scripted("x"), noon()).await, Enqueued::Again, "{status}");
            assert_eq!(db.enqueue(&scripted("x"), noon()).await, Enqueued::AlreadyQueued);
            assert_eq!(db.job("scripted").await, ("Pending".to_owned(), 0, noon()));
            assert_eq!(stage.runner.drain().await.unwrap().runs, 1, "{status}");
        }
        assert_eq!(stage.calls(), vec![("x".to_owned(), 1); 3]);
    })
    .await;
}

/// A sweep must not undo a back-off; it only revives what has ended or is missing.
#[tokio::test]
async fn ensure_leaves_a_live_job_alone() {
    with_db(|db| async move {
        let at = noon() + TimeDelta::hours(1);
        let mut conn = db.pool.acquire().await.unwrap();
        assert_eq!(queue::ensure(&mut conn, &scripted("x"), at).await.unwrap(), Enqueued::New);
        for (status, found) in [
            ("Pending", Enqueued::AlreadyQueued),
            ("Queued", Enqueued::AlreadyQueued),
            ("Running", Enqueued::AlreadyQueued),
            ("Failed", Enqueued::AlreadyQueued),
            ("Done", Enqueued::Again),
            ("Killed", Enqueued::Again),
        ] {
            // Past the trigger: this is about what ensure finds, not how it came about.
            sqlx::query("DELETE FROM apalis.jobs").execute(&db.owner).await.unwrap();
            sqlx::query(
                "INSERT INTO apalis.jobs (id, job_type, job, status, attempts, run_at, \
                   idempotency_key, metadata) \
                 VALUES (apalis.generate_ulid(), 'scripted', '{\"name\":\"x\"}', \
                   $1, 2, $2, 'x', '')",
            )
            .bind(status)
            .bind(at)
            .execute(&db.owner)
            .await
            .unwrap();
            let ensured = queue::ensure(&mut conn, &scripted("x"), noon()).await.unwrap();
            assert_eq!(ensured, found, "{status}");
            let (now, attempts, run_at) = db.job("scripted").await;
            if found == Enqueued::Again {
                assert_eq!((now.as_str(), attempts, run_at), ("Pending", 0, noon()));
            } else {
                assert_eq!((now.as_str(), attempts, run_at), (status, 2, at));
            }
        }
    })
    .await;
}

#[derive(Serialize, Deserialize)]
struct Named(String);

impl JobArgs for Named {
    const KIND: &'static str = "named";

    fn key(&self) -> String {
        self.0.clone()
    }
}

/// An unusable key is refused before it reaches the database, so the transaction stays good.
#[tokio::test]
async fn an_unusable_key_is_refused_without_harm() {
    with_db(|db| async move {
        let mut tx = db.pool.begin().await.unwrap();
        for key in ["", "a\0b", "line\nbreak", &"x".repeat(501)] {
            let refused = queue::enqueue(&mut tx, &Named(key.to_owned()), noon()).await;
            assert!(matches!(refused, Err(QueueError::Key { kind: "named" })), "{key:?}");
        }
        queue::enqueue(&mut tx, &Named("x".repeat(500)), noon()).await.unwrap();
        tx.commit().await.unwrap();
        assert_eq!(db.count("SELECT count(*) FROM apalis.jobs").await, 1);
    })
    .await;
}

/// Many transactions asking for the same job at once: one row, no error.
#[tokio::test(flavor = "multi_thread")]
async fn concurrent_enqueues_of_one_key_agree() {
    with_db(|db| async move {
        let asked = futures::future::join_all((0..16).map(|_| {
            let db = db.clone();
            tokio::spawn(async move { db.enqueue(&scripted("x"), noon()).await })
        }))
        .await;
        let new = asked.into_iter().filter(|asked| *asked.as_ref().unwrap() == Enqueued::New);
        assert_eq!(new.count(), 1);
        assert_eq!(db.count("SELECT count(*) FROM apalis.jobs").await, 1);
    })
    .await;
}
