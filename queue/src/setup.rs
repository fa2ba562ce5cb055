//! The queue's tables: the engine's migrations, then our hardening on top.
//!
//! Invariant: idempotent, and safe when several processes set up at once. Run as the owner of the
//! database (it creates extensions and a role); the product runs as `chukta_app`.

use apalis_postgres::PostgresStorage;
use sqlx::{Connection, PgPool};

use crate::error::QueueError;

/// Trigger, attempt log, indexes and grants that make the engine safe for money.
pub const SETUP_SQL: &str = include_str!("../sql/hardening.sql");

/// Any fixed number of our own: whoever holds it is setting up.
const SETUP_LOCK: i64 = 0x6368_756b_7461;

pub async fn setup(pool: &PgPool) -> Result<(), QueueError> {
    PostgresStorage::setup(pool).await?;
    let mut conn = pool.acquire().await?;
    let mut tx = conn.begin().await?;
    sqlx::query("SELECT pg_advisory_xact_lock($1)").bind(SETUP_LOCK).execute(&mut *tx).await?;
    sqlx::raw_sql(SETUP_SQL).execute(&mut *tx).await?;
    tx.commit().await?;
    Ok(())
}
