//! Who leads the work on a network.
//!
//! Invariant: one leader per name, the last who took it; its epoch is part of every commit. A
//! process that was frozen and wakes up holds an old epoch: nothing of its work is kept. When a
//! leader may be followed by another is deliberately elsewhere: the queue's lease decides that.

use primitives::NetworkId;
use sqlx::PgConnection;

use crate::{Base, Error};

fn name(network: &NetworkId) -> String {
    format!("scan:{network}")
}

/// Takes the lead unless `holder` has it already; answers the epoch.
///
/// # Errors
/// `Database`.
pub async fn take_in(
    conn: &mut PgConnection,
    base: &Base,
    network: &NetworkId,
    holder: &str,
) -> Result<i64, Error> {
    let held: Option<i64> =
        sqlx::query_scalar("select epoch from leaders where name = $1 and holder = $2")
            .bind(name(network))
            .bind(holder)
            .fetch_optional(&mut *conn)
            .await?;
    if let Some(epoch) = held {
        return Ok(epoch);
    }
    super::cursor::interrupted_in(conn, network).await?;
    Ok(sqlx::query_scalar(
        "insert into leaders (name, holder, epoch, taken_at) values ($1, $2, 1, $3)
         on conflict (name) do update
           set holder = excluded.holder, epoch = leaders.epoch + 1, taken_at = excluded.taken_at
         returning epoch",
    )
    .bind(name(network))
    .bind(holder)
    .bind(base.now())
    .fetch_one(conn)
    .await?)
}

/// True while this epoch leads; then nobody can take the lead before the transaction ends.
///
/// # Errors
/// `Database`.
pub async fn holds_in(
    conn: &mut PgConnection,
    network: &NetworkId,
    epoch: i64,
) -> Result<bool, Error> {
    let held: Option<i32> =
        sqlx::query_scalar("select 1 from leaders where name = $1 and epoch = $2 for share")
            .bind(name(network))
            .bind(epoch)
            .fetch_optional(conn)
            .await?;
    Ok(held.is_some())
}

/// Holds every leader of a network still until the transaction ends.
///
/// # Errors
/// `Database`.
pub async fn pause_in(conn: &mut PgConnection, network: &NetworkId) -> Result<(), Error> {
    sqlx::query("select 1 from leaders where name = $1 for update")
        .bind(name(network))
        .execute(conn)
        .await?;
    Ok(())
}
