//! What a person may do to a move: try it again, or give it up. Transfers are elsewhere.
//!
//! Invariant: a move of which any transaction may be on its way is given up only with the chain's
//! proof, attempt by attempt, that none of them can ever happen; who decides signs with name and
//! reason, and both stay in the record of the step.

use primitives::MoveId;
use serde_json::json;
use sqlx::PgConnection;

use super::{
    Move, MoveAttempt, MoveAttemptState, MoveEvent,
    adopt::reused_in,
    record::settle_attempts,
    store::{Leftover, attempts_in, free_sources_in, get_in, lock_in, step_in},
};
use crate::{Base, Error, bookkeeping::treasury as books, jobs::ResolveMove, policy};

/// Why nothing was done.
#[derive(Debug, thiserror::Error)]
pub enum PersonError {
    #[error("{0}")]
    NotThere(&'static str),
    #[error("{0} takes 1 to {1} characters")]
    Unsigned(&'static str, usize),
    #[error("in state {0} it cannot be {1}")]
    NotNow(&'static str, &'static str),
    #[error(
        "a transaction of it was handed to the network: only the chain can say what became of it"
    )]
    OnItsWay,
    #[error(
        "it is signed, and may still happen: `chukta treasury abandon` asks the chain for proof"
    )]
    Signed,
    #[error(
        "the signer has signed another transaction under the id of attempt {0}: bring it from the \
         signer's log with `chukta treasury adopt`"
    )]
    Reused(i32),
    #[error("the venue says otherwise: {0}")]
    VenueSays(String),
    #[error("the venue cannot be asked now ({0}): --venue-is-gone where it never answers again")]
    VenueSilent(String),
    #[error("attempt {0} may still happen: {1}")]
    NotProven(i32, String),
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

pub(super) async fn locked(conn: &mut PgConnection, id: MoveId) -> Result<Move, PersonError> {
    if get_in(conn, id).await?.is_none() {
        return Err(PersonError::NotThere("no such move"));
    }
    Ok(lock_in(conn, id).await?)
}

/// Tries a parked move again, from where it stood: in place of what the signer refused another
/// attempt is drafted, because a refusal is for ever.
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
    settled(&attempts_in(conn, &moved).await?)?;
    let cause = json!({ "by": by.0, "reason": by.1 });
    (moved.won, moved.block_hash, moved.height) = (None, None, None);
    // The cost stays: who tries again has seen it.
    (moved.arrived, moved.retry_at) = (None, None);
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
    settled(&attempts)?;
    // Where nothing is fenced by an output or a nonce, the signed one and the next could both be.
    let settings = base.settings.treasury.networks.get(&moved.network);
    let is_fenced = settings.is_none_or(|network| network.wallet.is_none());
    if !is_fenced && attempts.iter().any(may_happen) {
        return Err(PersonError::Signed);
    }
    end_in(conn, base, &mut moved, MoveEvent::Cancel, by).await
}

/// What the signer has signed under a name of ours, and we do not know, may happen.
fn settled(attempts: &[MoveAttempt]) -> Result<(), PersonError> {
    reused_in(attempts).first().map_or(Ok(()), |a| Err(PersonError::Reused(a.attempt)))
}

/// True for what may be signed, and is not known to be over.
fn may_happen(attempt: &MoveAttempt) -> bool {
    match attempt.state {
        MoveAttemptState::Planned => attempt.asked_at.is_some(),
        MoveAttemptState::Signed | MoveAttemptState::Sent => true,
        MoveAttemptState::Won | MoveAttemptState::Lost | MoveAttemptState::Dropped => false,
    }
}

/// Frees all that a move keeps.
async fn end_in(
    conn: &mut PgConnection,
    base: &Base,
    moved: &mut Move,
    event: MoveEvent,
    (by, reason): (&str, &str),
) -> Result<(), PersonError> {
    settle_attempts(conn, moved, 0).await?;
    let left = match event {
        MoveEvent::NothingArrived => Leftover::Coins,
        _ => Leftover::All,
    };
    free_sources_in(conn, moved, left).await?;
    let hold = moved.hold_key.take();
    step_in(conn, base, moved, event, json!({ "by": by, "reason": reason })).await?;
    for kind in ["signer_refused", "move_stuck", "move_differs"] {
        policy::close_case_in(conn, base, kind, &moved.id.to_string(), reason).await?;
    }
    books::move_released(conn, base, hold.as_deref()).await?;
    Ok(())
}

/// The attempts of which the chain must prove that they can never happen before the move may be
/// abandoned. None of a move that is over but for a person: a final block shows that it brought
/// nothing.
///
/// # Errors
/// `PersonError`; `NotNow` when it is at its end, or in a block that may still bring something.
pub async fn undecided_in(
    conn: &mut PgConnection,
    id: MoveId,
) -> Result<(Move, Vec<MoveAttempt>), PersonError> {
    let moved = get_in(conn, id).await?.ok_or(PersonError::NotThere("no such move"))?;
    let undecided = undecided(conn, &moved).await?;
    Ok((moved, undecided))
}

async fn undecided(conn: &mut PgConnection, of: &Move) -> Result<Vec<MoveAttempt>, PersonError> {
    if of.state.next(MoveEvent::Abandoned).is_err() {
        return Err(PersonError::NotNow(of.state.name(), "abandoned"));
    }
    if of.won.is_some() {
        return match of.arrived {
            Some(arrived) if arrived.is_zero() => Ok(Vec::new()),
            _ => Err(PersonError::NotNow(of.state.name(), "abandoned")),
        };
    }
    let attempts = attempts_in(conn, of).await?;
    settled(&attempts)?;
    Ok(attempts.into_iter().filter(may_happen).collect())
}

/// Gives up a move whose attempts were each proven to be over, or one whose final block brought
/// nothing: then its fee is booked.
///
/// # Errors
/// `PersonError`; `OnItsWay` when an attempt is not among the proven ones.
pub async fn abandon_in(
    conn: &mut PgConnection,
    base: &Base,
    id: MoveId,
    proven: &[i32],
    by: (&str, &str),
) -> Result<(), PersonError> {
    signed_by(by)?;
    let mut moved = locked(conn, id).await?;
    let undecided = undecided(conn, &moved).await?;
    if undecided.iter().any(|a| !proven.contains(&a.attempt)) {
        return Err(PersonError::OnItsWay);
    }
    let Some(cost) = moved.cost.filter(|_| moved.won.is_some()) else {
        return end_in(conn, base, &mut moved, MoveEvent::Abandoned, by).await;
    };
    moved.final_at = Some(base.now());
    settle_attempts(conn, &moved, moved.won.unwrap_or(0)).await?;
    end_in(conn, base, &mut moved, MoveEvent::NothingArrived, by).await?;
    books::move_failed(conn, base, &moved, cost).await?;
    Ok(())
}
