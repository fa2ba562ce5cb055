//! Binance's words about orders and prices into ours. Pure functions.
//!
//! Invariants: a status we do not know is open; a number that is missing, negative or does not add
//! up makes the answer unreadable, never zero. An empty or crossed market has no price.
//!
//! The venue keeps eight places, our dollar tokens have six. Of each execution we book the whole
//! minor units that its credit surely brings; what is finer stays at the venue, in our favour.

use chrono::{DateTime, Utc};
use primitives::{Amount, Asset, Bps, Rounding};
use rust_decimal::Decimal;

use super::wire;
use crate::{
    Book, ClientRef, Fill, Holding, Levies, MarketRules, Order, OrderState, Pair, Quotation,
    Resting,
    decimal::{WireDecimal, to_amount, to_amount_exact},
    mapping::{self, Mapped, bps_up, fee_of_credit, is_positive, millis},
};

/// The USDT market of an asset; `None` for what has none here.
pub(super) const fn market(sell: Asset) -> Option<Pair> {
    match sell {
        Asset::Inr | Asset::Usdt | Asset::Bnb => None,
        Asset::Btc | Asset::Eth | Asset::Sol | Asset::Usdc => {
            Some(Pair { base: sell, quote: Asset::Usdt })
        }
    }
}

/// `BTCUSDT`; `None` for a market that is not one of ours.
pub(super) fn symbol(pair: Pair) -> Option<String> {
    (market(pair.base) == Some(pair)).then(|| format!("{}{}", pair.base, pair.quote))
}

/// The value of `symbols`, percent-encoded: `["BTCUSDT","ETHUSDT"]`.
pub(super) fn symbols_query(symbols: &[String]) -> String {
    format!("symbols=%5B%22{}%22%5D", symbols.join("%22%2C%22"))
}

/// EXPIRED is how a partly executed immediate order ends: every closed state may carry executions.
pub(super) fn state(status: &str, executed: Decimal, quantity: Decimal) -> OrderState {
    match status {
        "FILLED" if executed == quantity => OrderState::Filled,
        "CANCELED" | "EXPIRED" | "EXPIRED_IN_MATCH" | "REJECTED" => OrderState::Closed,
        // NEW, PENDING_NEW, PARTIALLY_FILLED, PENDING_CANCEL, a FILLED that is not, and whatever
        // they invent next.
        _ => OrderState::Open,
    }
}

pub(super) fn order(wire: &wire::Order, pair: Pair, client_ref: &ClientRef) -> Mapped<Order> {
    if symbol(pair).as_deref() != Some(wire.symbol.as_str()) {
        return Err("order in another market than asked for");
    }
    if wire.side != "SELL" {
        return Err("order on the wrong side");
    }
    let theirs = wire.orig_client_order_id.as_ref().unwrap_or(&wire.client_order_id);
    if theirs != client_ref.as_str() {
        return Err("order with another reference than asked for");
    }
    let (quantity, executed, price) = (wire.orig_qty.0, wire.executed_qty.0, wire.price.0);
    let sane = is_positive(quantity) && executed >= Decimal::ZERO && price >= Decimal::ZERO;
    if !sane || executed > quantity {
        return Err("order whose quantities do not add up");
    }
    Ok(Order {
        venue_order_id: wire.order_id.to_string(),
        client_ref: client_ref.clone(),
        pair,
        state: state(&wire.status, executed, quantity),
        quantity,
        executed,
        price,
    })
}

/// A resting sale, whatever its status is called: it is listed as open.
pub(super) fn resting(wire: &wire::Order, pair: Pair) -> Mapped<Resting> {
    if symbol(pair).as_deref() != Some(wire.symbol.as_str()) {
        return Err("open order of another market");
    }
    let rest = wire.orig_qty.0.checked_sub(wire.executed_qty.0);
    let rest = rest.filter(|rest| !rest.is_sign_negative());
    Ok(Resting {
        venue_order_id: wire.order_id.to_string(),
        client_ref: Some(wire.client_order_id.clone()),
        rest: rest.ok_or("open order whose quantities do not add up")?,
    })
}

/// One execution, with the venue's own figures of value and commission.
pub(super) fn fill(wire: &wire::Trade, pair: Pair) -> Mapped<Fill> {
    if symbol(pair).as_deref() != Some(wire.symbol.as_str()) || wire.is_buyer {
        return Err("execution of another market or side");
    }
    let (price, quantity, value) = (wire.price.0, wire.qty.0, wire.quote_qty.0);
    if !is_positive(price) || !is_positive(quantity) || !is_positive(value) {
        return Err("execution without price, quantity or value");
    }
    let computed = price.checked_mul(quantity).ok_or("execution too large")?;
    let apart = value.checked_sub(computed).ok_or("execution too large")?.abs();
    if apart > Decimal::new(1, 8) {
        return Err("execution whose value is not price times quantity");
    }
    let whole = |units| to_amount(units, pair.quote, Rounding::Down).ok_or("execution too large");
    Ok(Fill {
        trade_id: wire.id.to_string(),
        venue_order_id: wire.order_id.to_string(),
        sold: to_amount_exact(quantity, pair.base).ok_or("execution finer than the asset")?,
        gross: whole(value)?,
        fee: fee(wire, pair, value)?,
        fee_gst: Amount::zero(pair.quote),
        tds: Amount::zero(pair.quote),
        price,
        executed_at: millis(wire.time)?,
    })
}

/// In whatever asset it was taken. A fee from the credit is what it makes the credit lose in whole
/// minor units, so that gross minus fee is exactly what surely came.
fn fee(wire: &wire::Trade, pair: Pair, value: Decimal) -> Mapped<Amount> {
    let commission = wire.commission.0;
    if commission.is_sign_negative() && !commission.is_zero() {
        return Err("fee out of range");
    }
    if commission.is_zero() {
        return Ok(Amount::zero(pair.quote));
    }
    let Ok(asset) = wire.commission_asset.parse::<Asset>() else {
        return Err("fee taken in an asset the books do not have: choose another at the venue");
    };
    if asset != pair.quote {
        return to_amount(commission, asset, Rounding::Up).ok_or("fee out of range");
    }
    fee_of_credit(value, commission, asset)
}

/// Assets we do not know are none of our business; of those we know nothing may be unreadable.
pub(super) fn holdings(account: &wire::Account) -> Mapped<Vec<Holding>> {
    let known = |balance: &wire::Balance| balance.asset.parse::<Asset>().ok();
    let ours = account.balances.iter().filter_map(|b| known(b).map(|asset| (b, asset)));
    ours.map(|(balance, asset)| holding(balance, asset)).collect()
}

fn holding(balance: &wire::Balance, asset: Asset) -> Mapped<Holding> {
    let amount = |raw: &serde_json::value::RawValue| {
        let units: WireDecimal = serde_json::from_str(raw.get()).ok()?;
        to_amount(units.0, asset, Rounding::Down).filter(|amount| amount.minor() >= 0)
    };
    let free = amount(&balance.free).ok_or("holding out of range")?;
    let locked = amount(&balance.locked).ok_or("holding out of range")?;
    Ok(Holding { asset, free, locked })
}

pub(super) fn rules(info: &wire::ExchangeInfo, pair: Pair) -> Mapped<Option<MarketRules>> {
    let wanted = symbol(pair);
    let listed = info.symbols.iter().find(|s| Some(s.symbol.as_str()) == wanted.as_deref());
    let Some(market) = listed else {
        return Ok(None);
    };
    let lot = filter(market, "LOT_SIZE").ok_or("market without a lot size")?;
    let at_market = filter(market, "MARKET_LOT_SIZE");
    let tick = filter(market, "PRICE_FILTER").and_then(|f| some(f.tick_size));
    // Zero switches a rule off: then the precision of the quote is the finest there is.
    let finest = Decimal::try_new(1, market.quote_asset_precision.min(8));
    let price_tick = match tick {
        Some(tick) => tick,
        None => finest.map_err(|_| "market precision too fine")?,
    };
    let quantity_step = step(lot, at_market)?;
    if quantity_step.normalize().scale() > pair.base.scale() {
        return Err("lot size finer than the asset");
    }
    let both = |of: fn(&wire::Filter) -> Option<WireDecimal>| {
        [some(of(lot)), at_market.and_then(|filter| some(of(filter)))].into_iter().flatten()
    };
    let notional = ["NOTIONAL", "MIN_NOTIONAL"]
        .into_iter()
        .filter_map(|name| some(filter(market, name)?.min_notional));
    Ok(Some(MarketRules {
        price_tick,
        quantity_step,
        quantity_min: both(|f| f.min_qty).max().unwrap_or(quantity_step),
        quantity_max: both(|f| f.max_qty).min(),
        notional_min: notional.max().unwrap_or(Decimal::ZERO),
        is_open: market.status == "TRADING" && market.is_spot_trading_allowed,
    }))
}

fn filter<'a>(market: &'a wire::Symbol, name: &str) -> Option<&'a wire::Filter> {
    market.filters.iter().find(|filter| filter.filter_type == name)
}

/// A rule that is on.
fn some(number: Option<WireDecimal>) -> Option<Decimal> {
    number.map(|number| number.0).filter(|number| is_positive(*number))
}

/// The step that suits limit and market orders alike.
fn step(lot: &wire::Filter, at_market: Option<&wire::Filter>) -> Mapped<Decimal> {
    let lot = some(lot.step_size).ok_or("market without a lot step")?;
    let Some(other) = at_market.and_then(|filter| some(filter.step_size)) else {
        return Ok(lot);
    };
    let (fine, coarse) = (lot.min(other), lot.max(other));
    let rest = coarse.checked_rem(fine).ok_or("lot steps out of range")?;
    if rest.is_zero() { Ok(coarse) } else { Err("lot steps that do not fit each other") }
}

/// The share a sale at once pays, of every kind of commission, rounded up.
pub(super) fn levies(wire: &wire::Commission) -> Mapped<Levies> {
    let kinds = [
        Some(&wire.standard_commission),
        wire.special_commission.as_ref(),
        wire.tax_commission.as_ref(),
    ];
    let rates = kinds.into_iter().flatten().flat_map(|kind| [kind.taker.0, kind.seller.0]);
    let sum = rates.into_iter().try_fold(Decimal::ZERO, |sum, rate| sum.checked_add(rate));
    let fee = sum.and_then(bps_up).ok_or("commission out of range")?;
    Ok(Levies { fee, gst: Bps::ZERO, tds: Bps::ZERO })
}

pub(super) fn book(depth: &wire::Depth, asked_at: DateTime<Utc>) -> Mapped<Book> {
    let level = |(price, quantity): &(WireDecimal, WireDecimal)| (price.0, quantity.0);
    mapping::book(depth.bids.iter().map(level), depth.asks.iter().map(level), asked_at)
}

pub(super) fn quotation(
    base: Asset,
    (bid, ask): (Decimal, Decimal),
    at: DateTime<Utc>,
) -> Option<Quotation> {
    if !is_positive(bid) || ask < bid {
        return None;
    }
    Some(Quotation { source: super::NAME, base, quote: Asset::Usdt, bid, ask, at })
}
