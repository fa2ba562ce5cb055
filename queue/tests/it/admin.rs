//! What people see and do, and what is forgotten.

use chrono::TimeDelta;
use queue::admin::{self, Filter, State};
use queue::{JobError, Outcome, Pruned};

use crate::support::{Db, Stage, body, noon, scripted, with_db};

/// One job done, one stopped, one backing off.
async fn three_ends(db: &Db) -> Stage {
    let bodies = body(|name, _| {
        let answer = match name {
            "stop" => Ok(Outcome::Stop("look".to_owned())),
            "fail" => Err(JobError::Failed("weather".to_owned())),
            _ => Ok(Outcome::Done),
        };
        async { answer }
    });
    let stage = Stage::new(&db.pool, bodies);
    for name in ["done", "stop", "fail"] {
        db.enqueue(&scripted(name), noon()).await;
    }
    stage.runner.drain().await.unwrap();
    stage
}

#[tokio::test]
async fn depth_shows_what_waits_and_what_is_dead() {
    with_db(|db| async move {
        three_ends(&db).await;
        let long_ago = chrono::Utc::now() - TimeDelta::seconds(90);
        db.enqueue(&scripted("waiting"), long_ago).await;
        db.enqueue(&scripted("future"), long_ago + TimeDelta::days(9999)).await;
        let mut conn = db.pool.acquire().await.unwrap();
        let queues = admin::queues(&mut conn).await.unwrap();
        assert_eq!(queues.len(), 1);
        let depth = &queues[0];
        assert_eq!((depth.kind.as_str(), depth.pending, depth.failed), ("scripted", 2, 1));
        assert_eq!((depth.dead, depth.running), (1, 0));
        assert!(depth.oldest_due_seconds.unwrap() >= 90);
    })
    .await;
}

/// A dead job shows its reason and all its runs, and runs again when told.
#[tokio::test]
async fn a_dead_job_is_found_explained_and_retried() {
    with_db(|db| async move {
        let stage = three_ends(&db).await;
        let mut conn = db.pool.acquire().await.unwrap();
        let dead = Filter { state: Some(State::Killed), ..Filter::default() };
        let jobs = admin::jobs(&mut conn, &dead).await.unwrap();
        assert_eq!((jobs.len(), jobs[0].error.as_deref()), (1, Some("look")));
        let id = jobs[0].id.clone();
        let runs = admin::attempts(&mut conn, &id).await.unwrap();
        assert_eq!(runs[0].error.as_deref(), Some("look"));
        assert!(admin::retry(&mut conn, &id, noon()).await.unwrap());
        assert!(!admin::retry(&mut conn, &id, noon()).await.unwrap(), "it is no longer dead");
        assert_eq!(stage.runner.drain().await.unwrap().runs, 1);
        assert_eq!(admin::attempts(&mut conn, &id).await.unwrap().len(), 2);
    })
    .await;
}

#[tokio::test]
async fn lists_are_paged_and_filtered() {
    with_db(|db| async move {
        three_ends(&db).await;
        let mut conn = db.pool.acquire().await.unwrap();
        let mut page = Filter { limit: Some(2), ..Filter::default() };
        let mut seen = Vec::new();
        loop {
            let jobs = admin::jobs(&mut conn, &page).await.unwrap();
            let Some(last) = jobs.last() else { break };
            page.before = Some(last.id.clone());
            seen.extend(jobs.into_iter().filter_map(|job| job.key));
        }
        seen.sort_unstable();
        assert_eq!(seen, ["done", "fail", "stop"]);
        let one = Filter { key: Some("fail".to_owned()), ..Filter::default() };
        assert_eq!(admin::jobs(&mut conn, &one).await.unwrap()[0].state, "Failed");
        let other = Filter { kind: Some("other".to_owned()), ..Filter::default() };
        assert_eq!(admin::jobs(&mut conn, &other).await.unwrap(), []);
    })
    .await;
}

/// A stop during the run takes the lease away, and wins over a re-run mark.
#[tokio::test]
async fn a_stopped_run_commits_nothing() {
    with_db(|db| async move {
        let asker = db.clone();
        let stage = Stage::new(
            &db.pool,
            body(move |_, lease| {
                let (db, lease) = (asker.clone(), lease.clone());
                async move {
                    db.enqueue(&scripted("x"), noon()).await;
                    let mut conn = db.pool.acquire().await?;
                    assert!(admin::stop(&mut conn, lease.job_id(), "ops said stop").await.unwrap());
                    assert!(!admin::stop(&mut conn, lease.job_id(), "twice").await.unwrap());
                    lease.finish_in(&mut conn, &Outcome::Done).await?;
                    Ok(Outcome::Done)
                }
            }),
        );
        db.enqueue(&scripted("x"), noon()).await;
        stage.runner.drain().await.unwrap();
        stage.clock.advance(TimeDelta::days(1));
        assert_eq!(stage.runner.drain().await.unwrap().runs, 0);
        assert_eq!(db.job("scripted").await.0, "Killed");
        assert_eq!(db.text("SELECT last_result ->> 'Err' FROM apalis.jobs").await, "ops said stop");
    })
    .await;
}

#[tokio::test]
async fn pruning_forgets_the_done_and_the_silent_only() {
    with_db(|db| async move {
        let stage = Stage::new(&db.pool, body(|_, _| async { Ok(Outcome::Done) }));
        for name in ["old", "fresh", "dead"] {
            db.enqueue(&scripted(name), noon()).await;
        }
        stage.runner.drain().await.unwrap();
        sqlx::raw_sql(
            "UPDATE apalis.jobs SET done_at = now() - interval '8 days' \
               WHERE idempotency_key IN ('old', 'dead'); \
             UPDATE apalis.jobs SET status = 'Killed' WHERE idempotency_key = 'dead'; \
             UPDATE jobs.job_attempts SET ended_at = now() - interval '31 days' \
               WHERE key = 'old'; \
             UPDATE apalis.workers SET last_seen = now() - interval '2 days'",
        )
        .execute(&db.owner)
        .await
        .unwrap();
        let mut conn = db.pool.acquire().await.unwrap();
        let pruned = queue::prune(&mut conn).await.unwrap();
        assert_eq!(pruned, Pruned { jobs: 1, attempts: 1, workers: 1 });
        let left = db.text(
            "SELECT string_agg(idempotency_key, ',' ORDER BY idempotency_key) FROM apalis.jobs",
        );
        assert_eq!(left.await, "dead,fresh");
    })
    .await;
}
