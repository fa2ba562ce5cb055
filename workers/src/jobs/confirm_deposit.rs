//! Confirm a deposit once its block is as deep as the network's policy asks, and held by as many
//! nodes.
//!
//! The nodes are asked for their word only when the block is deep enough to matter. What they say
//! is weighed in `settlement`, in the transaction that books. Between the two depths of a policy
//! the payment may be accepted early: `accept_early.rs`.

use chains::{BlockRef, Chain, ReadError, Says, TxPlace};
use chrono::TimeDelta;
use queue::{Lease, Outcome};
use settlement::{
    deposit::{self, Confirmed, Deposit, DepositState, Depth, cursor},
    jobs::ConfirmDeposit,
    policy::{self, Applied, Finding, Said, Word},
};

use crate::{Ctx, WorkError, jobs::accept_early};

pub(crate) async fn run(ctx: Ctx, job: ConfirmDeposit, lease: Lease) -> Result<Outcome, WorkError> {
    let Some(waiting) = look(&ctx, &job).await? else { return Ok(Outcome::Done) };
    let deposit = &waiting.deposit;
    let Some(network) = ctx.base.settings.networks.get(&deposit.network) else {
        return Err(WorkError::NotConfigured(format!("network {}", deposit.network)));
    };
    let (applied, followed) = {
        let mut conn = ctx.conn().await?;
        let applied = policy::look_in(&mut conn, &ctx.base, deposit).await?;
        (applied, cursor::get(&mut conn, &deposit.network).await?)
    };
    let poll = i64::try_from(network.poll_ms).unwrap_or(1_000);
    let later = Outcome::Again(ctx.now() + TimeDelta::milliseconds(poll));
    if !is_worth_asking(&waiting, &applied, followed.map(|cursor| cursor.height)) {
        return Ok(later);
    }
    let chain = ctx.connectors.chain(&deposit.network)?;
    let (head, place) = match (chain.head().await, chain.locate(&deposit.tx_id, &[]).await) {
        (Ok(head), Ok(place)) => (head, place),
        (Err(error), _) | (_, Err(error)) => return Ok(wait_for_node(&ctx, &error)),
    };
    let depth = Depth { latest: head.latest.height, safe: head.safe, finalized: head.finalized };
    // Anything but our own block is the scan's business: it unwinds what the chain took back.
    let stands = matches!(
        place,
        TxPlace::Included { block_hash, succeeded: true, .. } if block_hash == waiting.block
    );
    if !stands {
        return Ok(later);
    }
    if !applied.tier.last.is_met(depth, waiting.height) {
        let early = Early { chain, waiting: &waiting, applied: &applied, depth };
        accept_early::run(&ctx, &lease, &early).await?;
        return Ok(later);
    }
    let finding = ask(&ctx, chain, &waiting, depth).await;
    let mut tx = ctx.begin(&lease).await?;
    let outcome = match deposit::confirm_in(&mut tx, &ctx.base, job.deposit, &finding).await? {
        Confirmed::Now | Confirmed::NotWaiting => Outcome::Done,
        Confirmed::Waits => later,
    };
    ctx.finish(tx, &lease, outcome).await
}

/// False while our own rows show that no rule can be met yet, however final the node calls what we
/// followed: then no node is asked, however many deposits wait.
fn is_worth_asking(waiting: &Waiting, applied: &Applied, followed: Option<i64>) -> bool {
    let Some(top) = followed.and_then(|height| u64::try_from(height).ok()) else { return true };
    let best = Depth { latest: top, safe: Some(top), finalized: Some(top) };
    [applied.tier.accept, applied.tier.last].iter().any(|rule| rule.is_met(best, waiting.height))
}

/// A deposit in a block, as it was when the job began.
pub(super) struct Waiting {
    pub(super) deposit: Deposit,
    pub(super) block: String,
    pub(super) height: u64,
}

/// What is known when a deposit is not final yet.
pub(super) struct Early<'a> {
    pub(super) chain: &'a dyn Chain,
    pub(super) waiting: &'a Waiting,
    pub(super) applied: &'a Applied,
    pub(super) depth: Depth,
}

async fn look(ctx: &Ctx, job: &ConfirmDeposit) -> Result<Option<Waiting>, WorkError> {
    let mut conn = ctx.conn().await?;
    let deposit = deposit::get_in(&mut conn, job.deposit).await?;
    let (Some(block), Some(height)) = (deposit.block_hash.clone(), deposit.height) else {
        return Ok(None);
    };
    let waits = deposit.state == DepositState::Seen;
    let height = u64::try_from(height).unwrap_or(u64::MAX);
    Ok(waits.then_some(Waiting { deposit, block, height }))
}

/// Every node's word on the block of a deposit, in the product's words.
pub(super) async fn ask(ctx: &Ctx, chain: &dyn Chain, waiting: &Waiting, depth: Depth) -> Finding {
    let block = BlockRef {
        height: waiting.height,
        hash: waiting.block.clone(),
        parent_hash: String::new(),
        time: ctx.now(),
    };
    let witnesses = chain.witnesses(&block).await;
    let word = |witness: chains::Witness| {
        let says = match witness.says {
            Says::Same => Said::Same,
            Says::Other(hash) => Said::Other(hash),
            Says::Behind => Said::Behind,
            Says::Silent(why) => Said::Silent(why),
        };
        Word { node: witness.node, says }
    };
    let witnesses = witnesses.into_iter().map(word).collect();
    Finding { block_hash: waiting.block.clone(), depth, witnesses }
}

fn wait_for_node(ctx: &Ctx, error: &ReadError) -> Outcome {
    tracing::warn!(%error, "node unreadable");
    ctx.again_in(2)
}
