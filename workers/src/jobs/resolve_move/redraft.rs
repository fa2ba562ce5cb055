//! Drafting a move anew, of which nothing was ever signed: the signer refused it for good, or a
//! nonce before its own became free.
//!
//! Invariants: a new draft takes from the same places, and from a gas station never more than it
//! holds today: it pays others meanwhile. What cannot be drafted now is shown, and keeps no nonce
//! that somebody waits behind. Higher fees for what was sent are deliberately elsewhere.

use chains::carrier::{Carrier, Draft, DraftError, Unsigned, Wish};
use primitives::Amount;
use queue::{Lease, Outcome};
use settlement::treasury::{self, Move, MoveAttempt, NewAttempt, Turn};

use super::{PARKED, STOPPED, later, next_attempt, station, step};
use crate::{Ctx, WorkError, moving, topping::Station};

/// Every attempt was refused by the signer, for ever: the same move is drafted again, under another
/// name, at its time.
pub(super) async fn redraft(
    ctx: &Ctx,
    lease: &Lease,
    moved: &Move,
    last: &MoveAttempt,
) -> Result<Outcome, WorkError> {
    if let Some(at) = moved.retry_at.filter(|at| *at > ctx.now()) {
        return Ok(Outcome::Again(at));
    }
    let old = moving::draft_of(last)?;
    let carrier = ctx.connectors.carrier(&moved.network)?;
    let station = station(ctx, lease, moved, carrier);
    let mut draft = match anew(&station, moved, &old).await? {
        Ok(draft) => draft,
        Err(why) => {
            let mut tx = ctx.begin(lease).await?;
            treasury::stuck_in(&mut tx, &ctx.base, moved.id, &why).await?;
            let later = ctx.again_in(PARKED);
            return ctx.finish(tx, lease, later).await;
        }
    };
    if moving::places(&draft) != moving::places(&old) {
        return Err(WorkError::Nonsense("a new draft from other sources".to_owned()));
    }
    let nonce = station.take_turn(&mut draft, Some(moved.id)).await?;
    let mut tx = ctx.begin(lease).await?;
    if !treasury::may_go_on_in(&mut tx, &ctx.base, moved).await? {
        tx.rollback().await?;
        return Ok(ctx.again_in(STOPPED));
    }
    let new = NewAttempt { nonce, ..next_attempt(moved, &draft, true)? };
    let planned = treasury::redraft_in(&mut tx, &ctx.base, last, &new).await?;
    // Why not may be a case by now.
    let next = ctx.again_in(if planned.is_some() { 0 } else { PARKED });
    ctx.finish(tx, lease, next).await
}

/// Whether an attempt that nobody was asked to sign must wait, because transactions of its address
/// stand before it; `None` when it is its turn.
pub(super) async fn turn(
    ctx: &Ctx,
    lease: &Lease,
    moved: &Move,
    attempt: &MoveAttempt,
) -> Result<Option<Outcome>, WorkError> {
    let turn = {
        let mut conn = ctx.conn().await?;
        treasury::turn_in(&mut conn, moved).await?
    };
    let own = match turn {
        Turn::Mine => return Ok(None),
        Turn::Waits => return Ok(Some(later(ctx, moved))),
        Turn::Below(own) => own,
    };
    let carrier = ctx.connectors.carrier(&moved.network)?;
    let station = station(ctx, lease, moved, carrier);
    let mut draft = match anew(&station, moved, &moving::draft_of(attempt)?).await? {
        Ok(draft) => draft,
        Err(why) => {
            let mut tx = ctx.begin(lease).await?;
            // Others stand behind its nonce; it is drafted again at its time.
            treasury::release_in(&mut tx, attempt).await?;
            treasury::stuck_in(&mut tx, &ctx.base, moved.id, &why).await?;
            let later = ctx.again_in(PARKED);
            return ctx.finish(tx, lease, later).await.map(Some);
        }
    };
    let free = station.take_turn(&mut draft, Some(moved.id)).await?;
    if free.is_none_or(|free| free >= own) {
        return Ok(None);
    }
    let mut tx = ctx.begin(lease).await?;
    let released = treasury::release_in(&mut tx, attempt).await?;
    let next = if released { ctx.again_in(0) } else { later(ctx, moved) };
    ctx.finish(tx, lease, next).await.map(Some)
}

/// The move at today's fee and from what is there today; else a sentence.
async fn anew(
    station: &Station<'_>,
    moved: &Move,
    old: &Draft,
) -> Result<Result<Draft, String>, WorkError> {
    let from = station.today(old).await?;
    if from.is_empty() {
        station.is_out().await?;
        return Ok(Err("the gas station holds nothing".to_owned()));
    }
    let amount = (!moved.takes_all).then_some(moved.amount);
    let wish = Wish { from, to: moved.to.clone(), amount };
    let draft = match drafted(station.carrier, &wish).await? {
        // Whole outputs cannot be cut.
        Ok(draft) if !matches!(draft.unsigned, Unsigned::Bitcoin { .. }) => draft,
        other => return Ok(other),
    };
    let rest = draft.amount.minor().checked_rem(step(station.ctx, moved)).unwrap_or(0);
    let cut = Amount::try_new(draft.amount.minor().saturating_sub(rest), moved.asset).ok();
    match cut.filter(|cut| rest > 0 && cut.is_positive()) {
        Some(cut) => drafted(station.carrier, &Wish { amount: Some(cut), ..wish }).await,
        None => Ok(Ok(draft)),
    }
}

async fn drafted(carrier: &dyn Carrier, wish: &Wish) -> Result<Result<Draft, String>, WorkError> {
    match carrier.draft(wish).await {
        Ok(draft) => Ok(Ok(draft)),
        Err(DraftError::Read(error)) => Err(moving::unreadable(error)),
        Err(error) => Ok(Err(error.to_string())),
    }
}
