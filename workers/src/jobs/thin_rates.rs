//! Keep the history of rates: a partition for each of the days to come, and less and less of what
//! is old. The rules stand in the database, which lets nobody thin more than they say.

use queue::{Lease, Outcome};
use settlement::{jobs::ThinRates, rates};

use crate::{Ctx, WorkError};

pub(crate) async fn run(ctx: Ctx, _: ThinRates, lease: Lease) -> Result<Outcome, WorkError> {
    let mut tx = ctx.begin(&lease).await?;
    rates::keep_days_in(&mut tx, &ctx.base).await?;
    tx.commit().await?;
    let mut tx = ctx.begin(&lease).await?;
    let gone = rates::thin_in(&mut tx, &ctx.base).await?;
    let outcome = ctx.finish(tx, &lease, Outcome::Done).await?;
    if gone > 0 {
        tracing::info!(gone, "old rates thinned");
    }
    Ok(outcome)
}
