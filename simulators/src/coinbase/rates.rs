//! The v2 data API: time, exchange rates, spot, buy and sell prices, names of currencies.

use rust_decimal::Decimal;
use serde_json::{Map, Value, json};

use super::{
    Answer, NAME,
    market::ASSETS as HELD,
    wire::{Refusal, uuid_of},
};
use crate::{World, prices, serving::Call, venue::decimal};

const ASSETS: [&str; 7] = ["BTC", "ETH", "SOL", "USDT", "USDC", "USD", "INR"];
/// What buying costs beyond the spot price, and selling less: about one percent.
const FEE: Decimal = decimal(1, 2);

pub(super) fn time(world: &World) -> Answer {
    let now = world.now();
    let iso = now.to_rfc3339_opts(chrono::SecondsFormat::Secs, true);
    Ok(json!({"data": {"iso": iso, "epoch": now.timestamp()}}))
}

/// A rate as the source shows it; the `numbers` mode makes it a JSON number.
pub(super) fn shown(world: &World, pair: &str, adjust: Decimal) -> Option<Value> {
    let quote = world.prices.shown(NAME, pair, world.now())?;
    let (_, money) = prices::split(pair)?;
    let places = if money == "INR" || money == "USD" { 2 } else { 10 };
    let rate = quote.mid * adjust;
    // Small rates keep their digits.
    let places = if rate < Decimal::ONE { 18 } else { places };
    let text = rate.round_dp(places).normalize().to_string();
    if quote.as_number { serde_json::from_str(&text).ok() } else { Some(Value::from(text)) }
}

pub(super) fn exchange_rates(world: &World, call: &Call) -> Answer {
    let currency = call.param("currency").unwrap_or("USD").to_ascii_uppercase();
    if !ASSETS.contains(&currency.as_str()) {
        return Err(Refusal::absent("Invalid base currency"));
    }
    let mut rates = Map::new();
    for asset in ASSETS {
        let rate = if asset == currency {
            Some(Value::from("1.0"))
        } else {
            shown(world, &format!("{currency}{asset}"), Decimal::ONE)
        };
        if let Some(rate) = rate {
            rates.insert(asset.to_owned(), rate);
        }
    }
    Ok(json!({"data": {"currency": currency, "rates": rates}}))
}

pub(super) fn price(world: &World, pair: &str, side: &str) -> Answer {
    let unknown = || Refusal::absent("Invalid currency pair");
    let (base, currency) = pair.split_once('-').ok_or_else(unknown)?;
    let adjust = match side {
        "buy" => Decimal::ONE + FEE,
        "sell" => Decimal::ONE - FEE,
        "spot" => Decimal::ONE,
        _ => return Err(Refusal::absent("Not found")),
    };
    let amount = shown(world, &format!("{base}{currency}"), adjust);
    let amount = amount.ok_or_else(unknown)?;
    Ok(json!({"data": {"amount": amount, "base": base, "currency": currency}}))
}

/// The money of states.
pub(super) fn currencies() -> Answer {
    Ok(json!({"data": [
        {"id": "USD", "name": "US Dollar", "min_size": "0.01"},
        {"id": "INR", "name": "Indian Rupee", "min_size": "0.01"},
    ]}))
}

/// A coin as the older API describes it.
pub(super) fn describe(seed: u64, code: &str) -> Value {
    let place = HELD.iter().position(|known| known.0 == code);
    let known = place.and_then(|place| HELD.get(place));
    let Some((code, name, exponent, is_coin)) = known else { return Value::Null };
    json!({
        "code": code,
        "name": name,
        "color": "#0052FF",
        "sort_index": place.map(|place| place + 100),
        "exponent": exponent,
        "type": if *is_coin { "crypto" } else { "fiat" },
        "address_regex": "",
        "asset_id": uuid_of(seed, &format!("coinbase/asset/{code}")),
        "slug": name.to_lowercase(),
    })
}

pub(super) fn coins(world: &World) -> Answer {
    let coins = HELD.iter().filter(|known| known.3);
    let coins: Vec<Value> = coins.map(|known| describe(world.seed, known.0)).collect();
    Ok(json!({"data": coins}))
}
