//! The template database: made once per content of the migrations, by whoever comes first.
//!
//! Invariant: a database marked as template is complete. Its name carries the hash of everything
//! that makes it, so a stale one is never used again; it is harmless and only takes disk.

use anyhow::Context;
use sha2::{Digest, Sha256};
use sqlx::{AssertSqlSafe, PgConnection};
use url::Url;

use crate::in_database;

/// Serialises template making between test processes. Advisory locks belong to a database, so it is
/// taken in the server's own one, where every process starts.
const LOCK: i64 = 0x7465_6d70_6c61;
const LEFTOVER_AGE_S: i64 = 2 * 3600;

/// Names the content of a freshly made database: the migrations and the queue's own SQL.
#[must_use]
pub fn hash() -> String {
    let mut hasher = Sha256::new();
    for migration in migrations::MIGRATOR.iter() {
        hasher.update(migration.version.to_be_bytes());
        hasher.update(&migration.checksum);
    }
    hasher.update(queue::SETUP_SQL);
    let mut hash = hex::encode(hasher.finalize());
    hash.truncate(16);
    hash
}

/// The name of the complete template for the current content.
pub(crate) async fn ensure(conn: &mut PgConnection, server: &Url) -> anyhow::Result<String> {
    let name = format!("chukta_template_{}", hash());
    if is_complete(conn, &name).await? {
        return Ok(name);
    }
    sqlx::query("select pg_advisory_lock($1)").bind(LOCK).execute(&mut *conn).await?;
    // A failure ends the process's connection, and with it the lock.
    if !is_complete(conn, &name).await? {
        make(conn, server, &name).await?;
        sweep(conn).await?;
    }
    sqlx::query("select pg_advisory_unlock($1)").bind(LOCK).execute(&mut *conn).await?;
    Ok(name)
}

async fn is_complete(conn: &mut PgConnection, name: &str) -> anyhow::Result<bool> {
    let found: Option<bool> =
        sqlx::query_scalar("select datistemplate from pg_database where datname = $1")
            .bind(name)
            .fetch_optional(conn)
            .await?;
    Ok(found.unwrap_or(false))
}

async fn make(conn: &mut PgConnection, server: &Url, name: &str) -> anyhow::Result<()> {
    // One that is there but not marked belongs to a process that died on the way.
    for sql in [format!("drop database if exists {name} with (force)"), create(name)] {
        sqlx::query(AssertSqlSafe(sql)).execute(&mut *conn).await?;
    }
    let pool = ledger::connect_pool(in_database(server, name).as_str(), 4).await?;
    migrations::MIGRATOR.run(&pool).await.context("migrate the template database")?;
    queue::setup(&pool).await.context("set up the queue in the template database")?;
    pool.close().await;
    let sql = format!("alter database {name} with is_template true allow_connections false");
    sqlx::query(AssertSqlSafe(sql)).execute(conn).await?;
    Ok(())
}

fn create(name: &str) -> String {
    format!("create database {name} template template0")
}

/// Databases of tests that were killed. Nobody may be connected, and they must be old.
async fn sweep(conn: &mut PgConnection) -> anyhow::Result<()> {
    let names: Vec<String> = sqlx::query_scalar(
        "select d.datname::text from pg_database d
         where d.datname ~ '^chukta_test_[0-9]{10}_[0-9a-f]{16}$'
           and split_part(d.datname, '_', 3)::bigint < extract(epoch from now()) - $1
           and not exists (select from pg_stat_activity a where a.datid = d.oid)
         limit 50",
    )
    .bind(LEFTOVER_AGE_S)
    .fetch_all(&mut *conn)
    .await?;
    for name in names {
        let sql = format!("drop database if exists {name}");
        // Somebody may have come in between: then it is not a leftover.
        let _kept = sqlx::query(AssertSqlSafe(sql)).execute(&mut *conn).await;
    }
    Ok(())
}
