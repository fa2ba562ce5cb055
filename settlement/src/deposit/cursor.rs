//! How far a network has been followed: the cursor and the blocks behind it.
//!
//! Invariant: the cursor moves only by compare-and-set on (height, hash), in the transaction of
//! what was found there; canonical blocks form an unbroken chain of parent hashes.

use chrono::{DateTime, Utc};
use primitives::NetworkId;
use sqlx::{PgConnection, Row};

use crate::{Base, Error};

/// The last block that was read completely.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Cursor {
    pub height: i64,
    pub hash: String,
    pub epoch: i64,
    /// The epoch of the leader who moves it: the move is void when another one leads by then.
    /// `None` for whoever moves it without a rival, in a test.
    pub leader: Option<i64>,
}

/// One block to follow.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct FollowedBlock {
    pub height: i64,
    pub hash: String,
    pub parent_hash: String,
    /// The stamp it carries; unknown for what was followed before stamps were kept.
    pub stamped_at: Option<DateTime<Utc>>,
}

/// Where the scan of a network stands.
///
/// # Errors
/// `Database`.
pub async fn get(conn: &mut PgConnection, network: &NetworkId) -> Result<Option<Cursor>, Error> {
    let row = sqlx::query("select height, hash, epoch from chain_cursors where network = $1")
        .bind(network.as_str())
        .fetch_optional(conn)
        .await?;
    row.map(|row| {
        Ok(Cursor {
            height: row.try_get("height")?,
            hash: row.try_get("hash")?,
            epoch: row.try_get("epoch")?,
            leader: None,
        })
    })
    .transpose()
}

/// Begins following a network at a block. Quiet when somebody else just did.
///
/// # Errors
/// `Database`.
pub async fn start_in(
    conn: &mut PgConnection,
    base: &Base,
    network: &NetworkId,
    block: &FollowedBlock,
) -> Result<(), Error> {
    sqlx::query(
        "insert into chain_cursors (network, height, hash, head, scanned_at)
         values ($1, $2, $3, $2, $4) on conflict do nothing",
    )
    .bind(network.as_str())
    .bind(block.height)
    .bind(&block.hash)
    .bind(base.now())
    .execute(&mut *conn)
    .await?;
    follow_in(conn, base, network, block).await
}

async fn follow_in(
    conn: &mut PgConnection,
    base: &Base,
    network: &NetworkId,
    block: &FollowedBlock,
) -> Result<(), Error> {
    sqlx::query(
        "insert into chain_blocks
           (network, height, hash, parent_hash, canonical, seen_at, stamped_at)
         values ($1, $2, $3, $4, true, $5, $6)
         on conflict (network, hash) do update set canonical = true,
           stamped_at = coalesce(excluded.stamped_at, chain_blocks.stamped_at)",
    )
    .bind(network.as_str())
    .bind(block.height)
    .bind(&block.hash)
    .bind(&block.parent_hash)
    .bind(base.now())
    .bind(block.stamped_at)
    .execute(conn)
    .await?;
    Ok(())
}

/// Moves the cursor from `from` onto the next block. `false` when somebody moved it meanwhile:
/// the caller rolls everything back.
///
/// # Errors
/// `Database`.
pub async fn advance_in(
    conn: &mut PgConnection,
    base: &Base,
    network: &NetworkId,
    from: &Cursor,
    to: &FollowedBlock,
) -> Result<bool, Error> {
    let moved = sqlx::query(
        "update chain_cursors set height = $4, hash = $5, head = greatest(head, $4),
           standing_since = null
         where network = $1 and height = $2 and hash = $3 and epoch = $6
           and ($7::bigint is null or exists (
             select from leaders where name = 'scan:' || $1 and epoch = $7))",
    )
    .bind(network.as_str())
    .bind(from.height)
    .bind(&from.hash)
    .bind(to.height)
    .bind(&to.hash)
    .bind(from.epoch)
    .bind(from.leader)
    .execute(&mut *conn)
    .await?;
    if moved.rows_affected() != 1 {
        return Ok(false);
    }
    follow_in(conn, base, network, to).await?;
    Ok(true)
}

/// Moves the cursor back to a block we followed, after a reorganisation: everything above is no
/// longer canonical, and the epoch rises so that nobody goes on from the old branch.
///
/// # Errors
/// `Database`.
pub async fn rewind_in(
    conn: &mut PgConnection,
    network: &NetworkId,
    from: &Cursor,
    to: &FollowedBlock,
) -> Result<bool, Error> {
    let moved = sqlx::query(
        "update chain_cursors set height = $4, hash = $5, epoch = epoch + 1,
           standing_since = null
         where network = $1 and height = $2 and hash = $3 and epoch = $6
           and ($7::bigint is null or exists (
             select from leaders where name = 'scan:' || $1 and epoch = $7))",
    )
    .bind(network.as_str())
    .bind(from.height)
    .bind(&from.hash)
    .bind(to.height)
    .bind(&to.hash)
    .bind(from.epoch)
    .bind(from.leader)
    .execute(&mut *conn)
    .await?;
    if moved.rows_affected() != 1 {
        return Ok(false);
    }
    sqlx::query("update chain_blocks set canonical = false where network = $1 and height > $2")
        .bind(network.as_str())
        .bind(to.height)
        .execute(conn)
        .await?;
    Ok(true)
}

/// Notes that the node could not be read, or that another leader begins: whoever stood at the head
/// no longer does.
///
/// # Errors
/// `Database`.
pub async fn interrupted_in(conn: &mut PgConnection, network: &NetworkId) -> Result<(), Error> {
    sqlx::query(
        "update chain_cursors set standing_since = null
         where network = $1 and standing_since is not null",
    )
    .bind(network.as_str())
    .execute(conn)
    .await?;
    Ok(())
}

/// Notes that the scan stood at the head: what was not there now had not come.
///
/// # Errors
/// `Database`.
pub async fn at_head_in(
    conn: &mut PgConnection,
    network: &NetworkId,
    head: i64,
    at: DateTime<Utc>,
) -> Result<(), Error> {
    sqlx::query(
        "update chain_cursors set head = $2, scanned_at = greatest(scanned_at, $3),
           standing_since = coalesce(standing_since, $3)
         where network = $1",
    )
    .bind(network.as_str())
    .bind(head)
    .bind(at)
    .execute(conn)
    .await?;
    Ok(())
}

/// The canonical blocks we followed at and below a height, highest first.
///
/// # Errors
/// `Database`.
pub async fn followed_down_from(
    conn: &mut PgConnection,
    network: &NetworkId,
    height: i64,
    most: i64,
) -> Result<Vec<FollowedBlock>, Error> {
    let rows = sqlx::query(
        "select height, hash, parent_hash, stamped_at from chain_blocks
         where network = $1 and height <= $2 and canonical order by height desc limit $3",
    )
    .bind(network.as_str())
    .bind(height)
    .bind(most)
    .fetch_all(conn)
    .await?;
    rows.iter().map(followed).collect()
}

fn followed(row: &sqlx::postgres::PgRow) -> Result<FollowedBlock, Error> {
    Ok(FollowedBlock {
        height: row.try_get("height")?,
        hash: row.try_get("hash")?,
        parent_hash: row.try_get("parent_hash")?,
        stamped_at: row.try_get("stamped_at")?,
    })
}

/// The canonical block we followed at a height.
///
/// # Errors
/// `Database`.
pub async fn followed_at(
    conn: &mut PgConnection,
    network: &NetworkId,
    height: i64,
) -> Result<Option<FollowedBlock>, Error> {
    let row = sqlx::query(
        "select height, hash, parent_hash, stamped_at from chain_blocks
         where network = $1 and height = $2 and canonical",
    )
    .bind(network.as_str())
    .bind(height)
    .fetch_optional(conn)
    .await?;
    row.as_ref().map(followed).transpose()
}
