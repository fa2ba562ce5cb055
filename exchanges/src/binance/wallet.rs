//! Binance's words about coins on chains into ours. Pure functions.
//!
//! Invariants as for orders: a status we do not know is pending, a number that does not fit is
//! unreadable.

use primitives::{Asset, NetworkId, Rounding};

use super::wire;
use crate::{
    ClientRef,
    custody::{Passage, VenueAddress, VenueDeposit, Withdrawal, WithdrawalTerms},
    decimal::{to_amount, to_amount_exact},
    mapping::{Mapped, TEXT_MAX, millis, number, some_network, text},
};

/// 1 success, 6 "credited but cannot withdraw": both stand in the free balance and can be sold,
/// which is all a deposit of ours is for; only its way out is closed until more blocks have
/// passed. 2 rejected, 7 wrong deposit. 0 pending, 8 waiting for us to confirm, and whatever
/// comes next.
pub(super) const fn deposit_passage(status: i64) -> Passage {
    match status {
        1 | 6 => Passage::Done,
        2 | 7 => Passage::Failed,
        _ => Passage::Pending,
    }
}

/// 6 completed; 1 cancelled, 3 rejected, 5 failed. 0 mail sent, 2 awaiting approval, 4 processing.
pub(super) const fn withdrawal_passage(status: i64) -> Passage {
    match status {
        6 => Passage::Done,
        1 | 3 | 5 => Passage::Failed,
        _ => Passage::Pending,
    }
}

pub(super) fn address(
    wire: &wire::DepositAddress,
    asset: Asset,
    network: &NetworkId,
) -> Mapped<VenueAddress> {
    if wire.coin != asset.code() {
        return Err("deposit address of another coin");
    }
    let tag = wire.tag.as_deref().filter(|tag| !tag.is_empty());
    Ok(VenueAddress {
        asset,
        network: network.clone(),
        address: text(&wire.address)?,
        tag: tag.map(text).transpose()?,
    })
}

/// Anybody can send anything here, so nothing a stranger sends may hide the others: a network
/// without a name of ours keeps the venue's own, what is finer than our books stays at the venue,
/// and less than a minor unit is none.
pub(super) fn deposit(
    wire: &wire::Deposit,
    asset: Asset,
    ours: impl Fn(&str) -> Option<NetworkId>,
) -> Mapped<Option<VenueDeposit>> {
    if wire.coin != asset.code() {
        return Err("deposit of another coin");
    }
    let network = some_network(ours(&wire.network), &wire.network)?;
    let amount = to_amount(wire.amount.0, asset, Rounding::Down).ok_or("deposit out of range")?;
    if !amount.is_positive() {
        return Ok(None);
    }
    Ok(Some(VenueDeposit {
        venue_id: text(&wire.id)?,
        asset,
        network,
        amount,
        // Empty while the venue has not named it; a transfer inside the venue has words in it.
        tx_id: wire.tx_id.chars().take(TEXT_MAX).collect(),
        passage: deposit_passage(wire.status),
        at: millis(wire.insert_time)?,
    }))
}

pub(super) fn terms(
    coins: &[wire::Coin],
    asset: Asset,
    network: &str,
) -> Mapped<Option<WithdrawalTerms>> {
    let Some(coin) = coins.iter().find(|coin| coin.coin == asset.code()) else {
        return Ok(None);
    };
    let Some(way) = coin.network_list.iter().find(|way| way.network == network) else {
        return Ok(None);
    };
    Ok(Some(WithdrawalTerms {
        fee: number(&way.withdraw_fee)?,
        amount_min: number(&way.withdraw_min)?,
        is_open: coin.withdraw_all_enable && way.withdraw_enable && !way.busy,
    }))
}

pub(super) fn withdrawal(
    wire: &wire::Withdrawal,
    asset: Asset,
    client_ref: &ClientRef,
) -> Mapped<Withdrawal> {
    if wire.coin != asset.code() {
        return Err("withdrawal of another coin");
    }
    let net = to_amount_exact(wire.amount.0, asset).filter(|net| net.is_positive());
    let fee = to_amount(wire.transaction_fee.0, asset, Rounding::Up).filter(|f| f.minor() >= 0);
    Ok(Withdrawal {
        venue_id: text(&wire.id)?,
        client_ref: client_ref.clone(),
        net: net.ok_or("withdrawal out of range")?,
        fee: fee.ok_or("withdrawal fee out of range")?,
        tx_id: wire.tx_id.as_deref().filter(|id| !id.is_empty()).map(text).transpose()?,
        passage: withdrawal_passage(wire.status),
    })
}
