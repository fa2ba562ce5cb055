//! What a person may do to a move: try it again, or give it up before anything was sent.
//!
//! Invariant: a move of which any transaction may be on its way is never given up by hand; who
//! decides signs with name and reason.

use primitives::MoveId;
use serde_json::json;
use sqlx::PgConnection;

use super::{
    Move, MoveEvent,
    store::{attempts_in, free_sources_in, get_in, lock_in, step_in},
};
use crate::{Base, Error, bookkeeping::treasury as books, jobs::ResolveMove, policy};

/// Why nothing was done.
#[derive(Debug, thiserror::Error)]
pub enum PersonError {
    #[error("{0}")]
    NotThere(&'static str),
    #[error("{0} takes 1 to {1} characters")]
    Unsigned(&'static str, usize),
    #[error("a move in state {0} cannot be {1}")]
    NotNow(&'static str, &'static str),
    #[error(
        "a transaction of it was handed to the network: only the chain can say what became of it"
    )]
    OnItsWay,
    #[error(transparent)]
    Internal(#[from] Error),
}

impl From<sqlx::Error> for PersonError {
    fn from(error: sqlx::Error) -> Self {
        Self::Internal(error.into())
    }
}

pub(super) fn signed_by((by, reason): (&str, &str)) -> Result<(), PersonError> {
    for (what, text, most) in [("--by", by, 200), ("--reason", reason, 500)] {
        if text.trim().is_empty() || text.chars().count() > most {
            return Err(PersonError::Unsigned(what, most));
        }
    }
    Ok(())
}

async fn locked(conn: &mut PgConnection, id: MoveId) -> Result<Move, PersonError> {
    if get_in(conn, id).await?.is_none() {
        return Err(PersonError::NotThere("no such move"));
    }
    Ok(lock_in(conn, id).await?)
}

/// Tries a parked move again, from where it stood.
///
/// # Errors
/// `PersonError`.
pub async fn retry_in(
    conn: &mut PgConnection,
    base: &Base,
    id: MoveId,
    by: (&str, &str),
) -> Result<(), PersonError> {
    signed_by(by)?;
    let mut moved = locked(conn, id).await?;
    if moved.state.next(MoveEvent::TryAgain).is_err() {
        return Err(PersonError::NotNow(moved.state.name(), "tried again"));
    }
    let cause = json!({ "by": by.0, "reason": by.1 });
    (moved.won, moved.block_hash, moved.height) = (None, None, None);
    step_in(conn, base, &mut moved, MoveEvent::TryAgain, cause).await?;
    policy::close_case_in(conn, base, "signer_refused", &id.to_string(), by.1).await?;
    queue::enqueue(conn, &ResolveMove { moved: id }, base.now()).await.map_err(Error::from)?;
    Ok(())
}

/// Gives up a move of which nothing was ever sent: its coins are free again.
///
/// # Errors
/// `PersonError`.
pub async fn cancel_in(
    conn: &mut PgConnection,
    base: &Base,
    id: MoveId,
    by: (&str, &str),
) -> Result<(), PersonError> {
    signed_by(by)?;
    let mut moved = locked(conn, id).await?;
    if moved.state.next(MoveEvent::Cancel).is_err() {
        return Err(PersonError::NotNow(moved.state.name(), "cancelled"));
    }
    let attempts = attempts_in(conn, &moved).await?;
    if attempts.iter().any(|a| a.first_sent_at.is_some()) {
        return Err(PersonError::OnItsWay);
    }
    free_sources_in(conn, &moved, false).await?;
    sqlx::query("update move_attempts set state = 'dropped' where move_id = $1")
        .bind(id.uuid())
        .execute(&mut *conn)
        .await?;
    let hold = moved.hold_key.take();
    step_in(conn, base, &mut moved, MoveEvent::Cancel, json!({ "by": by.0, "reason": by.1 }))
        .await?;
    policy::close_case_in(conn, base, "signer_refused", &id.to_string(), by.1).await?;
    books::move_released(conn, base, hold.as_deref()).await?;
    Ok(())
}
