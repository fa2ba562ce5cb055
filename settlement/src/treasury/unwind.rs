//! A final block that held a move is gone.
//!
//! Invariant: the books take back what they posted for that block by contra entries, and the same
//! signed transaction is sent again: nothing new is signed. While a venue has already used what it
//! credited, the books wait, and so does the move.

use primitives::{Amount, MoveId};
use serde_json::json;
use sqlx::PgConnection;

use super::{
    Move, MoveEvent, MovePurpose, MoveState,
    store::{lock_in, step_in},
};
use crate::{Base, Error, bookkeeping::treasury as books, case, chart};

/// Unwinds a move whose final block is gone. `false` while the books cannot take it back.
///
/// # Errors
/// `Database`, `Ledger`.
pub async fn unwind_in(conn: &mut PgConnection, base: &Base, id: MoveId) -> Result<bool, Error> {
    let mut moved = lock_in(conn, id).await?;
    if moved.state.next(MoveEvent::FinalBlockGone).is_err() {
        return Ok(true);
    }
    let booked = is_there_in(conn, &moved).await?;
    let new = case::NewCase {
        kind: "move_unwound",
        subject: &format!("{id}:{}", moved.round),
        payment: None,
        amount: Some(moved.amount),
        detail: json!({
            "block": moved.block_hash, "state": moved.state.name(), "venue": moved.venue,
            "booked": booked,
        }),
    };
    case::open_in(conn, base, new).await?;
    if !booked {
        return Ok(false);
    }
    // The one that was in the block is handed out again; the others may win as well.
    sqlx::query(
        "update move_attempts set state = 'sent', refused = null
         where move_id = $1 and state in ('won', 'lost') and first_sent_at is not null",
    )
    .bind(id.uuid())
    .execute(&mut *conn)
    .await?;
    // Another move may have what this one came from by now: then its fence stays.
    sqlx::query(
        "update move_sources s set live = true, spent = false
         where move_id = $1 and (nonce is null or spent)
           and not exists (select from move_sources o
             where o.network = s.network and o.source = s.source and o.live)",
    )
    .bind(id.uuid())
    .execute(&mut *conn)
    .await?;
    let was = moved.clone();
    moved.round = moved.round.saturating_add(1);
    (moved.won, moved.block_hash, moved.height) = (None, None, None);
    (moved.arrived, moved.cost, moved.credited, moved.final_at) = (None, None, None, None);
    let cause = json!({ "block": was.block_hash, "round": moved.round });
    step_in(conn, base, &mut moved, MoveEvent::FinalBlockGone, cause).await?;
    books::move_unwound(conn, base, &was).await?;
    hold_again(conn, base, &mut moved).await?;
    Ok(true)
}

/// What was credited must be there to be taken back: at the venue, or, of a top-up, where it went.
async fn is_there_in(conn: &mut PgConnection, of: &Move) -> Result<bool, Error> {
    let Some(credited) = of.credited else { return Ok(true) };
    let account = match (of.purpose, &of.venue) {
        (MovePurpose::FundVenue, Some(venue)) => chart::venue_free(venue, of.asset),
        (MovePurpose::ToCold, _) => chart::cold(&of.network, of.asset),
        _ => chart::escrow(&of.network, of.asset),
    };
    let balance = ledger::balance(conn, &account.code).await?;
    let available = balance.map(|b| b.available()).transpose()?;
    Ok(available.is_some_and(|has| has.minor() >= credited.minor()))
}

/// Sets the coins aside again where the books still have them. Where they do not, because their
/// deposits went with the block, nothing is held: the transaction can only succeed with them.
async fn hold_again(conn: &mut PgConnection, base: &Base, moved: &mut Move) -> Result<(), Error> {
    for (account, least) in books::taken(moved)? {
        let balance = ledger::balance(conn, &account.code).await?;
        let available = balance.map(|b| b.available()).transpose()?;
        if available.is_none_or(|has: Amount| has.minor() < least.minor()) {
            return Ok(());
        }
    }
    let hold = books::move_held(conn, base, moved, 0).await?;
    sqlx::query("update moves set hold_key = $2 where id = $1")
        .bind(moved.id.uuid())
        .bind(&hold)
        .execute(conn)
        .await?;
    debug_assert_eq!(moved.state, MoveState::Unwound);
    moved.hold_key = Some(hold);
    Ok(())
}
