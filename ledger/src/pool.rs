//! The one way to make a pool, with the guard against lost writes.
//!
//! sqlx 0.9.0 can lose a write after returning `Ok`: when a `begin()` is dropped while `BEGIN` is
//! on the wire, the connection goes back to the pool inside an open transaction, and the next
//! borrower's autocommit write vanishes with it (sqlx #4394; `tests/it/pool.rs` reproduces it).
//! Invariant: no connection enters the pool in a transaction. Credentials and addresses are
//! deliberately not here: they are the caller's URL.

use std::time::Duration;

use sqlx::{
    Executor, PgPool,
    postgres::{PgConnectOptions, PgPoolOptions},
};

/// Connects with the guard, the time limits and the keep-alives every role of the fleet runs with.
///
/// # Errors
/// When the URL cannot be read or the server does not answer.
pub async fn connect_pool(url: &str, max_connections: u32) -> Result<PgPool, sqlx::Error> {
    let options: PgConnectOptions = url.parse()?;
    let options = options.application_name("chukta").options([
        ("statement_timeout", "15s"),
        ("lock_timeout", "3s"),
        ("idle_in_transaction_session_timeout", "5s"),
        // A peer that is gone without a word must not hold its locks for the kernel's two hours.
        ("tcp_keepalives_idle", "30"),
        ("tcp_keepalives_interval", "5"),
        ("tcp_keepalives_count", "3"),
        ("tcp_user_timeout", "15000"),
        // The guard's ROLLBACK warns each time that there is no transaction, which is the hope.
        ("client_min_messages", "error"),
    ]);
    PgPoolOptions::new()
        .max_connections(max_connections)
        .acquire_timeout(Duration::from_secs(10))
        // Dropping a silently dead connection leaks its permit (sqlx #4349): keep them young.
        .max_lifetime(Duration::from_secs(600))
        .idle_timeout(Duration::from_secs(120))
        .after_release(|conn, _| {
            Box::pin(async move {
                conn.execute("ROLLBACK").await?;
                Ok(true)
            })
        })
        .connect_with(options)
        .await
}
