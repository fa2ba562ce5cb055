//! Postings of our own coins on their way: out of our addresses, through transit, into a venue.
//!
//! Invariant: what is decided is held, so that nobody counts it twice; what is posted is what a
//! final block or the venue shows. Keys carry the round of a move: one that was unwound begins
//! anew. Nothing is edited: what a reorganisation takes back is reversed.

use ledger::{Account, Leg, REVERSAL};
use primitives::{Amount, Asset};
use serde_json::json;
use sqlx::PgConnection;

use super::{resolution, transfer};
use crate::{
    Base, Error, chart,
    treasury::{Move, MovePurpose, Transfer},
};

/// Our own coins leave one place for another.
const OUT: &str = "transfer.out";
const IN: &str = "transfer.in";
/// They left and will never be there.
const WRITE_OFF: &str = "write.off";

fn key(of: &Move, event: &str) -> String {
    format!("move:{}:{}:{event}", of.id.uuid().simple(), of.round)
}

/// What a move takes away, and who pays its fee.
fn legs(of: &Move, amount: Amount, fee: Amount) -> Vec<Leg> {
    let escrow = chart::escrow(&of.network, of.asset);
    let own_fee = chart::escrow(&of.network, fee.asset());
    let (into, out_of, pays) = match (of.purpose, &of.venue) {
        (MovePurpose::FundVenue, Some(venue)) => {
            (chart::transit(of.network.as_str(), venue, of.asset), escrow, own_fee)
        }
        (MovePurpose::ToCold, _) => (chart::cold(&of.network, of.asset), escrow, own_fee),
        _ => {
            let gas = chart::gas(&of.network, of.asset);
            (escrow, gas.clone(), gas)
        }
    };
    let legs =
        [Leg::new(into, out_of, amount), Leg::new(chart::network_fee(fee.asset()), pays, fee)];
    legs.into_iter().filter(|leg| leg.amount.is_positive()).collect()
}

/// The accounts a move takes from, and how much at most: what must be there to plan it.
///
/// # Errors
/// `Inconsistent` outside the range of the books.
pub(crate) fn taken(of: &Move) -> Result<Vec<(Account, Amount)>, Error> {
    let mut taken: Vec<(Account, Amount)> = Vec::new();
    for leg in legs(of, of.amount, of.fee_max) {
        match taken.iter_mut().find(|(account, _)| account.code == leg.credit.code) {
            Some((_, sum)) => *sum = sum.checked_add(leg.amount)?,
            None => taken.push((leg.credit, leg.amount)),
        }
    }
    Ok(taken)
}

/// Sets aside what an attempt may take; answers the key of the hold.
///
/// # Errors
/// `Ledger`; `WouldOverdraw` inside it when it is not there.
pub async fn move_held(
    conn: &mut PgConnection,
    base: &Base,
    of: &Move,
    attempt: i32,
) -> Result<String, Error> {
    let hold = key(of, &format!("hold:{attempt}"));
    let legs = legs(of, of.amount, of.fee_max);
    ledger::hold(conn, &transfer(base, hold.clone(), OUT, of.id.uuid(), legs)).await?;
    Ok(hold)
}

/// Gives up what was set aside, if something is.
///
/// # Errors
/// `Ledger`.
pub async fn move_released(
    conn: &mut PgConnection,
    base: &Base,
    hold: Option<&str>,
) -> Result<(), Error> {
    let Some(hold) = hold else { return Ok(()) };
    let how = resolution(base, format!("{hold}:released"), OUT, json!({}));
    ledger::release(conn, hold, &how).await?;
    Ok(())
}

/// A final block shows what left, and what it cost.
///
/// # Errors
/// `Ledger`.
pub async fn move_out(
    conn: &mut PgConnection,
    base: &Base,
    of: &Move,
    arrived: Amount,
    cost: Amount,
) -> Result<(), Error> {
    let legs = legs(of, arrived, cost);
    let mut out = transfer(base, key(of, "out"), OUT, of.id.uuid(), legs);
    out.meta = json!({ "block": of.block_hash, "attempt": of.won });
    ledger::post(conn, &out).await?;
    Ok(())
}

/// A final block shows a transaction that failed: the network took its fee and nothing else.
///
/// # Errors
/// `Ledger`.
pub async fn move_failed(
    conn: &mut PgConnection,
    base: &Base,
    of: &Move,
    cost: Amount,
) -> Result<(), Error> {
    if !cost.is_positive() {
        return Ok(());
    }
    let fee_only = legs(of, Amount::zero(of.asset), cost);
    let mut failed = transfer(base, key(of, "out"), OUT, of.id.uuid(), fee_only);
    failed.meta = json!({ "block": of.block_hash, "attempt": of.won, "failed": true });
    ledger::post(conn, &failed).await?;
    Ok(())
}

/// A venue shows it.
///
/// # Errors
/// `Ledger`.
pub async fn move_credited(
    conn: &mut PgConnection,
    base: &Base,
    of: &Move,
    venue: &str,
    amount: Amount,
) -> Result<(), Error> {
    let transit = chart::transit(of.network.as_str(), venue, of.asset);
    let lost = of.arrived.map_or(Amount::zero(of.asset), |sent| crumbs(base, venue, sent, amount));
    let legs = arrival(venue, &transit, amount, lost);
    ledger::post(conn, &transfer(base, key(of, "in"), IN, of.id.uuid(), legs)).await?;
    Ok(())
}

/// What a venue cut off, where that is all it credited short; nothing otherwise. It cuts to its own
/// step: what is finer is never credited.
pub(crate) fn crumbs(base: &Base, venue: &str, sent: Amount, credited: Amount) -> Amount {
    let asset = sent.asset();
    let unit = base.settings.treasury.credit_step(venue, asset);
    match sent.checked_sub(credited) {
        Ok(short) if short.is_positive() && short.minor() < unit => short,
        _ => Amount::zero(asset),
    }
}

fn arrival(venue: &str, transit: &Account, amount: Amount, lost: Amount) -> Vec<Leg> {
    let free = chart::venue_free(venue, amount.asset());
    let rounding = chart::venue_crumbs(venue, amount.asset());
    let legs = [Leg::new(free, transit.clone(), amount), Leg::new(rounding, transit.clone(), lost)];
    legs.into_iter().filter(|leg| leg.amount.is_positive()).collect()
}

/// The final block is gone: what was posted for this round is reversed, the newest first.
///
/// # Errors
/// `Ledger`; `WouldOverdraw` inside it when the venue's coins have moved on.
pub async fn move_unwound(conn: &mut PgConnection, base: &Base, of: &Move) -> Result<(), Error> {
    for event in ["lost", "in", "out"] {
        let posted = key(of, event);
        if ledger::find(conn, &posted).await?.is_none() {
            continue;
        }
        let notes = json!({ "block": of.block_hash });
        let how = resolution(base, format!("{posted}:undo"), REVERSAL, notes);
        ledger::reverse(conn, &posted, &how).await?;
    }
    Ok(())
}

/// What of a move is booked as credited, and what as lost, in this round.
///
/// # Errors
/// `Ledger`.
pub(crate) async fn move_taken(
    conn: &mut PgConnection,
    of: &Move,
) -> Result<(Amount, bool), Error> {
    taken_by(conn, of.asset, [key(of, "in"), key(of, "lost")]).await
}

/// As above, of a transfer.
///
/// # Errors
/// `Ledger`.
pub(crate) async fn transfer_taken(
    conn: &mut PgConnection,
    of: &Transfer,
) -> Result<(Amount, bool), Error> {
    let keys = [transfer_key(of, "in"), transfer_key(of, "lost")];
    taken_by(conn, of.amount.asset(), keys).await
}

/// What is out of transit again, by what was posted, crumbs included; true when it is written off.
async fn taken_by(
    conn: &mut PgConnection,
    asset: Asset,
    [credited, lost]: [String; 2],
) -> Result<(Amount, bool), Error> {
    let mut taken = Amount::zero(asset);
    if let Some(posted) = ledger::find(conn, &credited).await? {
        for leg in &posted.legs {
            taken = taken.checked_add(leg.amount)?;
        }
    }
    Ok((taken, ledger::find(conn, &lost).await?.is_some()))
}

/// It will never be credited, and two people have signed that.
///
/// # Errors
/// `Ledger`.
pub(crate) async fn move_lost(
    conn: &mut PgConnection,
    base: &Base,
    of: &Move,
    (venue, amount): (&str, Amount),
    owners: &[String],
) -> Result<(), Error> {
    let transit = chart::transit(of.network.as_str(), venue, of.asset);
    lost(conn, base, (key(of, "lost"), of.id.uuid()), (transit, amount), owners).await
}

/// As above, of a transfer.
///
/// # Errors
/// `Ledger`.
pub(crate) async fn transfer_lost(
    conn: &mut PgConnection,
    base: &Base,
    of: &Transfer,
    amount: Amount,
    owners: &[String],
) -> Result<(), Error> {
    let transit = chart::transit(&of.from, &of.to, of.amount.asset());
    lost(conn, base, (transfer_key(of, "lost"), of.id.uuid()), (transit, amount), owners).await
}

async fn lost(
    conn: &mut PgConnection,
    base: &Base,
    (key, correlation): (String, uuid::Uuid),
    (transit, amount): (Account, Amount),
    owners: &[String],
) -> Result<(), Error> {
    let leg = Leg::new(super::reorg::loss(amount.asset()), transit, amount);
    let mut lost = transfer(base, key, WRITE_OFF, correlation, vec![leg]);
    lost.meta = json!({ "signed_by": owners });
    ledger::post(conn, &lost).await?;
    Ok(())
}

fn transfer_key(of: &Transfer, event: &str) -> String {
    format!("vtr:{}:{event}", of.id.uuid().simple())
}

/// Coins are asked to leave a venue for another.
///
/// # Errors
/// `Ledger`; `WouldOverdraw` inside it when the venue does not hold them free.
pub async fn transfer_held(
    conn: &mut PgConnection,
    base: &Base,
    of: &Transfer,
) -> Result<(), Error> {
    let asset = of.amount.asset();
    let transit = chart::transit(&of.from, &of.to, asset);
    let leg = Leg::new(transit, chart::venue_free(&of.from, asset), of.amount);
    let hold = transfer(base, transfer_key(of, "hold"), OUT, of.id.uuid(), vec![leg]);
    ledger::hold(conn, &hold).await?;
    Ok(())
}

/// They did not leave.
///
/// # Errors
/// `Ledger`.
pub async fn transfer_released(
    conn: &mut PgConnection,
    base: &Base,
    of: &Transfer,
) -> Result<(), Error> {
    let hold = transfer_key(of, "hold");
    let how = resolution(base, transfer_key(of, "released"), OUT, json!({}));
    ledger::release(conn, &hold, &how).await?;
    Ok(())
}

/// They left, less what the venue took.
///
/// # Errors
/// `Ledger`.
pub async fn transfer_left(
    conn: &mut PgConnection,
    base: &Base,
    of: &Transfer,
    net: Amount,
    fee: Amount,
) -> Result<(), Error> {
    transfer_released(conn, base, of).await?;
    let asset = of.amount.asset();
    let free = chart::venue_free(&of.from, asset);
    let legs = [
        Leg::new(chart::transit(&of.from, &of.to, asset), free.clone(), net),
        Leg::new(chart::venue_fee(asset), free, fee),
    ];
    let legs = legs.into_iter().filter(|leg| leg.amount.is_positive()).collect();
    ledger::post(conn, &transfer(base, transfer_key(of, "out"), OUT, of.id.uuid(), legs)).await?;
    Ok(())
}

/// The other venue shows them.
///
/// # Errors
/// `Ledger`.
pub async fn transfer_credited(
    conn: &mut PgConnection,
    base: &Base,
    of: &Transfer,
    amount: Amount,
) -> Result<(), Error> {
    let asset = of.amount.asset();
    let transit = chart::transit(&of.from, &of.to, asset);
    let lost = of.net.map_or(Amount::zero(asset), |net| crumbs(base, &of.to, net, amount));
    let legs = arrival(&of.to, &transit, amount, lost);
    ledger::post(conn, &transfer(base, transfer_key(of, "in"), IN, of.id.uuid(), legs)).await?;
    Ok(())
}
