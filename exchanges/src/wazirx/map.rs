//! WazirX's words into ours. Pure functions.
//!
//! Invariants: a status we do not know is open; a number that is missing, negative or does not add
//! up makes the answer unreadable, never zero. Fee, GST and TDS follow one rule per execution.

use chrono::{DateTime, Utc};
use primitives::{Amount, Asset, Bps, Rounding};
use rust_decimal::Decimal;

use super::wire;
use crate::{
    Book, ClientRef, Fill, Holding, Levies, MarketRules, Order, OrderState, Pair, Quotation,
    Resting,
    decimal::{WireDecimal, to_amount, to_amount_exact},
    mapping::{self, Mapped, is_positive, millis},
};

/// The rupee market of an asset; `None` for rupees themselves and what is not sold here.
pub(super) const fn market(sell: Asset) -> Option<Pair> {
    match sell {
        Asset::Btc | Asset::Eth | Asset::Sol | Asset::Usdc | Asset::Usdt => {
            Some(Pair { base: sell, quote: Asset::Inr })
        }
        _ => None,
    }
}

/// `ethinr`; `None` for a market that is not one of ours.
pub(super) fn symbol(pair: Pair) -> Option<String> {
    (market(pair.base) == Some(pair))
        .then(|| format!("{}inr", pair.base.code().to_ascii_lowercase()))
}

/// `idle` (a stop not hit), `wait`, `done`, `cancel`.
pub(super) fn state(status: &str, executed: Decimal, quantity: Decimal) -> OrderState {
    match status {
        "done" if executed == quantity => OrderState::Filled,
        "cancel" => OrderState::Closed,
        // `idle`, `wait`, a `done` that is not, and whatever they invent next.
        _ => OrderState::Open,
    }
}

pub(super) fn order(wire: &wire::Order, pair: Pair, client_ref: &ClientRef) -> Mapped<Order> {
    if symbol(pair).as_deref() != Some(wire.symbol.as_str()) {
        return Err("order in another market than asked for");
    }
    if wire.side != "sell" {
        return Err("order on the wrong side");
    }
    if wire.client_order_id.as_deref().is_some_and(|theirs| theirs != client_ref.as_str()) {
        return Err("order with another reference than asked for");
    }
    let (quantity, executed, price) = (wire.orig_qty.0, wire.executed_qty.0, wire.price.0);
    let sane = is_positive(quantity) && is_positive(price) && !executed.is_sign_negative();
    if !sane || executed > quantity {
        return Err("order whose quantities do not add up");
    }
    Ok(Order {
        venue_order_id: wire.id.to_string(),
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
        venue_order_id: wire.id.to_string(),
        client_ref: wire.client_order_id.clone(),
        rest: rest.ok_or("open order whose quantities do not add up")?,
    })
}

/// One execution. The fee is the venue's own figure where it states one in rupees; GST and TDS
/// are not in the API and follow from fee and gross.
pub(super) fn fill(wire: &wire::Trade, pair: Pair, levies: Levies) -> Mapped<Fill> {
    if symbol(pair).as_deref() != Some(wire.symbol.as_str()) || wire.side != "sell" {
        return Err("execution of another market or side");
    }
    let (price, quantity) = (wire.price.0, wire.qty.0);
    if !is_positive(price) || !is_positive(quantity) {
        return Err("execution without price or quantity");
    }
    let quote = price.checked_mul(quantity).ok_or("execution too large")?;
    if let Some(theirs) = wire.quote_qty {
        let apart = theirs.0.checked_sub(quote).ok_or("execution too large")?.abs();
        if apart > Decimal::new(1, 2) {
            return Err("execution whose value is not price times quantity");
        }
    }
    let gross = to_amount(quote, Asset::Inr, Rounding::Down).ok_or("execution too large")?;
    let fee = fee(wire, gross, levies)?;
    let share =
        |bps: Bps, of: Amount| bps.of(of, Rounding::HalfUp).map_err(|_| "levy out of range");
    Ok(Fill {
        trade_id: wire.id.to_string(),
        venue_order_id: wire.order_id.to_string(),
        sold: to_amount_exact(quantity, pair.base).ok_or("execution finer than the asset")?,
        gross,
        fee,
        fee_gst: share(levies.gst, fee)?,
        tds: share(levies.tds, gross)?,
        price,
        executed_at: millis(wire.time)?,
    })
}

fn fee(wire: &wire::Trade, gross: Amount, levies: Levies) -> Mapped<Amount> {
    let Some(stated) = wire.fee else {
        return levies.fee.of(gross, Rounding::HalfUp).map_err(|_| "levy out of range");
    };
    let in_rupees = wire.fee_currency.as_deref().is_none_or(|c| c.eq_ignore_ascii_case("inr"));
    if !in_rupees && !stated.0.is_zero() {
        return Err("fee taken in another asset");
    }
    to_amount(stated.0, Asset::Inr, Rounding::HalfUp)
        .filter(|fee| fee.minor() >= 0 && fee.minor() <= gross.minor())
        .ok_or("fee out of range")
}

/// Assets we do not know are none of our business; of those we know nothing may be unreadable.
pub(super) fn holdings(funds: &[wire::Fund]) -> Mapped<Vec<Holding>> {
    let known = |fund: &wire::Fund| fund.asset.to_ascii_uppercase().parse::<Asset>().ok();
    funds.iter().filter_map(|fund| known(fund).map(|asset| holding(fund, asset))).collect()
}

fn holding(fund: &wire::Fund, asset: Asset) -> Mapped<Holding> {
    let amount = |units: WireDecimal| {
        to_amount(units.0, asset, Rounding::Down).ok_or("holding out of range")
    };
    Ok(Holding { asset, free: amount(fund.free)?, locked: amount(fund.locked)? })
}

pub(super) fn rules(
    info: &wire::ExchangeInfo,
    pair: Pair,
    notional_min: Decimal,
) -> Mapped<Option<MarketRules>> {
    let wanted = symbol(pair);
    let listed = info.symbols.iter().find(|s| Some(s.symbol.as_str()) == wanted.as_deref());
    let Some(market) = listed else {
        return Ok(None);
    };
    let is_open = market.is_spot_trading_allowed && market.status == "trading";
    let price_tick = market
        .filters
        .iter()
        .find(|filter| filter.filter_type == "PRICE_FILTER")
        .and_then(|filter| filter.tick_size)
        .map(|tick| tick.0)
        .filter(|tick| is_positive(*tick))
        .ok_or("market without a price tick")?;
    // The venue publishes no lot size; the precision of the base asset is the finest it takes.
    let step_scale = market.base_asset_precision.min(pair.base.scale());
    let quantity_step = Decimal::try_new(1, step_scale).map_err(|_| "market precision too fine")?;
    Ok(Some(MarketRules {
        price_tick,
        quantity_step,
        // One step is the least there can be; what it must be worth is the notional.
        quantity_min: quantity_step,
        quantity_max: None,
        notional_min,
        is_open,
    }))
}

pub(super) fn book(depth: &wire::Depth, received_at: DateTime<Utc>) -> Mapped<Book> {
    let at = match depth.timestamp {
        // Documented in seconds; a stamp of this size can only be milliseconds.
        Some(at) if at > 100_000_000_000 => millis(at)?,
        Some(at) => DateTime::from_timestamp(at, 0).ok_or("time out of range")?,
        None => received_at,
    };
    let level = |(price, quantity): &(WireDecimal, WireDecimal)| (price.0, quantity.0);
    mapping::book(depth.bids.iter().map(level), depth.asks.iter().map(level), at)
}

/// A market without a bid or an ask, or with them crossed, has no price to quote.
pub(super) fn quotation(ticker: &wire::Ticker, base: Asset) -> Option<Quotation> {
    let (bid, ask) = (ticker.bid_price?.0, ticker.ask_price?.0);
    if !is_positive(bid) || ask < bid {
        return None;
    }
    let at = millis(ticker.at).ok()?;
    Some(Quotation { source: super::NAME, base, quote: Asset::Inr, bid, ask, at })
}
