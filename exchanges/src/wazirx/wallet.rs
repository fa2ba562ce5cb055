//! WazirX's words about coins on chains into ours. Pure functions.
//!
//! Invariants as for orders: a status we do not know is pending, a number that does not fit is
//! unreadable. The documentation numbers the statuses of withdrawals, the venue writes words; both
//! are read.

use primitives::{Asset, NetworkId, Rounding};
use serde_json::value::RawValue;

use super::wire;
use crate::{
    ClientRef,
    custody::{Passage, VenueAddress, Withdrawal, WithdrawalTerms},
    decimal::{to_amount, to_amount_exact},
    mapping::{Mapped, TEXT_MAX, number, text},
};

/// `eth`
pub(super) fn coin(asset: Asset) -> String {
    asset.code().to_ascii_lowercase()
}

/// Text, or a bare number.
pub(super) fn id(raw: &RawValue) -> Mapped<String> {
    let text = raw.get().trim_matches('"');
    let plain = !text.is_empty()
        && text.len() <= TEXT_MAX
        && text.bytes().all(|b| b.is_ascii_alphanumeric() || matches!(b, b'-' | b'_'))
        && text != "null";
    if plain { Ok(text.to_owned()) } else { Err("an id that cannot be one") }
}

pub(super) fn address(
    wire: &wire::DepositAddress,
    asset: Asset,
    network: &NetworkId,
) -> Mapped<VenueAddress> {
    if wire.coin.as_deref().is_some_and(|coin| !coin.eq_ignore_ascii_case(asset.code())) {
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

pub(super) fn terms(
    coins: &[wire::Coin],
    asset: Asset,
    network: &str,
) -> Mapped<Option<WithdrawalTerms>> {
    let ways = coins
        .iter()
        .filter(|coin| coin.currency.eq_ignore_ascii_case(asset.code()))
        .flat_map(|coin| &coin.network_list);
    let Some(way) = ways.into_iter().find(|way| way.network.eq_ignore_ascii_case(network)) else {
        return Ok(None);
    };
    Ok(Some(WithdrawalTerms {
        fee: number(&way.withdraw_fee)?,
        amount_min: number(&way.min_withdraw_amount)?,
        is_open: way.withdraw_enable,
    }))
}

/// Words are what the venue writes; the numbers are those of its documentation, which has them from
/// the scheme it copied: 6 completed, 1 cancelled, 3 rejected, 5 failed.
pub(super) fn passage(status: &RawValue) -> Passage {
    match status.get().trim_matches('"').to_ascii_lowercase().as_str() {
        "success" | "completed" | "6" => Passage::Done,
        "failed" | "cancelled" | "canceled" | "rejected" | "1" | "3" | "5" => Passage::Failed,
        _ => Passage::Pending,
    }
}

pub(super) fn withdrawal(
    wire: &wire::Withdrawal,
    asset: Asset,
    client_ref: &ClientRef,
) -> Mapped<Withdrawal> {
    if !wire.coin.eq_ignore_ascii_case(asset.code()) {
        return Err("withdrawal of another coin");
    }
    let net = to_amount_exact(wire.amount.0, asset).filter(|net| net.is_positive());
    let fee = wire.transaction_fee.ok_or("withdrawal without its fee")?.0;
    let fee = to_amount(fee, asset, Rounding::Up).filter(|fee| fee.minor() >= 0);
    Ok(Withdrawal {
        venue_id: id(&wire.id)?,
        client_ref: client_ref.clone(),
        net: net.ok_or("withdrawal out of range")?,
        fee: fee.ok_or("withdrawal fee out of range")?,
        tx_id: wire.tx_id.as_deref().filter(|id| !id.is_empty()).map(text).transpose()?,
        passage: passage(&wire.status),
    })
}
