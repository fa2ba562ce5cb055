//! What goes to cold storage, and what lies there by the books.
//!
//! Invariant: only what no venue is short of goes, beyond what is owed, the reserve and what is to
//! be kept; no more in a day than is said. Where it goes stands in the settings and on the signer's
//! own list: a move to any other address goes no further. Its keys are nobody's here.

use chrono::TimeDelta;
use primitives::{Amount, Asset, NetworkId};
use serde::Serialize;
use sqlx::PgConnection;

use super::{
    Move, MovePurpose,
    candidates::coverable_in,
    forecast,
    plan::{NewMove, Planned},
    settings::Cold,
};
use crate::{Base, Error, chart, money_column};

/// Cold storage of one asset on one network.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct ColdStore {
    pub network: NetworkId,
    pub address: String,
    pub held: Amount,
    /// Decided in the last 24 hours, and the most of it.
    pub today: Amount,
    pub per_day: Amount,
    /// False where no node tells what somebody else's address holds: the books alone say it.
    pub is_compared: bool,
}

/// How much of an asset may go to cold storage now, its fee included where the coin itself pays it;
/// `None` when nothing.
///
/// # Errors
/// `Database`, `Ledger`, `Inconsistent`.
pub async fn excess_in(
    conn: &mut PgConnection,
    base: &Base,
    network: &NetworkId,
    asset: Asset,
) -> Result<Option<Amount>, Error> {
    let Some(cold) = base.settings.treasury.cold(network, asset) else { return Ok(None) };
    for venue in forecast::forecasts_in(conn, base, asset).await? {
        // What is wanted covers what is open and the hours to come.
        if venue.short.is_positive() {
            return Ok(None);
        }
    }
    let coverable = coverable_in(conn, base, network, asset).await?;
    let today = today_in(conn, base, network, asset).await?;
    let beyond = coverable.checked_sub(cold.keep)?;
    let left = cold.per_day.checked_sub(today)?;
    let most = if beyond.minor() < left.minor() { beyond } else { left };
    let worth_it = most.is_positive() && most.minor() >= cold.least.minor();
    Ok(worth_it.then_some(most))
}

/// Decided in the last 24 hours. What never left is not counted; a dearer attempt changes nothing.
async fn today_in(
    conn: &mut PgConnection,
    base: &Base,
    network: &NetworkId,
    asset: Asset,
) -> Result<Amount, Error> {
    let minor: String = sqlx::query_scalar(
        "select coalesce(sum(amount_minor), 0)::text from moves
         where purpose = 'to_cold' and network = $1 and asset = $2 and planned_at > $3
           and state not in ('replaced', 'failed', 'cancelled')",
    )
    .bind(network.as_str())
    .bind(asset.code())
    .bind(base.now() - TimeDelta::hours(24))
    .fetch_one(conn)
    .await?;
    money_column::amount(&minor, asset)
}

/// True unless a move goes to an address that is not the settings' any more.
pub(super) fn is_meant(base: &Base, of: &Move) -> bool {
    of.purpose != MovePurpose::ToCold
        || base.settings.treasury.cold(&of.network, of.asset).is_some_and(|c| c.address == of.to)
}

/// Why so much must not go to cold storage.
pub(super) async fn refusal_in(
    conn: &mut PgConnection,
    base: &Base,
    (network, to): (&NetworkId, &str),
    leaves: Amount,
) -> Result<Option<Planned>, Error> {
    let known: Option<&Cold> = base.settings.treasury.cold(network, leaves.asset());
    if known.is_none_or(|cold| cold.address != to) {
        return Ok(Some(Planned::Stopped("this is not our cold storage")));
    }
    let excess = excess_in(conn, base, network, leaves.asset()).await?;
    let fits = excess.is_some_and(|excess| leaves.minor() <= excess.minor());
    Ok((!fits).then(|| Planned::No("so much does not go to cold storage now".to_owned())))
}

/// What leaves our addresses of the moved asset by a drafted move.
pub(super) fn leaves(new: &NewMove) -> Result<Amount, Error> {
    if new.fee_max.asset() == new.amount.asset() {
        return Ok(new.amount.checked_add(new.fee_max)?);
    }
    Ok(new.amount)
}

/// Every cold storage of the settings, and what the books say lies there.
///
/// # Errors
/// `Database`, `Ledger`.
pub async fn cold_stores_in(conn: &mut PgConnection, base: &Base) -> Result<Vec<ColdStore>, Error> {
    let mut stores = Vec::new();
    for (network, settings) in &base.settings.treasury.networks {
        for (asset, cold) in &settings.cold {
            let balance = ledger::balance(conn, &chart::cold(network, *asset).code).await?;
            stores.push(ColdStore {
                network: network.clone(),
                address: cold.address.clone(),
                held: balance.map_or(Amount::zero(*asset), |balance| balance.posted),
                today: today_in(conn, base, network, *asset).await?,
                per_day: cold.per_day,
                is_compared: settings.wallet.is_none(),
            });
        }
    }
    Ok(stores)
}
