//! Keyed ticks instead of a cron.

use std::time::Duration;

use chrono::TimeDelta;
use primitives::Clock;
use queue::ticks::Schedule;
use queue::{JobError, Outcome};

use crate::support::{Stage, body, noon, scripted, with_db};

fn every_thirty_seconds() -> Schedule {
    Schedule::new().every("rates", Duration::from_secs(30), || scripted("rates"))
}

/// One tick per interval; a tick is skipped while an earlier one is open, and missed ones stay
/// missed.
#[tokio::test]
async fn one_job_per_tick_and_none_while_one_is_open() {
    with_db(|db| async move {
        let stage = Stage::new(&db.pool, body(|_, _| async { Ok(Outcome::Done) }));
        let schedule = every_thirty_seconds();
        let mut conn = db.pool.acquire().await.unwrap();
        assert_eq!(schedule.tick(&mut conn, noon()).await.unwrap(), 1);
        assert_eq!(schedule.tick(&mut conn, noon()).await.unwrap(), 0);
        let key = db.text("SELECT idempotency_key FROM apalis.jobs").await;
        assert_eq!(key, format!("cron:rates:{}", noon().timestamp() / 30));

        let next = noon() + TimeDelta::seconds(30);
        assert_eq!(schedule.tick(&mut conn, next).await.unwrap(), 0, "the first is still open");
        assert_eq!(stage.runner.drain().await.unwrap().runs, 1);
        assert_eq!(schedule.tick(&mut conn, noon()).await.unwrap(), 0, "that tick has run");
        stage.clock.advance(TimeDelta::minutes(60));
        assert_eq!(schedule.tick(&mut conn, stage.clock.now()).await.unwrap(), 1);
        assert_eq!(stage.runner.drain().await.unwrap().runs, 1, "an hour missed is one run");
    })
    .await;
}

/// A failing tick does not block the next one, which replaces it; its attempts stay in the log.
/// Keys older than a day are pruned.
#[tokio::test]
async fn a_new_tick_replaces_one_that_backs_off() {
    with_db(|db| async move {
        let failing = || async { Err(JobError::Failed("no rates".to_owned())) };
        let stage = Stage::new(&db.pool, body(move |_, _| failing()));
        let schedule = every_thirty_seconds();
        let mut conn = db.pool.acquire().await.unwrap();
        for _ in 0..3 {
            assert_eq!(schedule.tick(&mut conn, stage.clock.now()).await.unwrap(), 1);
            stage.runner.drain().await.unwrap();
            assert_eq!(db.count("SELECT count(*) FROM apalis.jobs").await, 1);
            stage.clock.advance(TimeDelta::seconds(30));
        }
        assert_eq!(db.log("scripted").await, ["failed"; 3]);
        sqlx::query("UPDATE apalis.jobs SET status = 'Killed'").execute(&db.owner).await.unwrap();
        assert_eq!(schedule.tick(&mut conn, stage.clock.now()).await.unwrap(), 1);
        assert_eq!(db.count("SELECT count(*) FROM apalis.jobs").await, 2, "a dead tick is shown");
        stage.runner.drain().await.unwrap();
        stage.clock.advance(TimeDelta::hours(25));
        assert_eq!(schedule.tick(&mut conn, stage.clock.now()).await.unwrap(), 1);
        assert_eq!(db.count("SELECT count(*) FROM apalis.jobs").await, 1);
    })
    .await;
}
