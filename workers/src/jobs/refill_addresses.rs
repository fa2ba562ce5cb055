//! Derive deposit addresses ahead of need, from public key material, and tell how each asset is
//! asked for on the network: the API links no curve and no chain.

use queue::{Lease, Outcome};
use settlement::{
    deposit::address_pool::{self, NewAddress},
    jobs::RefillAddresses,
};

use crate::{Ctx, WorkError};

/// Addresses derived in one run at most.
const BATCH: i64 = 1_000;

pub(crate) async fn run(
    ctx: Ctx,
    job: RefillAddresses,
    lease: Lease,
) -> Result<Outcome, WorkError> {
    let chain = ctx.connectors.chain(&job.network)?;
    let mut tx = ctx.begin(&lease).await?;
    for asset in chain.assets() {
        if ctx.base.settings.carries(&job.network, asset) {
            let template = chain
                .payment_uri_template(asset)
                .map_err(|error| WorkError::Nonsense(error.to_string()))?;
            address_pool::offer_in(&mut tx, &ctx.base, &job.network, asset, &template).await?;
        }
    }
    let (missing, first) = address_pool::shortage(&mut tx, &ctx.base, &job.network).await?;
    let mut new = Vec::new();
    for index in first..first.saturating_add(missing.min(BATCH)) {
        let narrow = u32::try_from(index)
            .map_err(|_| WorkError::NotConfigured("another account key: indexes ran out".into()))?;
        let derived = chain.derive(narrow).map_err(WorkError::Nonsense)?;
        new.push(NewAddress { index, address: derived.address, path: derived.path });
    }
    address_pool::add_in(&mut tx, &job.network, &new).await?;
    let outcome = ctx.again_in(if missing > BATCH { 0 } else { 5 });
    ctx.finish(tx, &lease, outcome).await
}
