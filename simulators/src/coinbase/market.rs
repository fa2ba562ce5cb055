//! Products of the trading API: the table, how they are shown, tickers and books.
//!
//! Invariant: an order that keeps to the increments and sizes shown here is not refused for them.
//! Bitcoin, ether and SOL in USDC stand for their dollar books, as at the vendor, with the prices
//! of USDC. The same products in the older exchange's dialect are in `exchange.rs`.

use chrono::SecondsFormat;
use rust_decimal::Decimal;
use serde_json::{Value, json};

use super::{
    Answer, NAME,
    settings::{Mode, Settings},
    wire::{Refusal, all_of, micros, plain},
};
use crate::{
    World,
    prices::Quote,
    serving::Call,
    venue::{Ladder, Level, Market, decimal, floor_to},
};

/// A product of the vendor's list.
#[derive(Debug)]
pub(crate) struct Product {
    pub(crate) market: Market,
    pub(crate) least: Decimal,
    pub(crate) most: Decimal,
    /// The product whose book this one shares.
    alias: &'static str,
    alias_to: &'static [&'static str],
    pub(crate) is_stable: bool,
}

const fn product(base: &'static str, quote: &'static str, least: Decimal, most: u32) -> Product {
    let (tick, step) = (decimal(1, 2), decimal(1, 8));
    let market = Market { base, quote, tick, step, min_notional: Decimal::ONE };
    let most = decimal(most, 0);
    Product { market, least, most, alias: "", alias_to: &[], is_stable: false }
}

const fn bitcoin(quote: &'static str) -> Product {
    product("BTC", quote, decimal(1, 5), 3_400)
}

const fn ether(quote: &'static str) -> Product {
    product("ETH", quote, decimal(1, 4), 42_000)
}

const fn sol(quote: &'static str) -> Product {
    product("SOL", quote, decimal(1, 2), 800_000)
}

const fn tether(quote: &'static str) -> Product {
    let (tick, step) = (decimal(1, 5), decimal(1, 2));
    let market = Market { base: "USDT", quote, tick, step, min_notional: Decimal::ONE };
    let (least, most) = (Decimal::ONE, decimal(30_000_000, 0));
    Product { market, least, most, alias: "", alias_to: &[], is_stable: true }
}

pub(crate) static PRODUCTS: [Product; 11] = [
    Product { alias_to: &["BTC-USDC"], ..bitcoin("USD") },
    Product { alias_to: &["ETH-USDC"], ..ether("USD") },
    Product { alias_to: &["SOL-USDC"], ..sol("USD") },
    tether("USD"),
    bitcoin("USDT"),
    ether("USDT"),
    sol("USDT"),
    tether("USDC"),
    Product { alias: "BTC-USD", ..bitcoin("USDC") },
    Product { alias: "ETH-USD", ..ether("USDC") },
    Product { alias: "SOL-USD", ..sol("USDC") },
];

/// Name and places of the assets the account can hold, and whether they are coins.
pub(crate) const ASSETS: [(&str, &str, u32, bool); 6] = [
    ("BTC", "Bitcoin", 8, true),
    ("ETH", "Ethereum", 8, true),
    ("SOL", "Solana", 9, true),
    ("USDT", "Tether", 6, true),
    ("USDC", "USDC", 6, true),
    ("USD", "US Dollar", 2, false),
];

fn title(asset: &str) -> &'static str {
    ASSETS.iter().find(|known| known.0 == asset).map_or("", |known| known.1)
}

impl Product {
    /// `BTC-USDT`.
    pub(crate) fn id(&self) -> String {
        format!("{}-{}", self.market.base, self.market.quote)
    }
}

pub(super) fn find(id: &str) -> Option<&'static Product> {
    PRODUCTS.iter().find(|product| product.id() == id)
}

pub(super) fn named(id: &str) -> Result<&'static Product, Refusal> {
    find(id).ok_or_else(|| Refusal::not_found("valid product_id is required"))
}

pub(super) fn quote(world: &World, product: &Product) -> Result<Quote, Refusal> {
    let quote = world.prices.shown(NAME, &product.market.pair(), world.now());
    quote.ok_or_else(|| Refusal::not_found("valid product_id is required"))
}

pub(super) fn ladder(world: &World, product: &Product) -> Result<(Quote, Ladder), Refusal> {
    let quote = quote(world, product)?;
    Ok((quote, Ladder::shown(world, NAME, &product.market, quote)))
}

pub(super) fn last(product: &Product, quote: Quote) -> String {
    floor_to(quote.mid, product.market.tick).to_string()
}

pub(super) fn best(levels: &[Level]) -> String {
    levels.first().map_or_else(|| "0".to_owned(), |level| level.price.to_string())
}

pub(super) fn time(world: &World, settings: &Settings) -> Value {
    let now = world.now() + chrono::TimeDelta::milliseconds(settings.clock_offset_ms);
    json!({
        "iso": now.to_rfc3339_opts(SecondsFormat::Secs, true),
        "epochSeconds": now.timestamp().to_string(),
        "epochMillis": now.timestamp_millis().to_string(),
    })
}

fn describe(settings: &Settings, product: &Product, quote: Quote) -> Value {
    let (market, id) = (&product.market, product.id());
    let mode = settings.mode(&id);
    let volume = decimal(1000, 0);
    json!({
        "product_id": id,
        "price": last(product, quote),
        "price_percentage_change_24h": "0",
        "volume_24h": plain(volume),
        "volume_percentage_change_24h": "0",
        "base_increment": market.step.to_string(),
        "quote_increment": market.tick.to_string(),
        "quote_min_size": plain(market.min_notional),
        "quote_max_size": "150000000",
        "base_min_size": product.least.to_string(),
        "base_max_size": plain(product.most),
        "base_name": title(market.base),
        "quote_name": title(market.quote),
        "watched": false,
        "is_disabled": mode == Mode::ViewOnly,
        "new": false,
        "status": "online",
        "cancel_only": mode == Mode::CancelOnly,
        "limit_only": mode == Mode::LimitOnly,
        "post_only": mode == Mode::PostOnly,
        "trading_disabled": mode == Mode::TradingDisabled,
        "auction_mode": false,
        "product_type": "SPOT",
        "quote_currency_id": market.quote,
        "base_currency_id": market.base,
        "fcm_trading_session_details": null,
        "mid_market_price": "",
        "alias": product.alias,
        "alias_to": product.alias_to,
        "base_display_symbol": market.base,
        "quote_display_symbol": market.quote,
        "view_only": mode == Mode::ViewOnly,
        "price_increment": market.tick.to_string(),
        "display_name": id,
        "product_venue": "CBE",
        "approximate_quote_24h_volume": plain((volume * quote.mid).round_dp(2)),
    })
}

/// Spot products alone: the vendor's futures are not simulated.
pub(super) fn listing(world: &World, settings: &Settings, call: &Call) -> Answer {
    let wanted = all_of(call, "product_ids");
    let is_spot = !matches!(call.param("product_type"), Some("FUTURE"));
    let products: Vec<Value> = PRODUCTS
        .iter()
        .filter(|product| is_spot && (wanted.is_empty() || wanted.contains(&product.id())))
        .filter_map(|product| Some(describe(settings, product, quote(world, product).ok()?)))
        .collect();
    Ok(json!({"num_products": products.len(), "products": products}))
}

pub(super) fn listed(world: &World, settings: &Settings, id: &str) -> Answer {
    let product = named(id)?;
    Ok(describe(settings, product, quote(world, product)?))
}

pub(super) fn ticker(world: &World, id: &str) -> Answer {
    let product = named(id)?;
    let (quote, ladder) = ladder(world, product)?;
    let trade = json!({
        "trade_id": quote.at.timestamp().to_string(),
        "product_id": product.id(),
        "price": last(product, quote),
        "size": product.market.step.to_string(),
        "time": micros(quote.at),
        "side": "BUY",
        "bid": "",
        "ask": "",
    });
    Ok(json!({
        "trades": [trade], "best_bid": best(&ladder.bids), "best_ask": best(&ladder.asks),
    }))
}

fn pricebook(product: &Product, quote: Quote, ladder: &Ladder, most: usize) -> Value {
    let side = |levels: &[Level]| -> Vec<Value> {
        let level = |level: &Level| {
            let (price, size) = (level.price.to_string(), level.quantity.to_string());
            json!({"price": price, "size": size})
        };
        levels.iter().take(most).map(level).collect()
    };
    json!({
        "product_id": product.id(),
        "bids": side(&ladder.bids),
        "asks": side(&ladder.asks),
        "time": micros(quote.at),
    })
}

pub(super) fn book(world: &World, call: &Call) -> Answer {
    let product = named(call.param("product_id").unwrap_or_default())?;
    let most = super::wire::limit(call, usize::MAX, usize::MAX)?;
    let (quote, ladder) = ladder(world, product)?;
    let price = |levels: &[Level]| levels.first().map(|level| level.price).unwrap_or_default();
    let spread = price(&ladder.asks) - price(&ladder.bids);
    let bps = (spread * decimal(10_000, 0)).checked_div(quote.mid).unwrap_or_default();
    Ok(json!({
        "pricebook": pricebook(product, quote, &ladder, most),
        "last": last(product, quote),
        "mid_market": quote.mid.round_dp(8).to_string(),
        "spread_bps": plain(bps.round_dp(4)),
        "spread_absolute": plain(spread),
    }))
}

pub(super) fn best_bid_ask(world: &World, call: &Call) -> Answer {
    let wanted = all_of(call, "product_ids");
    let mut books = Vec::new();
    for product in &PRODUCTS {
        let is_wanted = wanted.is_empty() || wanted.contains(&product.id());
        if is_wanted && let Ok((quote, ladder)) = ladder(world, product) {
            books.push(pricebook(product, quote, &ladder, 1));
        }
    }
    Ok(json!({"pricebooks": books}))
}
