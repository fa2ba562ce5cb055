//! Public data: symbols, tickers, depth, trades, candles.
//!
//! Invariant: what is shown comes from the price table through the source's mode, so it can lie;
//! the engine never reads it from here.

use axum::response::Response;
use chrono::{TimeDelta, Utc};
use rust_decimal::Decimal;
use serde_json::{Value, json};

use super::{
    Exchange, NAME, State,
    trading::symbol,
    wire::{Refusal, amount, limit_param, ok, whole_param},
};
use crate::{
    prices::{Quote, draw},
    serving::Call,
    venue::{Ladder, Level, Market, decimal, floor_to},
};

type Answer = Result<Response, Refusal>;

const fn market(
    base: &'static str,
    quote: &'static str,
    tick: u32,
    step: u32,
    min_notional: u32,
) -> Market {
    let (tick, step) = (decimal(1, tick), decimal(1, step));
    Market { base, quote, tick, step, min_notional: decimal(min_notional, 0) }
}

/// Pairs with the decimal places of price and quantity. The rupee minimum is not published.
pub(crate) static MARKETS: [Market; 7] = [
    market("BTC", "INR", 0, 6, 50),
    market("ETH", "INR", 1, 5, 50),
    market("SOL", "INR", 2, 4, 50),
    market("USDT", "INR", 2, 2, 50),
    market("USDC", "INR", 2, 2, 50),
    market("BTC", "USDT", 2, 6, 2),
    market("ETH", "USDT", 2, 5, 2),
];

/// The market of a lower-case symbol such as `btcinr`.
pub(crate) fn market_of(symbol: &str) -> Option<&'static Market> {
    MARKETS.iter().find(|market| market.pair().to_ascii_lowercase() == symbol)
}

pub(crate) fn ping(_: &Exchange, _: &mut State, _: &Call) -> Answer {
    ok(json!({}))
}

pub(crate) fn time(ex: &Exchange, _: &mut State, _: &Call) -> Answer {
    ok(json!({"serverTime": ex.world.now().timestamp_millis()}))
}

pub(crate) fn system_status(_: &Exchange, state: &mut State, _: &Call) -> Answer {
    if state.settings.maintenance {
        return ok(json!({
            "status": "system maintenance", "message": "System is under maintenance.",
        }));
    }
    ok(json!({"status": "normal", "message": "System is running normally."}))
}

pub(crate) fn exchange_info(ex: &Exchange, _: &mut State, _: &Call) -> Answer {
    let symbols: Vec<Value> = MARKETS
        .iter()
        .map(|market| {
            json!({
                "symbol": market.pair().to_ascii_lowercase(),
                "status": "trading",
                "baseAsset": market.base.to_ascii_lowercase(),
                "quoteAsset": market.quote.to_ascii_lowercase(),
                "baseAssetPrecision": market.step.scale(),
                "quoteAssetPrecision": market.tick.scale(),
                "orderTypes": ["limit", "stop_limit"],
                "isSpotTradingAllowed": true,
                "filters": [{
                    "filterType": "PRICE_FILTER",
                    "minPrice": market.tick.to_string(),
                    "tickSize": market.tick.to_string(),
                }],
            })
        })
        .collect();
    let now = ex.world.now().timestamp_millis();
    ok(json!({"timezone": "UTC", "serverTime": now, "symbols": symbols}))
}

pub(crate) fn tickers(ex: &Exchange, _: &mut State, _: &Call) -> Answer {
    ok(Value::Array(MARKETS.iter().filter_map(|market| ticker_of(ex, market)).collect()))
}

pub(crate) fn ticker(ex: &Exchange, _: &mut State, call: &Call) -> Answer {
    ok(ticker_of(ex, symbol(call)?).ok_or_else(Refusal::invalid_symbol)?)
}

fn shown(ex: &Exchange, market: &Market) -> Option<Quote> {
    ex.world.prices.shown(NAME, &market.pair(), ex.world.now())
}

fn ticker_of(ex: &Exchange, market: &Market) -> Option<Value> {
    let quote = shown(ex, market)?;
    let ladder = Ladder::shown(&ex.world, NAME, market, quote);
    let best = |levels: &[Level]| amount(levels.first().map_or(Decimal::ZERO, |l| l.price));
    let at_tick = |price| amount(floor_to(price, market.tick));
    let yesterday = ex.world.prices.mid(NAME, &market.pair(), quote.at - TimeDelta::days(1));
    let volume = draw(ex.world.seed, &["volume", NAME, &market.pair()]) % 100_000;
    Some(json!({
        "symbol": market.pair().to_ascii_lowercase(),
        "baseAsset": market.base.to_ascii_lowercase(),
        "quoteAsset": market.quote.to_ascii_lowercase(),
        "openPrice": at_tick(yesterday.unwrap_or(quote.mid)),
        "lowPrice": at_tick(quote.mid * decimal(99, 2)),
        "highPrice": at_tick(quote.mid * decimal(101, 2)),
        "lastPrice": at_tick(quote.mid),
        "volume": amount(Decimal::from(volume) / Decimal::ONE_HUNDRED),
        "bidPrice": best(&ladder.bids),
        "askPrice": best(&ladder.asks),
        "at": quote.at.timestamp_millis(),
    }))
}

pub(crate) fn depth(ex: &Exchange, _: &mut State, call: &Call) -> Answer {
    let market = symbol(call)?;
    let limit = limit_param(call, 20, 1000)?;
    if ![1, 5, 10, 20, 50, 100, 500, 1000].contains(&limit) {
        return Err(Refusal::invalid("limit does not have a valid value"));
    }
    let quote = shown(ex, market).ok_or_else(Refusal::invalid_symbol)?;
    let ladder = Ladder::shown(&ex.world, NAME, market, quote);
    let side = |levels: &[Level]| -> Vec<Value> {
        let pair = |level: &Level| json!([amount(level.price), amount(level.quantity)]);
        levels.iter().take(limit).map(pair).collect()
    };
    ok(json!({
        "timestamp": quote.at.timestamp_millis(),
        "asks": side(&ladder.asks),
        "bids": side(&ladder.bids),
    }))
}

/// Other people's trades: invented from the seed, one a second back from now.
pub(crate) fn trades(ex: &Exchange, _: &mut State, call: &Call) -> Answer {
    let market = symbol(call)?;
    let limit = limit_param(call, 500, 1000)?;
    let quote = shown(ex, market).ok_or_else(Refusal::invalid_symbol)?;
    let newest = quote.at.timestamp();
    let trade = |back: usize| {
        let second = newest.saturating_sub(i64::try_from(back).unwrap_or(0));
        let drawn = draw(ex.world.seed, &["trade", NAME, &market.pair(), &second.to_string()]);
        let price = floor_to(quote.mid, market.tick);
        let quantity = market.step * Decimal::from(drawn % 1000 + 1);
        json!({
            "id": second,
            "price": amount(price),
            "qty": amount(quantity),
            "quoteQty": amount(price * quantity),
            "time": second.saturating_mul(1000),
            "isBuyerMaker": drawn.is_multiple_of(2),
        })
    };
    ok(Value::Array((0..limit).map(trade).collect()))
}

pub(crate) fn klines(ex: &Exchange, _: &mut State, call: &Call) -> Answer {
    let market = symbol(call)?;
    let limit = limit_param(call, 500, 2000)?;
    let seconds = match call.param("interval") {
        Some("1m") => 60,
        Some("5m") => 300,
        Some("15m") => 900,
        Some("30m") => 1800,
        Some("1h") => 3600,
        Some("2h") => 7200,
        Some("4h") => 14_400,
        Some("6h") => 21_600,
        Some("12h") => 43_200,
        Some("1d") => 86_400,
        Some("1w") => 604_800,
        _ => return Err(Refusal::missing("interval")),
    };
    let now = ex.world.now().timestamp();
    let moment = |name| Ok(whole_param(call, name)?.and_then(|s| i64::try_from(s).ok()));
    let end = moment("endTime")?.unwrap_or(now).min(now);
    let start: Option<i64> = moment("startTime")?;
    let count = i64::try_from(limit).unwrap_or(500);
    let first = start.unwrap_or_else(|| end.saturating_sub(seconds * (count - 1)));
    let first = first.max(0).div_euclid(seconds) * seconds;
    let candle = |at: i64| {
        let moment = chrono::DateTime::<Utc>::from_timestamp(at, 0)?;
        let mid = ex.world.prices.mid(NAME, &market.pair(), moment)?;
        let price = number(floor_to(mid, market.tick));
        Some(json!([at, price, price, price, price, 0]))
    };
    let times = (0..count).map(|n| first + n * seconds).take_while(|at| *at <= end);
    ok(Value::Array(times.filter_map(candle).collect()))
}

/// A JSON number with the digits of the decimal.
fn number(value: Decimal) -> Value {
    serde_json::from_str(&value.normalize().to_string()).unwrap_or(Value::Null)
}
