//! Wallet endpoints (`/sapi`): status, coins and networks, deposits. Withdrawals are read-only
//! here: the fleet never withdraws from this account, so the history is empty.

use serde_json::{Value, json};

use super::{
    Exchange, NAME, State,
    engine::Deposit,
    market::selected,
    wire::{Refusal, fixed, limit_param, whole_param},
};
use crate::{serving::Call, venue};

type Answer = Result<Value, Refusal>;

/// A network: the vendor's code, ours, confirmations.
type Network = (&'static str, &'static str, u32);

/// Coin, name, and its networks.
const COINS: [(&str, &str, &[Network]); 5] = [
    ("BTC", "Bitcoin", &[("BTC", "btc", 1)]),
    ("ETH", "Ethereum", &[("ETH", "eth", 6)]),
    ("SOL", "Solana", &[("SOL", "sol", 1)]),
    ("USDT", "TetherUS", &[("ETH", "eth", 6), ("SOL", "sol", 1)]),
    ("USDC", "USDC", &[("ETH", "eth", 6), ("SOL", "sol", 1)]),
];

pub(crate) fn system_status(_: &Exchange, state: &mut State, _: &Call) -> Answer {
    if state.settings.maintenance {
        return Ok(json!({"status": 1, "msg": "system_maintenance"}));
    }
    Ok(json!({"status": 0, "msg": "normal"}))
}

pub(crate) fn account_status(_: &Exchange, _: &mut State, _: &Call) -> Answer {
    Ok(json!({"data": "Normal"}))
}

/// There is no margin trading here.
pub(crate) fn no_margin(_: &Exchange, _: &mut State, _: &Call) -> Answer {
    Ok(json!([]))
}

pub(crate) fn coins(_: &Exchange, state: &mut State, _: &Call) -> Answer {
    let coin = |(coin, name, networks): &(&str, &str, &[Network])| {
        let pockets = state.holdings.get(coin);
        let network = |(network, _, confirmations): &Network| {
            json!({
                "network": network,
                "coin": coin,
                "name": network,
                "isDefault": *network == networks.first().map_or("", |first| first.0),
                "depositEnable": true,
                "withdrawEnable": true,
                "depositDesc": "",
                "withdrawDesc": "",
                "specialTips": "",
                "withdrawFee": "0.001",
                "withdrawMin": "0.01",
                "withdrawMax": "10000000",
                "withdrawIntegerMultiple": "0.00000001",
                "minConfirm": confirmations,
                "unLockConfirm": confirmations,
                "sameAddress": false,
                "busy": false,
            })
        };
        json!({
            "coin": coin,
            "name": name,
            "depositAllEnable": true,
            "withdrawAllEnable": true,
            "free": fixed(pockets.free),
            "locked": fixed(pockets.locked),
            "freeze": "0",
            "withdrawing": "0",
            "ipoing": "0",
            "ipoable": "0",
            "storage": "0",
            "isLegalMoney": false,
            "trading": true,
            "networkList": networks.iter().map(network).collect::<Vec<_>>(),
        })
    };
    Ok(Value::Array(COINS.iter().map(coin).collect()))
}

fn networks(coin: &str) -> Option<&'static [Network]> {
    COINS.iter().find(|known| known.0 == coin).map(|known| known.2)
}

pub(crate) fn deposit_address(ex: &Exchange, _: &mut State, call: &Call) -> Answer {
    let coin = call.param("coin").ok_or_else(|| Refusal::mandatory("coin"))?;
    let known = networks(coin).ok_or_else(|| Refusal::new(-4018, "coin is invalid"))?;
    let network = match call.param("network") {
        None => known.first(),
        Some(name) => known.iter().find(|network| network.0 == name),
    };
    let address = network
        .and_then(|network| venue::deposit_address(ex.world.seed, NAME, network.1))
        .ok_or_else(|| Refusal::new(-4019, "network is invalid"))?;
    Ok(json!({"address": address, "coin": coin, "tag": "", "url": ""}))
}

pub(crate) fn deposits(_: &Exchange, state: &mut State, call: &Call) -> Answer {
    let coin = call.param("coin");
    let limit = limit_param(call, 1000, 1000)?;
    let skip = usize::try_from(whole_param(call, "offset")?.unwrap_or(0)).unwrap_or(usize::MAX);
    let describe = |deposit: &Deposit| {
        let network = networks(&deposit.asset).and_then(|networks| networks.first());
        json!({
            "id": deposit.reference,
            "amount": deposit.amount.normalize().to_string(),
            "coin": deposit.asset,
            "network": network.map_or("", |network| network.0),
            "status": 1,
            "address": "",
            "addressTag": "",
            "txId": deposit.reference,
            "insertTime": deposit.at.timestamp_millis(),
            "transferType": 0,
            "confirmTimes": "1/1",
            "unlockConfirm": 0,
            "walletType": 0,
            "travelRuleStatus": 0,
        })
    };
    let found = state
        .deposits
        .iter()
        .rev()
        .filter(|deposit| coin.is_none_or(|coin| deposit.asset == coin))
        .skip(skip)
        .take(limit);
    Ok(Value::Array(found.map(describe).collect()))
}

pub(crate) fn withdraws(_: &Exchange, _: &mut State, _: &Call) -> Answer {
    Ok(json!([]))
}

pub(crate) fn trade_fee(_: &Exchange, state: &mut State, call: &Call) -> Answer {
    let (markets, _) = selected(call)?;
    let bps = i64::from(state.settings.commission_bps);
    let rate = rust_decimal::Decimal::new(bps, 4).normalize().to_string();
    let fee = |market: &&venue::Market| {
        let symbol = market.pair();
        json!({"symbol": symbol, "makerCommission": rate, "takerCommission": rate})
    };
    Ok(Value::Array(markets.iter().map(fee).collect()))
}
