//! See at a venue what was on its way to it: in its list of deposits, or, where its API tells none,
//! in its balance.
//!
//! One question to the venue for everything that is on its way in one asset. The books are read
//! before and after a balance: only when they stood still does it say anything.

use chrono::TimeDelta;
use exchanges::custody::Passage;
use primitives::Asset;
use queue::{Lease, Outcome};
use settlement::{
    jobs::WatchCredits,
    reconcile::{self, Scope},
    treasury::{self, Balance, ByBalance, Credit, CreditState},
};

use crate::{Ctx, WorkError};

/// How far before the first of ours was sent a venue's list is read: its clock is not ours.
const MARGIN: TimeDelta = TimeDelta::hours(6);
const FIRST_PAUSE: i64 = 5;
const LATER_PAUSE: i64 = 60;

pub(crate) async fn run(ctx: Ctx, job: WatchCredits, lease: Lease) -> Result<Outcome, WorkError> {
    let waiting = {
        let mut conn = ctx.conn().await?;
        treasury::waiting_in(&mut conn, &job.venue, job.asset).await?
    };
    // A venue may have listed it long before its block was final for us.
    let sent = waiting.iter().map(|waits| waits.sent_at).min();
    let Some(sent) = sent else { return Ok(Outcome::Done) };
    let custody = ctx.connectors.custody(&job.venue)?;
    let told = custody.deposits(job.asset, sent - MARGIN).await?;
    let Some(told) = told else {
        by_balance(&ctx, &job, &lease).await?;
        return again(&ctx, &job, &lease).await;
    };
    let credits: Vec<Credit> = told
        .into_iter()
        .filter(|deposit| deposit.asset == job.asset)
        .map(|deposit| Credit {
            network: deposit.network,
            tx_id: deposit.tx_id,
            amount: deposit.amount,
            state: match deposit.passage {
                Passage::Pending => CreditState::Pending,
                Passage::Done => CreditState::Taken,
                Passage::Failed => CreditState::Refused,
            },
        })
        .collect();
    let mut tx = ctx.begin(&lease).await?;
    let at = (job.venue.as_str(), job.asset);
    treasury::credits_in(&mut tx, &ctx.base, at, &credits).await?;
    tx.commit().await?;
    again(&ctx, &job, &lease).await
}

async fn by_balance(ctx: &Ctx, job: &WatchCredits, lease: &Lease) -> Result<(), WorkError> {
    let venue = ctx.connectors.exchange(&job.venue)?;
    let scope = Scope::Venue(job.venue.clone(), job.asset);
    let books_before = {
        let mut conn = ctx.conn().await?;
        reconcile::books_in(&mut conn, &scope).await?
    };
    let holdings = venue.holdings().await?;
    // A venue that names no balance of the asset has said nothing about it.
    let Some(held) = holdings.iter().find(|h| h.asset == job.asset) else { return Ok(()) };
    let told = held
        .free
        .checked_add(held.locked)
        .map_err(|error| WorkError::Nonsense(error.to_string()))?;
    let mut tx = ctx.begin(lease).await?;
    let at = (job.venue.as_str(), job.asset);
    let balance = Balance { told, books_before };
    let seen = treasury::by_balance_in(&mut tx, &ctx.base, at, balance).await?;
    tx.commit().await?;
    if let ByBalance::Credited(count) = seen {
        tracing::info!(venue = job.venue, asset = %job.asset, count, "credited by balance");
    }
    Ok(())
}

/// Soon at first, then less often: venues count confirmations for minutes.
async fn again(ctx: &Ctx, job: &WatchCredits, lease: &Lease) -> Result<Outcome, WorkError> {
    let mut tx = ctx.begin(lease).await?;
    let waiting = treasury::waiting_in(&mut tx, &job.venue, job.asset).await?;
    let next = match waiting.iter().map(|w| w.since).max() {
        None => Outcome::Done,
        Some(newest) => {
            let is_new = ctx.now() - newest < TimeDelta::minutes(5);
            ctx.again_in(if is_new { FIRST_PAUSE } else { LATER_PAUSE })
        }
    };
    ctx.finish(tx, lease, next).await
}

/// What a venue gives and takes at the smallest.
pub(super) const fn step_of(asset: Asset) -> i128 {
    // Whole cents of a dollar coin, and as fine as the coin elsewhere.
    match asset {
        Asset::Usdt | Asset::Usdc => 10_000,
        _ => 1,
    }
}
