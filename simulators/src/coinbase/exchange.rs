//! Advanced Trade (`/api/v3/brokerage`) and Exchange (`/products`) public data, in US dollars.
//!
//! Neither lists a rupee product, as at the vendor.

use chrono::SecondsFormat;
use rust_decimal::Decimal;
use serde_json::{Value, json};

use super::{Absent, Answer, NAME};
use crate::{
    World,
    prices::Quote,
    serving::Call,
    venue::{Ladder, Level, Market, decimal, floor_to},
};

const fn market(base: &'static str, tick: u32, step: u32) -> Market {
    let (tick, step) = (decimal(1, tick), decimal(1, step));
    Market { base, quote: "USD", tick, step, min_notional: Decimal::ONE }
}

static MARKETS: [Market; 4] =
    [market("BTC", 2, 8), market("ETH", 2, 8), market("SOL", 2, 8), market("USDT", 5, 2)];

fn id(market: &Market) -> String {
    format!("{}-{}", market.base, market.quote)
}

fn named(name: &str) -> Result<&'static Market, Absent> {
    MARKETS.iter().find(|market| id(market) == name).ok_or(Absent("NotFound"))
}

fn quote(world: &World, market: &Market) -> Result<Quote, Absent> {
    world.prices.shown(NAME, &market.pair(), world.now()).ok_or(Absent("NotFound"))
}

fn ladder(world: &World, market: &Market) -> Result<(Quote, Ladder), Absent> {
    let quote = quote(world, market)?;
    Ok((quote, Ladder::shown(world, NAME, market, quote)))
}

fn iso(quote: Quote) -> String {
    quote.at.to_rfc3339_opts(SecondsFormat::Micros, true)
}

fn last(market: &Market, quote: Quote) -> String {
    floor_to(quote.mid, market.tick).to_string()
}

fn best(levels: &[Level]) -> String {
    levels.first().map_or_else(|| "0".to_owned(), |level| level.price.to_string())
}

pub(super) fn brokerage_time(world: &World, _: &[&str], _: &Call) -> Answer {
    let now = world.now();
    Ok(json!({
        "iso": now.to_rfc3339_opts(SecondsFormat::Secs, true),
        "epochSeconds": now.timestamp().to_string(),
        "epochMillis": now.timestamp_millis().to_string(),
    }))
}

fn describe_listed(market: &Market, quote: Quote) -> Value {
    json!({
        "product_id": id(market),
        "price": last(market, quote),
        "price_percentage_change_24h": "0",
        "volume_24h": "1000",
        "base_increment": market.step.to_string(),
        "quote_increment": market.tick.to_string(),
        "quote_min_size": "1",
        "base_name": market.base,
        "quote_name": "US Dollar",
        "status": "online",
        "trading_disabled": false,
        "is_disabled": false,
        "product_type": "SPOT",
        "base_currency_id": market.base,
        "quote_currency_id": market.quote,
    })
}

pub(super) fn listing(world: &World, _: &[&str], _: &Call) -> Answer {
    let products: Vec<Value> = MARKETS
        .iter()
        .filter_map(|market| quote(world, market).ok().map(|quote| describe_listed(market, quote)))
        .collect();
    Ok(json!({"num_products": products.len(), "products": products}))
}

pub(super) fn listed(world: &World, parts: &[&str], _: &Call) -> Answer {
    let market = named(parts.get(5).copied().unwrap_or_default())?;
    Ok(describe_listed(market, quote(world, market)?))
}

pub(super) fn brokerage_ticker(world: &World, parts: &[&str], _: &Call) -> Answer {
    let market = named(parts.get(5).copied().unwrap_or_default())?;
    let (quote, ladder) = ladder(world, market)?;
    let trade = json!({
        "trade_id": quote.at.timestamp().to_string(),
        "product_id": id(market),
        "price": last(market, quote),
        "size": market.step.to_string(),
        "time": iso(quote),
        "side": "BUY",
    });
    Ok(json!({
        "trades": [trade], "best_bid": best(&ladder.bids), "best_ask": best(&ladder.asks),
    }))
}

pub(super) fn pricebook(world: &World, _: &[&str], call: &Call) -> Answer {
    let market = named(call.param("product_id").unwrap_or_default())?;
    let (quote, ladder) = ladder(world, market)?;
    let side = |levels: &[Level]| -> Vec<Value> {
        let level = |level: &Level| {
            let (price, size) = (level.price.to_string(), level.quantity.to_string());
            json!({"price": price, "size": size})
        };
        levels.iter().map(level).collect()
    };
    Ok(json!({
        "pricebook": {
            "product_id": id(market),
            "bids": side(&ladder.bids),
            "asks": side(&ladder.asks),
            "time": iso(quote),
        },
        "last": last(market, quote),
        "mid_market": quote.mid.round_dp(8).to_string(),
    }))
}

pub(super) fn time(world: &World, _: &[&str], _: &Call) -> Answer {
    let now = world.now();
    let epoch = format!("{}.{:03}", now.timestamp(), now.timestamp_subsec_millis());
    let epoch: Value = serde_json::from_str(&epoch).unwrap_or(Value::Null);
    Ok(json!({"iso": now.to_rfc3339_opts(SecondsFormat::Millis, true), "epoch": epoch}))
}

fn describe(market: &Market) -> Value {
    json!({
        "id": id(market),
        "base_currency": market.base,
        "quote_currency": market.quote,
        "quote_increment": market.tick.to_string(),
        "base_increment": market.step.to_string(),
        "display_name": id(market),
        "min_market_funds": "1",
        "margin_enabled": false,
        "post_only": false,
        "limit_only": false,
        "cancel_only": false,
        "status": "online",
        "status_message": "",
        "trading_disabled": false,
    })
}

pub(super) fn products(_: &World, _: &[&str], _: &Call) -> Answer {
    Ok(Value::Array(MARKETS.iter().map(describe).collect()))
}

pub(super) fn product(_: &World, parts: &[&str], _: &Call) -> Answer {
    named(parts.get(1).copied().unwrap_or_default()).map(describe)
}

pub(super) fn ticker(world: &World, parts: &[&str], _: &Call) -> Answer {
    let market = named(parts.get(1).copied().unwrap_or_default())?;
    let (quote, ladder) = ladder(world, market)?;
    Ok(json!({
        "trade_id": quote.at.timestamp(),
        "price": last(market, quote),
        "size": market.step.to_string(),
        "time": iso(quote),
        "bid": best(&ladder.bids),
        "ask": best(&ladder.asks),
        "volume": "1000",
    }))
}

pub(super) fn book(world: &World, parts: &[&str], call: &Call) -> Answer {
    let market = named(parts.get(1).copied().unwrap_or_default())?;
    let (quote, ladder) = ladder(world, market)?;
    let most = if call.param("level") == Some("2") { 50 } else { 1 };
    let side = |levels: &[Level]| -> Vec<Value> {
        let level = |level: &Level| json!([level.price.to_string(), level.quantity.to_string(), 1]);
        levels.iter().take(most).map(level).collect()
    };
    Ok(json!({
        "bids": side(&ladder.bids),
        "asks": side(&ladder.asks),
        "sequence": quote.at.timestamp_millis(),
        "auction_mode": false,
        "auction": null,
        "time": iso(quote),
    }))
}

pub(super) fn stats(world: &World, parts: &[&str], _: &Call) -> Answer {
    let market = named(parts.get(1).copied().unwrap_or_default())?;
    let quote = quote(world, market)?;
    let at_tick = |price| floor_to(price, market.tick).to_string();
    Ok(json!({
        "open": at_tick(quote.mid),
        "high": at_tick(quote.mid * decimal(101, 2)),
        "low": at_tick(quote.mid * decimal(99, 2)),
        "last": at_tick(quote.mid),
        "volume": "1000",
        "volume_30day": "30000",
    }))
}
