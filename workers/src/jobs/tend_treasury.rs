//! Even out what venues hold, and show what is low or late.
//!
//! A venue's terms and its address are asked before the plan; the plan asks our own rows anew.
//! Nothing is sent here: `resolve_transfer` does that.

use primitives::Amount;
use queue::{Lease, Outcome};
use settlement::{
    jobs::TendTreasury,
    treasury::{self, NewTransfer, Offer},
};

use crate::{Ctx, WorkError, in_our_words, jobs::watch_credits::step_of};

pub(crate) async fn run(ctx: Ctx, _: TendTreasury, lease: Lease) -> Result<Outcome, WorkError> {
    let mut tx = ctx.begin(&lease).await?;
    treasury::alarms_in(&mut tx, &ctx.base).await?;
    let wishes = treasury::wishes_in(&mut tx, &ctx.base).await?;
    tx.commit().await?;
    let mut tx = ctx.begin(&lease).await?;
    treasury::forget_emptied_in(&mut tx).await?;
    tx.commit().await?;
    for wish in wishes {
        // One lane that cannot be used keeps no other from being used.
        if let Err(error) = carry(&ctx, &lease, &wish).await {
            let (from, to) = (&wish.lane.from, &wish.lane.to);
            tracing::warn!(from, to, asset = %wish.lane.asset, %error, "nothing carried");
        }
    }
    Ok(Outcome::Done)
}

async fn carry(ctx: &Ctx, lease: &Lease, wish: &NewTransfer) -> Result<(), WorkError> {
    let lane = &wish.lane;
    let chain = ctx.connectors.chain(&lane.network)?;
    let terms =
        ctx.connectors.custody(&lane.from)?.withdrawal_terms(lane.asset, &lane.network).await?;
    let least = in_our_words::quantity(terms.amount_min, lane.asset)?;
    let fee = in_our_words::quantity(terms.fee, lane.asset)?;
    let bearable = ctx.base.settings.treasury.sweep_fee_bps_max;
    let bearable = bearable
        .of(wish.amount, primitives::Rounding::Down)
        .map_err(|error| WorkError::Nonsense(error.to_string()))?;
    let too_dear = fee.minor() < 0 || fee.minor() > bearable.minor();
    if !terms.is_open || wish.amount.minor() < least.minor() || too_dear {
        tracing::info!(from = lane.from, to = lane.to, %fee, "a transfer is not worth it now");
        return Ok(());
    }
    let told = ctx.connectors.custody(&lane.to)?.deposit_address(lane.asset, &lane.network).await?;
    let fits = told.asset == lane.asset && told.network == lane.network && told.tag.is_none();
    let Some(address) = chain.canonical(&told.address).filter(|_| fits) else {
        return Err(WorkError::Nonsense(format!("{}: a deposit address we cannot use", lane.to)));
    };
    let mut tx = ctx.begin(lease).await?;
    let (asset, network) = (lane.asset, &lane.network);
    let offer = Offer { venue: &lane.to, asset, network, address: &address };
    treasury::offered_in(&mut tx, &ctx.base, &offer).await?;
    let to = treasury::destination_in(&mut tx, &ctx.base, lane).await?;
    tx.commit().await?;
    if to.is_none() {
        return Ok(());
    }
    let step = Amount::try_new(step_of(lane.asset), lane.asset)
        .map_err(|error| WorkError::Nonsense(error.to_string()))?;
    let mut tx = ctx.begin(lease).await?;
    match treasury::plan_transfers_in(&mut tx, &ctx.base, wish, (step, fee)).await {
        Ok(planned) => {
            tx.commit().await?;
            if let Some(id) = planned {
                tracing::info!(%id, from = lane.from, to = lane.to, "transfer planned");
            }
            Ok(())
        }
        Err(error) => {
            tx.rollback().await?;
            Err(error.into())
        }
    }
}
