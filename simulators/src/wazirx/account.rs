//! Account endpoints: balances, coins and networks, deposit address, withdrawals, stream token.
//!
//! Deliberately absent, as at the vendor: rupees in or out, crypto deposit history, fees, TDS.

use axum::response::Response;
use serde_json::{Value, json};

use super::{
    Exchange, NAME, State,
    wire::{Refusal, amount, ok},
};
use crate::{serving::Call, venue};

type Answer = Result<Response, Refusal>;

/// A network with its decimals and confirmations.
type Network = (&'static str, u32, u32);

/// Coin, name, and its networks.
const COINS: [(&str, &str, &[Network]); 5] = [
    ("btc", "Bitcoin", &[("btc", 8, 4)]),
    ("eth", "Ethereum", &[("eth", 8, 12)]),
    ("sol", "Solana", &[("sol", 8, 32)]),
    ("usdt", "Tether", &[("eth", 6, 12), ("sol", 6, 32)]),
    ("usdc", "USD Coin", &[("eth", 6, 12), ("sol", 6, 32)]),
];

pub(crate) fn account(ex: &Exchange, _: &mut State, _: &Call) -> Answer {
    ok(json!({
        "accountType": "SPOT",
        "canTrade": true,
        "canWithdraw": true,
        "canDeposit": true,
        "updateTime": ex.world.now().timestamp_millis(),
    }))
}

pub(crate) fn funds(_: &Exchange, state: &mut State, _: &Call) -> Answer {
    let fund = |(asset, pockets): (&String, &venue::Pockets)| {
        json!({
            "asset": asset.to_ascii_lowercase(),
            "free": amount(pockets.free),
            "locked": amount(pockets.locked),
            "reservedFee": "0.0",
        })
    };
    ok(Value::Array(state.holdings.all().iter().map(fund).collect()))
}

pub(crate) fn coins(_: &Exchange, _: &mut State, _: &Call) -> Answer {
    let coin = |(currency, name, networks): &(&str, &str, &[Network])| {
        let network = |(network, precision, confirmations): &Network| {
            json!({
                "network": network,
                "name": network.to_ascii_uppercase(),
                "depositEnable": true,
                "withdrawEnable": true,
                "withdrawFee": "0.001",
                "minWithdrawAmount": "0.01",
                "maxWithdrawAmount": "1000",
                "withdrawConsent": {
                    "helpUrl": null,
                    "message": "I confirm that this withdrawal is being done to my own wallet.",
                },
                "depositDust": "0.00000001",
                "isDefault": *network == networks.first().map_or("", |first| first.0),
                "precision": precision,
                "confirmations": confirmations,
                "minConfirm": confirmations,
            })
        };
        let networks: Vec<Value> = networks.iter().map(network).collect();
        json!({
            "currency": currency, "name": name, "networkList": networks, "rapidListed": false,
        })
    };
    ok(Value::Array(COINS.iter().map(coin).collect()))
}

pub(crate) fn deposit_address(ex: &Exchange, _: &mut State, call: &Call) -> Answer {
    let coin = call.param("coin").ok_or_else(|| Refusal::missing("coin"))?;
    let network = call.param("network").ok_or_else(|| Refusal::missing("network"))?;
    let known = COINS
        .iter()
        .any(|(name, _, networks)| *name == coin && networks.iter().any(|n| n.0 == network));
    let address = venue::deposit_address(ex.world.seed, NAME, network).filter(|_| known);
    let address = address.ok_or_else(|| Refusal::invalid("network does not have a valid value"))?;
    ok(json!({"address": address, "coin": coin, "url": ""}))
}

/// Nothing leaves this account over the API, so the list is empty.
pub(crate) fn withdraws(_: &Exchange, _: &mut State, _: &Call) -> Answer {
    ok(json!([]))
}

pub(crate) fn auth_token(ex: &Exchange, _: &mut State, _: &Call) -> Answer {
    let key: [u8; 32] = ex.world.entropy.bytes();
    ok(json!({"auth_key": hex::encode(key), "timeout_duration": 900}))
}
