//! What the books do when a venue adds to an order that has ended, or takes an execution back.
//!
//! And what a fill in dollar coins does to the trading account.
//!
//! Invariant: nothing is edited. A late fill locks its crypto again before it is booked like any
//! other; a fill taken back is mirrored by one contra entry that names it.

use ledger::Leg;
use primitives::{Amount, Asset};
use serde_json::json;
use sqlx::PgConnection;
use uuid::Uuid;

use super::{filled, resolution, transfer};
use crate::{Base, Error, chart, conversion::FillFacts};

/// Which order of which venue a posting is about.
#[derive(Debug, Clone, Copy)]
pub struct OrderName<'a> {
    pub venue: &'a str,
    pub conversion: Uuid,
    pub client_ref: &'a str,
}

/// An execution of an order whose rest was free again already.
///
/// # Errors
/// `Ledger`; `WouldOverdraw` inside it when that crypto is locked in another order.
pub async fn filled_late(
    conn: &mut PgConnection,
    base: &Base,
    order: OrderName<'_>,
    fill: &FillFacts,
) -> Result<(), Error> {
    let (venue, asset) = (order.venue, fill.sold.asset());
    let (locked, free) = (chart::venue_order(venue, asset), chart::venue_free(venue, asset));
    let key = format!("ord:{venue}:{}:late:{}", order.client_ref, fill.trade_id);
    let leg = Leg::new(locked, free, fill.sold);
    ledger::post(conn, &transfer(base, key, "order", order.conversion, vec![leg])).await?;
    filled(conn, base, venue, order.conversion, fill).await
}

/// The venue took an execution back. Of an order that has ended, its crypto is free again.
///
/// # Errors
/// `Ledger`; `WouldOverdraw` inside it when its rupees are not at the venue any more.
pub async fn fill_reversed(
    conn: &mut PgConnection,
    base: &Base,
    order: OrderName<'_>,
    fill: &FillFacts,
    has_ended: bool,
) -> Result<(), Error> {
    let (venue, asset) = (order.venue, fill.sold.asset());
    let original = format!("fill:{venue}:{}", fill.trade_id);
    let meta = json!({ "order": order.client_ref });
    let how = resolution(base, format!("{original}:back"), "reversal", meta);
    ledger::reverse(conn, &original, &how).await?;
    let costs = format!("{original}:costs");
    if ledger::find(conn, &costs).await?.is_some() {
        let how = resolution(base, format!("{costs}:back"), "reversal", json!({}));
        ledger::reverse(conn, &costs, &how).await?;
    }
    if !has_ended {
        return Ok(());
    }
    let (locked, free) = (chart::venue_order(venue, asset), chart::venue_free(venue, asset));
    let key = format!("ord:{venue}:{}:back:{}", order.client_ref, fill.trade_id);
    let leg = Leg::new(free, locked, fill.sold);
    ledger::post(conn, &transfer(base, key, "order", order.conversion, vec![leg])).await?;
    Ok(())
}

/// What a venue took out of proceeds that are not rupees: nobody will sell it, so it leaves the
/// trading account, which holds what is to be sold and nothing else.
///
/// # Errors
/// `Ledger`.
pub(super) async fn costs_leave_trading(
    conn: &mut PgConnection,
    base: &Base,
    venue: &str,
    conversion: Uuid,
    fill: &FillFacts,
) -> Result<(), Error> {
    let proceeds = fill.gross.asset();
    let taken = fill.gross.checked_sub(fill.net()?)?;
    if proceeds == Asset::Inr || !taken.is_positive() {
        return Ok(());
    }
    let leg = Leg::new(chart::trading(proceeds), chart::trading_result(proceeds), taken);
    let key = format!("fill:{venue}:{}:costs", fill.trade_id);
    ledger::post(conn, &transfer(base, key, "trading.close", conversion, vec![leg])).await?;
    Ok(())
}

/// Whole units that a venue's finer counting has added up to, or taken away. `entry` numbers the
/// postings of this kind, so that two who see the same difference book it once.
///
/// # Errors
/// `Ledger`.
pub async fn crumbs(
    conn: &mut PgConnection,
    base: &Base,
    (venue, entry): (&str, i64),
    gap: Amount,
) -> Result<(), Error> {
    let asset = gap.asset();
    let (free, crumbs) = (chart::venue_free(venue, asset), chart::venue_crumbs(venue, asset));
    let leg = if gap.is_positive() {
        Leg::new(free, crumbs, gap)
    } else {
        Leg::new(crumbs, free, Amount::zero(asset).checked_sub(gap)?)
    };
    let key = format!("crumbs:{venue}:{asset}:{entry}");
    let correlation = primitives::derived_uuid(&["crumbs", venue, asset.code()]);
    ledger::post(conn, &transfer(base, key, "fill", correlation, vec![leg])).await?;
    Ok(())
}
