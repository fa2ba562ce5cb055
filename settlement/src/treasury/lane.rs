//! What a lane may carry now, and whether its destination is believed.
//!
//! Invariants: nothing leaves one venue for another at the other's first word: a person has
//! confirmed the address, or the settings name it, and then no other. A lane carries no more than
//! its hour and its day allow, and waits longer after each refusal in a row.

use chrono::{DateTime, TimeDelta, Utc};
use primitives::{Amount, Asset, Rounding};
use serde_json::json;
use sqlx::PgConnection;

use super::{Lane, Transfer, VenueAddress, address, worth::rupees_in};
use crate::{Base, Error, case, money_column};

/// The longest wait after refusals, in seconds.
const LONGEST: i64 = 86_400;

/// What the cases of a lane are about.
pub(super) fn subject((from, to): (&str, &str), asset: Asset) -> String {
    format!("{from}:{to}:{asset}")
}

fn is_believed(lane: &Lane, known: &VenueAddress) -> bool {
    let listed = lane.to_address.as_ref();
    let is_meant = listed.map_or(known.is_confirmed, |listed| *listed == known.address);
    known.is_usable && is_meant
}

/// Where a lane leads, if that is believed; a case where a person has to look at it first.
///
/// # Errors
/// `Database`.
pub async fn destination_in(
    conn: &mut PgConnection,
    base: &Base,
    lane: &Lane,
) -> Result<Option<String>, Error> {
    let known = address::known_in(conn, &lane.to, lane.asset, &lane.network).await?;
    let Some(known) = known else { return Ok(None) };
    if is_believed(lane, &known) {
        return Ok(Some(known.address));
    }
    // One that changed has its own case.
    if known.is_usable {
        let new = case::NewCase {
            kind: address::UNCONFIRMED,
            subject: &format!("{}:{}:{}", lane.to, lane.network, lane.asset),
            payment: None,
            amount: None,
            detail: json!({
                "from": lane.from, "named": known.address, "in_the_settings": lane.to_address,
            }),
        };
        case::open_in(conn, base, new).await?;
    }
    Ok(None)
}

/// True while a transfer that was planned may still go where it was planned to. What is no lane of
/// the settings any more leads nowhere.
pub(super) async fn still_leads_in(
    conn: &mut PgConnection,
    base: &Base,
    of: &Transfer,
) -> Result<bool, Error> {
    let asset = of.amount.asset();
    let lanes = &base.settings.treasury.lanes;
    let lane = lanes.iter().find(|lane| {
        lane.from == of.from
            && lane.to == of.to
            && lane.asset == asset
            && lane.network == of.network
    });
    let Some(lane) = lane else { return Ok(false) };
    let known = address::known_in(conn, &of.to, asset, &of.network).await?;
    Ok(known.is_some_and(|known| is_believed(lane, &known) && known.address == of.to_address))
}

/// True while nothing is asked for, because the last of it was refused: twice as long each time.
pub(super) async fn is_paused_in(
    conn: &mut PgConnection,
    base: &Base,
    lane: &Lane,
) -> Result<bool, Error> {
    let (times, last): (i64, Option<DateTime<Utc>>) = sqlx::query_as(
        "select count(*), max(t.updated_at) from venue_transfers t
         where t.from_venue = $1 and t.to_venue = $2 and t.asset = $3
           and t.state in ('refused', 'failed')
           and not exists (select from venue_transfers o
             where o.from_venue = $1 and o.to_venue = $2 and o.asset = $3
               and o.state not in ('refused', 'failed') and o.planned_at >= t.planned_at)",
    )
    .bind(&lane.from)
    .bind(&lane.to)
    .bind(lane.asset.code())
    .fetch_one(conn)
    .await?;
    let Some(last) = last else { return Ok(false) };
    let doublings = u32::try_from(times.saturating_sub(1).clamp(0, 20)).unwrap_or(0);
    let first = base.settings.treasury.retry_after_s;
    let wait = first.saturating_mul(2_i64.saturating_pow(doublings)).min(LONGEST.max(first));
    Ok(base.now() < last + TimeDelta::seconds(wait))
}

/// As much of it as the hour and the day of the lane have room for. Without limits in the settings
/// a day is worth `lane_day_paise`, and an hour a quarter of the day.
pub(super) async fn bounded_in(
    conn: &mut PgConnection,
    base: &Base,
    lane: &Lane,
    wished: Amount,
) -> Result<Option<Amount>, Error> {
    let day = match &lane.per_day {
        Some(units) => lane.amount(units)?.minor(),
        None => {
            let worth = rupees_in(conn, base, wished, Rounding::Up).await?;
            let paise = i128::from(base.settings.treasury.lane_day_paise);
            let day = worth.and_then(|worth| {
                wished.minor().checked_mul(paise)?.checked_div(worth.minor().max(1))
            });
            // What cannot be valued waits.
            let Some(day) = day else { return Ok(None) };
            day
        }
    };
    let hour = match &lane.per_hour {
        Some(units) => lane.amount(units)?.minor(),
        None => day.checked_div(4).unwrap_or(0),
    };
    let mut most = wished.minor();
    for (hours, limit) in [(24, day), (1, hour)] {
        let asked = asked_in(conn, lane, base.now() - TimeDelta::hours(hours)).await?;
        most = most.min(limit.saturating_sub(asked.minor()));
    }
    let amount = Amount::try_new(most, wished.asset())?;
    Ok(amount.is_positive().then_some(amount))
}

/// What was asked for on a lane since then, and did not stay where it was. One that waited counts
/// from when it was asked for.
async fn asked_in(
    conn: &mut PgConnection,
    lane: &Lane,
    since: DateTime<Utc>,
) -> Result<Amount, Error> {
    let asked: String = sqlx::query_scalar(
        "select coalesce(sum(amount_minor), 0)::text from venue_transfers
         where from_venue = $1 and to_venue = $2 and asset = $3
           and state not in ('refused', 'failed') and coalesce(sent_at, planned_at) > $4",
    )
    .bind(&lane.from)
    .bind(&lane.to)
    .bind(lane.asset.code())
    .bind(since)
    .fetch_one(conn)
    .await?;
    money_column::amount(&asked, lane.asset)
}
