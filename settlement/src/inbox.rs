//! Raw incoming webhooks: stored once, read later by a worker who asks the sender for the truth.
//!
//! Invariant: storing decides nothing. The signature is checked by the room that knows the rail.

use chrono::{DateTime, Utc};
use primitives::InboxId;
use sha2::{Digest, Sha256};
use sqlx::{PgConnection, Row};

use crate::{Base, Error, jobs::ProcessInbox};

/// One stored webhook.
#[derive(Debug, Clone)]
pub struct Letter {
    pub id: InboxId,
    pub rail: String,
    pub signatures: Vec<String>,
    pub body: Vec<u8>,
    pub is_new: bool,
    pub received_at: DateTime<Utc>,
}

/// What a worker made of a letter.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Reading {
    /// Genuine; acted on, or nothing to do.
    Read,
    /// Forged or unreadable: nothing was believed.
    Refused,
}

/// Stores a webhook and asks a worker to read it. The same bytes with the same signature are one
/// letter, however often they are sent.
///
/// # Errors
/// `Database`, `Queue`.
pub async fn store_in(
    conn: &mut PgConnection,
    base: &Base,
    rail: &str,
    signatures: &[String],
    body: &[u8],
) -> Result<InboxId, Error> {
    let sha256 = hex::encode(Sha256::digest(body));
    let fresh = InboxId::from_uuid(base.uuid());
    let inserted = sqlx::query(
        "insert into inbox (id, rail, signatures, body, body_sha256, state, received_at)
         values ($1, $2, $3, $4, $5, 'new', $6) on conflict on constraint inbox_once do nothing",
    )
    .bind(fresh.uuid())
    .bind(rail)
    .bind(signatures)
    .bind(body)
    .bind(&sha256)
    .bind(base.now())
    .execute(&mut *conn)
    .await?;
    if inserted.rows_affected() == 0 {
        let known: uuid::Uuid = sqlx::query_scalar(
            "select id from inbox where rail = $1 and body_sha256 = $2 and signatures = $3",
        )
        .bind(rail)
        .bind(&sha256)
        .bind(signatures)
        .fetch_one(conn)
        .await?;
        return Ok(InboxId::from_uuid(known));
    }
    queue::enqueue(conn, &ProcessInbox { letter: fresh }, base.now()).await?;
    Ok(fresh)
}

/// The letter with this id.
///
/// # Errors
/// `Database`.
pub async fn get(conn: &mut PgConnection, id: InboxId) -> Result<Letter, Error> {
    let row =
        sqlx::query("select rail, signatures, body, state, received_at from inbox where id = $1")
            .bind(id.uuid())
            .fetch_one(conn)
            .await?;
    Ok(Letter {
        id,
        rail: row.try_get("rail")?,
        signatures: row.try_get("signatures")?,
        body: row.try_get("body")?,
        is_new: row.try_get::<&str, _>("state")? == "new",
        received_at: row.try_get("received_at")?,
    })
}

/// Marks a letter as read or refused.
///
/// # Errors
/// `Database`.
pub async fn close_in(
    conn: &mut PgConnection,
    base: &Base,
    id: InboxId,
    reading: Reading,
    note: &str,
) -> Result<(), Error> {
    let state = match reading {
        Reading::Read => "read",
        Reading::Refused => "refused",
    };
    sqlx::query("update inbox set state = $2, note = $3, read_at = $4 where id = $1")
        .bind(id.uuid())
        .bind(state)
        .bind(note)
        .bind(base.now())
        .execute(conn)
        .await?;
    Ok(())
}
