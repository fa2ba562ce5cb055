//! Symbols and filters: `exchangeInfo`, and the checks that go with it.
//!
//! Invariant: an order that passes the filters shown here is not refused for a filter.

use rust_decimal::Decimal;
use serde_json::{Value, json};

use super::{
    Exchange, NAME, State,
    limits::{ORDERS_PER_DAY, ORDERS_PER_TEN_SECONDS, WEIGHT_PER_MINUTE},
    wire::{Refusal, fixed},
};
use crate::{
    serving::Call,
    venue::{Market, Side, decimal, is_multiple},
};

const MOST_QUANTITY: Decimal = decimal(9_000_000, 0);
const MOST_MARKET_QUANTITY: Decimal = decimal(1_000_000, 0);
const MOST_PRICE: Decimal = decimal(1_000_000, 0);
const MOST_NOTIONAL: Decimal = decimal(9_000_000, 0);
/// PERCENT_PRICE_BY_SIDE: how far from the market a price may be.
const TIMES_UP: Decimal = decimal(5, 0);
const TIMES_DOWN: Decimal = decimal(2, 1);
const SYMBOL_RANGE: &str = "^[A-Z0-9-_.]{1,20}$";

const fn market(base: &'static str, quote: &'static str, tick: u32, step: u32) -> Market {
    let (tick, step) = (decimal(1, tick), decimal(1, step));
    Market { base, quote, tick, step, min_notional: decimal(5, 0) }
}

/// Pairs with the decimal places of price and quantity.
pub(crate) static MARKETS: [Market; 7] = [
    market("BTC", "USDT", 2, 5),
    market("ETH", "USDT", 2, 4),
    market("SOL", "USDT", 2, 3),
    market("USDC", "USDT", 5, 0),
    market("BTC", "USDC", 2, 5),
    market("ETH", "USDC", 2, 4),
    market("ETH", "BTC", 5, 4),
];

/// The market of `symbol`, mandatory.
pub(crate) fn symbol(call: &Call) -> Result<&'static Market, Refusal> {
    named(call.param("symbol").ok_or_else(|| Refusal::mandatory("symbol"))?)
}

fn named(name: &str) -> Result<&'static Market, Refusal> {
    let legal =
        |b: u8| b.is_ascii_uppercase() || b.is_ascii_digit() || matches!(b, b'-' | b'_' | b'.');
    if name.len() > 20 || !name.bytes().all(legal) {
        return Err(Refusal::illegal("symbol", SYMBOL_RANGE));
    }
    MARKETS.iter().find(|market| market.pair() == name).ok_or_else(Refusal::invalid_symbol)
}

/// What `symbol`, `symbols` or neither selects, and whether exactly one was asked for.
pub(crate) fn selected(call: &Call) -> Result<(Vec<&'static Market>, bool), Refusal> {
    match (call.param("symbol"), call.param("symbols")) {
        (Some(_), Some(_)) => {
            Err(Refusal::new(-1128, "Combination of optional parameters invalid."))
        }
        (Some(name), None) => Ok((vec![named(name)?], true)),
        (None, Some(list)) => {
            let range = "^\\[(\"[A-Z0-9-_.]{1,20}\"(,\"[A-Z0-9-_.]{1,20}\"){0,}){0,1}\\]$";
            let names: Vec<String> =
                serde_json::from_str(list).map_err(|_| Refusal::illegal("symbols", range))?;
            let markets: Result<Vec<_>, _> = names.iter().map(|name| named(name)).collect();
            Ok((markets?, false))
        }
        (None, None) => Ok((MARKETS.iter().collect(), false)),
    }
}

pub(crate) fn exchange_info(
    ex: &Exchange,
    state: &mut State,
    call: &Call,
) -> Result<Value, Refusal> {
    let (mut markets, named) = selected(call)?;
    if let Some(wanted) = call.param("symbolStatus") {
        let named = named || call.param("symbols").is_some();
        let before = markets.len();
        markets.retain(|market| status(state, market) == wanted);
        if named && markets.len() < before {
            let text = "The symbol's status does not match the requested symbolStatus.";
            return Err(Refusal::new(-1220, text));
        }
    }
    let limit = |kind: &str, interval: &str, count: u32, limit: u32| {
        json!({
            "rateLimitType": kind, "interval": interval, "intervalNum": count, "limit": limit,
        })
    };
    Ok(json!({
        "timezone": "UTC",
        "serverTime": ex.clock(state).timestamp_millis(),
        "rateLimits": [
            limit("REQUEST_WEIGHT", "MINUTE", 1, WEIGHT_PER_MINUTE),
            limit("ORDERS", "SECOND", 10, ORDERS_PER_TEN_SECONDS),
            limit("ORDERS", "DAY", 1, ORDERS_PER_DAY),
            limit("RAW_REQUESTS", "MINUTE", 5, 300_000),
        ],
        "exchangeFilters": [],
        "symbols": markets.into_iter().map(|m| describe(state, m)).collect::<Vec<_>>(),
    }))
}

/// Whether the symbol trades, in the vendor's word.
pub(crate) fn status<'s>(state: &'s State, market: &Market) -> &'s str {
    state.settings.symbol_status.get(&market.pair()).map_or("TRADING", String::as_str)
}

fn describe(state: &State, market: &Market) -> Value {
    json!({
        "symbol": market.pair(),
        "status": status(state, market),
        "baseAsset": market.base,
        "baseAssetPrecision": 8,
        "quoteAsset": market.quote,
        "quotePrecision": 8,
        "quoteAssetPrecision": 8,
        "baseCommissionPrecision": 8,
        "quoteCommissionPrecision": 8,
        "orderTypes": ["LIMIT", "LIMIT_MAKER", "MARKET"],
        "icebergAllowed": false,
        "ocoAllowed": false,
        "otoAllowed": false,
        "quoteOrderQtyMarketAllowed": true,
        "allowTrailingStop": false,
        "cancelReplaceAllowed": false,
        "isSpotTradingAllowed": true,
        "isMarginTradingAllowed": false,
        "filters": filters(market),
        "permissions": [],
        "permissionSets": [["SPOT"]],
        "defaultSelfTradePreventionMode": "EXPIRE_MAKER",
        "allowedSelfTradePreventionModes": ["NONE", "EXPIRE_TAKER", "EXPIRE_MAKER", "EXPIRE_BOTH"],
    })
}

fn filters(market: &Market) -> Value {
    let (tick, step) = (fixed(market.tick), fixed(market.step));
    json!([
        {
            "filterType": "PRICE_FILTER",
            "minPrice": tick,
            "maxPrice": fixed(MOST_PRICE),
            "tickSize": tick,
        },
        {
            "filterType": "LOT_SIZE",
            "minQty": step,
            "maxQty": fixed(MOST_QUANTITY),
            "stepSize": step,
        },
        {
            "filterType": "MARKET_LOT_SIZE",
            "minQty": "0.00000000",
            "maxQty": fixed(MOST_MARKET_QUANTITY),
            "stepSize": "0.00000000",
        },
        {
            "filterType": "PERCENT_PRICE_BY_SIDE",
            "bidMultiplierUp": TIMES_UP.to_string(),
            "bidMultiplierDown": TIMES_DOWN.to_string(),
            "askMultiplierUp": TIMES_UP.to_string(),
            "askMultiplierDown": TIMES_DOWN.to_string(),
            "avgPriceMins": 5,
        },
        {
            "filterType": "NOTIONAL",
            "minNotional": fixed(market.min_notional),
            "applyMinToMarket": true,
            "maxNotional": fixed(MOST_NOTIONAL),
            "applyMaxToMarket": false,
            "avgPriceMins": 5,
        },
        {"filterType": "MAX_NUM_ORDERS", "maxNumOrders": 200},
    ])
}

/// The market price the filters compare with.
pub(crate) fn reference(ex: &Exchange, market: &Market) -> Result<Decimal, Refusal> {
    ex.world
        .prices
        .mid(NAME, &market.pair(), ex.world.now())
        .ok_or_else(|| Refusal::new(-2010, "Market is closed."))
}

pub(crate) fn check_quantity(market: &Market, quantity: Decimal) -> Result<(), Refusal> {
    let fits =
        quantity >= market.step && quantity <= MOST_QUANTITY && is_multiple(quantity, market.step);
    if fits { Ok(()) } else { Err(Refusal::filter("LOT_SIZE")) }
}

/// What goes beyond LOT_SIZE for market orders.
pub(crate) fn check_market_quantity(quantity: Decimal) -> Result<(), Refusal> {
    if quantity <= MOST_MARKET_QUANTITY {
        return Ok(());
    }
    Err(Refusal::filter("MARKET_LOT_SIZE"))
}

pub(crate) fn check_price(
    market: &Market,
    price: Decimal,
    reference: Decimal,
) -> Result<(), Refusal> {
    let fits = price >= market.tick && price <= MOST_PRICE && is_multiple(price, market.tick);
    if !fits {
        return Err(Refusal::filter("PRICE_FILTER"));
    }
    let near = price <= reference * TIMES_UP && price >= reference * TIMES_DOWN;
    if near { Ok(()) } else { Err(Refusal::filter("PERCENT_PRICE_BY_SIDE")) }
}

pub(crate) fn check_notional(
    market: &Market,
    notional: Decimal,
    is_market_order: bool,
) -> Result<(), Refusal> {
    let too_much = !is_market_order && notional > MOST_NOTIONAL;
    if notional < market.min_notional || too_much {
        return Err(Refusal::filter("NOTIONAL"));
    }
    Ok(())
}

/// Which asset an order of this side receives.
pub(crate) const fn received(market: &Market, side: Side) -> &'static str {
    match side {
        Side::Buy => market.base,
        Side::Sell => market.quote,
    }
}
