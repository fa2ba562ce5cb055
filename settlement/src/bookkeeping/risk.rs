//! The house's limit for early acceptance, as memorandum accounts in rupees, one set per network.
//!
//! Invariant: headroom + taken = granted, and none of them below zero: the books themselves refuse
//! an acceptance beyond the limit, whoever asks and however many at once. No money is here: it
//! moves when deposits are final, or when the house honours a payment at a loss.

use ledger::{Account, Leg};
use primitives::{Amount, Asset, NetworkId, PaymentId};
use serde_json::json;
use sqlx::PgConnection;
use uuid::Uuid;

use super::{reorg::loss, split, transfer};
use crate::{Base, Error, chart, payment::Payment, quote::Quote};

fn headroom(network: &NetworkId) -> Account {
    Account::new("risk.headroom", format!("risk.headroom:{network}:INR"), Asset::Inr)
}

fn taken(network: &NetworkId) -> Account {
    Account::new("risk.taken", format!("risk.taken:{network}:INR"), Asset::Inr)
}

fn granted(network: &NetworkId) -> Account {
    Account::new("risk.granted", format!("risk.granted:{network}:INR"), Asset::Inr)
}

/// Where a network's limit stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Limit {
    pub granted: Amount,
    pub taken: Amount,
    pub headroom: Amount,
}

/// Reads the limit; all zero where none was ever granted: nothing may be taken.
///
/// # Errors
/// `Ledger`.
pub async fn limit_in(conn: &mut PgConnection, network: &NetworkId) -> Result<Limit, Error> {
    let mut read = [Amount::zero(Asset::Inr); 3];
    for (place, account) in
        read.iter_mut().zip([granted(network), taken(network), headroom(network)])
    {
        if let Some(balance) = ledger::balance(conn, &account.code).await? {
            *place = balance.posted;
        }
    }
    let [granted, taken, headroom] = read;
    Ok(Limit { granted, taken, headroom })
}

/// Raises or lowers the limit. `decision` names it once; who and why stands in the notes.
///
/// # Errors
/// `Ledger`; `WouldOverdraw` inside it when more is taken than would be left.
pub async fn limit_changed(
    conn: &mut PgConnection,
    base: &Base,
    network: &NetworkId,
    (amount, raise): (Amount, bool),
    decision: Uuid,
    (actor, reason): (&str, &str),
) -> Result<(), Error> {
    let (headroom, granted) = (headroom(network), granted(network));
    let leg = if raise {
        Leg::new(headroom, granted, amount)
    } else {
        Leg::new(granted, headroom, amount)
    };
    let key = format!("risk:{network}:{}", decision.simple());
    let mut change = transfer(base, key, "risk", decision, vec![leg]);
    change.meta = json!({ "by": actor, "reason": reason });
    ledger::post(conn, &change).await?;
    Ok(())
}

fn key(payment: PaymentId, event: &str) -> String {
    format!("risk:{payment}:{event}")
}

/// A payment is accepted before its deposits are final.
///
/// # Errors
/// `Ledger`; `WouldOverdraw` inside it when the limit is used up.
pub async fn risk_taken(
    conn: &mut PgConnection,
    base: &Base,
    network: &NetworkId,
    payment: PaymentId,
    amount: Amount,
) -> Result<(), Error> {
    let leg = Leg::new(taken(network), headroom(network), amount);
    let taken = transfer(base, key(payment, "taken"), "risk", payment.uuid(), vec![leg]);
    ledger::post(conn, &taken).await?;
    Ok(())
}

/// Its deposits are final: the limit has its headroom back.
///
/// # Errors
/// `Ledger`.
pub async fn risk_given_back(
    conn: &mut PgConnection,
    base: &Base,
    network: &NetworkId,
    payment: PaymentId,
    amount: Amount,
) -> Result<(), Error> {
    let leg = Leg::new(headroom(network), taken(network), amount);
    let back = transfer(base, key(payment, "back"), "risk", payment.uuid(), vec![leg]);
    ledger::post(conn, &back).await?;
    Ok(())
}

/// The house honours an accepted payment whose crypto did not stay: what is there becomes the
/// merchant's rupees, the rest is the house's loss, and the limit shrinks by what was at risk.
///
/// # Errors
/// `Ledger`, `Inconsistent`.
pub async fn honoured(
    conn: &mut PgConnection,
    base: &Base,
    (payment, at_risk): (&Payment, Amount),
    quote: &Quote,
    there: Amount,
    (actor, reason): (&str, &str),
) -> Result<(), Error> {
    let asset = quote.asset;
    let trading = chart::trading(asset);
    let lost = quote.payable.checked_sub(there)?;
    let mut legs = Vec::new();
    if there.is_positive() {
        legs.push(Leg::new(chart::deposit(payment.merchant, asset), trading.clone(), there));
    }
    if lost.is_positive() {
        legs.push(Leg::new(loss(asset), trading, lost));
    }
    let parts = split(&base.settings, payment.amount)?;
    let owed = chart::merchant(payment.merchant);
    legs.push(Leg::new(chart::trading(Asset::Inr), owed.clone(), parts.amount));
    for (taken, account) in [(parts.fee, chart::fee()), (parts.gst, chart::gst_payable())] {
        if taken.is_positive() {
            legs.push(Leg::new(owed.clone(), account, taken));
        }
    }
    let conversion = format!("conv:{}", payment.id);
    let mut bought = transfer(base, conversion, "convert", payment.id.uuid(), legs);
    bought.meta = json!({ "quote": quote.id, "honoured_by": actor, "reason": reason });
    ledger::post(conn, &bought).await?;
    let leg = Leg::new(granted(&quote.network), taken(&quote.network), at_risk);
    let lost = transfer(base, key(payment.id, "lost"), "risk", payment.id.uuid(), vec![leg]);
    ledger::post(conn, &lost).await?;
    Ok(())
}
