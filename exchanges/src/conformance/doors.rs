//! Promises of the doors for coins: addresses, terms, withdrawals asked for once.

use chrono::{DateTime, TimeDelta, Utc};
use primitives::{Asset, CallError, NetworkId};
use rust_decimal::Decimal;

use super::{Conformity, done, hold};
use crate::{
    Custody, Exchange, Holding,
    custody::{NewWithdrawal, Passage, Withdrawal},
};

/// A venue's address of a coin is the same twice, and its terms of sending it make sense.
///
/// # Errors
/// The first broken promise.
pub async fn doors_make_sense(
    custody: &dyn Custody,
    asset: Asset,
    network: &NetworkId,
    now: DateTime<Utc>,
) -> Conformity {
    let address = done(custody.deposit_address(asset, network).await, "deposit_address")?;
    hold(address.asset == asset && address.network == *network, "the address of what was asked")?;
    hold(!address.address.trim().is_empty(), "an address is not empty")?;
    let again = done(custody.deposit_address(asset, network).await, "deposit_address")?;
    hold(address == again, "an address stays")?;
    let terms = done(custody.withdrawal_terms(asset, network).await, "withdrawal_terms")?;
    hold(terms.fee >= Decimal::ZERO && terms.amount_min >= Decimal::ZERO, "terms are no debts")?;
    let nowhere = NetworkId::new("no-such-network").ok_or("a name of a network")?;
    let refused = custody.deposit_address(asset, &nowhere).await;
    hold(matches!(refused, Err(CallError::Rejected { .. })), "unknown networks are refused")?;
    let since = now.checked_sub_signed(TimeDelta::hours(1)).unwrap_or(now);
    let deposits = done(custody.deposits(asset, since).await, "deposits")?;
    for deposit in deposits.into_iter().flatten() {
        hold(deposit.asset == asset && deposit.amount.asset() == asset, "only what was asked for")?;
        hold(deposit.amount.is_positive(), "a deposit is something")?;
    }
    Ok(())
}

/// A withdrawal is found by our reference, takes from the balance what was asked for, and its fee
/// is part of that.
///
/// # Errors
/// The first broken promise.
pub async fn withdraws_once(
    (exchange, custody): (&dyn Exchange, &dyn Custody),
    new: &NewWithdrawal,
) -> Result<Withdrawal, String> {
    let asset = new.amount.asset();
    let absent = done(custody.find_withdrawal(asset, &new.client_ref).await, "find_withdrawal")?;
    hold(absent.is_none(), "an unused reference finds nothing")?;
    let free = |holdings: Vec<Holding>| {
        let held = holdings.into_iter().find(|holding| holding.asset == asset);
        held.map_or(0, |holding| holding.free.minor())
    };
    let before = free(done(exchange.holdings().await, "holdings")?);
    let asked = done(custody.withdraw(new).await, "withdraw")?;
    hold(asked.passage != Passage::Failed, "what is asked for is not over")?;
    let found = done(custody.find_withdrawal(asset, &new.client_ref).await, "find_withdrawal")?
        .ok_or("a withdrawal is found by our reference")?;
    hold(found.venue_id == asked.venue_id, "find agrees with withdraw")?;
    let whole = found.net.checked_add(found.fee).ok();
    hold(whole == Some(new.amount), "what arrives and the fee are what was asked for")?;
    hold((asked.net, asked.fee) == (found.net, found.fee), "the terms were true")?;
    let after = free(done(exchange.holdings().await, "holdings")?);
    hold(before.saturating_sub(after) == new.amount.minor(), "the balance is lower by it")?;
    Ok(found)
}
