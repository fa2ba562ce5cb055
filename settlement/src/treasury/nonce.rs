//! Transactions that stand behind each other: those of one gas station, by their nonces.
//!
//! Invariants: a nonce belongs to one live move at a time, and one that a block has used up is
//! never given again. A move asks the signer only when everything before it was handed to the
//! network, so nothing that is signed ever waits behind a nonce that nobody has; what is not signed
//! yet gives its nonce back and takes the lowest that is free.

use chrono::{DateTime, Utc};
use primitives::{MoveId, NetworkId};
use sqlx::PgConnection;

use super::{Move, MoveAttempt, MoveState, plan, store};
use crate::{Base, Error};

/// Whether it is a move's turn to be signed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Turn {
    Mine,
    /// Something before it was not handed out yet.
    Waits,
    /// A nonce before its own was given back: that one may be free.
    Below(i64),
}

/// What stands before a move that was sent.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Behind {
    /// Something before it is in no block: its own fee is not why it waits.
    pub waits: bool,
    /// When the newest of those before it got into a block.
    pub since: Option<DateTime<Utc>>,
}

/// The lowest nonce of an address that no live move has and no block of ours has used, from what
/// the chain counts on.
///
/// # Errors
/// `Database`, `Inconsistent`.
pub async fn next_nonce_in(
    conn: &mut PgConnection,
    (network, address): (&NetworkId, &str),
    counted: u64,
    but: Option<MoveId>,
) -> Result<i64, Error> {
    let counted =
        i64::try_from(counted).map_err(|_| Error::Inconsistent("a nonce without end".into()))?;
    let used: Option<i64> = sqlx::query_scalar(
        "select max(nonce) from move_sources where network = $1 and address = $2 and spent",
    )
    .bind(network.as_str())
    .bind(address)
    .fetch_one(&mut *conn)
    .await?;
    // A node that lags counts too few.
    let mut next = counted.max(used.map_or(0, |used| used.saturating_add(1)));
    let live: Vec<i64> = sqlx::query_scalar(
        "select nonce from move_sources where network = $1 and address = $2 and live
           and nonce is not null and move_id is distinct from $3 order by nonce",
    )
    .bind(network.as_str())
    .bind(address)
    .bind(but.map(|id| id.uuid()))
    .fetch_all(conn)
    .await?;
    for taken in live {
        if taken == next {
            next = next.saturating_add(1);
        }
    }
    Ok(next)
}

/// How many live moves stand behind each other at an address.
pub(super) async fn standing_in(
    conn: &mut PgConnection,
    network: &NetworkId,
    address: &str,
) -> Result<i64, Error> {
    let standing = sqlx::query_scalar(
        "select count(*) from move_sources
         where network = $1 and address = $2 and live and nonce is not null",
    )
    .bind(network.as_str())
    .bind(address)
    .fetch_one(conn)
    .await?;
    Ok(standing)
}

/// True when a nonce of an address belongs to another live move, or was used up.
pub(super) async fn is_taken_in(
    conn: &mut PgConnection,
    (network, address): (&NetworkId, &str),
    nonce: i64,
    but: Option<MoveId>,
) -> Result<bool, Error> {
    let taken = sqlx::query_scalar(
        "select exists (select from move_sources where network = $1 and address = $2
           and nonce = $3 and (live or spent) and move_id is distinct from $4)",
    )
    .bind(network.as_str())
    .bind(address)
    .bind(nonce)
    .bind(but.map(|id| id.uuid()))
    .fetch_one(conn)
    .await?;
    Ok(taken)
}

/// The nonce a move has now, if its source counts them: the address, and the nonce.
pub(super) async fn own_in(
    conn: &mut PgConnection,
    of: &Move,
) -> Result<Option<(String, i64)>, Error> {
    let own = sqlx::query_as(
        "select address, nonce from move_sources
         where move_id = $1 and live and nonce is not null limit 1",
    )
    .bind(of.id.uuid())
    .fetch_optional(conn)
    .await?;
    Ok(own)
}

/// Whether it is a move's turn to be signed.
///
/// # Errors
/// `Database`.
pub async fn turn_in(conn: &mut PgConnection, of: &Move) -> Result<Turn, Error> {
    let Some((address, nonce)) = own_in(conn, of).await? else { return Ok(Turn::Mine) };
    let waits: bool = sqlx::query_scalar(
        "select exists (select from move_sources s where s.network = $1 and s.address = $2
           and s.live and s.nonce < $3 and not exists (select from move_attempts a
             where a.move_id = s.move_id and a.first_sent_at is not null))",
    )
    .bind(of.network.as_str())
    .bind(&address)
    .bind(nonce)
    .fetch_one(&mut *conn)
    .await?;
    if waits {
        return Ok(Turn::Waits);
    }
    let is_gap: bool = sqlx::query_scalar(
        "select exists (select from move_sources s where s.network = $1 and s.address = $2
           and s.nonce < $3 and not s.live and not s.spent
           and not exists (select from move_sources o where o.network = s.network
             and o.address = s.address and o.nonce = s.nonce and (o.live or o.spent)))",
    )
    .bind(of.network.as_str())
    .bind(&address)
    .bind(nonce)
    .fetch_one(conn)
    .await?;
    Ok(if is_gap { Turn::Below(nonce) } else { Turn::Mine })
}

/// What stands before a move that was sent.
///
/// # Errors
/// `Database`.
pub async fn behind_in(conn: &mut PgConnection, of: &Move) -> Result<Behind, Error> {
    let Some((address, nonce)) = own_in(conn, of).await? else {
        return Ok(Behind { waits: false, since: None });
    };
    let (waits, since): (Option<bool>, Option<DateTime<Utc>>) = sqlx::query_as(
        "select bool_or(s.live and m.won is null),
           max(m.updated_at) filter (where s.spent or m.won is not null)
         from move_sources s join moves m on m.id = s.move_id
         where s.network = $1 and s.address = $2 and s.nonce < $3 and (s.live or s.spent)
           and s.nonce >= $3 - 1000",
    )
    .bind(of.network.as_str())
    .bind(&address)
    .bind(nonce)
    .fetch_one(conn)
    .await?;
    Ok(Behind { waits: waits.unwrap_or(false), since })
}

/// Gives back the nonce of an attempt that nobody was ever asked to sign: another one is drafted in
/// its place. False when the signer may have it by now, and of a bump: what was signed before it
/// has the same nonce, and may be in a block any time.
///
/// # Errors
/// `Database`.
pub async fn release_in(conn: &mut PgConnection, attempt: &MoveAttempt) -> Result<bool, Error> {
    plan::one_at_a_time_in(conn).await?;
    let moved = store::lock_in(conn, attempt.move_id).await?;
    if moved.state != MoveState::Planned {
        return Ok(false);
    }
    let dropped = sqlx::query(
        "update move_attempts set state = 'dropped', refused = 'a lower nonce is free'
         where move_id = $1 and attempt = $2 and state = 'planned' and asked_at is null
           and not exists (select from move_attempts a
             where a.move_id = $1 and a.tx_id is not null)",
    )
    .bind(attempt.move_id.uuid())
    .bind(attempt.attempt)
    .execute(&mut *conn)
    .await?;
    if dropped.rows_affected() == 0 {
        return Ok(false);
    }
    give_back_in(conn, &moved).await?;
    Ok(true)
}

/// A move of which nothing can be signed any more has no nonce.
pub(super) async fn give_back_in(conn: &mut PgConnection, of: &Move) -> Result<(), Error> {
    sqlx::query("update move_sources set live = false where move_id = $1 and nonce is not null")
        .bind(of.id.uuid())
        .execute(conn)
        .await?;
    Ok(())
}

/// Where a move's source counts nonces: its address, whether the move has one now or not.
async fn counted_in(conn: &mut PgConnection, of: &Move) -> Result<Option<String>, Error> {
    let address = sqlx::query_scalar(
        "select address from move_sources where move_id = $1 and nonce is not null limit 1",
    )
    .bind(of.id.uuid())
    .fetch_optional(conn)
    .await?;
    Ok(address)
}

/// True when a move that is drafted anew may have this nonce.
pub(super) async fn may_take_in(
    conn: &mut PgConnection,
    of: &Move,
    nonce: i64,
) -> Result<bool, Error> {
    let Some(address) = counted_in(conn, of).await? else { return Ok(true) };
    Ok(!is_taken_in(conn, (&of.network, &address), nonce, Some(of.id)).await?)
}

/// Takes a nonce for a move that is drafted anew, in place of the one it had.
pub(super) async fn take_in(conn: &mut PgConnection, of: &Move, nonce: i64) -> Result<(), Error> {
    give_back_in(conn, of).await?;
    sqlx::query(
        "insert into move_sources (move_id, network, source, address, amount_minor, live, nonce)
         select move_id, network, address || ':' || $2::text, address, amount_minor, true, $2
         from move_sources where move_id = $1 and nonce is not null limit 1
         on conflict (move_id, source) do update set live = true",
    )
    .bind(of.id.uuid())
    .bind(nonce)
    .execute(conn)
    .await?;
    Ok(())
}

/// How many may stand behind each other.
pub(super) fn most(base: &Base) -> i64 {
    i64::try_from(base.settings.treasury.top_ups_at_once.max(1)).unwrap_or(1)
}
