//! What the books do when a venue adds to an order that has ended, or takes an execution back.
//!
//! Invariant: nothing is edited. A late fill locks its crypto again before it is booked like any
//! other; a fill taken back is mirrored by one contra entry that names it.

use ledger::Leg;
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
    if !has_ended {
        return Ok(());
    }
    let (locked, free) = (chart::venue_order(venue, asset), chart::venue_free(venue, asset));
    let key = format!("ord:{venue}:{}:back:{}", order.client_ref, fill.trade_id);
    let leg = Leg::new(free, locked, fill.sold);
    ledger::post(conn, &transfer(base, key, "order", order.conversion, vec![leg])).await?;
    Ok(())
}
