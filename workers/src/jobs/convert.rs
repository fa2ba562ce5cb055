//! Sell accepted crypto of one asset as one batch.
//!
//! The order's outcome is followed by `resolve_conversion`, which only ever asks before it acts.

use chrono::TimeDelta;
use queue::{Lease, Outcome};
use serde_json::json;
use settlement::{
    case,
    conversion::{self, Planned},
    jobs::{Convert, ResolveConversion},
};

use crate::{Ctx, WorkError, selling};

pub(crate) async fn run(ctx: Ctx, job: Convert, lease: Lease) -> Result<Outcome, WorkError> {
    let venue = ctx.connectors.exchange(&ctx.base.settings.venue)?;
    let market = selling::market(venue, job.asset).await?;

    // Plan: gather the batch, lock the inventory, freeze the order.
    let mut tx = ctx.begin(&lease).await?;
    let planned =
        conversion::plan_batch_in(&mut tx, &ctx.base, job.asset, &market).await.map_err(Into::into);
    let order = match planned {
        Ok(Planned::Order(order)) => order,
        Ok(Planned::Stopped) => return Ok(ctx.again_in(15)),
        Ok(Planned::OffMarket) => {
            tx.rollback().await?;
            return selling::off_market(&ctx, &lease, job.asset).await;
        }
        Ok(Planned::Nothing | Planned::NeedsPerson | Planned::Wait(_)) => {
            let next = when_due(&ctx, &mut tx, &job).await?;
            return ctx.finish(tx, &lease, next).await;
        }
        Err(error) => {
            tx.rollback().await?;
            return short_of_inventory(&ctx, &job, &lease, error).await;
        }
    };
    let follow = ResolveConversion { conversion: order.conversion };
    let at = ctx.now() + TimeDelta::seconds(2);
    queue::enqueue(&mut tx, &follow, at).await?;
    tx.commit().await?;

    // Call and record.
    selling::send(&ctx, &lease, job.asset, &order).await?;
    let mut tx = ctx.begin(&lease).await?;
    let next = when_due(&ctx, &mut tx, &job).await?;
    ctx.finish(tx, &lease, next).await
}

/// When the next batch of this asset closes, if anything waits.
async fn when_due(
    ctx: &Ctx,
    conn: &mut sqlx::PgConnection,
    job: &Convert,
) -> Result<Outcome, WorkError> {
    let oldest = conversion::oldest_waiting_in(conn, job.asset).await?;
    let age = TimeDelta::seconds(ctx.base.settings.conversion_age_s);
    Ok(oldest.map_or(Outcome::Done, |oldest| Outcome::Again((oldest + age).max(ctx.now()))))
}

/// The venue does not hold what was accepted: nothing is lost, somebody must refill.
async fn short_of_inventory(
    ctx: &Ctx,
    job: &Convert,
    lease: &Lease,
    error: WorkError,
) -> Result<Outcome, WorkError> {
    if !error.is_overdraw() {
        return Err(error);
    }
    let mut tx = ctx.begin(lease).await?;
    let new = case::NewCase {
        kind: "venue_inventory_short",
        subject: &format!("{}:{}:{}", ctx.base.settings.venue, job.asset, ctx.now().date_naive()),
        payment: None,
        amount: None,
        detail: json!({ "asset": job.asset }),
    };
    case::open_in(&mut tx, &ctx.base, new).await?;
    let later = ctx.again_in(60);
    ctx.finish(tx, lease, later).await
}
