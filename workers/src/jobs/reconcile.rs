//! Compare the books with what venue, rail and nodes say we hold. Nothing is adjusted here.
//!
//! The books are read before and after the outside: only when they stood still, with nothing of
//! ours on its way, does a difference mean anything.

use std::collections::BTreeMap;

use exchanges::Holding;
use primitives::{Amount, Asset, CallError};
use queue::{Lease, Outcome};
use settlement::{
    Settings,
    jobs::Reconcile,
    reconcile::{self, Comparison, Scope},
};

use crate::{Ctx, WorkError};

pub(crate) async fn run(ctx: Ctx, _: Reconcile, lease: Lease) -> Result<Outcome, WorkError> {
    let comparisons = compare_all(&ctx).await?;
    let mut tx = ctx.begin(&lease).await?;
    for comparison in &comparisons {
        reconcile::record_in(&mut tx, &ctx.base, comparison).await?;
    }
    let outcome = ctx.finish(tx, &lease, Outcome::Done).await?;
    for bad in comparisons.iter().filter(|c| !c.agrees() && !c.in_flight) {
        tracing::error!(scope = ?bad.scope, books = %bad.books, other = %bad.other, "books differ");
    }
    Ok(outcome)
}

/// Every comparison that can be made now. Who does not answer is unknown: it is left out and
/// logged, and keeps nobody else from being compared.
///
/// # Errors
/// `Database` and what the books refuse; never what the outside says.
pub async fn compare_all(ctx: &Ctx) -> Result<Vec<Comparison>, WorkError> {
    let scopes = scopes(&ctx.base.settings);
    let before = read_books(ctx, &scopes).await?;
    let venue = ctx.base.settings.venue.as_str();
    let holdings = match ctx.connectors.exchange(venue)?.holdings().await {
        Ok(holdings) => Some(holdings),
        Err(error) => {
            tracing::warn!(venue, %error, "holdings unreadable");
            None
        }
    };
    let mut others = BTreeMap::new();
    for (number, scope) in scopes.iter().enumerate() {
        match outside(ctx, scope, holdings.as_deref()).await {
            Ok(Some(other)) => drop(others.insert(number, other)),
            Ok(None) => {}
            Err(error) => tracing::warn!(?scope, %error, "cannot be compared now"),
        }
    }
    let after = read_books(ctx, &scopes).await?;
    let mut comparisons = Vec::new();
    for (number, scope) in scopes.into_iter().enumerate() {
        let (Some(other), Some(was), Some(is)) =
            (others.get(&number), before.get(number), after.get(number))
        else {
            continue;
        };
        let in_flight = was.1 || is.1 || was.0 != is.0;
        comparisons.push(Comparison { scope, books: is.0, other: *other, in_flight });
    }
    Ok(comparisons)
}

fn scopes(settings: &Settings) -> Vec<Scope> {
    let mut scopes = vec![Scope::Rail(settings.rail.clone())];
    let mut sold: Vec<Asset> =
        settings.networks.values().flat_map(|n| n.assets.iter().copied()).collect();
    sold.push(Asset::Inr);
    sold.sort_unstable();
    sold.dedup();
    scopes.extend(sold.into_iter().map(|asset| Scope::Venue(settings.venue.clone(), asset)));
    for (network, n) in &settings.networks {
        scopes.extend(n.assets.iter().map(|asset| Scope::Escrow(network.clone(), *asset)));
    }
    scopes
}

/// What our books say of each scope, and whether work of ours is moving it.
async fn read_books(ctx: &Ctx, scopes: &[Scope]) -> Result<Vec<(Amount, bool)>, WorkError> {
    let mut conn = ctx.conn().await?;
    let mut read = Vec::new();
    for scope in scopes {
        let busy = reconcile::in_flight_in(&mut conn, scope).await?;
        read.push((reconcile::books_in(&mut conn, scope).await?, busy));
    }
    Ok(read)
}

/// What somebody else says; `None` when they say nothing about it.
async fn outside(
    ctx: &Ctx,
    scope: &Scope,
    holdings: Option<&[Holding]>,
) -> Result<Option<Amount>, WorkError> {
    let out_of_range = |error: primitives::AmountError| WorkError::Nonsense(error.to_string());
    match scope {
        Scope::Rail(rail) => Ok(Some(ctx.connectors.rail(rail)?.balance().await?.available)),
        Scope::Venue(_, asset) => holdings
            .and_then(|all| all.iter().find(|h| h.asset == *asset))
            .map(|h| h.free.checked_add(h.locked).map_err(out_of_range))
            .transpose(),
        Scope::Escrow(network, asset) => {
            let addresses = {
                let mut conn = ctx.conn().await?;
                reconcile::funded_addresses(&mut conn, network, *asset).await?
            };
            let chain = ctx.connectors.chain(network)?;
            let held = chain.held(&addresses, *asset).await;
            Ok(Some(held.map_err(|error| CallError::NotSent(error.to_string()))?))
        }
    }
}
