//! What venues will need: what is promised and unsold, and what the hours to come will sell.
//!
//! Invariant: a forecast moves nothing; it says how much short a venue is. What is on its way
//! counts as there. What may lie at a venue at most is asked with everything on its way included,
//! and what cannot be valued counts as too much.

use chrono::TimeDelta;
use primitives::{Amount, Asset, Rounding};
use serde::Serialize;
use sqlx::PgConnection;

use super::worth::rupees_in;
use crate::{Base, Error, chart, conversion, exposure, money_column, venue_freeze};

/// What one asset will ask of venues together.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Demand {
    /// Promised at a price and not sold.
    pub open: Amount,
}

/// What one venue holds and needs of one asset.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Forecast {
    pub venue: String,
    pub asset: Asset,
    /// Free and in orders.
    pub held: Amount,
    pub on_the_way: Amount,
    pub target: Amount,
    /// Its part of what is promised and unsold.
    pub open: Amount,
    /// Sold here in an hour, by the last 24.
    pub per_hour: Amount,
    /// What it should hold: the target, or what is open and the hours to come sell.
    pub wanted: Amount,
    pub short: Amount,
    /// How many hours of sales are there beyond what is open; `None` when nothing is sold.
    pub hours_left: Option<i64>,
}

/// What is open of an asset.
///
/// # Errors
/// `Database`, `Ledger`.
pub async fn demand_in(
    conn: &mut PgConnection,
    base: &Base,
    asset: Asset,
) -> Result<Demand, Error> {
    let line = exposure::of_in(conn, base, asset).await?;
    let none = Amount::zero(asset);
    Ok(Demand { open: if line.total.is_positive() { line.total } else { none } })
}

/// The forecast of an asset at every venue that has a target for it, the shortest first. What is
/// open is spread over those that are not frozen.
///
/// # Errors
/// `Database`, `Ledger`, `Inconsistent`.
pub async fn forecasts_in(
    conn: &mut PgConnection,
    base: &Base,
    asset: Asset,
) -> Result<Vec<Forecast>, Error> {
    let venues = &base.settings.treasury.venues;
    let targets: Vec<(&String, Amount)> = venues
        .iter()
        .filter_map(|(venue, v)| v.targets.get(&asset).map(|target| (venue, *target)))
        .collect();
    if targets.is_empty() {
        return Ok(Vec::new());
    }
    let (mut selling, mut frozen) = (Vec::new(), Vec::new());
    for (venue, target) in targets {
        let is_frozen = venue_freeze::is_frozen_in(conn, venue).await?;
        if is_frozen { &mut frozen } else { &mut selling }.push((venue, target));
    }
    let open = demand_in(conn, base, asset).await?.open;
    let weights: Vec<Amount> = selling.iter().map(|(_, target)| *target).collect();
    let mut forecasts = Vec::new();
    for ((venue, target), open) in selling.into_iter().zip(spread(open, &weights)?) {
        forecasts.push(of_in(conn, base, venue, (target, open)).await?);
    }
    // What is frozen sells nothing of what is open, and needs nothing.
    let none = Amount::zero(asset);
    for (venue, target) in frozen {
        let there = of_in(conn, base, venue, (target, none)).await?;
        forecasts.push(Forecast { wanted: none, short: none, ..there });
    }
    forecasts.sort_by_key(|f| std::cmp::Reverse(f.short.minor()));
    Ok(forecasts)
}

async fn of_in(
    conn: &mut PgConnection,
    base: &Base,
    venue: &str,
    (target, open): (Amount, Amount),
) -> Result<Forecast, Error> {
    let asset = target.asset();
    let mut held = Amount::zero(asset);
    for account in [chart::venue_free(venue, asset), chart::venue_order(venue, asset)] {
        if let Some(balance) = ledger::balance(conn, &account.code).await? {
            held = held.checked_add(balance.posted)?;
        }
    }
    let on_the_way = on_the_way_in(conn, venue, asset).await?;
    let per_hour = sold_per_hour_in(conn, base, venue, asset).await?;
    let hours = i128::from(base.settings.treasury.forecast_hours);
    let to_come = per_hour.minor().saturating_mul(hours);
    let to_come = open.checked_add(Amount::try_new(to_come, asset)?)?;
    let wanted = if to_come.minor() > target.minor() { to_come } else { target };
    let there = held.checked_add(on_the_way)?;
    let short = wanted.checked_sub(there)?;
    let spare = there.checked_sub(open)?.minor().max(0);
    Ok(Forecast {
        venue: venue.to_owned(),
        asset,
        held,
        on_the_way,
        target,
        open,
        per_hour,
        wanted,
        short: if short.is_positive() { short } else { Amount::zero(asset) },
        hours_left: spare.checked_div(per_hour.minor()).and_then(|hours| hours.try_into().ok()),
    })
}

/// Splits what is open over venues by their targets, evenly where no target says more; the whole is
/// kept to the last unit.
///
/// # Errors
/// `Inconsistent` outside the range of the books.
pub fn spread(open: Amount, targets: &[Amount]) -> Result<Vec<Amount>, Error> {
    let count = i128::try_from(targets.len()).unwrap_or(0);
    let all: i128 = targets.iter().map(|t| t.minor()).sum();
    let mut left = open;
    let mut shares = Vec::new();
    for target in targets {
        let (weight, of) = if all > 0 { (target.minor(), all) } else { (1, count) };
        // Through decimals of the division first where the product would not fit.
        let exact = open.minor().checked_mul(weight).and_then(|p| p.checked_div(of));
        let share = exact.or_else(|| open.minor().checked_div(of)?.checked_mul(weight));
        let share = Amount::try_new(share.unwrap_or(0), open.asset())?;
        left = left.checked_sub(share)?;
        shares.push(share);
    }
    if let Some(first) = shares.first_mut() {
        *first = first.checked_add(left)?;
    }
    Ok(shares)
}

/// What left for a venue, or is set aside to leave for it.
async fn on_the_way_in(
    conn: &mut PgConnection,
    venue: &str,
    asset: Asset,
) -> Result<Amount, Error> {
    let coming = coming_in(conn, venue).await?;
    let of_it = coming.into_iter().find(|amount| amount.asset() == asset);
    Ok(of_it.unwrap_or(Amount::zero(asset)))
}

/// By rows that are open, one amount per asset: what a venue never credited is in transit by the
/// books until it is written off, and comes no more.
async fn coming_in(conn: &mut PgConnection, venue: &str) -> Result<Vec<Amount>, Error> {
    let rows: Vec<(String, String)> = sqlx::query_as(
        "select asset::text, sum(minor)::text from (
           select asset, case when state = 'final' then arrived_minor else amount_minor end as minor
             from moves where venue = $1
               and state not in ('credited', 'replaced', 'failed', 'cancelled')
               and (state = 'final' or hold_key is not null)
           union all
           select asset, case when state = 'left' then net_minor else amount_minor end
             from venue_transfers where to_venue = $1
               and state not in ('credited', 'refused', 'failed')) v
         group by asset",
    )
    .bind(venue)
    .fetch_all(conn)
    .await?;
    let read =
        |(code, minor): (String, String)| money_column::amount(&minor, money_column::asset(&code)?);
    rows.into_iter().map(read).collect()
}

async fn sold_per_hour_in(
    conn: &mut PgConnection,
    base: &Base,
    venue: &str,
    asset: Asset,
) -> Result<Amount, Error> {
    let sold: String = sqlx::query_scalar(
        "select div(coalesce(sum(f.sold_minor), 0) + 23, 24)::text from fills f
         join conversions c on c.id = f.conversion_id
         where f.venue = $1 and c.asset = $2 and f.executed_at > $3
           and not exists (select from fills_taken_back r
             where r.venue = f.venue and r.trade_id = f.trade_id)",
    )
    .bind(venue)
    .bind(asset.code())
    .bind(base.now() - TimeDelta::hours(24))
    .fetch_one(conn)
    .await?;
    money_column::amount(&sold, asset)
}

/// What may still be brought to a venue.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum VenueRoom {
    NoLimit,
    Left(Amount),
    /// Something that lies there, or goes there, has no rate.
    Unknown,
}

/// How much more may lie at a venue, in rupees.
pub(super) async fn room_in(
    conn: &mut PgConnection,
    base: &Base,
    venue: &str,
) -> Result<VenueRoom, Error> {
    let Some(cap) = base.settings.venue_cap_paise(venue) else { return Ok(VenueRoom::NoLimit) };
    let Some(mut there) = conversion::worth_in(conn, venue).await? else {
        return Ok(VenueRoom::Unknown);
    };
    for coming in coming_in(conn, venue).await? {
        if coming.is_positive() {
            let Some(rupees) = rupees_in(conn, base, coming, Rounding::Up).await? else {
                return Ok(VenueRoom::Unknown);
            };
            there = there.checked_add(rupees)?;
        }
    }
    let cap = Amount::try_new(i128::from(cap), Asset::Inr)?;
    Ok(VenueRoom::Left(cap.checked_sub(there)?))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_open_is_split_to_the_last_unit() {
        let btc = |minor| Amount::try_new(minor, Asset::Btc).unwrap();
        let split = |open, targets: &[i128]| -> Vec<i128> {
            let targets: Vec<Amount> = targets.iter().map(|t| btc(*t)).collect();
            spread(btc(open), &targets).unwrap().iter().map(|a| a.minor()).collect()
        };
        assert_eq!(split(100, &[1, 1]), [50, 50]);
        assert_eq!(split(100, &[1, 2]), [34, 66]);
        assert_eq!(split(100, &[0, 5]), [0, 100]);
        assert_eq!(split(100, &[0, 0, 0]), [34, 33, 33]);
        assert_eq!(split(0, &[7]), [0]);
        let huge = 10_i128.pow(37);
        assert_eq!(split(huge, &[huge, huge]).iter().sum::<i128>(), huge);
    }
}
