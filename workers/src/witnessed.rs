//! The word of every configured node before a move ends: in its final block, or overtaken.
//!
//! Invariant: the followed node alone ends nothing and releases no hold, and what was final is not
//! taken back because a scan stood still. While one node is down, behind or of another opinion the
//! move waits with a reason; when that lasts for one that is not over, a person is shown why. No
//! transaction is open while nodes are asked.

use chains::carrier::{Ours, Overtaken, Standing, Tips, Witnessed};
use chrono::TimeDelta;
use queue::Lease;
use settlement::{
    deposit::Depth,
    treasury::{self, InBlock, Move, MoveAttempt},
};

use crate::{Ctx, WorkError, moving};

/// A node that lags is waited for; one that is away for longer than this is somebody's business.
const SHOWN_AFTER: i64 = 3 * 60 * 60;

/// True when every node holds the attempt in this block, and the block is as deep at each of them
/// as the network's policy asks.
pub(crate) async fn stands(
    ctx: &Ctx,
    lease: &Lease,
    (moved, attempt): (&Move, &MoveAttempt),
    (at, succeeded): (&InBlock, bool),
) -> Result<bool, WorkError> {
    let Some(tx_id) = &attempt.tx_id else { return Ok(false) };
    let height = u64::try_from(at.height).unwrap_or(u64::MAX);
    let standing = Standing { block_hash: &at.block_hash, height, succeeded };
    let carrier = ctx.connectors.carrier(&moved.network)?;
    match Witnessed::new(carrier).stands(tx_id, standing).await {
        Ok(tips) => is_deep(ctx, moved, tips, height).await,
        Err(why) => {
            doubt(ctx, lease, moved, (std::slice::from_ref(attempt), &why.to_string())).await?;
            Ok(false)
        }
    }
}

/// What took the place of all attempts that were ever sent, once every node says so and it is as
/// deep at each of them. `Some(None)`: nobody knows its name.
pub(crate) async fn overtaken(
    ctx: &Ctx,
    lease: &Lease,
    (moved, attempts): (&Move, &[MoveAttempt]),
) -> Result<Option<Option<String>>, WorkError> {
    let mut ours = Vec::new();
    for attempt in attempts.iter().filter(|attempt| attempt.first_sent_at.is_some()) {
        let Some(tx_id) = attempt.tx_id.clone() else { continue };
        let spends = moving::spends(&moving::draft_of(attempt)?);
        ours.push(Ours { tx_id, spends });
    }
    let carrier = ctx.connectors.carrier(&moved.network)?;
    match Witnessed::new(carrier).overtaken(&ours).await {
        Ok(Overtaken { by, height, tips }) => {
            Ok(is_deep(ctx, moved, tips, height).await?.then_some(by))
        }
        Err(why) => {
            doubt(ctx, lease, moved, (attempts, &why.to_string())).await?;
            Ok(None)
        }
    }
}

/// True when no node holds the winner in the move's final block any more.
pub(crate) async fn left(
    ctx: &Ctx,
    (moved, attempts): (&Move, &[MoveAttempt]),
    (hash, height): (&str, i64),
) -> Result<bool, WorkError> {
    let winner = attempts.iter().find(|attempt| Some(attempt.attempt) == moved.won);
    let Some(tx_id) = winner.and_then(|winner| winner.tx_id.as_deref()) else { return Ok(false) };
    let height = u64::try_from(height).unwrap_or(u64::MAX);
    let carrier = ctx.connectors.carrier(&moved.network)?;
    let said = Witnessed::new(carrier).left(tx_id, (hash, height)).await;
    if let Err(why) = &said {
        tracing::warn!(moved = %moved.id, network = %moved.network, %why,
            "the scan has another block there than this move's");
    }
    Ok(said.is_ok())
}

async fn is_deep(ctx: &Ctx, moved: &Move, tips: Tips, height: u64) -> Result<bool, WorkError> {
    let depth = Depth { latest: tips.latest, safe: tips.safe, finalized: tips.finalized };
    let mut conn = ctx.conn().await?;
    Ok(treasury::is_final_in(&mut conn, &ctx.base, moved, depth, height).await?)
}

async fn doubt(
    ctx: &Ctx,
    lease: &Lease,
    moved: &Move,
    (attempts, why): (&[MoveAttempt], &str),
) -> Result<(), WorkError> {
    tracing::warn!(moved = %moved.id, network = %moved.network, why, "not every node agrees yet");
    let sent = attempts.iter().filter_map(|attempt| attempt.first_sent_at).max();
    if sent.is_some_and(|at| ctx.now() - at >= TimeDelta::seconds(SHOWN_AFTER)) {
        let mut tx = ctx.begin(lease).await?;
        let why = format!("not every node agrees: {why}");
        treasury::stuck_in(&mut tx, &ctx.base, moved.id, &why).await?;
        tx.commit().await?;
    }
    Ok(())
}
