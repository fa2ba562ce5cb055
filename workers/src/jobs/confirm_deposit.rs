//! Confirm a deposit once its block is as deep as the network's policy asks.

use chains::{ReadError, TxPlace};
use chrono::TimeDelta;
use queue::{Lease, Outcome};
use settlement::{
    deposit::{self, DepositState, Depth},
    jobs::ConfirmDeposit,
};

use crate::{Ctx, WorkError};

pub(crate) async fn run(ctx: Ctx, job: ConfirmDeposit, lease: Lease) -> Result<Outcome, WorkError> {
    let deposit = {
        let mut conn = ctx.conn().await?;
        deposit::get_in(&mut conn, job.deposit).await?
    };
    let (Some(block), Some(height)) = (deposit.block_hash, deposit.height) else {
        return Ok(Outcome::Done);
    };
    if deposit.state != DepositState::Seen {
        return Ok(Outcome::Done);
    }
    let Some(network) = ctx.base.settings.networks.get(&deposit.network) else {
        return Err(WorkError::NotConfigured(format!("network {}", deposit.network)));
    };
    let poll = i64::try_from(network.poll_ms).unwrap_or(1_000);
    let later = Outcome::Again(ctx.now() + TimeDelta::milliseconds(poll));
    let chain = ctx.connectors.chain(&deposit.network)?;
    let (head, place) = match (chain.head().await, chain.locate(&deposit.tx_id).await) {
        (Ok(head), Ok(place)) => (head, place),
        (Err(error), _) | (_, Err(error)) => return Ok(wait_for_node(&ctx, &error)),
    };
    let depth = Depth { latest: head.latest.height, safe: head.safe, finalized: head.finalized };
    let deep = depth.satisfies(network.confirm, u64::try_from(height).unwrap_or(u64::MAX));
    // Anything but our own block is the scan's business: it unwinds what the chain took back.
    let stands = matches!(
        place,
        TxPlace::Included { block_hash, succeeded: true, .. } if block_hash == block
    );
    if !deep || !stands {
        return Ok(later);
    }
    let mut tx = ctx.begin(&lease).await?;
    deposit::confirm_in(&mut tx, &ctx.base, job.deposit, &block).await?;
    ctx.finish(tx, &lease, Outcome::Done).await
}

fn wait_for_node(ctx: &Ctx, error: &ReadError) -> Outcome {
    tracing::warn!(%error, "node unreadable");
    ctx.again_in(2)
}
