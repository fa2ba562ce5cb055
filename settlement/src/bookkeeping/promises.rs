//! Postings of what was promised: rupees to a shop, crypto back to a payer, money to its owner.
//!
//! Invariant: what a shop is paid is read from the legs posted here, never computed a second time:
//! a fee that changed in between changes nothing that was promised.

use ledger::{Leg, Phase, REVERSAL};
use primitives::{Amount, Asset, MerchantId, QuoteId};
use serde_json::{Value, json};
use sqlx::PgConnection;

use super::{resolution, split, transfer};
use crate::{Base, Error, chart, deposit::Deposit, payment::Payment, quote::Quote, refund::Refund};

/// What is given for what, at the quote.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Terms {
    pub crypto: Amount,
    pub rupees: Amount,
}

/// The payer's crypto becomes the shop's rupees at the quote.
///
/// # Errors
/// `Ledger`, `Inconsistent`.
pub async fn accepted(
    conn: &mut PgConnection,
    base: &Base,
    payment: &Payment,
    quote: &Quote,
    terms: Terms,
) -> Result<(), Error> {
    let asset = quote.asset;
    let parts = split(&base.settings, terms.rupees)?;
    let owed = chart::merchant(payment.merchant);
    let mut legs = vec![
        Leg::new(chart::deposit(payment.merchant, asset), chart::trading(asset), terms.crypto),
        Leg::new(chart::trading(Asset::Inr), owed.clone(), parts.amount),
    ];
    if parts.fee.is_positive() {
        legs.push(Leg::new(owed.clone(), chart::fee(), parts.fee));
    }
    if parts.gst.is_positive() {
        legs.push(Leg::new(owed, chart::gst_payable(), parts.gst));
    }
    let key = conversion_key(conn, payment).await?;
    let mut converts = transfer(base, key, "convert", payment.id.uuid(), legs);
    converts.meta = json!({ "quote": quote.id });
    ledger::post(conn, &converts).await?;
    Ok(())
}

/// `conv:<payment>`, and a number once an earlier one was reversed: the same key would post
/// nothing.
async fn conversion_key(conn: &mut PgConnection, payment: &Payment) -> Result<String, Error> {
    let first = format!("conv:{}", payment.id);
    let reversed = ledger::transfers_of(conn, payment.id.uuid())
        .await?
        .iter()
        .filter(|t| t.reverses.as_ref().is_some_and(|key| key.starts_with(&first)))
        .count();
    Ok(match reversed {
        0 => first,
        earlier => format!("{first}:{}", earlier.saturating_add(1)),
    })
}

/// The quote whose crypto the books took for a payment's rupees. What a payment was accepted for
/// early may be another: the same asset can come on two networks.
///
/// # Errors
/// `Ledger`, `Inconsistent`.
pub async fn converting_quote_in(
    conn: &mut PgConnection,
    payment: &Payment,
) -> Result<Option<QuoteId>, Error> {
    let conversion = format!("conv:{}", payment.id);
    let transfers = ledger::transfers_of(conn, payment.id.uuid()).await?;
    let stands = |key: &String| !transfers.iter().any(|t| t.reverses.as_ref() == Some(key));
    let mut converts = transfers
        .iter()
        .filter(|t| t.kind == "convert" && t.key.starts_with(&conversion) && stands(&t.key));
    let Some(last) = converts.next_back() else { return Ok(None) };
    let named = last.meta.get("quote").and_then(Value::as_str).and_then(|id| id.parse().ok());
    let unnamed = || Error::Inconsistent(format!("conversion {} without its quote", last.key));
    named.map(Some).ok_or_else(unnamed)
}

/// What the books credited a shop for one payment, after fee and taxes: the conversion's own legs,
/// less what was reversed of them.
///
/// # Errors
/// `Ledger`, `Inconsistent`.
pub async fn credited_in(conn: &mut PgConnection, payment: &Payment) -> Result<Amount, Error> {
    let owed = chart::merchant(payment.merchant).code;
    let (into, out) = moved_in(conn, payment, Asset::Inr, &owed).await?;
    Ok(into.checked_sub(out)?)
}

/// What a payment's conversions moved into and out of one account, reversals included.
async fn moved_in(
    conn: &mut PgConnection,
    payment: &Payment,
    asset: Asset,
    account: &str,
) -> Result<(Amount, Amount), Error> {
    let conversion = format!("conv:{}", payment.id);
    let (mut into, mut out) = (Amount::zero(asset), Amount::zero(asset));
    for transfer in ledger::transfers_of(conn, payment.id.uuid()).await? {
        let converts = transfer.kind == "convert" && transfer.key.starts_with(&conversion);
        let undoes = transfer.kind == REVERSAL
            && transfer.reverses.as_ref().is_some_and(|key| key.starts_with(&conversion));
        if !converts && !undoes {
            continue;
        }
        for leg in transfer.legs.iter().filter(|leg| leg.phase == Phase::Posted) {
            if leg.credit == account {
                into = into.checked_add(leg.amount)?;
            } else if leg.debit == account {
                out = out.checked_add(leg.amount)?;
            }
        }
    }
    Ok((into, out))
}

/// How much crypto of one asset the books took for a payment's rupees, less what was reversed.
///
/// # Errors
/// `Ledger`, `Inconsistent`.
pub async fn converted_in(
    conn: &mut PgConnection,
    payment: &Payment,
    asset: Asset,
) -> Result<Amount, Error> {
    let received = chart::deposit(payment.merchant, asset).code;
    let (into, out) = moved_in(conn, payment, asset, &received).await?;
    Ok(out.checked_sub(into)?)
}

/// Where promised crypto is taken from.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum TakenFrom {
    /// What was booked as paid to a shop.
    Deposit(MerchantId),
    /// What belonged to nobody yet.
    Suspense,
}

fn reserve_key(refund: &Refund) -> String {
    format!("ref:{}:reserve", refund.subject)
}

/// Crypto is promised back to a payer.
///
/// # Errors
/// `Ledger`.
pub async fn refund_promised(
    conn: &mut PgConnection,
    base: &Base,
    refund: &Refund,
    from: TakenFrom,
) -> Result<(), Error> {
    let asset = refund.amount.asset();
    let source = match from {
        TakenFrom::Deposit(merchant) => chart::deposit(merchant, asset),
        TakenFrom::Suspense => chart::suspense(asset),
    };
    let leg = Leg::new(source, chart::refund(asset), refund.amount);
    let correlation = refund.payment.map_or(refund.id.uuid(), |payment| payment.uuid());
    let kind = "refund.reserve";
    ledger::post(conn, &transfer(base, reserve_key(refund), kind, correlation, vec![leg])).await?;
    Ok(())
}

/// The promise is taken back before anything was sent: the money is where it was.
///
/// # Errors
/// `Ledger`.
pub async fn refund_withdrawn(
    conn: &mut PgConnection,
    base: &Base,
    refund: &Refund,
) -> Result<(), Error> {
    let reserve = reserve_key(refund);
    let how = resolution(base, format!("{reserve}:undo"), REVERSAL, json!({}));
    ledger::reverse(conn, &reserve, &how).await?;
    Ok(())
}

/// The payer has it: it left our addresses, and what the network took with it.
///
/// # Errors
/// `Ledger`; `WouldOverdraw` inside it when our addresses of the network hold less.
pub async fn refund_sent(
    conn: &mut PgConnection,
    base: &Base,
    refund: &Refund,
    network_fee: Option<Amount>,
) -> Result<(), Error> {
    let asset = refund.amount.asset();
    let escrow = chart::escrow(&refund.network, asset);
    let mut legs = vec![Leg::new(chart::refund(asset), escrow, refund.amount)];
    if let Some(fee) = network_fee.filter(|fee| fee.is_positive()) {
        let native = fee.asset();
        let escrow = chart::escrow(&refund.network, native);
        legs.push(Leg::new(chart::network_fee(native), escrow, fee));
    }
    let correlation = refund.payment.map_or(refund.id.uuid(), |payment| payment.uuid());
    let key = format!("ref:{}:sent", refund.subject);
    ledger::post(conn, &transfer(base, key, "refund.sent", correlation, legs)).await?;
    Ok(())
}

/// Money that belonged to nobody yet is a shop's: what is left of it pays a payment.
///
/// # Errors
/// `Ledger`.
pub async fn found_its_owner(
    conn: &mut PgConnection,
    base: &Base,
    deposit: &Deposit,
    left: Amount,
    payment: &Payment,
) -> Result<(), Error> {
    let asset = left.asset();
    let leg = Leg::new(chart::suspense(asset), chart::deposit(payment.merchant, asset), left);
    let key = format!("dep:{}:{}:assign:{}", deposit.id, deposit.sightings, payment.id);
    let kind = "suspense.assign";
    ledger::post(conn, &transfer(base, key, kind, payment.id.uuid(), vec![leg])).await?;
    Ok(())
}
