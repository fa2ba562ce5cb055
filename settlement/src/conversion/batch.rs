//! Closing a batch: what waits to be sold of an asset becomes a conversion on the best route.
//!
//! Invariant: a batch closes when it is worth enough, old enough, or the asset's exposure nears its
//! limit. Below every venue's minimum it waits for company, but never longer than the settings say:
//! then it is dust, and its payments are paid. A venue that was not seen is looked at again first.
//! The payments are locked before anything else.

use chrono::{DateTime, TimeDelta, Utc};
use primitives::{Amount, Asset, ConversionId, PaymentId};
use serde_json::json;
use sqlx::{PgConnection, Row};

use super::{
    Conversion, ConversionEvent, ConversionState, Part, dust,
    finish::finish_in,
    hold::{hold_in, release_in},
    plan::{Planned, plan_order},
    route::{Candidate, Offer, Route},
    store::{insert_in, oldest_waiting_in, step_in},
    venues::{self, route_in},
};
use crate::{
    Base, Error, exposure,
    jobs::Convert,
    money_column,
    payment::{self, PaymentEvent},
    rates,
    switch::{self, Switch},
};

/// Asks for the sale of an asset at the moment its batch will close.
///
/// # Errors
/// `Database`, `Queue`.
pub async fn ask_in(conn: &mut PgConnection, base: &Base, asset: Asset) -> Result<(), Error> {
    if let Some(at) = due_at_in(conn, base, asset).await? {
        queue::enqueue(conn, &Convert { asset }, at).await?;
    }
    Ok(())
}

/// When the batch that gathers of an asset closes; `None` when nothing waits.
///
/// # Errors
/// `Database`, `Ledger`.
pub async fn due_at_in(
    conn: &mut PgConnection,
    base: &Base,
    asset: Asset,
) -> Result<Option<DateTime<Utc>>, Error> {
    let Some(oldest) = oldest_waiting_in(conn, asset).await? else { return Ok(None) };
    let by_age = oldest + TimeDelta::seconds(base.settings.conversion_age_s);
    let now = base.now();
    if by_age <= now || is_worth_enough(conn, base, asset).await? {
        return Ok(Some(now));
    }
    let has_limit = base.settings.exposure_max_paise.contains_key(&asset);
    let near = has_limit && exposure::of_in(conn, base, asset).await?.room != exposure::Room::Open;
    Ok(Some(if near { now } else { by_age }))
}

/// Without a rate nothing is known to be worth enough: the batch closes by age.
async fn is_worth_enough(
    conn: &mut PgConnection,
    base: &Base,
    asset: Asset,
) -> Result<bool, Error> {
    let waiting: String = sqlx::query_scalar(
        "select coalesce(sum(amount_minor), 0)::text from conversion_queue
         where asset = $1 and conversion_id is null",
    )
    .bind(asset.code())
    .fetch_one(&mut *conn)
    .await?;
    let waiting = money_column::amount(&waiting, asset)?;
    let Some((price, _)) = rates::last_usable_in(conn, asset).await? else { return Ok(false) };
    let worth = venues::in_rupees(waiting, price)?;
    Ok(worth.minor() >= i128::from(base.settings.batch_value_paise))
}

/// Gathers what waits to be sold of an asset into a new conversion with its first order, on the
/// best of the routes that were looked at.
///
/// # Errors
/// `Ledger(WouldOverdraw)` when somebody else took the venue's inventory: roll back, and try again.
pub async fn plan_batch_in(
    conn: &mut PgConnection,
    base: &Base,
    asset: Asset,
    offers: &[Offer],
) -> Result<Planned, Error> {
    if !switch::is_open_in(conn, Switch::Conversions).await? {
        return Ok(Planned::Stopped);
    }
    venues::share_in(conn, offers, None).await?;
    if due_at_in(conn, base, asset).await?.is_none_or(|at| at > base.now()) {
        return Ok(Planned::Nothing);
    }
    let waiting = take_waiting(conn, asset).await?;
    let Some(oldest) = waiting.iter().map(|w| w.queued_at).min() else {
        return Ok(Planned::Nothing);
    };
    let mut batch = Amount::zero(asset);
    for one in &waiting {
        batch = batch.checked_add(one.amount)?;
    }
    let dust = dust::to_take_in(conn, asset, None).await?;
    let total = batch.checked_add(dust)?;
    let route = route_in(conn, base, total, offers, None).await?;
    if route.taken().is_none() {
        let until = oldest + TimeDelta::seconds(base.settings.dust_age_s);
        if !route.is_below_minimum() || until > base.now() {
            hold_in(conn, base, (asset.code(), None), &route).await?;
            let small = route.is_below_minimum();
            return Ok(if small { Planned::Wait(until) } else { Planned::NoRoute(route.into()) });
        }
    }
    let mut conversion = conversion_of(base, (batch, dust), &route)?;
    release_in(conn, base, asset.code()).await?;
    let cause = json!({ "target": conversion.target, "dust": conversion.dust });
    insert_in(conn, &conversion, None, Some(&route), cause).await?;
    dust::true_up_in(conn, base, &conversion, "below the venue's step").await?;
    for one in &waiting {
        start(conn, base, conversion.id, one.payment).await?;
    }
    let first = route.taken().and_then(|taken| taken.legs.first());
    let market = first.and_then(|leg| {
        let is_it = |offer: &&Offer| offer.venue == leg.venue && offer.quote == leg.quote;
        offers.iter().filter(is_it).find(|offer| offer.sell == asset)
    });
    let Some(Ok(market)) = market.map(|offer| offer.market.as_ref()) else {
        let cause = json!({ "reason": "below every venue's minimum", "dust": conversion.dust });
        step_in(conn, base, &mut conversion, ConversionEvent::AllSold, cause).await?;
        finish_in(conn, base, &conversion).await?;
        return Ok(Planned::Nothing);
    };
    plan_order(conn, base, &mut conversion, market).await
}

/// What is sold, what was taken along for it, and what the cut leaves.
fn conversion_of(
    base: &Base,
    (batch, dust): (Amount, Amount),
    route: &Route,
) -> Result<Conversion, Error> {
    let (asset, none) = (batch.asset(), Amount::zero(batch.asset()));
    let first = route.taken().and_then(|taken: &Candidate| taken.legs.first());
    let target = first.map_or(none, |leg| leg.quantity);
    // Dust that does not reach the next step stays where it is.
    let taken = if target.minor() > batch.minor() { dust } else { none };
    let id = ConversionId::from_uuid(base.uuid());
    Ok(Conversion {
        id,
        root: id,
        part: Part::Batch,
        venue: first.map_or(&base.settings.venue, |leg| &leg.venue).clone(),
        asset,
        quote: first.map_or(Asset::Inr, |leg| leg.quote),
        state: ConversionState::Planned,
        input: batch,
        target,
        sold: none,
        dust: batch.checked_add(taken)?.checked_sub(target)?,
        taken,
        created_at: base.now(),
    })
}

async fn start(
    conn: &mut PgConnection,
    base: &Base,
    conversion: ConversionId,
    id: PaymentId,
) -> Result<(), Error> {
    sqlx::query("update conversion_queue set conversion_id = $2 where payment_id = $1")
        .bind(id.uuid())
        .bind(conversion.uuid())
        .execute(&mut *conn)
        .await?;
    let mut payment = payment::lock_in(conn, id).await?;
    let cause = json!({ "conversion": conversion });
    payment::step_in(conn, base, &mut payment, PaymentEvent::ConversionStarted, cause).await
}

struct Waiting {
    payment: PaymentId,
    amount: Amount,
    queued_at: DateTime<Utc>,
}

/// What waits to be sold, with its payments locked: payments first, in id order.
async fn take_waiting(conn: &mut PgConnection, asset: Asset) -> Result<Vec<Waiting>, Error> {
    sqlx::query(
        "select 1 from payments where id in (select payment_id from conversion_queue
           where asset = $1 and conversion_id is null) order by id for update",
    )
    .bind(asset.code())
    .fetch_all(&mut *conn)
    .await?;
    let rows = sqlx::query(
        "select payment_id, amount_minor::text as amount_minor, queued_at from conversion_queue
         where asset = $1 and conversion_id is null order by payment_id limit 500 for update",
    )
    .bind(asset.code())
    .fetch_all(&mut *conn)
    .await?;
    rows.iter()
        .map(|row| {
            Ok(Waiting {
                payment: PaymentId::from_uuid(row.try_get("payment_id")?),
                amount: money_column::amount(row.try_get("amount_minor")?, asset)?,
                queued_at: row.try_get("queued_at")?,
            })
        })
        .collect()
}
