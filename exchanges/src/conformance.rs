//! What every exchange and rate source must keep, whoever the vendor is.
//!
//! Each function drives the public trait only and names the first promise that was broken. They
//! are run by the tests against a simulator; a new connector is not done until they pass.

use chrono::{DateTime, TimeDelta, Utc};
use primitives::{Amount, Asset, CallError, CallResult};
use rust_decimal::Decimal;

use crate::{ClientRef, Exchange, Fill, NewOrder, Order, OrderState, RateSource};

/// The promise that was broken.
pub type Conformity = Result<(), String>;

fn hold(promise: bool, sentence: &str) -> Conformity {
    if promise { Ok(()) } else { Err(sentence.to_owned()) }
}

fn done<T>(result: CallResult<T>, call: &str) -> Result<T, String> {
    result.map_err(|error| format!("{call} failed: {error}"))
}

/// Rules, book, holdings and clock can be read and make sense.
///
/// # Errors
/// The first broken promise.
pub async fn reads_make_sense(exchange: &dyn Exchange, sell: Asset) -> Conformity {
    let rules = done(exchange.rules(sell).await, "rules")?;
    hold(rules.price_tick > Decimal::ZERO, "the price tick is positive")?;
    hold(rules.quantity_step > Decimal::ZERO, "the quantity step is positive")?;
    hold(rules.quantity_step.normalize().scale() <= sell.scale(), "a step is whole minor units")?;
    let book = done(exchange.book(sell).await, "book")?;
    hold(book.bids.is_sorted_by(|a, b| a.price >= b.price), "bids are best first")?;
    hold(book.asks.is_sorted_by(|a, b| a.price <= b.price), "asks are best first")?;
    let best = |levels: &[crate::BookLevel]| levels.first().map(|level| level.price);
    if let (Some(bid), Some(ask)) = (best(&book.bids), best(&book.asks)) {
        hold(bid < ask, "a book is not crossed")?;
    }
    for holding in done(exchange.holdings().await, "holdings")? {
        hold(holding.free.asset() == holding.asset, "free is in its own asset")?;
        hold(holding.locked.asset() == holding.asset, "locked is in its own asset")?;
        hold(holding.free.minor() >= 0 && holding.locked.minor() >= 0, "nothing is negative")?;
    }
    done(exchange.server_time().await, "server_time").map(drop)
}

/// A reference that was never used finds nothing and cancels nothing.
///
/// # Errors
/// The first broken promise.
pub async fn unused_reference_finds_nothing(
    exchange: &dyn Exchange,
    unused: &ClientRef,
) -> Conformity {
    hold(done(exchange.find_order(unused).await, "find_order")?.is_none(), "nothing is found")?;
    let cancelled = exchange.cancel_order(unused).await;
    hold(matches!(cancelled, Err(CallError::Rejected { .. })), "nothing can be cancelled")
}

/// A marketable order is placed, found again by our reference, filled, and its executions add up.
///
/// # Errors
/// The first broken promise.
pub async fn sells_what_is_bid_for(
    exchange: &dyn Exchange,
    order: &NewOrder,
) -> Result<Vec<Fill>, String> {
    let before = done(exchange.holdings().await, "holdings")?;
    let started = done(exchange.server_time().await, "server_time")?;
    let placed = done(exchange.place_order(order).await, "place_order")?;
    hold(placed.client_ref == order.client_ref, "a placed order carries our reference")?;
    let found = done(exchange.find_order(&order.client_ref).await, "find_order")?
        .ok_or("a placed order is found")?;
    hold(found.venue_order_id == placed.venue_order_id, "find agrees with place")?;
    hold(found.executed >= placed.executed, "executed never goes down")?;
    hold(found.state == OrderState::Filled, "an order the book can take is filled")?;
    let fills = done(exchange.fills(&found).await, "fills")?;
    fills_add_up(&found, &fills)?;
    let since = started.checked_sub_signed(TimeDelta::seconds(1)).unwrap_or(started);
    let later = done(exchange.fills_since(order.sell, since).await, "fills_since")?;
    hold(fills.iter().all(|fill| later.contains(fill)), "fills_since shows the same executions")?;
    let after = done(exchange.holdings().await, "holdings")?;
    let free = |holdings: &[crate::Holding], asset: Asset| {
        let held = holdings.iter().find(|holding| holding.asset == asset);
        held.map_or(0, |holding| holding.free.minor())
    };
    let gained = free(&after, Asset::Inr).saturating_sub(free(&before, Asset::Inr));
    let expected = fills.iter().map(credit).sum::<Option<i128>>().ok_or("credits fit")?;
    hold(gained == expected, &format!("the credit is {gained} paise, computed {expected}"))?;
    let again = done(exchange.cancel_order(&order.client_ref).await, "cancel_order")?;
    hold(again.state == OrderState::Filled, "cancelling a filled order tells that it is filled")?;
    Ok(fills)
}

fn credit(fill: &Fill) -> Option<i128> {
    [fill.fee, fill.fee_gst, fill.tds]
        .into_iter()
        .try_fold(fill.gross, |rest, levy| rest.checked_sub(levy).ok())
        .map(Amount::minor)
}

fn fills_add_up(order: &Order, fills: &[Fill]) -> Conformity {
    hold(!fills.is_empty(), "a filled order has executions")?;
    let sold = fills.iter().try_fold(Decimal::ZERO, |sum, fill| {
        let scale = fill.sold.asset().scale();
        sum.checked_add(Decimal::try_from_i128_with_scale(fill.sold.minor(), scale).ok()?)
    });
    hold(sold == Some(order.executed), "executions add up to what the order says")?;
    for fill in fills {
        hold(fill.venue_order_id == order.venue_order_id, "an execution names its order")?;
        hold(fill.sold.asset() == order.sell, "sold is in the asset of the order")?;
        hold(fill.gross.asset() == Asset::Inr, "gross is in rupees")?;
        hold(fill.price >= order.price, "nothing is sold below the limit")?;
        hold(credit(fill).is_some_and(|credit| credit > 0), "levies leave something")?;
    }
    let distinct: std::collections::BTreeSet<_> = fills.iter().map(|fill| &fill.trade_id).collect();
    hold(distinct.len() == fills.len(), "every execution has its own id")
}

/// An order above the market rests, and ends closed once its cancel is through.
///
/// # Errors
/// The first broken promise.
pub async fn cancels_what_rests(
    exchange: &dyn Exchange,
    order: &NewOrder,
    polls_max: u32,
) -> Conformity {
    let placed = done(exchange.place_order(order).await, "place_order")?;
    hold(placed.state == OrderState::Open, "an order above the market is open")?;
    let mut current = done(exchange.cancel_order(&order.client_ref).await, "cancel_order")?;
    for _ in 0..polls_max {
        if current.state != OrderState::Open {
            break;
        }
        current = done(exchange.find_order(&order.client_ref).await, "find_order")?
            .ok_or("a cancelled order is still found")?;
    }
    hold(current.state == OrderState::Closed, "a cancelled order ends closed")?;
    let again = done(exchange.cancel_order(&order.client_ref).await, "cancel_order again")?;
    hold(again.state == OrderState::Closed, "cancelling again is harmless")
}

/// An order that cannot be is refused in so many words, and leaves nothing behind.
///
/// # Errors
/// The first broken promise.
pub async fn refuses_in_words(exchange: &dyn Exchange, impossible: &NewOrder) -> Conformity {
    let refused = exchange.place_order(impossible).await;
    hold(matches!(refused, Err(CallError::Rejected { .. })), "a refusal is `Rejected`")?;
    let found = done(exchange.find_order(&impossible.client_ref).await, "find_order")?;
    hold(found.is_none(), "a refused order does not exist")
}

/// Prices are positive, ordered, timed, and only for what was asked.
///
/// # Errors
/// The first broken promise.
pub async fn quotes_make_sense(
    source: &dyn RateSource,
    bases: &[Asset],
    now: DateTime<Utc>,
) -> Conformity {
    let quotations = done(source.quotations(bases).await, "quotations")?;
    hold(!quotations.is_empty(), "something is quoted")?;
    let tolerance = TimeDelta::seconds(2);
    for quotation in &quotations {
        hold(quotation.source == source.name(), "a quotation names its source")?;
        hold(bases.contains(&quotation.base), "only what was asked for")?;
        hold(quotation.base != quotation.quote, "a pair has two sides")?;
        hold(quotation.bid > Decimal::ZERO, "a price is positive")?;
        hold(quotation.ask >= quotation.bid, "bid is not above ask")?;
        let ahead = quotation.at.signed_duration_since(now);
        hold(ahead <= tolerance, "a quotation is not from the future")?;
    }
    let nothing = done(source.quotations(&[]).await, "quotations of nothing")?;
    hold(nothing.is_empty(), "nothing asked, nothing answered")
}
