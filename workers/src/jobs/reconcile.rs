//! Compare the books with what venue, rail and nodes say we hold. Nothing is adjusted here.
//!
//! The books are read before and after the outside: only when they stood still, with nothing of
//! ours on its way, does a difference mean anything.

use std::collections::BTreeMap;

use exchanges::Holding;
use futures::future::join_all;
use primitives::{Amount, Asset, CallError};
use queue::{Lease, Outcome};
use settlement::{
    jobs::Reconcile,
    reconcile::{self, Comparison, Scope},
};

use crate::{Ctx, WorkError};

pub(crate) async fn run(ctx: Ctx, _: Reconcile, lease: Lease) -> Result<Outcome, WorkError> {
    let seen = compare_all(&ctx).await?;
    let mut tx = ctx.begin(&lease).await?;
    let mut comparisons = Vec::new();
    for comparison in seen {
        let comparison = reconcile::with_crumbs_in(&mut tx, &ctx.base, comparison).await?;
        reconcile::record_in(&mut tx, &ctx.base, &comparison).await?;
        comparisons.push(comparison);
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
    let scopes = scopes(ctx);
    let before = read_books(ctx, &scopes).await?;
    let holdings = ask_venues(ctx).await;
    let mut others = BTreeMap::new();
    for (number, scope) in scopes.iter().enumerate() {
        match outside(ctx, scope, &holdings).await {
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
        // A venue is asked about every asset there is: of most it holds none, and so say our books.
        if matches!(scope, Scope::Venue(..)) && other.is_zero() && was.0.is_zero() && is.0.is_zero()
        {
            continue;
        }
        let in_flight = was.1 || is.1 || was.0 != is.0;
        comparisons.push(Comparison { scope, books: is.0, other: *other, in_flight });
    }
    Ok(comparisons)
}

type Holdings = BTreeMap<String, Vec<Holding>>;

/// What every connected venue says it holds for us. Who does not answer is left out.
async fn ask_venues(ctx: &Ctx) -> Holdings {
    let asked = ctx.connectors.exchanges.iter().map(|(name, exchange)| async move {
        match exchange.holdings().await {
            Ok(holdings) => Some((name.clone(), holdings)),
            Err(error) => {
                tracing::warn!(venue = name, %error, "holdings unreadable");
                None
            }
        }
    });
    join_all(asked).await.into_iter().flatten().collect()
}

/// Everything that may be held somewhere else: every asset at every venue we are connected to.
fn scopes(ctx: &Ctx) -> Vec<Scope> {
    let settings = &ctx.base.settings;
    let mut scopes = vec![Scope::Rail(settings.rail.clone())];
    for venue in ctx.connectors.exchanges.keys() {
        scopes.extend(Asset::ALL.into_iter().map(|asset| Scope::Venue(venue.clone(), asset)));
    }
    for (network, n) in &settings.networks {
        scopes.extend(n.assets.iter().map(|asset| Scope::Escrow(network.clone(), *asset)));
    }
    // A station that nothing is swept with is nobody's business here.
    for (network, carrier) in &ctx.connectors.carriers {
        if settings.treasury.networks.contains_key(network) && carrier.gas_station().is_some() {
            scopes.push(Scope::Gas(network.clone(), carrier.native()));
        }
    }
    // Where a node tells what any address holds: one that knows only our wallet says nothing here.
    for (network, n) in settings.treasury.networks.iter().filter(|(_, n)| n.wallet.is_none()) {
        scopes.extend(n.cold.keys().map(|asset| Scope::Cold(network.clone(), *asset)));
    }
    scopes
}

/// What our books say of each scope, and whether work of ours is moving it.
async fn read_books(ctx: &Ctx, scopes: &[Scope]) -> Result<Vec<(Amount, bool)>, WorkError> {
    let mut conn = ctx.conn().await?;
    let mut read = Vec::new();
    for scope in scopes {
        let busy = reconcile::in_flight_in(&mut conn, &ctx.base, scope).await?;
        read.push((reconcile::books_in(&mut conn, scope).await?, busy));
    }
    Ok(read)
}

/// What somebody else says; `None` when they do not answer. A venue that answers and leaves out
/// what our books say is there says that it is not.
async fn outside(
    ctx: &Ctx,
    scope: &Scope,
    holdings: &Holdings,
) -> Result<Option<Amount>, WorkError> {
    let out_of_range = |error: primitives::AmountError| WorkError::Nonsense(error.to_string());
    match scope {
        Scope::Rail(rail) => Ok(Some(ctx.connectors.rail(rail)?.balance().await?.available)),
        Scope::Venue(venue, asset) => {
            let Some(all) = holdings.get(venue) else { return Ok(None) };
            let mut sum = Amount::zero(*asset);
            for h in all.iter().filter(|h| h.asset == *asset) {
                let both = h.free.checked_add(h.locked).map_err(out_of_range)?;
                sum = sum.checked_add(both).map_err(out_of_range)?;
            }
            Ok(Some(sum))
        }
        Scope::Escrow(network, asset) => {
            let addresses = {
                let mut conn = ctx.conn().await?;
                reconcile::funded_addresses(&mut conn, network, *asset).await?
            };
            let chain = ctx.connectors.chain(network)?;
            let held = chain.held(&addresses, *asset).await;
            Ok(Some(held.map_err(|error| CallError::NotSent(error.to_string()))?))
        }
        Scope::Cold(network, asset) => {
            let Some(cold) = ctx.base.settings.treasury.cold(network, *asset) else {
                return Ok(None);
            };
            let chain = ctx.connectors.chain(network)?;
            let held = chain.held(std::slice::from_ref(&cold.address), *asset).await;
            Ok(Some(held.map_err(|error| CallError::NotSent(error.to_string()))?))
        }
        Scope::Gas(network, asset) => {
            let carrier = ctx.connectors.carrier(network)?;
            let Some(station) = carrier.gas_station() else { return Ok(None) };
            let held = carrier.movable(&[station], *asset).await;
            let held = held.map_err(|error| CallError::NotSent(error.to_string()))?;
            let mut sum = Amount::zero(*asset);
            for movable in held {
                sum = sum.checked_add(movable.amount).map_err(out_of_range)?;
            }
            Ok(Some(sum))
        }
    }
}
