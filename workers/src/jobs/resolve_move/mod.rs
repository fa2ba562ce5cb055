//! Have a move signed, send it, and follow it until a final block holds one of its attempts.
//!
//! Every run looks first: whatever was ever sent may be in a block by now, whichever attempt it is.
//! A send is marked before it is made; the same bytes twice are one transaction. Nothing new is
//! signed for a move but a bump, which shares its fence with the attempts before it, and what
//! stands in place of an attempt that the signer refused for ever: `redraft`.

mod redraft;

use chains::carrier::{Carrier, Draft, DraftError, SendError, Unsigned};
use chrono::TimeDelta;
use primitives::Amount;
use queue::{Lease, Outcome};
use settlement::{
    jobs::ResolveMove,
    treasury::{
        self, BlockSeen, Final, Goal, InBlock, Move, MoveAttempt, MoveAttemptState, MovePurpose,
        MoveState, NewAttempt, Served,
    },
};
use signing::SignError;

use crate::{
    Ctx, WorkError,
    moving::{self, Seen},
    topping::{Station, Topped},
    witnessed,
};

/// A closed switch, a frozen venue or a questioned address is looked at again after this long.
const STOPPED: i64 = 15;
/// A move that waits for a person, or for the books, is looked at again after this long.
const PARKED: i64 = 60;

pub(crate) async fn run(ctx: Ctx, job: ResolveMove, lease: Lease) -> Result<Outcome, WorkError> {
    let Some((moved, attempts)) = read(&ctx, &job).await? else { return Ok(Outcome::Done) };
    match moved.state {
        MoveState::Replaced | MoveState::Cancelled => return Ok(Outcome::Done),
        MoveState::Final | MoveState::Credited | MoveState::Failed => {
            return unwind(&ctx, &lease, (&moved, &attempts)).await;
        }
        // What stands in its block is a person's question now.
        MoveState::InReview if moved.won.is_some() => return Ok(ctx.again_in(PARKED)),
        _ => {}
    }
    if attempts.iter().any(|a| a.first_sent_at.is_some()) {
        let chain = ctx.connectors.chain(&moved.network)?;
        match moving::look(chain, &attempts).await? {
            Seen::InBlock(at, succeeded) => {
                return in_block(&ctx, &lease, &moved, (at, succeeded)).await;
            }
            Seen::Overtaken { height } => {
                let over = overtaken(&ctx, &lease, (&moved, &attempts), height).await?;
                if let Some(outcome) = over {
                    return Ok(outcome);
                }
                return Ok(later(&ctx, &moved));
            }
            Seen::Waiting | Seen::Nothing if moved.state == MoveState::Included => {
                let mut tx = ctx.begin(&lease).await?;
                treasury::block_gone_in(&mut tx, &ctx.base, moved.id).await?;
                let soon = ctx.again_in(0);
                return ctx.finish(tx, &lease, soon).await;
            }
            seen @ (Seen::Waiting | Seen::Nothing) => {
                return go_on(&ctx, &lease, (&moved, &attempts), seen == Seen::Waiting).await;
            }
        }
    }
    go_on(&ctx, &lease, (&moved, &attempts), false).await
}

async fn read(ctx: &Ctx, job: &ResolveMove) -> Result<Option<(Move, Vec<MoveAttempt>)>, WorkError> {
    let mut conn = ctx.conn().await?;
    let Some(moved) = treasury::get_in(&mut conn, job.moved).await? else { return Ok(None) };
    let attempts = treasury::attempts_in(&mut conn, &moved).await?;
    Ok(Some((moved, attempts)))
}

fn later(ctx: &Ctx, moved: &Move) -> Outcome {
    let network = ctx.base.settings.networks.get(&moved.network);
    let poll = network.and_then(|n| i64::try_from(n.poll_ms).ok()).unwrap_or(1_000);
    Outcome::Again(ctx.now() + TimeDelta::milliseconds(poll.max(500)))
}

/// Nothing of it is in a block: what is next?
async fn go_on(
    ctx: &Ctx,
    lease: &Lease,
    (moved, attempts): (&Move, &[MoveAttempt]),
    is_known: bool,
) -> Result<Outcome, WorkError> {
    match moved.state {
        MoveState::InReview => Ok(ctx.again_in(PARKED)),
        MoveState::Planned => {
            let unsigned = attempts.iter().find(|a| a.state == MoveAttemptState::Planned);
            match (unsigned, attempts.last()) {
                (Some(attempt), _) => {
                    let asked = sign(ctx, lease, moved, attempt).await;
                    // What was sent before is handed out as ever while the signer is silent.
                    let standing = newest(attempts).filter(|a| {
                        !is_known && a.state == MoveAttemptState::Sent && is_quiet(ctx, a)
                    });
                    match (asked, standing) {
                        (Err(silent), Some(standing)) => {
                            tracing::warn!(moved = %moved.id, %silent, "a bump is not signed");
                            send(ctx, lease, moved, standing).await
                        }
                        (asked, _) => asked,
                    }
                }
                (None, Some(last)) if newest(attempts).is_none() => {
                    redraft::redraft(ctx, lease, moved, last).await
                }
                _ => {
                    let mut tx = ctx.begin(lease).await?;
                    treasury::resume_in(&mut tx, &ctx.base, moved.id).await?;
                    let soon = ctx.again_in(0);
                    ctx.finish(tx, lease, soon).await
                }
            }
        }
        MoveState::Signed | MoveState::Unwound => match newest(attempts) {
            Some(attempt) => send(ctx, lease, moved, attempt).await,
            None => Err(WorkError::Nonsense(format!("{} has nothing to send", moved.id))),
        },
        MoveState::Sent => wait_or_push(ctx, lease, (moved, attempts), is_known).await,
        _ => Ok(later(ctx, moved)),
    }
}

/// The attempt to hand out: the newest that is signed.
fn newest(attempts: &[MoveAttempt]) -> Option<&MoveAttempt> {
    attempts
        .iter()
        .rev()
        .find(|a| matches!(a.state, MoveAttemptState::Signed | MoveAttemptState::Sent))
}

/// Long enough since it was handed out, or never handed out.
fn is_quiet(ctx: &Ctx, attempt: &MoveAttempt) -> bool {
    let after = TimeDelta::seconds(ctx.base.settings.treasury.resend_after_s);
    attempt.sent_at.is_none_or(|at| ctx.now() - at >= after)
}

/// To what the amount of a move is cut: what is finer, its venue would not credit.
fn step(ctx: &Ctx, moved: &Move) -> i128 {
    let treasury = &ctx.base.settings.treasury;
    moved.venue.as_deref().map_or(1, |venue| treasury.cut_step(venue, moved.asset)).max(1)
}

fn next_attempt(moved: &Move, draft: &Draft, is_alone: bool) -> Result<NewAttempt, WorkError> {
    if draft.to != moved.to {
        return Err(WorkError::Nonsense("a draft to another destination".to_owned()));
    }
    let frozen = serde_json::to_value(draft)
        .map_err(|error| WorkError::Nonsense(format!("a draft: {error}")))?;
    let (amount, fee_max) = (draft.amount, draft.fee_max);
    Ok(NewAttempt { amount, fee_max, draft: frozen, is_alone, nonce: None })
}

fn station<'a>(
    ctx: &'a Ctx,
    lease: &'a Lease,
    moved: &'a Move,
    carrier: &'a dyn Carrier,
) -> Station<'a> {
    Station { ctx, lease, carrier, network: &moved.network }
}

/// Plan: the switch, the venue and the address are asked in the transaction that notes the asking.
async fn sign(
    ctx: &Ctx,
    lease: &Lease,
    moved: &Move,
    attempt: &MoveAttempt,
) -> Result<Outcome, WorkError> {
    if let Some(at) = moved.retry_at.filter(|at| *at > ctx.now()) {
        return Ok(Outcome::Again(at.min(ctx.now() + TimeDelta::seconds(PARKED))));
    }
    if attempt.asked_at.is_none()
        && let Some(wait) = redraft::turn(ctx, lease, moved, attempt).await?
    {
        return Ok(wait);
    }
    let mut tx = ctx.begin(lease).await?;
    if !treasury::may_go_on_in(&mut tx, &ctx.base, moved).await? {
        if moved.purpose == MovePurpose::Gas && attempt.asked_at.is_none() {
            // Nobody waits behind the nonce of what stands still; it is drafted anew later.
            treasury::release_in(&mut tx, attempt).await?;
            tx.commit().await?;
        } else {
            tx.rollback().await?;
        }
        return Ok(ctx.again_in(STOPPED));
    }
    let asked = treasury::asked_in(&mut tx, &ctx.base, attempt).await?;
    tx.commit().await?;
    if !asked {
        return Ok(later(ctx, moved));
    }
    // Call: the same intent is the same transaction, however often it is asked.
    let answer = ctx.connectors.signer()?.sign(&moving::intent(moved, attempt)?).await;
    let mut tx = ctx.begin(lease).await?;
    let next = match answer {
        Ok(signed) => {
            let (id, raw) = (&signed.tx_id, &signed.raw);
            treasury::signed_in(&mut tx, &ctx.base, attempt, id, raw).await?;
            ctx.again_in(0)
        }
        // For ever, under this name: what is next is another attempt.
        Err(SignError::Refused { code, reason }) => {
            let why = (code.as_str(), reason.as_str());
            treasury::refused_by_signer_in(&mut tx, &ctx.base, attempt, why).await?;
            later(ctx, moved)
        }
        Err(SignError::NotBefore { at, reason }) => {
            tracing::info!(moved = %moved.id, %at, reason, "the signer waits");
            treasury::not_before_in(&mut tx, attempt, at).await?;
            Outcome::Again(at.clamp(ctx.now(), ctx.now() + TimeDelta::seconds(PARKED)))
        }
        Err(SignError::Unavailable(why)) => {
            return Err(WorkError::Node(format!("the signer: {why}")));
        }
    };
    ctx.finish(tx, lease, next).await
}

/// Marks, sends once, and notes what the nodes said. That is no outcome: the chain is.
async fn send(
    ctx: &Ctx,
    lease: &Lease,
    moved: &Move,
    attempt: &MoveAttempt,
) -> Result<Outcome, WorkError> {
    let carrier = ctx.connectors.carrier(&moved.network)?;
    let Some(signed) = moving::signed(attempt) else {
        return Err(WorkError::Nonsense(format!("{} is not signed", moved.id)));
    };
    let mut tx = ctx.begin(lease).await?;
    if !treasury::may_go_on_in(&mut tx, &ctx.base, moved).await? {
        tx.rollback().await?;
        return Ok(ctx.again_in(STOPPED));
    }
    let marked = treasury::mark_sent_in(&mut tx, &ctx.base, attempt).await?;
    tx.commit().await?;
    if !marked {
        return Ok(later(ctx, moved));
    }
    let answer = carrier.send(&signed).await;
    let mut tx = ctx.begin(lease).await?;
    match answer {
        Ok(()) => treasury::accepted_in(&mut tx, attempt).await?,
        Err(SendError::Refused(why)) => {
            treasury::refused_by_network_in(&mut tx, attempt, &why).await?;
        }
        Err(SendError::Unknown(why)) => {
            tracing::warn!(moved = %moved.id, why, "sent without an answer");
        }
    }
    let next = later(ctx, moved);
    ctx.finish(tx, lease, next).await
}

/// Sent, and in no block: handed out again where nobody knows it, at a higher fee when it waits too
/// long or the network will not have it as it is.
async fn wait_or_push(
    ctx: &Ctx,
    lease: &Lease,
    (moved, attempts): (&Move, &[MoveAttempt]),
    is_known: bool,
) -> Result<Outcome, WorkError> {
    let Some(last) = newest(attempts) else { return Ok(later(ctx, moved)) };
    // Signed when a block came in between, and that block is gone.
    if last.first_sent_at.is_none() {
        return send(ctx, lease, moved, last).await;
    }
    let behind = {
        let mut conn = ctx.conn().await?;
        treasury::behind_in(&mut conn, moved).await?
    };
    let after = TimeDelta::seconds(ctx.base.settings.treasury.bump_after_s);
    // What stood behind another began to wait for itself when that one got into a block.
    let too_long = last.first_sent_at.max(behind.since).is_some_and(|at| ctx.now() - at >= after);
    let may_ask = !behind.waits && moved.retry_at.is_none_or(|at| at <= ctx.now());
    let is_due = may_ask && (too_long || (last.refused.is_some() && !is_known));
    // A bump that cannot be made is no reason to stop handing out what there is.
    if is_due && let Some(outcome) = bump(ctx, lease, (moved, attempts), last).await? {
        return Ok(outcome);
    }
    if !is_known && is_quiet(ctx, last) {
        return send(ctx, lease, moved, last).await;
    }
    Ok(later(ctx, moved))
}

/// `None` when there is no higher fee now.
async fn bump(
    ctx: &Ctx,
    lease: &Lease,
    (moved, attempts): (&Move, &[MoveAttempt]),
    last: &MoveAttempt,
) -> Result<Option<Outcome>, WorkError> {
    let carrier = ctx.connectors.carrier(&moved.network)?;
    let old = moving::draft_of(last)?;
    // Nothing but a person's proof says when a transaction from the signer's log is over.
    let is_adopted = attempts.iter().any(|a| a.adopts.is_some());
    if is_adopted && matches!(old.unsigned, Unsigned::Solana(_)) {
        return show_if_old(ctx, lease, moved, last).await;
    }
    let station = station(ctx, lease, moved, carrier);
    if let Some(from) = old.from.first()
        && moved.purpose != MovePurpose::Gas
        && station.is_coming(&from.source.address).await?
    {
        return Ok(None);
    }
    let mut draft = match carrier.bump(&old).await {
        Ok(draft) => draft,
        Err(DraftError::NeedsGas(gas)) if carrier.gas_station().is_some() => {
            more_gas(&station, moved, &old, gas).await?;
            return Ok(None);
        }
        // Solana: the old one may still come.
        Err(DraftError::Refused(_)) => return show_if_old(ctx, lease, moved, last).await,
        Err(error @ (DraftError::NotWorth(_) | DraftError::NeedsGas(_))) => {
            let mut tx = ctx.begin(lease).await?;
            treasury::stuck_in(&mut tx, &ctx.base, moved.id, &error.to_string()).await?;
            tx.commit().await?;
            return Ok(None);
        }
        Err(DraftError::Read(error)) => return Err(moving::unreadable(error)),
    };
    // There the carrier drafts a successor only after proof that the old one is over.
    let is_alone = matches!(draft.unsigned, Unsigned::Solana(_));
    moving::cut(&mut draft, step(ctx, moved))?;
    let new = next_attempt(moved, &draft, is_alone)?;
    let mut tx = ctx.begin(lease).await?;
    if !treasury::may_go_on_in(&mut tx, &ctx.base, moved).await? {
        tx.rollback().await?;
        return Ok(None);
    }
    let planned = treasury::bump_in(&mut tx, &ctx.base, last, &new).await?;
    if planned.is_none() {
        // Why not may be a case by now.
        tx.commit().await?;
        return Ok(None);
    }
    let soon = ctx.again_in(0);
    ctx.finish(tx, lease, soon).await.map(Some)
}

/// A token's address cannot pay the higher fee: it gets what is missing, and the bump comes after
/// it. A person is called only where no limit allows that.
async fn more_gas(
    station: &Station<'_>,
    moved: &Move,
    old: &Draft,
    gas: Amount,
) -> Result<(), WorkError> {
    let Some(from) = old.from.first() else { return Ok(()) };
    {
        // Nothing is spent on what would not be sent.
        let mut conn = station.ctx.conn().await?;
        if !treasury::may_go_on_in(&mut conn, &station.ctx.base, moved).await? {
            return Ok(());
        }
    }
    let fee_max = station.all_of(&from.source, gas).await?;
    let served = Served { goal: Goal::Bump(moved.id), amount: moved.amount, fee_max };
    let ctx = station.ctx;
    let why = match station.top_up(&from.source.address, gas, &served).await? {
        Topped::Coming | Topped::Later => return Ok(()),
        Topped::Out => {
            station.is_out().await?;
            "the gas station has nothing for a higher fee".to_owned()
        }
        Topped::No(why) => why,
    };
    let mut tx = ctx.begin(station.lease).await?;
    treasury::stuck_in(&mut tx, &ctx.base, moved.id, &why).await?;
    tx.commit().await?;
    Ok(())
}

/// The network will not have it, and nothing may stand in its place yet: shown when that lasts.
async fn show_if_old(
    ctx: &Ctx,
    lease: &Lease,
    moved: &Move,
    last: &MoveAttempt,
) -> Result<Option<Outcome>, WorkError> {
    let twice = ctx.base.settings.treasury.bump_after_s.saturating_mul(2);
    let old = last.first_sent_at.is_some_and(|at| ctx.now() - at >= TimeDelta::seconds(twice));
    if old {
        let mut tx = ctx.begin(lease).await?;
        let why = last.refused.as_deref().unwrap_or("in no block, and it cannot be replaced yet");
        treasury::stuck_in(&mut tx, &ctx.base, moved.id, why).await?;
        tx.commit().await?;
    }
    Ok(None)
}

/// A block holds an attempt: noted at once, booked when it is final.
async fn in_block(
    ctx: &Ctx,
    lease: &Lease,
    moved: &Move,
    (at, succeeded): (InBlock, bool),
) -> Result<Outcome, WorkError> {
    let chain = ctx.connectors.chain(&moved.network)?;
    let carrier = ctx.connectors.carrier(&moved.network)?;
    let mut tx = ctx.begin(lease).await?;
    treasury::included_in(&mut tx, &ctx.base, moved.id, &at).await?;
    tx.commit().await?;
    let depth = moving::depth(chain).await?;
    let height = u64::try_from(at.height).unwrap_or(u64::MAX);
    let (winner, deep) = {
        let mut conn = ctx.conn().await?;
        let attempts = treasury::attempts_in(&mut conn, moved).await?;
        let winner = attempts.into_iter().find(|a| a.attempt == at.attempt);
        (winner, treasury::is_final_in(&mut conn, &ctx.base, moved, depth, height).await?)
    };
    let Some(winner) = winner.filter(|_| deep) else { return Ok(later(ctx, moved)) };
    if !witnessed::stands(ctx, lease, (moved, &winner), (&at, succeeded)).await? {
        return Ok(later(ctx, moved));
    }
    let tx_id = winner.tx_id.unwrap_or_default();
    if !succeeded {
        return fail(ctx, lease, moved, (at, &tx_id, carrier)).await;
    }
    let block = (tx_id.as_str(), at.block_hash.as_str());
    let brought = moving::brought(chain, carrier, moved, block, moved.asset).await?;
    let Some((arrived, cost)) = brought else { return Ok(later(ctx, moved)) };
    let mut tx = ctx.begin(lease).await?;
    let told = Final { at, arrived, cost };
    treasury::final_in(&mut tx, &ctx.base, moved.id, &told).await?;
    ctx.finish(tx, lease, Outcome::Done).await
}

async fn fail(
    ctx: &Ctx,
    lease: &Lease,
    moved: &Move,
    (at, tx_id, carrier): (InBlock, &str, &dyn Carrier),
) -> Result<Outcome, WorkError> {
    let Some(cost) = carrier.cost(tx_id).await.map_err(moving::unreadable)? else {
        return Ok(later(ctx, moved));
    };
    let mut tx = ctx.begin(lease).await?;
    treasury::failed_in(&mut tx, &ctx.base, moved.id, &at, cost).await?;
    ctx.finish(tx, lease, Outcome::Done).await
}

/// Somebody else spent what ours would spend: over only when that is final at every node.
async fn overtaken(
    ctx: &Ctx,
    lease: &Lease,
    (moved, attempts): (&Move, &[MoveAttempt]),
    height: u64,
) -> Result<Option<Outcome>, WorkError> {
    let depth = moving::depth(ctx.connectors.chain(&moved.network)?).await?;
    let deep = {
        let mut conn = ctx.conn().await?;
        treasury::is_final_in(&mut conn, &ctx.base, moved, depth, height).await?
    };
    let over = if deep { witnessed::overtaken(ctx, lease, (moved, attempts)).await? } else { None };
    let mut tx = ctx.begin(lease).await?;
    if moved.state == MoveState::Included {
        treasury::block_gone_in(&mut tx, &ctx.base, moved.id).await?;
    }
    let Some(by) = over else {
        tx.commit().await?;
        return Ok(None);
    };
    treasury::overtaken_in(&mut tx, &ctx.base, moved.id, by.as_deref()).await?;
    ctx.finish(tx, lease, Outcome::Done).await.map(Some)
}

/// Final, and due only when the scan has left its block. Where the scan never saw it, the nodes are
/// asked: the scan may stand on a block that came and went. While one of them holds it, or cannot
/// tell, the sweeper comes back.
async fn unwind(
    ctx: &Ctx,
    lease: &Lease,
    (moved, attempts): (&Move, &[MoveAttempt]),
) -> Result<Outcome, WorkError> {
    let (Some(hash), Some(height)) = (&moved.block_hash, moved.height) else {
        return Ok(Outcome::Done);
    };
    let seen = {
        let mut conn = ctx.conn().await?;
        treasury::block_seen_in(&mut conn, &moved.network, hash, height).await?
    };
    let is_gone = match seen {
        BlockSeen::Stands => false,
        BlockSeen::Left => true,
        BlockSeen::Never => witnessed::left(ctx, (moved, attempts), (hash, height)).await?,
    };
    if !is_gone {
        return Ok(Outcome::Done);
    }
    let mut tx = ctx.begin(lease).await?;
    // The scan may have gone on meanwhile.
    let seen = treasury::block_seen_in(&mut tx, &moved.network, hash, height).await?;
    if seen == BlockSeen::Stands {
        return ctx.finish(tx, lease, Outcome::Done).await;
    }
    let unwound = treasury::unwind_in(&mut tx, &ctx.base, moved.id).await?;
    let next = if unwound { ctx.again_in(0) } else { ctx.again_in(PARKED) };
    ctx.finish(tx, lease, next).await
}
