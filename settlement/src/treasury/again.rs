//! Further attempts of a move: a higher fee for what was sent, a new draft for what was never
//! signed.
//!
//! Invariants: of a move's attempts at most one can ever be in a chain: a bump shares its fence
//! with those before it, a new draft follows only refusals, which the signer never takes back. The
//! move's hold is that of its own amount and fee. What may not be made now is asked again later.

use chrono::TimeDelta;
use primitives::{Amount, derived_uuid};
use serde_json::{Value, json};
use sqlx::PgConnection;

use super::{
    Move, MoveAttempt, MoveAttemptState, MoveEvent, MovePurpose, MoveState,
    adopt::reused_in,
    candidates::coverable_in,
    nonce, plan, record, store,
    worth::{Worth, fees_in},
};
use crate::{Base, Error, bookkeeping::treasury as books, money_column, policy};

/// A further attempt as the chain's side has drafted it.
#[derive(Debug, Clone)]
pub struct NewAttempt {
    pub amount: Amount,
    pub fee_max: Amount,
    pub draft: Value,
    /// The network proved that no earlier attempt can be in a chain any more: this one is no bump
    /// on top of them, and not counted as one.
    pub is_alone: bool,
    /// Its place behind others of the same address, where there are several.
    pub nonce: Option<i64>,
}

/// Freezes one attempt. Its name at the signer is derived: a restored database asks the same.
pub(super) async fn attempt_in(
    conn: &mut PgConnection,
    base: &Base,
    of: &Move,
    (attempt, fee_paise): (i32, i64),
    draft: &Value,
) -> Result<(), Error> {
    let intent = derived_uuid(&["move", &of.id.to_string(), &attempt.to_string()]);
    sqlx::query(
        "insert into move_attempts (move_id, attempt, intent_id, amount_minor, fee_max_minor,
           fee_paise, draft, state, planned_at)
         values ($1, $2, $3, $4::text::numeric, $5::text::numeric, $6, $7, 'planned', $8)",
    )
    .bind(of.id.uuid())
    .bind(attempt)
    .bind(intent)
    .bind(money_column::minor(of.amount))
    .bind(money_column::minor(of.fee_max))
    .bind(fee_paise)
    .bind(draft)
    .bind(base.now())
    .execute(conn)
    .await?;
    Ok(())
}

/// Plans a further attempt at a higher fee, of which and the earlier ones at most one can ever be
/// in a chain: the carrier made it so. `None` when the move has moved on, or may not go on.
///
/// # Errors
/// `Database`, `Ledger`.
pub async fn bump_in(
    conn: &mut PgConnection,
    base: &Base,
    last: &MoveAttempt,
    new: &NewAttempt,
) -> Result<Option<()>, Error> {
    plan::one_at_a_time_in(conn).await?;
    let mut moved = store::lock_in(conn, last.move_id).await?;
    let attempts = store::attempts_in(conn, &moved).await?;
    let mut made = attempts.iter().filter(|a| a.state != MoveAttemptState::Dropped);
    let newest = made.clone().next_back();
    let is_newest =
        newest.is_some_and(|a| a.attempt == last.attempt && a.state == MoveAttemptState::Sent);
    if moved.state != MoveState::Sent || !is_newest {
        return Ok(None);
    }
    if !reused_in(&attempts).is_empty() {
        return not_now(conn, base, &moved, "the signer has signed another under its id").await;
    }
    // What the signer refused was no bump.
    let bumps = i32::try_from(made.by_ref().count()).unwrap_or(i32::MAX).saturating_sub(1);
    if bumps >= base.settings.treasury.bumps_max && !new.is_alone {
        return not_now(conn, base, &moved, "no further bump is allowed").await;
    }
    further_in(conn, base, (&mut moved, &attempts), new, MoveEvent::BumpPlanned).await
}

/// Plans an attempt in place of one that the signer refused for good: nothing of the move was ever
/// signed. `None` when the move has moved on, or it must not be now.
///
/// # Errors
/// `Database`, `Ledger`.
pub async fn redraft_in(
    conn: &mut PgConnection,
    base: &Base,
    last: &MoveAttempt,
    new: &NewAttempt,
) -> Result<Option<()>, Error> {
    plan::one_at_a_time_in(conn).await?;
    let mut moved = store::lock_in(conn, last.move_id).await?;
    let attempts = store::attempts_in(conn, &moved).await?;
    let refused = |a: &MoveAttempt| a.state == MoveAttemptState::Dropped && a.tx_id.is_none();
    let is_last = attempts.last().is_some_and(|a| a.attempt == last.attempt);
    if moved.state != MoveState::Planned || !is_last || !attempts.iter().all(refused) {
        return Ok(None);
    }
    if !reused_in(&attempts).is_empty() {
        return not_now(conn, base, &moved, "the signer has signed another under its id").await;
    }
    // Taken only together with its attempt: nobody waits behind a nonce that is used for nothing.
    if let Some(nonce) = new.nonce
        && !nonce::may_take_in(conn, &moved, nonce).await?
    {
        return Ok(None);
    }
    let more = leaves(&moved, new.amount, new.fee_max)?.checked_sub(leaves(
        &moved,
        moved.amount,
        moved.fee_max,
    )?)?;
    if more.is_positive() && moved.purpose != MovePurpose::Gas {
        let coverable = coverable_in(conn, base, &moved.network, moved.asset).await?;
        if coverable.minor() < more.minor() {
            return not_now(conn, base, &moved, "what is owed back does not leave so much").await;
        }
    }
    let further = (&mut moved, attempts.as_slice());
    let made = further_in(conn, base, further, new, MoveEvent::Redrafted).await?;
    if let (Some(()), Some(nonce)) = (made, new.nonce) {
        nonce::take_in(conn, &moved, nonce).await?;
    }
    Ok(made)
}

/// What leaves of the moved asset.
fn leaves(of: &Move, amount: Amount, fee: Amount) -> Result<Amount, Error> {
    Ok(if fee.asset() == of.asset { amount.checked_add(fee)? } else { amount })
}

/// Fee, budget and books are asked; then the attempt is frozen and the hold made its own.
async fn further_in(
    conn: &mut PgConnection,
    base: &Base,
    (moved, attempts): (&mut Move, &[MoveAttempt]),
    new: &NewAttempt,
    event: MoveEvent,
) -> Result<Option<()>, Error> {
    let (amount, fee_max) = (new.amount, new.fee_max);
    let Some(worth) = Worth::of_in(conn, base, amount, fee_max).await? else {
        return not_now(conn, base, moved, "no fresh rate values the fee").await;
    };
    let settings = &base.settings.treasury;
    // A top-up is worth what it lets move: its own amount says nothing, but bounds what is spent
    // to bring it.
    let too_dear = match moved.purpose {
        MovePurpose::Gas => fee_max.minor() > amount.minor(),
        MovePurpose::FundVenue | MovePurpose::ToCold if event == MoveEvent::Redrafted => {
            worth.is_fee_above(settings.sweep_fee_bps_max)?
        }
        MovePurpose::FundVenue | MovePurpose::ToCold => {
            worth.is_fee_above(settings.bump_fee_bps_max)?
        }
    };
    if too_dear {
        return not_now(conn, base, moved, "the next fee is beyond its limit").await;
    }
    let fee_paise = worth.fee_paise()?;
    let others = fees_in(conn, base, Some(moved.id)).await?;
    if others.saturating_add(fee_paise) > settings.fee_budget_paise {
        return not_now(conn, base, moved, "the fee budget of 24 hours is used up").await;
    }
    let held = if moved.hold_key.is_some() { books::taken(moved)? } else { Vec::new() };
    let next = Move { amount, fee_max, ..moved.clone() };
    for (account, least) in books::taken(&next)? {
        let balance = ledger::balance(conn, &account.code).await?;
        let available = balance.map(|b| b.available()).transpose()?.map_or(0, Amount::minor);
        let own = held.iter().find(|(a, _)| a.code == account.code);
        let has = available.saturating_add(own.map_or(0, |(_, amount)| amount.minor()));
        if has < least.minor() {
            return not_now(conn, base, moved, "the books do not cover the next fee").await;
        }
    }
    let number = attempts.last().map_or(1, |a| a.attempt.saturating_add(1));
    (moved.amount, moved.fee_max, moved.retry_at) = (amount, fee_max, None);
    attempt_in(conn, base, moved, (number, fee_paise), &new.draft).await?;
    hold_anew(conn, base, moved, number).await?;
    let cause = json!({ "attempt": number, "amount": amount, "fee_max": fee_max });
    store::step_in(conn, base, moved, event, cause).await?;
    Ok(Some(()))
}

/// Gives up what is set aside for what the move takes now. The caller writes the move.
pub(super) async fn hold_anew(
    conn: &mut PgConnection,
    base: &Base,
    moved: &mut Move,
    name: i32,
) -> Result<(), Error> {
    books::move_released(conn, base, moved.hold_key.as_deref()).await?;
    moved.hold_key = Some(books::move_held(conn, base, moved, name).await?);
    Ok(())
}

async fn not_now(
    conn: &mut PgConnection,
    base: &Base,
    moved: &Move,
    why: &str,
) -> Result<Option<()>, Error> {
    record::show_stuck_in(conn, base, moved, why).await?;
    wait_in(conn, base, moved, 1).await?;
    Ok(None)
}

/// Nothing new is asked for before so many waits are over.
pub(super) async fn wait_in(
    conn: &mut PgConnection,
    base: &Base,
    moved: &Move,
    times: i64,
) -> Result<(), Error> {
    let wait = base.settings.treasury.retry_after_s.saturating_mul(times);
    sqlx::query("update moves set retry_at = $2 where id = $1")
        .bind(moved.id.uuid())
        .bind(base.now() + TimeDelta::seconds(wait))
        .execute(conn)
        .await?;
    Ok(())
}

/// A new draft got through: what was shown about the old one is over.
pub(super) async fn shown_no_more(
    conn: &mut PgConnection,
    base: &Base,
    of: &Move,
    why: &str,
) -> Result<(), Error> {
    for kind in ["signer_refused", "move_stuck"] {
        policy::close_case_in(conn, base, kind, &of.id.to_string(), why).await?;
    }
    Ok(())
}
