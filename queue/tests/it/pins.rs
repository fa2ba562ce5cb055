//! What our SQL assumes about apalis-postgres 1.0.0, and what it makes of the engine's own writes.
//!
//! The statements below are the engine's, word for word where it matters: they are what an upgrade
//! may change, and what the trigger must turn into something safe.

use std::time::Duration;

use sqlx::{Executor, PgPool};

use crate::support::{noon, scripted, with_db};

async fn running(db: &crate::support::Db) {
    sqlx::query("DELETE FROM apalis.jobs").execute(&db.owner).await.unwrap();
    db.enqueue(&scripted("x"), noon()).await;
    db.owner
        .execute(
            "INSERT INTO apalis.workers (id, worker_type, storage_name) \
               VALUES ('w1', 'scripted', ''), ('w2', 'scripted', '') ON CONFLICT DO NOTHING; \
             SELECT apalis.get_jobs('w1', 'scripted', 1); \
             UPDATE apalis.jobs SET status = 'Running'",
        )
        .await
        .unwrap();
}

/// `queries/task/handle_result.sql`: what an acknowledgement of the engine writes.
async fn acknowledge(pool: &PgPool, status: &str, attempt: i32, result: &str) {
    sqlx::query(
        "UPDATE apalis.jobs SET status = $1, attempts = $2, last_result = $3::jsonb, \
         done_at = now() WHERE lock_by = 'w1'",
    )
    .bind(status)
    .bind(attempt)
    .bind(result)
    .execute(pool)
    .await
    .unwrap();
}

/// The migrations we were written against. A new one means: read them, run this suite, then pin.
#[test]
fn the_engine_is_the_one_we_know() {
    let migrations = apalis_postgres::PostgresStorage::migrations();
    let last = migrations.iter().last().unwrap();
    assert_eq!((migrations.iter().count(), last.version), (23, 20_260_902_075_949));
}

/// Error, retry-after, abort, panic layer and timeout layer (the table `k9t` of the handbook).
#[tokio::test]
async fn acknowledgements_of_the_engine_are_made_safe() {
    with_db(|db| async move {
        for (what, status, result) in [
            ("W3: failed and due at once", "Failed", r#"{"Err": "e"}"#),
            ("W4: pending past the cap", "Pending", r#"{"Err": "RetryAfterError"}"#),
            ("W5: running for ever", "Running", r#"{"Err": "timeout"}"#),
        ] {
            running(&db).await;
            for attempt in 1..=4 {
                let before: chrono::DateTime<chrono::Utc> =
                    sqlx::query_scalar("SELECT clock_timestamp()")
                        .fetch_one(&db.owner)
                        .await
                        .unwrap();
                acknowledge(&db.owner, status, attempt, result).await;
                let (now, attempts, run_at) = db.job("scripted").await;
                assert_eq!(attempts, attempt, "{what}");
                if attempt == 4 {
                    assert_eq!(now, "Killed", "{what}");
                    break;
                }
                assert_eq!(now, "Failed", "{what}");
                let wait = run_at - before;
                assert!(wait.num_milliseconds() >= 750 << (attempt - 1), "{what}: {wait}");
                sqlx::raw_sql(
                    "UPDATE apalis.jobs SET run_at = now() - interval '1 s'; \
                     SELECT apalis.get_jobs('w1', 'scripted', 1); \
                     UPDATE apalis.jobs SET status = 'Running'",
                )
                .execute(&db.owner)
                .await
                .unwrap();
            }
        }
        running(&db).await;
        acknowledge(&db.owner, "Killed", 1, r#"{"Err": "AbortError"}"#).await;
        assert_eq!(db.job("scripted").await.0, "Killed");
        running(&db).await;
        acknowledge(&db.owner, "Done", 1, r#"{"Ok": null}"#).await;
        assert_eq!(db.job("scripted").await.0, "Done");
    })
    .await;
}

/// `reenqueue_orphaned.sql`: a run that was lost counts, at the cap it is dead; a row that was only
/// fetched has lost nothing.
#[tokio::test]
async fn orphans_count_only_if_they_ran() {
    let reenqueue = "UPDATE apalis.jobs SET status = 'Pending', done_at = NULL, lock_by = NULL, \
         lock_at = NULL, attempts = attempts + 1, \
         last_result = '{\"Err\": \"Re-enqueued due to worker heartbeat timeout.\"}'";
    with_db(|db| async move {
        running(&db).await;
        for lost in 1..=4 {
            db.owner.execute(reenqueue).await.unwrap();
            let (status, attempts, run_at) = db.job("scripted").await;
            let wanted = if lost < 4 { "Pending" } else { "Killed" };
            assert_eq!((status.as_str(), attempts, run_at), (wanted, lost, noon()));
            db.owner
                .execute(
                    "SELECT apalis.get_jobs('w1', 'scripted', 1); \
                     UPDATE apalis.jobs SET status = 'Running' WHERE status = 'Queued'",
                )
                .await
                .unwrap();
        }
        running(&db).await;
        db.owner.execute(reenqueue).await.unwrap();
        for _ in 0..9 {
            db.owner.execute("SELECT apalis.get_jobs('w1', 'scripted', 1)").await.unwrap();
            db.owner.execute(reenqueue).await.unwrap();
        }
        assert_eq!(db.job("scripted").await, ("Pending".to_owned(), 1, noon()));
    })
    .await;
}

/// `lock_by_id.sql` has no owner check: a late lock must not steal a row that is being worked on.
#[tokio::test]
async fn a_late_lock_steals_nothing() {
    with_db(|db| async move {
        running(&db).await;
        for status in ["Queued", "Running"] {
            sqlx::query("UPDATE apalis.jobs SET status = $1")
                .bind(status)
                .execute(&db.owner)
                .await
                .unwrap();
            let stolen = sqlx::query(
                "UPDATE apalis.jobs SET status = 'Running', lock_at = now(), lock_by = 'w2'",
            )
            .execute(&db.owner)
            .await
            .unwrap();
            assert_eq!(stolen.rows_affected(), 0);
        }
        assert_eq!(db.text("SELECT lock_by FROM apalis.jobs").await, "w1");
    })
    .await;
}

/// Rows that would end every worker that fetches them cannot be written.
#[tokio::test]
async fn unreadable_rows_are_refused() {
    with_db(|db| async move {
        for (id, metadata) in [("not-a-ulid", "''"), ("01ARZ3NDEKTSV4RRFFQ69G5FAV", "'a=>NULL'")] {
            let insert = format!(
                "INSERT INTO apalis.jobs (id, job_type, job, metadata) \
                 VALUES ('{id}', 'scripted', '{{}}', {metadata})"
            );
            assert!(sqlx::raw_sql(sqlx::AssertSqlSafe(insert)).execute(&db.pool).await.is_err());
        }
    })
    .await;
}

/// The trigger's constants and the policy of the code are the same.
#[tokio::test]
async fn sql_and_code_agree_on_the_back_off() {
    with_db(|db| async move {
        for failures in [1, 2, 3, 7, 10, 11, 20, 1000, i32::MAX] {
            let ms: i64 = sqlx::query_scalar(
                "SELECT (extract(epoch FROM jobs.backoff('some job', $1)) * 1000)::bigint",
            )
            .bind(failures)
            .fetch_one(&db.pool)
            .await
            .unwrap();
            let ceiling = queue::backoff::Policy::DEFAULT.ceiling(failures as u32);
            let spread = ceiling / 100 * queue::backoff::Policy::JITTER_PERCENT;
            let wait = Duration::from_millis(ms as u64);
            assert!(wait >= ceiling - spread && wait <= ceiling + spread, "{failures}: {wait:?}");
        }
        let distinct = "SELECT count(DISTINCT jobs.backoff('job ' || n, 5)) \
             FROM generate_series(1, 100) AS n";
        assert!(db.count(distinct).await > 50, "jobs that failed together come back apart");
    })
    .await;
}

/// Setting up again changes nothing, also while somebody else does.
#[tokio::test(flavor = "multi_thread")]
async fn setup_is_idempotent() {
    with_db(|db| async move {
        db.enqueue(&scripted("x"), noon()).await;
        let again = futures::future::join_all((0..3).map(|_| queue::setup(&db.owner))).await;
        again.into_iter().for_each(|setup| setup.unwrap());
        assert_eq!(db.count("SELECT count(*) FROM apalis.jobs").await, 1);
    })
    .await;
}
