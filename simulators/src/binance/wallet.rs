//! Wallet endpoints (`/sapi`): status, coins and networks, deposits, fees, what the keys may do.
//! Withdrawals are in `withdraw.rs`.

use chrono::{DateTime, TimeDelta, Utc};
use serde_json::{Value, json};

use super::{
    Exchange, NAME, State,
    market::selected,
    wire::{Refusal, fixed, limit_param, whole_param},
};
use crate::{
    serving::Call,
    venue::{self, Arrival, Departure, Rail, Stage, rail_of, rails},
};

type Answer = Result<Value, Refusal>;

const COINS: [(&str, &str); 5] = [
    ("BTC", "Bitcoin"),
    ("ETH", "Ethereum"),
    ("SOL", "Solana"),
    ("USDT", "TetherUS"),
    ("USDC", "USDC"),
];
/// The longest period that deposits can be asked for.
const DAYS_90: TimeDelta = TimeDelta::days(90);

/// The vendor's codes of the networks.
const NETWORKS: [(&str, &str, &str); 4] = [
    ("bitcoin", "BTC", "Bitcoin"),
    ("ethereum", "ETH", "Ethereum (ERC20)"),
    ("base", "BASE", "Base"),
    ("solana", "SOL", "Solana"),
];

/// How the vendor writes a network of ours.
pub(crate) fn code(network: &str) -> &'static str {
    NETWORKS.iter().find(|known| known.0 == network).map_or("", |known| known.1)
}

/// The rail that `coin` and `network` name: the default network when none is named.
pub(crate) fn named_rail(coin: &str, code: Option<&str>) -> Option<&'static Rail> {
    match code {
        None => rail_of(coin, None),
        Some(code) => {
            let network = NETWORKS.iter().find(|known| known.1 == code)?.0;
            rail_of(coin, Some(network))
        }
    }
}

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

pub(crate) fn restrictions(_: &Exchange, state: &mut State, _: &Call) -> Answer {
    Ok(json!({
        "ipRestrict": true,
        "createTime": 1_700_000_000_000_i64,
        "enableReading": true,
        "enableWithdrawals": state.settings.can_withdraw,
        "enableInternalTransfer": false,
        "enableMargin": false,
        "enableFutures": false,
        "permitsUniversalTransfer": false,
        "enableVanillaOptions": false,
        "enableFixApiTrade": false,
        "enableFixReadOnly": false,
        "enableSpotAndMarginTrading": true,
        "enablePortfolioMarginTrading": false,
    }))
}

fn describe_network(ex: &Exchange, state: &State, rail: &Rail, is_default: bool) -> Value {
    let (need, unlock) = ex.world.networks.confirmations(rail);
    let name = NETWORKS.iter().find(|known| known.0 == rail.network).map_or("", |known| known.2);
    let unit = rust_decimal::Decimal::new(1, rail.places);
    json!({
        "network": code(rail.network),
        "coin": rail.coin,
        "name": name,
        "isDefault": is_default,
        "depositEnable": !state.settings.deposits_paused,
        "withdrawEnable": !state.settings.withdrawals_paused,
        "depositDesc": "",
        "withdrawDesc": "",
        "specialTips": "",
        "resetAddressStatus": false,
        "addressRegex": "",
        "memoRegex": "",
        "withdrawFee": rail.fee.to_string(),
        "withdrawMin": rail.least.to_string(),
        "withdrawMax": "10000000",
        "depositDust": unit.to_string(),
        "withdrawIntegerMultiple": unit.to_string(),
        "minConfirm": need,
        "unLockConfirm": unlock,
        "sameAddress": false,
        "estimatedArrivalTime": 1,
        "busy": false,
    })
}

pub(crate) fn coins(ex: &Exchange, state: &mut State, _: &Call) -> Answer {
    let state = &*state;
    let coin = |(coin, name): &(&str, &str)| {
        let pockets = state.holdings.get(coin);
        let networks: Vec<Value> = rails(coin)
            .enumerate()
            .map(|(place, rail)| describe_network(ex, state, rail, place == 0))
            .collect();
        json!({
            "coin": coin,
            "name": name,
            "depositAllEnable": !state.settings.deposits_paused,
            "withdrawAllEnable": !state.settings.withdrawals_paused,
            "free": fixed(pockets.free),
            "locked": fixed(pockets.locked),
            "freeze": "0",
            "withdrawing": "0",
            "ipoing": "0",
            "ipoable": "0",
            "storage": "0",
            "isLegalMoney": false,
            "trading": true,
            "networkList": networks,
        })
    };
    Ok(Value::Array(COINS.iter().map(coin).collect()))
}

pub(crate) fn deposit_address(ex: &Exchange, _: &mut State, call: &Call) -> Answer {
    let coin = call.param("coin").ok_or_else(|| Refusal::mandatory("coin"))?;
    rail_of(coin, None).ok_or_else(|| Refusal::new(-4018, "We don't have this asset."))?;
    let address = named_rail(coin, call.param("network"))
        .and_then(|rail| ex.world.deposit_address(NAME, rail.network))
        .ok_or_else(|| Refusal::new(-4019, "network is invalid"))?;
    Ok(json!({"address": address, "coin": coin, "tag": "", "url": ""}))
}

/// The vendor's number of a stage.
const fn status(stage: Stage) -> u8 {
    match stage {
        Stage::Pending => 0,
        Stage::Credited => 1,
        Stage::Rejected => 2,
        Stage::Held => 6,
        Stage::Wrong => 7,
        Stage::Waiting => 8,
    }
}

/// A deposit as the history shows it.
pub(crate) fn deposit_json(arrival: &Arrival) -> Value {
    let found = &arrival.found;
    let have = arrival.have.min(arrival.need);
    json!({
        "id": arrival.id,
        "amount": found.amount.normalize().to_string(),
        "coin": found.asset,
        "network": code(found.network),
        "status": status(arrival.stage),
        "address": found.address,
        "addressTag": "",
        "txId": found.tx_id,
        "insertTime": arrival.at.timestamp_millis(),
        "completeTime": arrival.credited_at.map(|at| at.timestamp_millis()),
        "transferType": 0,
        "confirmTimes": format!("{have}/{}", arrival.need),
        "unlockConfirm": arrival.unlock,
        "walletType": 0,
        "travelRuleStatus": 0,
    })
}

/// The newest first, within the period, at most 90 days of it.
pub(crate) fn deposits(ex: &Exchange, state: &mut State, call: &Call) -> Answer {
    let (coin, tx_id) = (call.param("coin"), call.param("txId"));
    let wanted = whole_param(call, "status")?;
    let limit = limit_param(call, 1000, 1000)?;
    let skip = usize::try_from(whole_param(call, "offset")?.unwrap_or(0)).unwrap_or(usize::MAX);
    let (from, to) = period(call, ex.world.now(), DAYS_90)?;
    let found = state
        .custody
        .arrivals
        .iter()
        .rev()
        .filter(|arrival| coin.is_none_or(|coin| arrival.found.asset == coin))
        .filter(|arrival| tx_id.is_none_or(|tx_id| arrival.found.tx_id == tx_id))
        .filter(|arrival| wanted.is_none_or(|wanted| u64::from(status(arrival.stage)) == wanted))
        .filter(|arrival| arrival.at >= from && arrival.at <= to)
        .skip(skip)
        .take(limit);
    Ok(Value::Array(found.map(deposit_json).collect()))
}

/// `startTime` and `endTime`, by default the last 90 days; refused when longer than `most`.
pub(crate) fn period(
    call: &Call,
    now: DateTime<Utc>,
    most: TimeDelta,
) -> Result<(DateTime<Utc>, DateTime<Utc>), Refusal> {
    let moment = |name| -> Result<Option<DateTime<Utc>>, Refusal> {
        let ms = whole_param(call, name)?.and_then(|ms| i64::try_from(ms).ok());
        Ok(ms.and_then(DateTime::from_timestamp_millis))
    };
    let to = moment("endTime")?.unwrap_or(now);
    let from = moment("startTime")?.unwrap_or_else(|| to - DAYS_90.min(most));
    if to < from || to - from > most {
        let text = format!("Time interval must be within 0-{} days", most.num_days());
        return Err(Refusal::new(-4047, text));
    }
    Ok((from, to))
}

/// A withdrawal as the history shows it: times are text here.
pub(crate) fn withdrawal_json(departure: &Departure) -> Value {
    let text = |at: DateTime<Utc>| at.format("%Y-%m-%d %H:%M:%S").to_string();
    let is_over = !departure.stage.is_under_way();
    let mut shown = json!({
        "id": departure.id,
        "amount": departure.amount.normalize().to_string(),
        "transactionFee": departure.rail.fee.normalize().to_string(),
        "coin": departure.rail.coin,
        "status": super::withdraw::status(departure.stage),
        "address": departure.address,
        "txId": departure.tx_id.as_deref().unwrap_or(""),
        "applyTime": text(departure.applied),
        "network": code(departure.rail.network),
        "transferType": 0,
        "info": departure.reason.as_deref().unwrap_or(""),
        "confirmNo": if departure.tx_id.is_some() { 1 } else { 0 },
        "walletType": 0,
        "txKey": "",
    });
    if let Some(fields) = shown.as_object_mut() {
        if let Some(order_id) = &departure.order_id {
            fields.insert("withdrawOrderId".to_owned(), Value::from(order_id.as_str()));
        }
        if is_over {
            fields.insert("completeTime".to_owned(), Value::from(text(departure.updated)));
        }
    }
    shown
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
