//! The price risk that is open: crypto that was promised at a price and is not sold yet.
//!
//! Invariant: everything is counted from ledger rows, quotes and deposits at the moment of asking;
//! nothing is kept beside them. An asset with a limit is quoted by one transaction at a time, so
//! that many at once cannot pass it together. Without a rate the rupees are unknown, never zero,
//! and a limit counts as reached.

use std::collections::{BTreeMap, BTreeSet};

use chrono::{DateTime, Utc};
use primitives::{Amount, Asset, Rate, Rounding};
use rust_decimal::Decimal;
use serde::Serialize;
use sqlx::PgConnection;

use crate::{Base, Error, chart, money_column, rates};

/// From this share of a limit on, in percent, quotes hold half as long.
const NARROW_PERCENT: i128 = 80;

/// What a limit leaves to quotes.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Room {
    /// Quotes are made as usual; also where no limit is set.
    Open,
    /// Quotes hold half as long.
    Narrow,
    /// No quotes.
    Full,
}

/// What is open of one asset.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Exposure {
    pub asset: Asset,
    /// Asked for by quotes that hold, and not paid.
    pub quoted: Amount,
    /// Paid at a quote, and not accepted as final yet.
    pub arriving: Amount,
    /// Bought from payers and not sold: the trading account, crumbs included.
    pub accepted: Amount,
    /// The part of that which lies in orders.
    pub in_orders: Amount,
    pub total: Amount,
    /// The middle of the newest tick that could be believed, rupees per unit.
    pub rate: Option<Decimal>,
    pub rate_at: Option<DateTime<Utc>>,
    /// The total at that rate, rounded up; `None` without a rate.
    pub rupees: Option<Amount>,
    pub limit: Option<Amount>,
    pub room: Room,
}

/// The exposure of every asset that is offered, or of which something is open.
///
/// # Errors
/// `Database`, `Ledger`, `Inconsistent`.
pub async fn list_in(conn: &mut PgConnection, base: &Base) -> Result<Vec<Exposure>, Error> {
    let offered: BTreeSet<Asset> =
        base.settings.networks.values().flat_map(|n| n.assets.iter().copied()).collect();
    let mut lines = Vec::new();
    for asset in Asset::ALL.into_iter().filter(|asset| asset.is_crypto()) {
        let line = of_in(conn, base, asset).await?;
        let is_something = !line.total.is_zero() || !line.in_orders.is_zero();
        if is_something || line.limit.is_some() || offered.contains(&asset) {
            lines.push(line);
        }
    }
    Ok(lines)
}

/// The exposure of one asset.
///
/// # Errors
/// As [`list_in`].
pub async fn of_in(conn: &mut PgConnection, base: &Base, asset: Asset) -> Result<Exposure, Error> {
    let (quoted, arriving) = promised_in(conn, base, asset).await?;
    let mut accepted = Amount::zero(asset);
    if let Some(trading) = ledger::balance(conn, &chart::trading(asset).code).await? {
        accepted = trading.posted;
    }
    let total = quoted.checked_add(arriving)?.checked_add(accepted)?;
    let rate = rates::last_usable_in(conn, asset).await?;
    let rupees = rate.map(|(price, _)| worth(total, price)).transpose()?;
    let limit = limit(base, asset)?;
    Ok(Exposure {
        asset,
        quoted,
        arriving,
        accepted,
        in_orders: in_orders_in(conn, asset).await?,
        total,
        rate: rate.map(|(price, _)| price),
        rate_at: rate.map(|(_, at)| at),
        rupees,
        limit,
        room: room(limit, rupees),
    })
}

fn limit(base: &Base, asset: Asset) -> Result<Option<Amount>, Error> {
    let limit = base.settings.exposure_max_paise.get(&asset);
    Ok(limit.map(|paise| Amount::try_new(i128::from(*paise), Asset::Inr)).transpose()?)
}

fn worth(crypto: Amount, price: Decimal) -> Result<Amount, Error> {
    Ok(Rate::try_new(crypto.asset(), Asset::Inr, price)?.to_quote(crypto, Rounding::Up)?)
}

/// What so many rupees leave of a limit. At the limit there is no room left.
fn room(limit: Option<Amount>, rupees: Option<Amount>) -> Room {
    let Some(limit) = limit.map(Amount::minor) else { return Room::Open };
    let Some(taken) = rupees.map(Amount::minor) else { return Room::Full };
    if taken >= limit {
        return Room::Full;
    }
    let narrow = taken.checked_mul(100).zip(limit.checked_mul(NARROW_PERCENT));
    if narrow.is_some_and(|(taken, narrow)| taken < narrow) { Room::Open } else { Room::Narrow }
}

/// Makes others who want to quote this asset wait for the caller's transaction, where a limit is
/// set. Taken before any account of the books is touched, never after.
///
/// # Errors
/// `Database`.
pub(crate) async fn wait_for_turn_in(
    conn: &mut PgConnection,
    base: &Base,
    asset: Asset,
) -> Result<(), Error> {
    if !base.settings.exposure_max_paise.contains_key(&asset) {
        return Ok(());
    }
    sqlx::query("select pg_advisory_xact_lock(hashtextextended('exposure:' || $1, 0))")
        .bind(asset.code())
        .execute(conn)
        .await?;
    Ok(())
}

/// What the limit of an asset leaves when so much more of it is quoted.
///
/// # Errors
/// As [`list_in`].
pub(crate) async fn room_for_in(
    conn: &mut PgConnection,
    base: &Base,
    more: Amount,
) -> Result<Room, Error> {
    let asset = more.asset();
    let Some(limit) = limit(base, asset)? else { return Ok(Room::Open) };
    let now = of_in(conn, base, asset).await?;
    let Some(price) = now.rate else { return Ok(Room::Full) };
    let after = worth(now.total.checked_add(more)?, price)?;
    // A quote may fill the limit to the paisa, and not pass it.
    if now.room != Room::Full && after == limit {
        return Ok(Room::Narrow);
    }
    Ok(room(Some(limit), Some(after)))
}

/// What live quotes still ask for, and what has come for payments that are not converted. A payment
/// is paid once: of several quotes in one asset the largest counts. What came beyond it is owed
/// back as it is, and is no risk.
async fn promised_in(
    conn: &mut PgConnection,
    base: &Base,
    asset: Asset,
) -> Result<(Amount, Amount), Error> {
    let (quoted, arriving): (String, String) = sqlx::query_as(
        "with open as (
           select id, state from payments p where state in ('awaiting_deposit', 'confirming')
             or (state = 'accepted' and not exists (
               select from conversion_queue c where c.payment_id = p.id))),
         asked as (
           select q.payment_id, max(q.payable_minor) as most,
             max(q.payable_minor) filter (where q.valid_until >= $2 and o.state <> 'accepted')
               as live
           from quotes q join open o on o.id = q.payment_id where q.asset = $1 group by 1),
         came as (
           select d.payment_id, sum(d.amount_minor) as minor
           from deposits d join open o on o.id = d.payment_id
           where d.asset = $1 and d.purpose = 'payment' and d.state in ('seen', 'confirmed')
           group by 1)
         select coalesce(sum(greatest(live - coalesce(minor, 0), 0)), 0)::text,
                coalesce(sum(least(coalesce(minor, 0), most)), 0)::text
         from asked left join came using (payment_id)",
    )
    .bind(asset.code())
    .bind(base.now())
    .fetch_one(conn)
    .await?;
    Ok((money_column::amount(&quoted, asset)?, money_column::amount(&arriving, asset)?))
}

/// What lies in orders of an asset, at every venue that has an account.
async fn in_orders_in(conn: &mut PgConnection, asset: Asset) -> Result<Amount, Error> {
    let venues: Vec<String> =
        sqlx::query_scalar("select distinct venue from conversions where asset = $1")
            .bind(asset.code())
            .fetch_all(&mut *conn)
            .await?;
    let mut total = Amount::zero(asset);
    for venue in venues {
        let code = chart::venue_order(&venue, asset).code;
        if let Some(locked) = ledger::balance(conn, &code).await? {
            total = total.checked_add(locked.posted)?;
        }
    }
    Ok(total)
}

/// Limits by asset, whatever the case of their names: environment variables arrive in lower case.
pub(crate) fn limits<'de, D: serde::Deserializer<'de>>(
    from: D,
) -> Result<BTreeMap<Asset, i64>, D::Error> {
    use serde::{Deserialize as _, de::Error as _};
    let named = BTreeMap::<String, i64>::deserialize(from)?;
    let limit = |(name, paise): (String, i64)| {
        let asset: Asset = name.to_ascii_uppercase().parse().map_err(D::Error::custom)?;
        if !asset.is_crypto() || paise < 0 {
            return Err(D::Error::custom("a limit is paise, from 0 on, of a crypto asset"));
        }
        Ok((asset, paise))
    };
    named.into_iter().map(limit).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_limit_narrows_and_stops() {
        let inr = |paise| Some(Amount::try_new(paise, Asset::Inr).unwrap());
        for (taken, left) in [
            (0, Room::Open),
            (7_999, Room::Open),
            (8_000, Room::Narrow),
            (9_999, Room::Narrow),
            (10_000, Room::Full),
            (20_000, Room::Full),
        ] {
            assert_eq!(room(inr(10_000), inr(taken)), left, "{taken}");
        }
        assert_eq!(room(None, inr(10_000)), Room::Open, "no limit");
        assert_eq!(room(inr(10_000), None), Room::Full, "no rate");
        assert_eq!(room(inr(0), inr(0)), Room::Full);
    }
}
