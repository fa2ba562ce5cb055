//! The v2 data API: time, exchange rates, spot, buy and sell prices.

use rust_decimal::Decimal;
use serde_json::{Map, Value, json};

use super::{Absent, Answer, NAME};
use crate::{World, prices, serving::Call, venue::decimal};

const ASSETS: [&str; 7] = ["BTC", "ETH", "SOL", "USDT", "USDC", "USD", "INR"];
/// What buying costs beyond the spot price, and selling less: about one percent.
const FEE: Decimal = decimal(1, 2);

pub(super) fn time(world: &World, _: &[&str], _: &Call) -> Answer {
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

pub(super) fn exchange_rates(world: &World, _: &[&str], call: &Call) -> Answer {
    let currency = call.param("currency").unwrap_or("USD").to_ascii_uppercase();
    if !ASSETS.contains(&currency.as_str()) {
        return Err(Absent("Invalid base currency"));
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

pub(super) fn price(world: &World, parts: &[&str], _: &Call) -> Answer {
    let pair = parts.get(2).copied().unwrap_or_default();
    let (base, currency) = pair.split_once('-').ok_or(Absent("Invalid currency pair"))?;
    let adjust = match parts.get(3).copied() {
        Some("buy") => Decimal::ONE + FEE,
        Some("sell") => Decimal::ONE - FEE,
        _ => Decimal::ONE,
    };
    let amount = shown(world, &format!("{base}{currency}"), adjust);
    let amount = amount.ok_or(Absent("Invalid currency pair"))?;
    Ok(json!({"data": {"amount": amount, "base": base, "currency": currency}}))
}
