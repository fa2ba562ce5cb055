//! The seals notice what no trigger can stop: a superuser who switches the triggers off and changes
//! one digit, one name or one note. `audit()` notices the digit as well.

use sqlx::{Connection, PgPool};
use testkit_db::TestDb;

use crate::book::{Book, transfer};

/// Seals everything posted so far in one block. Another test's running transaction may hold the
/// horizon back for a moment: transaction ids are the server's.
async fn seal_all(pool: &PgPool, expected: i32) {
    let mut conn = pool.acquire().await.unwrap();
    for _ in 0..600 {
        let passed: bool = sqlx::query_scalar(
            "select pg_snapshot_xmin(pg_current_snapshot())::text::bigint > max(xact)
             from ledger.transfers",
        )
        .fetch_one(&mut *conn)
        .await
        .unwrap();
        if passed {
            assert_eq!(ledger::seal(&mut conn).await.unwrap(), expected);
            return;
        }
        tokio::time::sleep(std::time::Duration::from_millis(50)).await;
    }
    panic!("some transaction has been running for 30 s");
}

async fn broken_blocks(pool: &PgPool) -> Vec<i64> {
    let mut conn = pool.acquire().await.unwrap();
    let checks = ledger::verify_seals(&mut conn).await.unwrap();
    assert_eq!(checks.len(), 3);
    checks.iter().filter(|check| !check.ok).map(|check| check.block).collect()
}

#[tokio::test]
async fn a_changed_byte_breaks_its_block() {
    let db = TestDb::create().await.unwrap();
    let book = Book(&db.app);
    for block in 0..3 {
        for n in 0..4 {
            let lines = "escrow:x:ETH > dep:m:ETH 1000\nescrow:y:ETH > dep:m:ETH 1000";
            let mut t = transfer(&format!("dep:{block}:{n}"), "deposit", lines);
            t.correlation = Some(uuid::Uuid::from_u128(1));
            book.post(&t).await.unwrap();
        }
        seal_all(&db.app, 4).await;
    }
    let mut conn = db.app.acquire().await.unwrap();
    assert_eq!(ledger::seal(&mut conn).await.unwrap(), 0, "nothing is left to seal");
    drop(conn);
    assert_eq!(broken_blocks(&db.app).await, Vec::<i64>::new());

    let second = "(select min(id) + 4 from ledger.transfers)";
    let edits = [
        ("legs", format!("amount = amount + 1 where transfer_id = {second} and leg = 1")),
        ("legs", format!("posted_at = posted_at - interval '1 s' where transfer_id = {second}")),
        ("transfers", format!("meta = '{{}}' where id = {second}")),
        ("transfers", format!("actor = 'somebody' where id = {second}")),
        ("transfers", format!("correlation_id = null where id = {second}")),
        ("transfers", format!("key = 'dep:1:00' where id = {second}")),
    ];
    for (table, edit) in edits {
        tamper(&db.owner, table, &edit, &[2]).await;
    }
    let renamed = "code = 'escrow:z:ETH' where code = 'escrow:y:ETH'";
    tamper(&db.owner, "accounts", renamed, &[1, 2, 3]).await;
    // A forged chain: the block's hash is changed to fit, and its successor no longer does.
    let forged = "hash = sha256('x'::bytea) where block = 2";
    tamper(&db.owner, "seals", forged, &[2, 3]).await;
    assert_eq!(broken_blocks(&db.app).await, Vec::<i64>::new(), "every edit was rolled back");
}

/// Edits with the triggers off, in a transaction that is rolled back, and checks what is noticed.
async fn tamper(owner: &PgPool, table: &str, edit: &str, broken: &[i64]) {
    let mut conn = owner.acquire().await.unwrap();
    let mut tx = conn.begin().await.unwrap();
    let sql =
        format!("alter table ledger.{table} disable trigger all; update ledger.{table} set {edit}");
    sqlx::raw_sql(sqlx::AssertSqlSafe(sql)).execute(&mut *tx).await.unwrap();
    let checks = ledger::verify_seals(&mut tx).await.unwrap();
    let found: Vec<i64> = checks.iter().filter(|c| !c.ok).map(|c| c.block).collect();
    assert_eq!(found, broken, "{table}: {edit}");
    if edit.starts_with("amount") {
        assert_ne!(ledger::audit(&mut tx).await.unwrap(), []);
    }
    tx.rollback().await.unwrap();
}
