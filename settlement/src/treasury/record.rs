//! What became of a move that is signed: sent, in a block, final, failed, overtaken.
//!
//! Invariant: every function locks the move, does nothing where the move has moved on, and writes
//! state, attempt, books and case together. A send is marked before it is made, on exactly one row.

use primitives::{Amount, MoveId};
use serde_json::json;
use sqlx::PgConnection;

use super::{
    Move, MoveAttempt, MoveAttemptState, MoveEvent, MovePurpose, MoveState, again, store,
    store::{Leftover, free_sources_in, lock_in, step_in},
};
use crate::{
    Base, Error,
    bookkeeping::treasury as books,
    case,
    deposit::Depth,
    jobs::WatchCredits,
    policy,
    switch::{self, Switch},
    venue_freeze,
};

/// Where a node shows an attempt.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct InBlock {
    pub attempt: i32,
    pub block_hash: String,
    pub height: i64,
}

/// What a final block shows.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Final {
    pub at: InBlock,
    /// What reached the destination.
    pub arrived: Amount,
    /// What the network took, in its own coin.
    pub cost: Amount,
}

/// True when a move may be signed, sent and bumped: moves are open and its venue takes something,
/// or its cold address still is the one of the settings. Switch and venue do not change before the
/// caller's transaction ends.
///
/// # Errors
/// `Database`.
pub async fn may_go_on_in(conn: &mut PgConnection, base: &Base, of: &Move) -> Result<bool, Error> {
    if !switch::is_open_in(conn, Switch::Moves).await? {
        return Ok(false);
    }
    let Some(venue) = &of.venue else {
        return Ok(super::cold::is_meant(base, of) && is_gas_of_use_in(conn, of).await?);
    };
    venue_freeze::share_in(conn, venue).await?;
    if venue_freeze::is_frozen_in(conn, venue).await? {
        return Ok(false);
    }
    // An address that was questioned meanwhile stops what was not sent yet.
    let known = super::known_in(conn, venue, of.asset, &of.network).await?;
    Ok(known.is_some_and(|known| known.is_usable && known.address == of.to))
}

/// False for a top-up of which nothing may be signed, while the venue is frozen that its tokens
/// would go to. One that may be signed goes on: others stand behind its nonce, and it stays ours.
/// What the signer refused has given its nonce back.
async fn is_gas_of_use_in(conn: &mut PgConnection, of: &Move) -> Result<bool, Error> {
    if of.purpose != MovePurpose::Gas {
        return Ok(true);
    }
    let venue: Option<Option<String>> = sqlx::query_scalar(
        "select for_venue from moves where id = $1 and not exists (select from move_attempts a
           where a.move_id = $1 and a.asked_at is not null and a.state <> 'dropped')",
    )
    .bind(of.id.uuid())
    .fetch_optional(&mut *conn)
    .await?;
    let Some(venue) = venue.flatten() else { return Ok(true) };
    venue_freeze::share_in(conn, &venue).await?;
    Ok(!venue_freeze::is_frozen_in(conn, &venue).await?)
}

/// True when a block at this height is as deep as the network's strictest rule for the asset asks.
///
/// # Errors
/// `Database`, `Inconsistent`.
pub async fn is_final_in(
    conn: &mut PgConnection,
    base: &Base,
    of: &Move,
    depth: Depth,
    height: u64,
) -> Result<bool, Error> {
    let policy = policy::current_in(conn, base, &of.network, of.asset).await?;
    Ok(policy.tier(None)?.last.is_met(depth, height))
}

/// Marks an attempt as sent, before it is sent. `false`: stop, somebody else did or the move has
/// moved on.
///
/// # Errors
/// `Database`.
pub async fn mark_sent_in(
    conn: &mut PgConnection,
    base: &Base,
    attempt: &MoveAttempt,
) -> Result<bool, Error> {
    let mut moved = lock_in(conn, attempt.move_id).await?;
    // While a bump waits for its signature, what was sent before is handed out as ever.
    let is_planned = moved.state == MoveState::Planned;
    let may_be = [MoveState::Signed, MoveState::Sent, MoveState::Unwound].contains(&moved.state)
        || (is_planned && attempt.state == MoveAttemptState::Sent);
    if !may_be {
        return Ok(false);
    }
    let marked = sqlx::query(
        "update move_attempts set state = 'sent', sends = sends + 1, sent_at = $4,
           first_sent_at = coalesce(first_sent_at, $4)
         where move_id = $1 and attempt = $2 and state in ('signed', 'sent')
           and sent_at is not distinct from $3",
    )
    .bind(attempt.move_id.uuid())
    .bind(attempt.attempt)
    .bind(attempt.sent_at)
    .bind(base.now())
    .execute(&mut *conn)
    .await?;
    if marked.rows_affected() == 0 {
        return Ok(false);
    }
    if moved.state != MoveState::Sent && !is_planned {
        let cause = json!({ "attempt": attempt.attempt, "tx_id": attempt.tx_id });
        step_in(conn, base, &mut moved, MoveEvent::Sending, cause).await?;
    }
    Ok(true)
}

/// A node took it, or had it: what an earlier refusal said is over.
///
/// # Errors
/// `Database`.
pub async fn accepted_in(conn: &mut PgConnection, attempt: &MoveAttempt) -> Result<(), Error> {
    note_refusal(conn, attempt, None).await
}

/// The network will never take this attempt as it is. No outcome: the chain is asked what stands in
/// its place.
///
/// # Errors
/// `Database`.
pub async fn refused_by_network_in(
    conn: &mut PgConnection,
    attempt: &MoveAttempt,
    why: &str,
) -> Result<(), Error> {
    note_refusal(conn, attempt, Some(clipped(why))).await
}

async fn note_refusal(
    conn: &mut PgConnection,
    attempt: &MoveAttempt,
    why: Option<String>,
) -> Result<(), Error> {
    sqlx::query(
        "update move_attempts set refused = $3
         where move_id = $1 and attempt = $2 and state = 'sent'",
    )
    .bind(attempt.move_id.uuid())
    .bind(attempt.attempt)
    .bind(why)
    .execute(conn)
    .await?;
    Ok(())
}

/// What others wrote, as much of it as we keep.
pub(super) fn clipped(text: &str) -> String {
    text.chars().filter(|c| !c.is_control()).take(300).collect()
}

/// Goes on with a move in which nothing is left to be signed: it was tried again by a person.
///
/// # Errors
/// `Database`.
pub async fn resume_in(conn: &mut PgConnection, base: &Base, id: MoveId) -> Result<(), Error> {
    let mut moved = lock_in(conn, id).await?;
    let attempts = store::attempts_in(conn, &moved).await?;
    let to_sign = attempts.iter().any(|a| a.state == MoveAttemptState::Planned);
    let to_send = attempts
        .iter()
        .any(|a| matches!(a.state, MoveAttemptState::Signed | MoveAttemptState::Sent));
    if moved.state != MoveState::Planned || to_sign || !to_send {
        return Ok(());
    }
    step_in(conn, base, &mut moved, MoveEvent::Signature, json!({ "resumed": true })).await
}

/// A block holds one of the attempts.
///
/// # Errors
/// `Database`.
pub async fn included_in(
    conn: &mut PgConnection,
    base: &Base,
    id: MoveId,
    at: &InBlock,
) -> Result<(), Error> {
    let mut moved = lock_in(conn, id).await?;
    if moved.state == MoveState::Included {
        if moved.block_hash.as_ref() == Some(&at.block_hash) && moved.won == Some(at.attempt) {
            return Ok(());
        }
        block_gone(conn, base, &mut moved).await?;
    }
    if moved.state.next(MoveEvent::SeenInBlock).is_err() {
        return Ok(());
    }
    moved.won = Some(at.attempt);
    moved.block_hash = Some(at.block_hash.clone());
    moved.height = Some(at.height);
    let cause = json!({ "attempt": at.attempt, "block": at.block_hash, "height": at.height });
    step_in(conn, base, &mut moved, MoveEvent::SeenInBlock, cause).await?;
    again::shown_no_more(conn, base, &moved, "it is in a block").await
}

/// The block that held it is not on the chain any more, or another attempt is in one.
///
/// # Errors
/// `Database`.
pub async fn block_gone_in(conn: &mut PgConnection, base: &Base, id: MoveId) -> Result<(), Error> {
    let mut moved = lock_in(conn, id).await?;
    if moved.state == MoveState::Included {
        block_gone(conn, base, &mut moved).await?;
    }
    Ok(())
}

async fn block_gone(conn: &mut PgConnection, base: &Base, moved: &mut Move) -> Result<(), Error> {
    let cause = json!({ "block": moved.block_hash.take(), "attempt": moved.won.take() });
    moved.height = None;
    step_in(conn, base, moved, MoveEvent::BlockGone, cause).await?;
    let attempts = store::attempts_in(conn, moved).await?;
    let Some(unsigned) = attempts.iter().find(|a| a.state == MoveAttemptState::Planned) else {
        return Ok(());
    };
    // The bump that was planned when the block came is wanted again: the signer may have it signed.
    moved.retry_at = None;
    let cause = json!({ "attempt": unsigned.attempt, "was": "planned before the block" });
    step_in(conn, base, moved, MoveEvent::BumpPlanned, cause).await
}

/// Books what a final block shows; the coins are on their way, or home.
///
/// # Errors
/// `Database`, `Ledger`.
pub async fn final_in(
    conn: &mut PgConnection,
    base: &Base,
    id: MoveId,
    told: &Final,
) -> Result<(), Error> {
    let mut moved = lock_in(conn, id).await?;
    if !stands_at(&moved, &told.at) {
        return Ok(());
    }
    let winner = winner_in(conn, &moved).await?;
    let at = &told.at.block_hash;
    if is_too_dear_in(conn, base, (&mut moved, &winner), (at, told.cost)).await? {
        return Ok(());
    }
    let expected = winner.amount;
    if told.arrived != expected {
        let new = case::NewCase {
            kind: "move_differs",
            subject: &id.to_string(),
            payment: None,
            amount: Some(told.arrived),
            detail: json!({ "expected": expected, "block": told.at.block_hash }),
        };
        case::open_in(conn, base, new).await?;
    }
    if !told.arrived.is_positive() {
        let cause = json!({ "block": told.at.block_hash, "arrived": told.arrived });
        // Kept for who decides about it: the network took its fee all the same.
        (moved.arrived, moved.cost) = (Some(told.arrived), Some(told.cost));
        return step_in(conn, base, &mut moved, MoveEvent::NeedsPerson, cause).await;
    }
    settle_attempts(conn, &moved, told.at.attempt).await?;
    let left = if moved.takes_all { Leftover::Nothing } else { Leftover::Coins };
    free_sources_in(conn, &moved, left).await?;
    let hold = moved.hold_key.take();
    (moved.arrived, moved.cost) = (Some(told.arrived), Some(told.cost));
    moved.final_at = Some(base.now());
    let cause = json!({
        "block": told.at.block_hash, "arrived": told.arrived, "cost": told.cost,
    });
    step_in(conn, base, &mut moved, MoveEvent::Deep, cause).await?;
    again::shown_no_more(conn, base, &moved, "it is final at every node").await?;
    match (moved.purpose, &moved.venue) {
        (MovePurpose::FundVenue, Some(venue)) => {
            let watch = WatchCredits { venue: venue.clone(), asset: moved.asset };
            queue::enqueue(conn, &watch, base.now()).await?;
        }
        _ => {
            moved.credited = Some(told.arrived);
            let cause = json!({ "at": moved.to });
            step_in(conn, base, &mut moved, MoveEvent::CreditSeen, cause).await?;
        }
    }
    books::move_released(conn, base, hold.as_deref()).await?;
    books::move_out(conn, base, &moved, told.arrived, told.cost).await
}

fn stands_at(moved: &Move, at: &InBlock) -> bool {
    moved.state == MoveState::Included
        && moved.won == Some(at.attempt)
        && moved.block_hash.as_ref() == Some(&at.block_hash)
}

async fn winner_in(conn: &mut PgConnection, moved: &Move) -> Result<MoveAttempt, Error> {
    let attempts = store::attempts_in(conn, moved).await?;
    let winner = attempts.into_iter().find(|a| Some(a.attempt) == moved.won);
    winner.ok_or_else(|| Error::Inconsistent(format!("{} has no attempt in its block", moved.id)))
}

/// True when a node tells of a fee beyond what the transaction could pay: nothing is booked before
/// a person has seen it. Told again once a person has tried the move again, it is believed: a
/// network may charge beside the fee.
async fn is_too_dear_in(
    conn: &mut PgConnection,
    base: &Base,
    (moved, winner): (&mut Move, &MoveAttempt),
    (block, cost): (&str, Amount),
) -> Result<bool, Error> {
    if cost.minor() <= winner.fee_max.minor() || moved.cost == Some(cost) {
        return Ok(false);
    }
    let new = case::NewCase {
        kind: "move_differs",
        subject: &moved.id.to_string(),
        payment: None,
        amount: Some(cost),
        detail: json!({ "block": block, "cost": cost, "fee_max": winner.fee_max }),
    };
    case::open_in(conn, base, new).await?;
    moved.cost = Some(cost);
    let cause = json!({ "block": block, "cost": cost, "fee_max": winner.fee_max });
    step_in(conn, base, moved, MoveEvent::NeedsPerson, cause).await?;
    Ok(true)
}

pub(super) async fn settle_attempts(
    conn: &mut PgConnection,
    moved: &Move,
    winner: i32,
) -> Result<(), Error> {
    sqlx::query(
        "update move_attempts set state = case
             when attempt = $2 then 'won'
             when tx_id is null then 'dropped'
             else 'lost' end
         where move_id = $1 and state in ('planned', 'signed', 'sent')",
    )
    .bind(moved.id.uuid())
    .bind(winner)
    .execute(conn)
    .await?;
    Ok(())
}

/// Books a transaction that a final block shows as failed: the fee is gone, the coins are where
/// they were and free to be planned anew.
///
/// # Errors
/// `Database`, `Ledger`.
pub async fn failed_in(
    conn: &mut PgConnection,
    base: &Base,
    id: MoveId,
    at: &InBlock,
    cost: Amount,
) -> Result<(), Error> {
    let mut moved = lock_in(conn, id).await?;
    if !stands_at(&moved, at) {
        return Ok(());
    }
    let winner = winner_in(conn, &moved).await?;
    if is_too_dear_in(conn, base, (&mut moved, &winner), (&at.block_hash, cost)).await? {
        return Ok(());
    }
    settle_attempts(conn, &moved, at.attempt).await?;
    free_sources_in(conn, &moved, Leftover::Coins).await?;
    let hold = moved.hold_key.take();
    (moved.cost, moved.final_at) = (Some(cost), Some(base.now()));
    let cause = json!({ "block": at.block_hash, "cost": cost });
    step_in(conn, base, &mut moved, MoveEvent::DeepFailure, cause).await?;
    again::shown_no_more(conn, base, &moved, "every node says that it is over").await?;
    let new = case::NewCase {
        kind: "move_reverted",
        subject: &id.to_string(),
        payment: None,
        amount: Some(moved.amount),
        detail: json!({ "block": at.block_hash, "cost": cost, "to": moved.to }),
    };
    case::open_in(conn, base, new).await?;
    books::move_released(conn, base, hold.as_deref()).await?;
    books::move_failed(conn, base, &moved, cost).await
}

/// A final block shows that somebody else's transaction took what ours would have taken: none of
/// our attempts can ever be in a chain.
///
/// # Errors
/// `Database`, `Ledger`.
pub async fn overtaken_in(
    conn: &mut PgConnection,
    base: &Base,
    id: MoveId,
    by: Option<&str>,
) -> Result<(), Error> {
    let mut moved = lock_in(conn, id).await?;
    if moved.state.next(MoveEvent::Overtaken).is_err() {
        return Ok(());
    }
    settle_attempts(conn, &moved, 0).await?;
    free_sources_in(conn, &moved, Leftover::Coins).await?;
    let hold = moved.hold_key.take();
    step_in(conn, base, &mut moved, MoveEvent::Overtaken, json!({ "by": by })).await?;
    again::shown_no_more(conn, base, &moved, "every node says that it is over").await?;
    let new = case::NewCase {
        kind: "move_overtaken",
        subject: &id.to_string(),
        payment: None,
        amount: Some(moved.amount),
        detail: json!({ "by": by, "to": moved.to }),
    };
    case::open_in(conn, base, new).await?;
    books::move_released(conn, base, hold.as_deref()).await
}

/// Shows a move that does not get on. Nothing new is tried for it before the next wait is over.
///
/// # Errors
/// `Database`.
pub async fn stuck_in(
    conn: &mut PgConnection,
    base: &Base,
    id: MoveId,
    why: &str,
) -> Result<(), Error> {
    let moved = lock_in(conn, id).await?;
    show_stuck_in(conn, base, &moved, why).await?;
    again::wait_in(conn, base, &moved, 1).await
}

pub(super) async fn show_stuck_in(
    conn: &mut PgConnection,
    base: &Base,
    of: &Move,
    why: &str,
) -> Result<(), Error> {
    let new = case::NewCase {
        kind: "move_stuck",
        subject: &of.id.to_string(),
        payment: None,
        amount: Some(of.amount),
        detail: json!({ "why": clipped(why), "network": of.network, "state": of.state.name() }),
    };
    case::open_in(conn, base, new).await
}
