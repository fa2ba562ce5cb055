//! What the books do when a block that was final is gone, and when its deposit comes back.
//!
//! Invariant: nothing is edited. The deposit leaves `escrow` by a contra entry: what is still owed
//! for it leaves with it, and what has become rupees already is a claim on nobody, written off to
//! the loss account. How much of it is which is reckoned elsewhere: `deposit/gone.rs`.

use ledger::{Account, Leg};
use primitives::{Amount, Asset};
use serde_json::json;
use sqlx::PgConnection;

use super::transfer;
use crate::{
    Base, Error, chart,
    deposit::{Deposit, Purpose},
    payment::Payment,
};

fn receivable(asset: Asset) -> Account {
    Account::new("receivable", format!("claim:{asset}"), asset)
}

pub(super) fn loss(asset: Asset) -> Account {
    Account::new("loss", format!("loss:{asset}"), asset)
}

/// How a deposit that is gone leaves the books.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Unwound {
    /// Leaves together with the debt it is still owed for.
    pub unspent: Amount,
    /// Has become rupees, or was sent back: the house bears it.
    pub lost: Amount,
}

fn key(deposit: &Deposit, event: &str) -> String {
    let d = deposit;
    format!("reorg:{}:{}:{}:{}:{event}", d.network, d.tx_id, d.ordinal, d.sightings)
}

/// Where the books owe what is left of a deposit.
fn owed(deposit: &Deposit, owner: Option<&Payment>) -> Account {
    let asset = deposit.amount.asset();
    match (deposit.purpose, owner) {
        (Purpose::Payment, Some(payment)) => chart::deposit(payment.merchant, asset),
        _ => chart::suspense(asset),
    }
}

/// True when the books still hold at least this deposit on the network's addresses.
///
/// # Errors
/// `Ledger`, `Inconsistent`.
pub async fn is_covered(conn: &mut PgConnection, deposit: &Deposit) -> Result<bool, Error> {
    let escrow = chart::escrow(&deposit.network, deposit.amount.asset());
    let balance = ledger::balance(conn, &escrow.code).await?;
    let available = balance.map(|b| b.available()).transpose()?;
    Ok(available.is_some_and(|held| held.minor() >= deposit.amount.minor()))
}

/// Takes a confirmed deposit out of the books again: contra entries to `escrow`, and what was spent
/// to the loss account.
///
/// # Errors
/// `Ledger`.
pub async fn unwound(
    conn: &mut PgConnection,
    base: &Base,
    deposit: &Deposit,
    owner: Option<&Payment>,
    how: &Unwound,
) -> Result<(), Error> {
    let asset = deposit.amount.asset();
    let escrow = chart::escrow(&deposit.network, asset);
    let parts = [(how.unspent, owed(deposit, owner)), (how.lost, receivable(asset))];
    let legs = parts
        .into_iter()
        .filter(|(amount, _)| amount.is_positive())
        .map(|(amount, account)| Leg::new(account, escrow.clone(), amount))
        .collect();
    let correlation = deposit.payment.map_or(deposit.id.uuid(), |p| p.uuid());
    let notes = json!({ "deposit": deposit.id, "block": deposit.block_hash });
    let mut gone = transfer(base, key(deposit, "gone"), "deposit.reorg", correlation, legs);
    gone.meta = notes.clone();
    ledger::post(conn, &gone).await?;
    if how.lost.is_positive() {
        let leg = Leg::new(loss(asset), receivable(asset), how.lost);
        let mut lost = transfer(base, key(deposit, "lost"), "write.off", correlation, vec![leg]);
        lost.meta = notes;
        ledger::post(conn, &lost).await?;
    }
    Ok(())
}

/// A deposit the house had borne is final again: the loss is credited with what came back.
///
/// # Errors
/// `Ledger`.
pub async fn loss_returned(
    conn: &mut PgConnection,
    base: &Base,
    deposit: &Deposit,
    owner: Option<&Payment>,
    amount: Amount,
) -> Result<(), Error> {
    let correlation = deposit.payment.map_or(deposit.id.uuid(), |p| p.uuid());
    let leg = Leg::new(owed(deposit, owner), loss(amount.asset()), amount);
    let key = key(deposit, "returned");
    let mut back = transfer(base, key, "reorg.returned", correlation, vec![leg]);
    back.meta = json!({ "deposit": deposit.id });
    ledger::post(conn, &back).await?;
    Ok(())
}
