//! The older exchange's public data: `/products` and below. It has no timestamps but its own.

use chrono::SecondsFormat;
use serde_json::{Value, json};

use super::{
    Answer,
    market::{PRODUCTS, Product, best, ladder, last, named, quote},
};
use crate::{
    World,
    prices::Quote,
    serving::Call,
    venue::{Level, decimal, floor_to},
};

fn iso(quote: Quote) -> String {
    quote.at.to_rfc3339_opts(SecondsFormat::Micros, true)
}

pub(super) fn time(world: &World) -> Answer {
    let now = world.now();
    let epoch = format!("{}.{:03}", now.timestamp(), now.timestamp_subsec_millis());
    let epoch: Value = serde_json::from_str(&epoch).unwrap_or(Value::Null);
    Ok(json!({"iso": now.to_rfc3339_opts(SecondsFormat::Millis, true), "epoch": epoch}))
}

fn describe(product: &Product) -> Value {
    let (market, id) = (&product.market, product.id());
    json!({
        "id": id,
        "base_currency": market.base,
        "quote_currency": market.quote,
        "quote_increment": market.tick.to_string(),
        "base_increment": market.step.to_string(),
        "display_name": id,
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

pub(super) fn products() -> Answer {
    Ok(Value::Array(PRODUCTS.iter().map(describe).collect()))
}

pub(super) fn product(id: &str) -> Answer {
    named(id).map(describe)
}

pub(super) fn ticker(world: &World, id: &str) -> Answer {
    let product = named(id)?;
    let (quote, ladder) = ladder(world, product)?;
    Ok(json!({
        "trade_id": quote.at.timestamp(),
        "price": last(product, quote),
        "size": product.market.step.to_string(),
        "time": iso(quote),
        "bid": best(&ladder.bids),
        "ask": best(&ladder.asks),
        "volume": "1000",
    }))
}

pub(super) fn book(world: &World, id: &str, call: &Call) -> Answer {
    let (quote, ladder) = ladder(world, named(id)?)?;
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

pub(super) fn stats(world: &World, id: &str) -> Answer {
    let product = named(id)?;
    let quote = quote(world, product)?;
    let at_tick = |price| floor_to(price, product.market.tick).to_string();
    Ok(json!({
        "open": at_tick(quote.mid),
        "high": at_tick(quote.mid * decimal(101, 2)),
        "low": at_tick(quote.mid * decimal(99, 2)),
        "last": at_tick(quote.mid),
        "volume": "1000",
        "volume_30day": "30000",
    }))
}
