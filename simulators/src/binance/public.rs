//! Public market data: time, depth, tickers, trades, candles.
//!
//! Invariant: what is shown comes from the price table through the source's mode, so it can lie;
//! the engine never reads it from here.

use chrono::{DateTime, TimeDelta, Utc};
use rust_decimal::Decimal;
use serde_json::{Value, json};

use super::{
    Exchange, NAME, State,
    hub::Top,
    market::{selected, symbol},
    wire::{Refusal, fixed, limit_param, whole_param},
};
use crate::{
    prices::{Quote, draw},
    serving::Call,
    venue::{Ladder, Level, Market, decimal, floor_to},
};

type Answer = Result<Value, Refusal>;

pub(crate) fn ping(_: &Exchange, _: &mut State, _: &Call) -> Answer {
    Ok(json!({}))
}

pub(crate) fn time(ex: &Exchange, state: &mut State, _: &Call) -> Answer {
    Ok(json!({"serverTime": ex.clock(state).timestamp_millis()}))
}

fn shown(ex: &Exchange, market: &Market) -> Option<Quote> {
    ex.world.prices.shown(NAME, &market.pair(), ex.world.now())
}

fn ladder(ex: &Exchange, market: &Market) -> Option<(Quote, Ladder)> {
    let quote = shown(ex, market)?;
    Some((quote, Ladder::shown(&ex.world, NAME, market, quote)))
}

pub(crate) fn depth(ex: &Exchange, _: &mut State, call: &Call) -> Answer {
    let market = symbol(call)?;
    let limit = limit_param(call, 100, 5000)?;
    let (quote, ladder) = ladder(ex, market).ok_or_else(Refusal::invalid_symbol)?;
    Ok(json!({
        "lastUpdateId": quote.at.timestamp_millis(),
        "bids": levels(&ladder.bids, limit),
        "asks": levels(&ladder.asks, limit),
    }))
}

/// One object when one symbol was asked for, a list otherwise; missing pairs are left out of it.
fn one_or_list(call: &Call, describe: impl Fn(&Market) -> Option<Value>) -> Answer {
    let (markets, is_one) = selected(call)?;
    let mut found: Vec<Value> = markets.into_iter().filter_map(describe).collect();
    if is_one { found.pop().ok_or_else(Refusal::invalid_symbol) } else { Ok(Value::Array(found)) }
}

fn best(levels: &[Level]) -> (String, String) {
    let zero = Level { price: Decimal::ZERO, quantity: Decimal::ZERO };
    let level = levels.first().copied().unwrap_or(zero);
    (fixed(level.price), fixed(level.quantity))
}

/// Bid, bid size, ask and ask size as the streams show them, and the source's own time.
pub(crate) fn top(ex: &Exchange, market: &Market) -> Option<(Top, DateTime<Utc>)> {
    let (quote, ladder) = ladder(ex, market)?;
    let ((bid, bid_size), (ask, ask_size)) = (best(&ladder.bids), best(&ladder.asks));
    Some(([bid, bid_size, ask, ask_size], quote.at))
}

/// The first levels of the book under an update id of the streams.
pub(crate) fn small_book(ex: &Exchange, market: &Market, most: usize, id: u64) -> Option<Value> {
    let (_, ladder) = ladder(ex, market)?;
    let (bids, asks) = (levels(&ladder.bids, most), levels(&ladder.asks, most));
    Some(json!({"lastUpdateId": id, "bids": bids, "asks": asks}))
}

/// The day in seven fields.
pub(crate) fn mini_ticker(ex: &Exchange, market: &Market, at: DateTime<Utc>) -> Option<Value> {
    let price = shown(ex, market)?.mid;
    let pair = market.pair();
    let open = ex.world.prices.mid(NAME, &pair, at - TimeDelta::days(1)).unwrap_or(price);
    let volume = Decimal::from(draw(ex.world.seed, &["volume", NAME, &pair]) % 100_000);
    let at_tick = |price| fixed(floor_to(price, market.tick));
    Some(json!({
        "e": "24hrMiniTicker",
        "E": at.timestamp_millis(),
        "s": pair,
        "c": at_tick(price),
        "o": at_tick(open),
        "h": at_tick(price * decimal(101, 2)),
        "l": at_tick(price * decimal(99, 2)),
        "v": fixed(volume),
        "q": fixed(volume * price),
    }))
}

fn levels(levels: &[Level], most: usize) -> Vec<Value> {
    let pair = |level: &Level| json!([fixed(level.price), fixed(level.quantity)]);
    levels.iter().take(most).map(pair).collect()
}

pub(crate) fn book_ticker(ex: &Exchange, _: &mut State, call: &Call) -> Answer {
    one_or_list(call, |market| {
        let (_, ladder) = ladder(ex, market)?;
        let ((bid, bid_size), (ask, ask_size)) = (best(&ladder.bids), best(&ladder.asks));
        Some(json!({
            "symbol": market.pair(),
            "bidPrice": bid,
            "bidQty": bid_size,
            "askPrice": ask,
            "askQty": ask_size,
        }))
    })
}

pub(crate) fn ticker_price(ex: &Exchange, _: &mut State, call: &Call) -> Answer {
    one_or_list(call, |market| {
        let price = floor_to(shown(ex, market)?.mid, market.tick);
        Some(json!({"symbol": market.pair(), "price": fixed(price)}))
    })
}

pub(crate) fn ticker(ex: &Exchange, _: &mut State, call: &Call) -> Answer {
    one_or_list(call, |market| {
        let (quote, ladder) = ladder(ex, market)?;
        let ((bid, bid_size), (ask, ask_size)) = (best(&ladder.bids), best(&ladder.asks));
        let pair = market.pair();
        let opened = quote.at - TimeDelta::days(1);
        let at_tick = |price| fixed(floor_to(price, market.tick));
        let open = ex.world.prices.mid(NAME, &pair, opened).unwrap_or(quote.mid);
        let percent = (quote.mid - open).checked_div(open).unwrap_or_default();
        let volume = Decimal::from(draw(ex.world.seed, &["volume", NAME, &pair]) % 100_000);
        Some(json!({
            "symbol": pair,
            "priceChange": at_tick(quote.mid - open),
            "priceChangePercent": crate::venue::fixed(percent * Decimal::ONE_HUNDRED, 3),
            "weightedAvgPrice": at_tick(quote.mid),
            "prevClosePrice": at_tick(open),
            "lastPrice": at_tick(quote.mid),
            "lastQty": bid_size,
            "bidPrice": bid,
            "bidQty": bid_size,
            "askPrice": ask,
            "askQty": ask_size,
            "openPrice": at_tick(open),
            "highPrice": at_tick(quote.mid * decimal(101, 2)),
            "lowPrice": at_tick(quote.mid * decimal(99, 2)),
            "volume": fixed(volume),
            "quoteVolume": fixed(volume * quote.mid),
            "openTime": opened.timestamp_millis(),
            "closeTime": quote.at.timestamp_millis(),
            "firstId": 1,
            "lastId": 100_000,
            "count": 100_000,
        }))
    })
}

pub(crate) fn avg_price(ex: &Exchange, _: &mut State, call: &Call) -> Answer {
    let quote = shown(ex, symbol(call)?).ok_or_else(Refusal::invalid_symbol)?;
    let (price, at) = (fixed(quote.mid), quote.at.timestamp_millis());
    Ok(json!({"mins": 5, "price": price, "closeTime": at}))
}

/// Other people's trades, invented from the seed: one a second back from now.
fn invented(ex: &Exchange, call: &Call) -> Result<Vec<(i64, Decimal, Decimal, bool)>, Refusal> {
    let market = symbol(call)?;
    let limit = limit_param(call, 500, 1000)?;
    let quote = shown(ex, market).ok_or_else(Refusal::invalid_symbol)?;
    let newest = quote.at.timestamp();
    let trade = |back: usize| {
        let second = newest.saturating_sub(i64::try_from(back).unwrap_or(0));
        let drawn = draw(ex.world.seed, &["trade", NAME, &market.pair(), &second.to_string()]);
        let quantity = market.step * Decimal::from(drawn % 1000 + 1);
        (second, floor_to(quote.mid, market.tick), quantity, drawn.is_multiple_of(2))
    };
    Ok((0..limit).rev().map(trade).collect())
}

pub(crate) fn trades(ex: &Exchange, _: &mut State, call: &Call) -> Answer {
    let describe = |(second, price, quantity, is_buyer_maker): (i64, Decimal, Decimal, bool)| {
        json!({
            "id": second,
            "price": fixed(price),
            "qty": fixed(quantity),
            "quoteQty": fixed(price * quantity),
            "time": second.saturating_mul(1000),
            "isBuyerMaker": is_buyer_maker,
            "isBestMatch": true,
        })
    };
    Ok(Value::Array(invented(ex, call)?.into_iter().map(describe).collect()))
}

pub(crate) fn agg_trades(ex: &Exchange, _: &mut State, call: &Call) -> Answer {
    let describe = |(second, price, quantity, is_buyer_maker): (i64, Decimal, Decimal, bool)| {
        json!({
            "a": second,
            "p": fixed(price),
            "q": fixed(quantity),
            "f": second,
            "l": second,
            "T": second.saturating_mul(1000),
            "m": is_buyer_maker,
            "M": true,
        })
    };
    Ok(Value::Array(invented(ex, call)?.into_iter().map(describe).collect()))
}

pub(crate) fn klines(ex: &Exchange, _: &mut State, call: &Call) -> Answer {
    let market = symbol(call)?;
    let limit = limit_param(call, 500, 1000)?;
    let minutes = match call.param("interval") {
        Some("1m") => 1,
        Some("3m") => 3,
        Some("5m") => 5,
        Some("15m") => 15,
        Some("30m") => 30,
        Some("1h") => 60,
        Some("2h") => 120,
        Some("4h") => 240,
        Some("6h") => 360,
        Some("8h") => 480,
        Some("12h") => 720,
        Some("1d") => 1440,
        Some("3d") => 4320,
        Some("1w") => 10_080,
        None => return Err(Refusal::mandatory("interval")),
        Some(_) => return Err(Refusal::new(-1120, "Invalid interval.")),
    };
    let length: i64 = minutes * 60_000;
    let now = ex.world.now().timestamp_millis();
    let moment = |name| Ok(whole_param(call, name)?.and_then(|ms| i64::try_from(ms).ok()));
    let end = moment("endTime")?.unwrap_or(now).min(now);
    let start: Option<i64> = moment("startTime")?;
    let count = i64::try_from(limit).unwrap_or(500);
    let first = start.unwrap_or_else(|| end.saturating_sub(length * (count - 1)));
    let first = first.max(0).div_euclid(length) * length;
    let candle = |at: i64| {
        let moment = DateTime::<Utc>::from_timestamp_millis(at)?;
        let mid = ex.world.prices.mid(NAME, &market.pair(), moment)?;
        let price = fixed(floor_to(mid, market.tick));
        let zero = fixed(Decimal::ZERO);
        let last = at + length - 1;
        Some(json!([at, price, price, price, price, zero, last, zero, 0, zero, zero, "0"]))
    };
    let times = (0..count).map(|n| first + n * length).take_while(|at| *at <= end);
    Ok(Value::Array(times.filter_map(candle).collect()))
}
