//! Coinbase's words about coins on chains into ours. Pure functions.
//!
//! Invariants as for orders: a status we do not know is pending, a number that does not fit is
//! unreadable. What a send takes from the balance is its amount, the network's fee within it, from
//! the moment that fee is told.

use chrono::{DateTime, Utc};
use primitives::{Amount, Asset, NetworkId, Rounding};
use rust_decimal::Decimal;
use sha2::{Digest as _, Sha256};

use super::wallet_wire as wire;
use crate::{
    ClientRef,
    custody::{Passage, VenueAddress, VenueDeposit, Withdrawal},
    decimal::{to_amount, to_amount_exact},
    mapping::{Mapped, TEXT_MAX, iso, some_network, text},
};

/// The venue wants a random UUID to know a send again by. Ours is made of our reference, so that
/// it is the same whenever and wherever it is asked for.
pub(super) fn idem(client_ref: &ClientRef) -> String {
    let digest = Sha256::digest(format!("coinbase send {}", client_ref.as_str()));
    let hex = hex::encode(digest);
    let part = |from: usize, to: usize| hex.get(from..to).unwrap_or_default();
    // Version 4, variant 10.
    format!("{}-{}-4{}-a{}-{}", part(0, 8), part(8, 12), part(12, 15), part(15, 18), part(18, 30))
}

pub(super) fn passage(status: &str) -> Passage {
    match status {
        "completed" => Passage::Done,
        "failed" | "expired" | "canceled" | "cancelled" => Passage::Failed,
        // pending, waiting_for_signature, waiting_for_clearing, and whatever comes next.
        _ => Passage::Pending,
    }
}

/// The account whose coins are these: a wallet, not a vault; the first one unless one is primary.
pub(super) fn wallet(accounts: &[wire::Account], asset: Asset) -> Mapped<Option<String>> {
    let fits = |a: &&wire::Account| a.kind == "wallet" && a.currency.code() == asset.code();
    let ours = || accounts.iter().filter(fits);
    let account = ours().find(|account| account.primary).or_else(|| ours().next());
    account.map(|account| text(&account.id)).transpose()
}

/// The oldest address of a network: further ones do not change which one it is.
pub(super) fn oldest(
    addresses: &[wire::Address],
    theirs: &str,
    (asset, network): (Asset, &NetworkId),
) -> Mapped<Option<VenueAddress>> {
    let on = addresses.iter().filter(|address| address.network == theirs);
    let aged = on.map(|address| Ok((iso(&address.created_at)?, &address.address, address)));
    let aged = aged.collect::<Mapped<Vec<_>>>()?;
    let first = aged.into_iter().min_by_key(|(at, address, _)| (*at, (*address).clone()));
    let Some((_, _, address)) = first else { return Ok(None) };
    let tag = address.address_info.as_ref().and_then(|info| info.destination_tag.as_deref());
    let tag = tag.filter(|tag| !tag.is_empty());
    Ok(Some(VenueAddress {
        asset,
        network: network.clone(),
        address: text(&address.address)?,
        tag: tag.map(text).transpose()?,
    }))
}

/// A credit from a chain or from another account; `None` for everything else that happens on an
/// account. Anybody can send anything, so nothing a stranger sends may hide the others.
pub(super) fn deposit(
    wire: &wire::Transaction,
    asset: Asset,
    ours: impl Fn(&str) -> Option<NetworkId>,
) -> Mapped<Option<VenueDeposit>> {
    let network = wire.network.as_ref();
    let hash = network.and_then(|network| network.hash.as_deref()).unwrap_or_default();
    let came = match wire.kind.as_str() {
        "receive" | "send" => true,
        // Whatever has no type of its own, moves between the user's own accounts among it.
        "tx" => !hash.is_empty(),
        _ => false,
    };
    if !came || wire.amount.amount.0 <= Decimal::ZERO {
        return Ok(None);
    }
    if wire.amount.currency != asset.code() {
        return Err("deposit of another coin");
    }
    let name = network.and_then(|network| network.network_name.as_deref()).unwrap_or_default();
    let amount = to_amount(wire.amount.amount.0, asset, Rounding::Down);
    let amount = amount.ok_or("deposit out of range")?;
    if !amount.is_positive() {
        return Ok(None);
    }
    Ok(Some(VenueDeposit {
        venue_id: text(&wire.id)?,
        asset,
        network: some_network(ours(name), name)?,
        amount,
        tx_id: hash.chars().take(TEXT_MAX).collect(),
        passage: passage(&wire.status),
        at: created_at(wire)?,
    }))
}

pub(super) fn created_at(wire: &wire::Transaction) -> Mapped<DateTime<Utc>> {
    iso(&wire.created_at)
}

/// A send of ours. While the network's fee is not told, the amount is what was asked for and the
/// fee is what we expected; a send that is over without one never saw a chain.
pub(super) fn withdrawal(
    wire: &wire::Transaction,
    asset: Asset,
    client_ref: &ClientRef,
    expected: Option<Amount>,
) -> Mapped<Withdrawal> {
    if wire.amount.currency != asset.code() {
        return Err("withdrawal of another coin");
    }
    let passage = passage(&wire.status);
    let total = to_amount_exact(wire.amount.amount.0.abs(), asset);
    let total = total.filter(|total| total.is_positive()).ok_or("withdrawal out of range")?;
    let told = wire.network.as_ref().and_then(|network| network.transaction_fee.as_ref());
    let (net, fee) = match told {
        Some(fee) if fee.currency == asset.code() => {
            let fee = to_amount(fee.amount.0.abs(), asset, Rounding::Up);
            let fee = fee.ok_or("withdrawal fee out of range")?;
            (total.checked_sub(fee).map_err(|_| "withdrawal out of range")?, fee)
        }
        // Taken from another balance, where the reconciliation finds it.
        Some(_) => (total, Amount::zero(asset)),
        None if passage == Passage::Pending => {
            (total, expected.unwrap_or_else(|| Amount::zero(asset)))
        }
        None => (total, Amount::zero(asset)),
    };
    if !net.is_positive() {
        return Err("withdrawal out of range");
    }
    let hash = wire.network.as_ref().and_then(|network| network.hash.as_deref());
    Ok(Withdrawal {
        venue_id: text(&wire.id)?,
        client_ref: client_ref.clone(),
        net,
        fee,
        tx_id: hash.filter(|hash| !hash.is_empty()).map(text).transpose()?,
        passage,
    })
}
