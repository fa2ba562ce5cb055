//! Promises of orders: placed once, found by our reference, executed and explained.
//!
//! Invariant: what a venue keeps of its own units beside our minor units is bounded, one of them an
//! execution; everything else is exact.

use chrono::TimeDelta;
use primitives::{Amount, Asset, CallError};
use rust_decimal::Decimal;

use super::{Conformity, done, hold};
use crate::{
    BookLevel, ClientRef, Exchange, Fill, Holding, NewOrder, Order, OrderKind, OrderState, Pair,
};

/// Places of a coin that venues keep.
const VENUE_PLACES: u32 = 8;

/// Rules, book, holdings and clock can be read and make sense.
///
/// # Errors
/// The first broken promise.
pub async fn reads_make_sense(exchange: &dyn Exchange, pair: Pair) -> Conformity {
    hold(exchange.market(pair.base) == Some(pair), "the market is the venue's own")?;
    let rules = done(exchange.rules(pair).await, "rules")?;
    hold(rules.is_open, "the market is open")?;
    hold(rules.quantity_min >= Decimal::ZERO, "the least quantity is not negative")?;
    let bounded = rules.quantity_max.is_none_or(|max| max > rules.quantity_min);
    hold(bounded, "the most is more than the least")?;
    done(exchange.levies(pair).await, "levies")?;
    hold(rules.price_tick > Decimal::ZERO, "the price tick is positive")?;
    hold(rules.quantity_step > Decimal::ZERO, "the quantity step is positive")?;
    hold(
        rules.quantity_step.normalize().scale() <= pair.base.scale(),
        "a step is whole minor units",
    )?;
    let book = done(exchange.book(pair).await, "book")?;
    hold(book.bids.is_sorted_by(|a, b| a.price >= b.price), "bids are best first")?;
    hold(book.asks.is_sorted_by(|a, b| a.price <= b.price), "asks are best first")?;
    let best = |levels: &[BookLevel]| levels.first().map(|level| level.price);
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
    pair: Pair,
    unused: &ClientRef,
) -> Conformity {
    let found = done(exchange.find_order(pair, unused).await, "find_order")?;
    hold(found.is_none(), "nothing is found")?;
    let cancelled = exchange.cancel_order(pair, unused).await;
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
    let found = done(exchange.find_order(order.pair, &order.client_ref).await, "find_order")?
        .ok_or("a placed order is found")?;
    hold(found.venue_order_id == placed.venue_order_id, "find agrees with place")?;
    hold(found.executed >= placed.executed, "executed never goes down")?;
    hold(found.state == OrderState::Filled, "an order the book can take is filled")?;
    let fills = done(exchange.fills(&found).await, "fills")?;
    fills_add_up(&found, &fills)?;
    let since = started.checked_sub_signed(TimeDelta::seconds(1)).unwrap_or(started);
    let later = done(exchange.fills_since(order.pair, since).await, "fills_since")?;
    hold(fills.iter().all(|fill| later.contains(fill)), "fills_since shows the same executions")?;
    let after = done(exchange.holdings().await, "holdings")?;
    balances_are_explained(&before, &after, &fills)?;
    let again = done(exchange.cancel_order(order.pair, &order.client_ref).await, "cancel_order")?;
    hold(again.state == OrderState::Filled, "cancelling a filled order tells that it is filled")?;
    Ok(fills)
}

/// What executions do to the balances, asset by asset, to the last minor unit. A venue that keeps
/// more places of a coin than our books may have credited a part of one beside each execution.
fn balances_are_explained(before: &[Holding], after: &[Holding], fills: &[Fill]) -> Conformity {
    for asset in Asset::ALL {
        let held = |holdings: &[Holding]| {
            let held = holdings.iter().find(|holding| holding.asset == asset);
            held.map_or(0, |h| h.free.minor().saturating_add(h.locked.minor()))
        };
        let moved = held(after).saturating_sub(held(before));
        let mut expected = 0_i128;
        for fill in fills {
            let of = |amount: Amount| if amount.asset() == asset { amount.minor() } else { 0 };
            let taken = [fill.sold, fill.fee, fill.fee_gst, fill.tds].map(of);
            let taken = taken.into_iter().fold(0_i128, i128::saturating_add);
            expected = expected.saturating_add(of(fill.gross)).saturating_sub(taken);
        }
        let beside = moved.saturating_sub(expected);
        let is_coarse = asset.is_crypto() && asset.scale() < VENUE_PLACES;
        let most = if is_coarse { i128::try_from(fills.len()).unwrap_or(0) } else { 0 };
        let sentence = format!("{asset} moved by {moved} minor units, computed {expected}");
        hold((0..=most).contains(&beside), &sentence)?;
    }
    Ok(())
}

/// What is left of the gross after every levy taken from it.
fn credit(fill: &Fill) -> Option<i128> {
    [fill.fee, fill.fee_gst, fill.tds]
        .into_iter()
        .filter(|levy| levy.asset() == fill.gross.asset())
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
        hold(fill.sold.asset() == order.pair.base, "sold is in the asset of the order")?;
        hold(fill.gross.asset() == order.pair.quote, "gross is in the quote asset")?;
        hold(fill.price >= order.price, "nothing is sold below the limit")?;
        hold(credit(fill).is_some_and(|credit| credit > 0), "levies leave something")?;
    }
    let distinct: std::collections::BTreeSet<_> = fills.iter().map(|fill| &fill.trade_id).collect();
    hold(distinct.len() == fills.len(), "every execution has its own id")
}

/// An order that does not wait never rests: what is not executed at once never will be.
///
/// # Errors
/// The first broken promise.
pub async fn never_rests(
    exchange: &dyn Exchange,
    order: &NewOrder,
) -> Result<(Order, Vec<Fill>), String> {
    hold(order.kind != OrderKind::Limit, "the order is one that does not wait")?;
    hold(exchange.takes(order.kind), "the venue takes this kind")?;
    let before = done(exchange.holdings().await, "holdings")?;
    let placed = done(exchange.place_order(order).await, "place_order")?;
    hold(placed.state != OrderState::Open, "it is over when it is answered")?;
    let found = done(exchange.find_order(order.pair, &order.client_ref).await, "find_order")?
        .ok_or("a placed order is found")?;
    hold(found.executed == placed.executed, "what was executed stays so")?;
    hold(found.state == placed.state, "what is over stays over")?;
    let open = done(exchange.open_orders(order.pair).await, "open_orders")?;
    let rests = open.iter().any(|o| o.client_ref.as_deref() == Some(order.client_ref.as_str()));
    hold(!rests, "it is not in the book")?;
    let fills = done(exchange.fills(&found).await, "fills")?;
    if !found.executed.is_zero() {
        fills_add_up(&found, &fills)?;
    }
    let after = done(exchange.holdings().await, "holdings")?;
    balances_are_explained(&before, &after, &fills)?;
    Ok((found, fills))
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
    let open = done(exchange.open_orders(order.pair).await, "open_orders")?;
    let ours = open.iter().find(|o| o.client_ref.as_deref() == Some(order.client_ref.as_str()));
    let rest = ours.map(|resting| resting.rest);
    hold(rest == Some(order.quantity), "a resting order is listed as open")?;
    let mut current =
        done(exchange.cancel_order(order.pair, &order.client_ref).await, "cancel_order")?;
    for _ in 0..polls_max {
        if current.state != OrderState::Open {
            break;
        }
        current = done(exchange.find_order(order.pair, &order.client_ref).await, "find_order")?
            .ok_or("a cancelled order is still found")?;
    }
    hold(current.state == OrderState::Closed, "a cancelled order ends closed")?;
    let again =
        done(exchange.cancel_order(order.pair, &order.client_ref).await, "cancel_order again")?;
    hold(again.state == OrderState::Closed, "cancelling again is harmless")
}

/// An order that cannot be is refused in so many words, and leaves nothing behind.
///
/// # Errors
/// The first broken promise.
pub async fn refuses_in_words(exchange: &dyn Exchange, impossible: &NewOrder) -> Conformity {
    let refused = exchange.place_order(impossible).await;
    hold(matches!(refused, Err(CallError::Rejected { .. })), "a refusal is `Rejected`")?;
    let found =
        done(exchange.find_order(impossible.pair, &impossible.client_ref).await, "find_order")?;
    hold(found.is_none(), "a refused order does not exist")
}
