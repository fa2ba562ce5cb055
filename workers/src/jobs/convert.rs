//! Sell accepted crypto of one asset as one batch, on the best route there is.
//!
//! The order's outcome is followed by `resolve_conversion`, which only ever asks before it acts.

use chrono::{DateTime, TimeDelta, Utc};
use queue::{Lease, Outcome};
use settlement::{
    conversion::{self, Offer, Planned},
    jobs::{Convert, ResolveConversion},
};

use crate::{Ctx, WorkError, selling};

const LOOK_AGAIN: TimeDelta = TimeDelta::seconds(15);

pub(crate) async fn run(ctx: Ctx, job: Convert, lease: Lease) -> Result<Outcome, WorkError> {
    // A batch that still gathers asks nobody outside.
    let mut tx = ctx.begin(&lease).await?;
    let due = conversion::due_at_in(&mut tx, &ctx.base, job.asset).await?;
    if due.is_none_or(|at| at > ctx.now()) {
        let later = later(&ctx, due);
        return ctx.finish(tx, &lease, later).await;
    }
    tx.commit().await?;
    let offers = look_around(&ctx, &job, &lease).await?;

    // Plan: gather the batch, choose its route, lock the inventory, freeze the order.
    let mut tx = ctx.begin(&lease).await?;
    let planned =
        conversion::plan_batch_in(&mut tx, &ctx.base, job.asset, &offers).await.map_err(Into::into);
    let order = match planned {
        Ok(Planned::Order(order)) => order,
        Ok(Planned::Stopped) => return Ok(ctx.again_in(15)),
        Ok(Planned::NoRoute(route)) => {
            let venue = &ctx.base.settings.venue;
            let of = (job.asset.code(), venue.as_str());
            let seconds = selling::no_route_in(&mut tx, &ctx, of, &route).await?;
            let later = ctx.again_in(seconds);
            return ctx.finish(tx, &lease, later).await;
        }
        Ok(Planned::Wait(at)) => return ctx.finish(tx, &lease, Outcome::Again(at)).await,
        Ok(Planned::Nothing | Planned::NeedsPerson) => {
            let next = when_due(&ctx, &mut tx, &job).await?;
            return ctx.finish(tx, &lease, next).await;
        }
        Err(error) => {
            tx.rollback().await?;
            // Somebody else has just taken what was free: the next look sees that.
            let taken = WorkError::is_overdraw(&error);
            return if taken { Ok(ctx.again_in(5)) } else { Err(error) };
        }
    };
    let follow = ResolveConversion { conversion: order.conversion };
    let at = ctx.now() + TimeDelta::seconds(2);
    queue::enqueue(&mut tx, &follow, at).await?;
    tx.commit().await?;

    // Call and record.
    selling::send(&ctx, &lease, &order).await?;
    let mut tx = ctx.begin(&lease).await?;
    let next = when_due(&ctx, &mut tx, &job).await?;
    ctx.finish(tx, &lease, next).await
}

/// What every venue shows. One that does not answer is offered with the reason: where none does,
/// the batch waits with all the reasons kept.
async fn look_around(ctx: &Ctx, job: &Convert, lease: &Lease) -> Result<Vec<Offer>, WorkError> {
    let mut offers = Vec::new();
    for seen in selling::offers(ctx, job.asset).await {
        if let Some(failed) = seen.failed {
            let error = WorkError::Call(failed);
            let noted = selling::note_locked_out(ctx, lease, &seen.offer.venue, error).await;
            tracing::warn!(venue = seen.offer.venue, error = %noted, "a market is not to be seen");
            if !matches!(noted, WorkError::Call(_)) {
                return Err(noted);
            }
        }
        offers.push(seen.offer);
    }
    Ok(offers)
}

/// When the next batch of this asset closes, if anything waits.
async fn when_due(
    ctx: &Ctx,
    conn: &mut sqlx::PgConnection,
    job: &Convert,
) -> Result<Outcome, WorkError> {
    Ok(later(ctx, conversion::due_at_in(conn, &ctx.base, job.asset).await?))
}

/// Prices and exposure move while a batch gathers: they may close it before its time.
fn later(ctx: &Ctx, due: Option<DateTime<Utc>>) -> Outcome {
    let look = ctx.now() + LOOK_AGAIN;
    due.map_or(Outcome::Done, |at| Outcome::Again(at.min(look)))
}
