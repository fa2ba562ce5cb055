//! What may be swept: where final deposits lie, and how much of them is ours to move.
//!
//! Invariant: only what is final and booked counts, whatever a node shows beside it. What is owed
//! back stays: `owed.rs` reckons it.

use std::collections::{BTreeMap, BTreeSet};

use primitives::{Amount, Asset, NetworkId};
use sqlx::{PgConnection, Row};

use super::owed::owed_in;
use crate::{Base, Error, chart, money_column};

/// Places looked at in one run, the fullest first.
const PLACES_MAX: i64 = 200;
/// Emptied ones taken off the list in one run.
const FORGOTTEN_MAX: i64 = 1_000;

/// One of our addresses.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Place {
    pub address: String,
    /// Of the key that spends from it.
    pub index: u32,
    /// Its final deposits that are not taken, by `tx_id:ordinal`.
    pub outputs: Vec<String>,
}

/// Where final deposits of one asset lie on one network.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Candidates {
    pub places: Vec<Place>,
    /// Final deposits by `tx_id:ordinal`, for networks where each is an output of its own.
    pub outputs: BTreeSet<String>,
    /// What the books know to be at each address, final and not taken: elsewhere.
    pub booked: BTreeMap<String, Amount>,
}

/// Addresses and outputs with final deposits that no move has taken or is taking: the view
/// `sweepable` of the database, which looks at the addresses of `places_to_sweep` only.
///
/// # Errors
/// `Database`, `Inconsistent`.
pub async fn candidates_in(
    conn: &mut PgConnection,
    network: &NetworkId,
    asset: Asset,
) -> Result<Candidates, Error> {
    let rows = sqlx::query(
        "select address, path_index, outputs from sweepable
         where network = $1 and asset = $2 order by total desc limit $3",
    )
    .bind(network.as_str())
    .bind(asset.code())
    .bind(PLACES_MAX)
    .fetch_all(&mut *conn)
    .await?;
    let mut found = Candidates::default();
    for row in &rows {
        let address: String = row.try_get("address")?;
        let index = u32::try_from(row.try_get::<i64, _>("path_index")?)
            .map_err(|_| Error::Inconsistent("an index above 2^31".to_owned()))?;
        let outputs: Vec<String> = row.try_get("outputs")?;
        found.outputs.extend(outputs.iter().cloned());
        let booked = booked_in(conn, network, asset, &address).await?;
        found.booked.insert(address.clone(), booked);
        found.places.push(Place { address, index, outputs });
    }
    Ok(found)
}

/// Takes addresses out of the list of those to look at: nothing is left there to take, and what was
/// taken has been final for a day. Returns how many.
///
/// # Errors
/// `Database`.
pub async fn forget_emptied_in(conn: &mut PgConnection) -> Result<u64, Error> {
    // An address that is written meanwhile is left alone: `since` is read again under its lock.
    let gone = sqlx::query(
        "delete from places_to_sweep p using (
           select network, asset, address from places_to_sweep c
           where since < now() - interval '1 day'
             and not exists (select from sweepable s where s.network = c.network
               and s.asset = c.asset and s.address = c.address)
             and not exists (select from move_sources s join moves m on m.id = s.move_id
               where s.network = c.network and s.address = c.address
                 and (s.live or m.final_at > now() - interval '1 day'))
           order by since limit $1 for update skip locked) old
         where p.network = old.network and p.asset = old.asset and p.address = old.address
           and p.since < now() - interval '1 day'",
    )
    .bind(FORGOTTEN_MAX)
    .execute(conn)
    .await?;
    Ok(gone.rows_affected())
}

/// Final deposits to an address and top-ups of it, less what moves have taken from it.
pub(super) async fn booked_in(
    conn: &mut PgConnection,
    network: &NetworkId,
    asset: Asset,
    address: &str,
) -> Result<Amount, Error> {
    let minor: String = sqlx::query_scalar(
        "select greatest(0,
           coalesce((select sum(left_of(d)) from deposits d where d.network = $1
             and d.asset = $2 and d.address = $3 and d.state = 'confirmed'), 0)
           + coalesce((select sum(m.arrived_minor) from moves m where m.network = $1
             and m.asset = $2 and m.to_address = $3 and m.purpose = 'gas'
             and m.state = 'credited'), 0)
           - coalesce((select sum(case when m.asset = $2 and m.state <> 'failed'
                 then m.arrived_minor else 0 end
               + case when m.fee_asset = $2 then coalesce(m.cost_minor, 0) else 0 end)
             from moves m join move_sources s on s.move_id = m.id
             where m.network = $1 and s.address = $3 and m.purpose <> 'gas'
               and m.state in ('final', 'credited', 'failed')), 0))::text",
    )
    .bind(network.as_str())
    .bind(asset.code())
    .bind(address)
    .fetch_one(conn)
    .await?;
    money_column::amount(&minor, asset)
}

/// How much of an asset may leave our addresses of a network: what the books hold there free, less
/// everything that is owed in it or is not sold yet, less the reserve.
///
/// # Errors
/// `Database`, `Ledger`, `Inconsistent`.
pub async fn coverable_in(
    conn: &mut PgConnection,
    base: &Base,
    network: &NetworkId,
    asset: Asset,
) -> Result<Amount, Error> {
    let reserve = base.settings.treasury.reserve(network, asset);
    let left = uncommitted_in(conn, network, asset).await?.checked_sub(reserve)?;
    Ok(if left.is_positive() { left } else { Amount::zero(asset) })
}

/// As [`coverable_in`], the reserve included; never below zero.
pub(super) async fn uncommitted_in(
    conn: &mut PgConnection,
    network: &NetworkId,
    asset: Asset,
) -> Result<Amount, Error> {
    let Some(escrow) = ledger::balance(conn, &chart::escrow(network, asset).code).await? else {
        return Ok(Amount::zero(asset));
    };
    let left = escrow.available()?.checked_sub(owed_in(conn, network, asset).await?)?;
    Ok(if left.is_positive() { left } else { Amount::zero(asset) })
}
