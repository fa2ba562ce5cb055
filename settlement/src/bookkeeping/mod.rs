//! Every posting of the product: one function per business event.
//!
//! Invariant: keys are derived from the event, so posting twice is the same transfer. Each
//! function runs in the transaction that records the event; there is no other way to move money.

pub mod promises;
pub mod reorg;
pub mod risk;
pub mod sales;
pub mod treasury;

use ledger::{Leg, Resolution, Transfer};
use primitives::{Amount, Rounding};
use serde_json::{Value, json};
use sqlx::PgConnection;
use uuid::Uuid;

use crate::{
    Base, Error, chart,
    conversion::FillFacts,
    deposit::{Deposit, Purpose},
    payment::Payment,
    payout::Payout,
};

const ACTOR: &str = "settlement";

fn transfer(
    base: &Base,
    key: String,
    kind: &'static str,
    correlation: Uuid,
    legs: Vec<Leg>,
) -> Transfer {
    Transfer {
        key,
        kind,
        correlation: Some(correlation),
        actor: ACTOR.to_owned(),
        effective_at: base.now(),
        meta: json!({}),
        legs,
    }
}

fn resolution(base: &Base, key: String, kind: &'static str, meta: Value) -> Resolution {
    Resolution { key, kind, actor: ACTOR.to_owned(), effective_at: base.now(), meta }
}

/// The part of a deposit's keys that names this sighting: a deposit that vanished and came back
/// is held anew.
fn deposit_key(deposit: &Deposit, event: &str) -> String {
    let d = deposit;
    format!("dep:{}:{}:{}:{}:{event}", d.network, d.tx_id, d.ordinal, d.sightings)
}

const fn deposit_kind(purpose: Purpose) -> &'static str {
    match purpose {
        Purpose::Payment => "deposit",
        Purpose::Suspense(_) => "deposit.unidentified",
    }
}

/// Holds `escrow > deposit` (or `> suspense`) for a deposit seen in a block.
///
/// # Errors
/// `Ledger`.
pub async fn deposit_seen(
    conn: &mut PgConnection,
    base: &Base,
    deposit: &Deposit,
    owner: Option<&Payment>,
) -> Result<(), Error> {
    let asset = deposit.amount.asset();
    let credit = match (deposit.purpose, owner) {
        (Purpose::Payment, Some(payment)) => chart::deposit(payment.merchant, asset),
        _ => chart::suspense(asset),
    };
    let leg = Leg::new(chart::escrow(&deposit.network, asset), credit, deposit.amount);
    let correlation = deposit.payment.map_or(deposit.id.uuid(), |p| p.uuid());
    let kind = deposit_kind(deposit.purpose);
    ledger::hold(conn, &transfer(base, deposit_key(deposit, "seen"), kind, correlation, vec![leg]))
        .await?;
    Ok(())
}

/// Posts the hold: the deposit is final.
///
/// # Errors
/// `Ledger`.
pub async fn deposit_confirmed(
    conn: &mut PgConnection,
    base: &Base,
    deposit: &Deposit,
) -> Result<(), Error> {
    let kind = deposit_kind(deposit.purpose);
    let how = resolution(base, deposit_key(deposit, "final"), kind, json!({}));
    ledger::capture(conn, &deposit_key(deposit, "seen"), &how).await?;
    Ok(())
}

/// Voids the hold: the block that carried the deposit is gone.
///
/// # Errors
/// `Ledger`.
pub async fn deposit_gone(
    conn: &mut PgConnection,
    base: &Base,
    deposit: &Deposit,
) -> Result<(), Error> {
    let kind = deposit_kind(deposit.purpose);
    let how = resolution(base, deposit_key(deposit, "gone"), kind, json!({}));
    ledger::release(conn, &deposit_key(deposit, "seen"), &how).await?;
    Ok(())
}

/// What a merchant is left with: amount, our fee, the tax on it, and the rest.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Settlement {
    pub amount: Amount,
    pub fee: Amount,
    pub gst: Amount,
    pub net: Amount,
}

/// Splits a payment's rupees. Fee and tax are rounded half up to the paisa; net is what is left.
///
/// # Errors
/// `Inconsistent` outside the range of the books.
pub fn split(settings: &crate::Settings, amount: Amount) -> Result<Settlement, Error> {
    let fee = settings.fee_bps.of(amount, Rounding::HalfUp)?;
    let gst = settings.gst_bps.of(fee, Rounding::HalfUp)?;
    let net = amount.checked_sub(fee)?.checked_sub(gst)?;
    Ok(Settlement { amount, fee, gst, net })
}

/// Inventory is locked in an order.
///
/// # Errors
/// `Ledger`; `WouldOverdraw` inside it when the venue does not hold that much.
pub async fn order_placed(
    conn: &mut PgConnection,
    base: &Base,
    venue: &str,
    conversion: Uuid,
    client_ref: &str,
    quantity: Amount,
) -> Result<(), Error> {
    let asset = quantity.asset();
    let leg = Leg::new(chart::venue_order(venue, asset), chart::venue_free(venue, asset), quantity);
    let key = format!("ord:{venue}:{client_ref}:new");
    ledger::post(conn, &transfer(base, key, "order", conversion, vec![leg])).await?;
    Ok(())
}

/// The part of an order that was not executed is free again.
///
/// # Errors
/// `Ledger`.
pub async fn order_closed(
    conn: &mut PgConnection,
    base: &Base,
    venue: &str,
    conversion: Uuid,
    client_ref: &str,
    rest: Amount,
) -> Result<(), Error> {
    if !rest.is_positive() {
        return Ok(());
    }
    let asset = rest.asset();
    let leg = Leg::new(chart::venue_free(venue, asset), chart::venue_order(venue, asset), rest);
    let key = format!("ord:{venue}:{client_ref}:cancel");
    ledger::post(conn, &transfer(base, key, "order", conversion, vec![leg])).await?;
    Ok(())
}

/// One execution: crypto out of the order, the proceeds in, less what the venue took, each in the
/// asset it was taken in.
///
/// # Errors
/// `Ledger`; `WouldOverdraw` inside it when a fee came out of an asset we do not hold there.
pub async fn filled(
    conn: &mut PgConnection,
    base: &Base,
    venue: &str,
    conversion: Uuid,
    fill: &FillFacts,
) -> Result<(), Error> {
    let asset = fill.sold.asset();
    let mut legs =
        vec![Leg::new(chart::trading(asset), chart::venue_order(venue, asset), fill.sold)];
    if fill.gross.is_positive() {
        let proceeds = fill.gross.asset();
        let free = chart::venue_free(venue, proceeds);
        legs.push(Leg::new(free, chart::trading(proceeds), fill.gross));
    }
    for (taken, account) in [
        (fill.fee, chart::venue_fee(fill.fee.asset())),
        (fill.fee_gst, chart::gst_input_in(fill.fee_gst.asset())),
        (fill.tds, chart::tds_receivable(fill.tds.asset())),
    ] {
        if taken.is_positive() {
            let free = chart::venue_free(venue, taken.asset());
            legs.push(Leg::new(account, free, taken));
        }
    }
    let key = format!("fill:{venue}:{}", fill.trade_id);
    ledger::post(conn, &transfer(base, key, "fill", conversion, legs)).await?;
    sales::costs_leave_trading(conn, base, venue, conversion, fill).await
}

fn payout_key(payout: &Payout, attempt: i32, event: &str) -> String {
    format!("pay:{}:{attempt}:{event}", payout.id)
}

/// The merchant's rupees are set aside for one payout attempt.
///
/// # Errors
/// `Ledger`; `WouldOverdraw` inside it when the float or the debt is smaller.
pub async fn payout_planned(
    conn: &mut PgConnection,
    base: &Base,
    payout: &Payout,
    attempt: i32,
) -> Result<(), Error> {
    let leg = Leg::new(chart::merchant(payout.merchant), chart::bank(&payout.rail), payout.amount);
    let key = payout_key(payout, attempt, "hold");
    ledger::hold(conn, &transfer(base, key, "payout", payout.payment.uuid(), vec![leg])).await?;
    Ok(())
}

/// The rail paid: the hold is posted and the rail's charge booked.
///
/// # Errors
/// `Ledger`.
pub async fn payout_paid(
    conn: &mut PgConnection,
    base: &Base,
    payout: &Payout,
    attempt: i32,
    cost: Option<(Amount, Amount)>,
) -> Result<(), Error> {
    let how = resolution(base, payout_key(payout, attempt, "done"), "payout", json!({}));
    ledger::capture(conn, &payout_key(payout, attempt, "hold"), &how).await?;
    match cost {
        Some((fees, tax)) => payout_cost(conn, base, payout, attempt, fees, tax).await,
        None => Ok(()),
    }
}

/// What the rail took for a paid attempt, once: it may be told later than the payment itself.
///
/// # Errors
/// `Ledger`.
pub async fn payout_cost(
    conn: &mut PgConnection,
    base: &Base,
    payout: &Payout,
    attempt: i32,
    fees: Amount,
    tax: Amount,
) -> Result<(), Error> {
    let key = payout_key(payout, attempt, "cost");
    if ledger::find(conn, &key).await?.is_some() {
        return Ok(());
    }
    let bank = chart::bank(&payout.rail);
    let mut legs = Vec::new();
    let net = fees.checked_sub(tax)?;
    if net.is_positive() {
        legs.push(Leg::new(chart::payout_fee(), bank.clone(), net));
    }
    if tax.is_positive() {
        legs.push(Leg::new(chart::gst_input(), bank, tax));
    }
    if !legs.is_empty() {
        ledger::post(conn, &transfer(base, key, "payout.cost", payout.payment.uuid(), legs))
            .await?;
    }
    Ok(())
}

/// The rail did not pay: the hold is voided.
///
/// # Errors
/// `Ledger`.
pub async fn payout_failed(
    conn: &mut PgConnection,
    base: &Base,
    payout: &Payout,
    attempt: i32,
) -> Result<(), Error> {
    let how = resolution(base, payout_key(payout, attempt, "failed"), "payout", json!({}));
    ledger::release(conn, &payout_key(payout, attempt, "hold"), &how).await?;
    Ok(())
}

/// A paid payout came back: the merchant is owed again and the charge is returned with it.
///
/// # Errors
/// `Ledger`.
pub async fn payout_returned(
    conn: &mut PgConnection,
    base: &Base,
    payout: &Payout,
    attempt: i32,
) -> Result<(), Error> {
    let leg = Leg::new(chart::bank(&payout.rail), chart::merchant(payout.merchant), payout.amount);
    let key = payout_key(payout, attempt, "returned");
    let back = transfer(base, key, "payout.returned", payout.payment.uuid(), vec![leg]);
    ledger::post(conn, &back).await?;
    let cost = payout_key(payout, attempt, "cost");
    if ledger::find(conn, &cost).await?.is_some() {
        let how = resolution(base, format!("{cost}:back"), "reversal", json!({}));
        ledger::reverse(conn, &cost, &how).await?;
    }
    Ok(())
}

/// The owners put money in: the float at a rail, or inventory at a venue.
///
/// # Errors
/// `Ledger`.
pub async fn capital_paid_in(
    conn: &mut PgConnection,
    base: &Base,
    into: ledger::Account,
    amount: Amount,
    key: &str,
) -> Result<(), Error> {
    let leg = Leg::new(into, chart::capital(amount.asset()), amount);
    let correlation = primitives::derived_uuid(&["capital", key]);
    let paid = transfer(base, format!("cap:{key}"), "capital", correlation, vec![leg]);
    ledger::post(conn, &paid).await?;
    Ok(())
}
