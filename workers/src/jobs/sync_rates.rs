//! Ask every source for prices and every venue for its books, judge each asset, and publish.

use queue::{Lease, Outcome};
use settlement::jobs::SyncRates;

use crate::{Ctx, WorkError, pricing};

pub(crate) async fn run(ctx: Ctx, _: SyncRates, lease: Lease) -> Result<Outcome, WorkError> {
    let assets = pricing::assets(&ctx);
    let said = pricing::ask_sources(&ctx, &assets).await;
    let ways = pricing::ask_books(&ctx, &assets).await;
    for (asset, ways) in ways {
        let sources = pricing::in_rupees(asset, &said);
        pricing::judge(&ctx, &lease, asset, sources, ways).await?;
    }
    Ok(Outcome::Done)
}
