//! Coinbase's words about orders into ours. Pure functions.
//!
//! Invariants: a status we do not know is open; a number that is missing, negative or does not add
//! up makes the answer unreadable, never zero. An execution that the venue took back is not told.
//!
//! The venue keeps more places than our dollar tokens have: of each execution we book the whole
//! minor units that its credit surely brings.

use std::collections::{BTreeMap, BTreeSet};

use primitives::{Amount, Asset, Bps, Rounding};
use rust_decimal::Decimal;
use serde_json::value::RawValue;

use super::wire;
use crate::{
    Book, ClientRef, Fill, Holding, Levies, MarketRules, Order, OrderState, Pair, Resting,
    decimal::{WireDecimal, to_amount, to_amount_exact},
    mapping::{self, Mapped, bps_up, fee_of_credit, is_positive, iso, text},
};

/// The USDT market of an asset; `None` for what has none here. Dollars of any make are bought with
/// USDT at this venue, not sold for it.
pub(super) const fn market(sell: Asset) -> Option<Pair> {
    match sell {
        Asset::Btc | Asset::Eth | Asset::Sol => Some(Pair { base: sell, quote: Asset::Usdt }),
        Asset::Inr | Asset::Usdt | Asset::Usdc | Asset::Bnb => None,
    }
}

/// `BTC-USDT`; `None` for a market that is not one of ours.
pub(super) fn product(pair: Pair) -> Option<String> {
    (market(pair.base) == Some(pair)).then(|| format!("{}-{}", pair.base, pair.quote))
}

/// Every closed state may carry executions.
pub(super) fn state(status: &str, executed: Decimal, quantity: Decimal) -> OrderState {
    match status {
        "FILLED" if executed == quantity => OrderState::Filled,
        "CANCELLED" | "EXPIRED" | "FAILED" => OrderState::Closed,
        // PENDING, OPEN, QUEUED, CANCEL_QUEUED, EDIT_QUEUED, UNKNOWN_ORDER_STATUS, a FILLED that is
        // not, and whatever they invent next.
        _ => OrderState::Open,
    }
}

/// Size and price; the price of a market order is zero.
fn terms(wire: &wire::Order) -> Mapped<(Decimal, Decimal)> {
    let mut all = wire.order_configuration.values().flatten();
    let (Some(terms), None) = (all.next(), all.next()) else {
        return Err("order of no kind, or of several");
    };
    let size = terms.base_size.ok_or("order without a size in its coin")?;
    Ok((size.0, terms.limit_price.map_or(Decimal::ZERO, |price| price.0)))
}

pub(super) fn order(wire: &wire::Order, pair: Pair, client_ref: &ClientRef) -> Mapped<Order> {
    if product(pair).as_deref() != Some(wire.product_id.as_str()) {
        return Err("order in another market than asked for");
    }
    if wire.side != "SELL" {
        return Err("order on the wrong side");
    }
    if wire.client_order_id != client_ref.as_str() {
        return Err("order with another reference than asked for");
    }
    let (quantity, price) = terms(wire)?;
    let executed = wire.filled_size.0;
    let sane = is_positive(quantity) && executed >= Decimal::ZERO && price >= Decimal::ZERO;
    if !sane || executed > quantity {
        return Err("order whose quantities do not add up");
    }
    Ok(Order {
        venue_order_id: text(&wire.order_id)?,
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
    if product(pair).as_deref() != Some(wire.product_id.as_str()) {
        return Err("open order of another market");
    }
    let rest = terms(wire)?.0.checked_sub(wire.filled_size.0);
    let rest = rest.filter(|rest| !rest.is_sign_negative());
    Ok(Resting {
        venue_order_id: text(&wire.order_id)?,
        client_ref: Some(wire.client_order_id.clone()),
        rest: rest.ok_or("open order whose quantities do not add up")?,
    })
}

/// What stands of a list of executions. A `REVERSAL` takes back every earlier entry of its trade,
/// and a `CORRECTION` says instead what it was: it counts from then on, under its own id. Entries
/// come in any order; their kind tells what they are.
pub(super) fn fills(lines: &[wire::Fill], pair: Pair) -> Mapped<Vec<Fill>> {
    let of = |kind: &str| {
        let lines = lines.iter().filter(|line| line.trade_type == kind);
        lines.map(|line| line.trade_id.as_str()).collect::<BTreeSet<_>>()
    };
    let known =
        |line: &wire::Fill| matches!(line.trade_type.as_str(), "FILL" | "REVERSAL" | "CORRECTION");
    if !lines.iter().all(known) {
        return Err("execution of a kind we do not book");
    }
    let reversed = of("REVERSAL");
    let mut standing = BTreeMap::new();
    for line in lines {
        let id = match line.trade_type.as_str() {
            "FILL" if !reversed.contains(line.trade_id.as_str()) => text(&line.trade_id)?,
            "CORRECTION" => text(&line.entry_id)?,
            _ => continue,
        };
        standing.insert(id.clone(), fill(line, id, pair)?);
    }
    Ok(standing.into_values().collect())
}

fn fill(wire: &wire::Fill, trade_id: String, pair: Pair) -> Mapped<Fill> {
    if product(pair).as_deref() != Some(wire.product_id.as_str()) || wire.side != "SELL" {
        return Err("execution of another market or side");
    }
    if wire.size_in_quote {
        return Err("execution told in the other coin");
    }
    let (price, quantity) = (wire.price.0, wire.size.0);
    if !is_positive(price) || !is_positive(quantity) {
        return Err("execution without price or quantity");
    }
    let value = price.checked_mul(quantity).ok_or("execution too large")?;
    let commission = wire.commission.0;
    if commission.is_sign_negative() && !commission.is_zero() {
        return Err("fee out of range");
    }
    let gross = to_amount(value, pair.quote, Rounding::Down);
    Ok(Fill {
        trade_id,
        venue_order_id: text(&wire.order_id)?,
        sold: to_amount_exact(quantity, pair.base).ok_or("execution finer than the asset")?,
        gross: gross.ok_or("execution too large")?,
        fee: fee_of_credit(value, commission, pair.quote)?,
        fee_gst: Amount::zero(pair.quote),
        tds: Amount::zero(pair.quote),
        price,
        executed_at: iso(&wire.trade_time)?,
    })
}

/// Assets we do not know are none of our business, nor are vaults and futures; of what can be
/// traded nothing may be unreadable. One asset may lie in several accounts.
pub(super) fn holdings(accounts: &[wire::Account]) -> Mapped<Vec<Holding>> {
    let mut held: BTreeMap<Asset, Holding> = BTreeMap::new();
    for account in accounts {
        let tradable = matches!(account.kind.as_str(), "ACCOUNT_TYPE_CRYPTO" | "ACCOUNT_TYPE_FIAT");
        let Ok(asset) = account.currency.parse::<Asset>() else { continue };
        if !tradable {
            continue;
        }
        let free = amount(&account.available_balance.value, asset)?;
        let locked = amount(&account.hold.value, asset)?;
        let add = |a: Amount, b: Amount| a.checked_add(b).map_err(|_| "holding out of range");
        let sum = match held.get(&asset) {
            Some(other) => {
                let (free, locked) = (add(other.free, free)?, add(other.locked, locked)?);
                Holding { asset, free, locked }
            }
            None => Holding { asset, free, locked },
        };
        held.insert(asset, sum);
    }
    Ok(held.into_values().collect())
}

fn amount(raw: &RawValue, asset: Asset) -> Mapped<Amount> {
    let units: Option<WireDecimal> = serde_json::from_str(raw.get()).ok();
    let amount = units.and_then(|units| to_amount(units.0, asset, Rounding::Down));
    amount.filter(|amount| amount.minor() >= 0).ok_or("holding out of range")
}

pub(super) fn rules(wire: &wire::Product, pair: Pair) -> Mapped<MarketRules> {
    if product(pair).as_deref() != Some(wire.product_id.as_str()) {
        return Err("another market than asked for");
    }
    let some = |number: Option<WireDecimal>| number.map(|n| n.0).filter(|n| is_positive(*n));
    let quantity_step = some(Some(wire.base_increment)).ok_or("market without a step")?;
    if quantity_step.normalize().scale() > pair.base.scale() {
        return Err("step finer than the asset");
    }
    let price_tick = some(wire.price_increment).or_else(|| some(Some(wire.quote_increment)));
    let shut = wire.trading_disabled
        || wire.is_disabled
        || wire.cancel_only
        || wire.post_only
        || wire.view_only
        || wire.auction_mode;
    Ok(MarketRules {
        price_tick: price_tick.ok_or("market without a price tick")?,
        quantity_step,
        quantity_min: some(wire.base_min_size).unwrap_or(quantity_step),
        quantity_max: some(wire.base_max_size),
        notional_min: wire.quote_min_size.0.max(Decimal::ZERO),
        is_open: wire.status == "online" && !shut,
    })
}

/// What a sale at once pays, rounded up; tax on the fee where the venue adds it.
pub(super) fn levies(wire: &wire::Summary) -> Mapped<Levies> {
    let fee = bps_up(wire.fee_tier.taker_fee_rate.0).ok_or("commission out of range")?;
    let gst = match &wire.goods_and_services_tax {
        Some(gst) if gst.kind != "INCLUSIVE" => bps_up(gst.rate.0).ok_or("tax out of range")?,
        _ => Bps::ZERO,
    };
    Ok(Levies { fee, gst, tds: Bps::ZERO })
}

pub(super) fn book(wire: &wire::PriceBook, pair: Pair) -> Mapped<Book> {
    if product(pair).as_deref() != Some(wire.product_id.as_str()) {
        return Err("book of another market");
    }
    let level = |level: &wire::Level| (level.price.0, level.size.0);
    mapping::book(wire.bids.iter().map(level), wire.asks.iter().map(level), iso(&wire.time)?)
}
