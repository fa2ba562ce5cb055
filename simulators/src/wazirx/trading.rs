//! Order endpoints: place, test, show, cancel, list, trades.
//!
//! Invariant: only `limit` and `stop_limit` exist; a cancellation may answer with the order still
//! in `wait`, and what executed before it took effect stays executed.

use axum::response::Response;
use rust_decimal::Decimal;
use serde_json::{Value, json};

use super::{
    CancelReply, Duplicates, Exchange, NAME, State,
    engine::Appetite,
    market::market_of,
    order::{Cancelling, Order, Status, WHOLE, millis},
    wire::{Refusal, amount, decimal_param, limit_param, ok, whole_param},
};
use crate::{
    fault::Fault,
    prices::draw,
    serving::Call,
    venue::{Change, Market, Side, is_multiple},
};

pub(crate) fn place(ex: &Exchange, state: &mut State, call: &Call) -> Result<Response, Refusal> {
    let order = read_order(ex, state, call)?;
    let order = state.accept(order, appetite(ex))?;
    ok(order.to_json())
}

/// The dry run: everything is checked, nothing enters the books.
pub(crate) fn test(ex: &Exchange, state: &mut State, call: &Call) -> Result<Response, Refusal> {
    read_order(ex, state, call)?;
    ok(json!({}))
}

fn read_order(ex: &Exchange, state: &State, call: &Call) -> Result<Order, Refusal> {
    if state.settings.maintenance {
        return Err(Refusal::invalid("System is under maintenance."));
    }
    let market = symbol(call)?;
    let side = match call.param("side") {
        Some("buy") => Side::Buy,
        Some("sell") => Side::Sell,
        None => return Err(Refusal::missing("side")),
        Some(_) => return Err(Refusal::invalid("side does not have a valid value")),
    };
    let is_stop = match call.param("type") {
        Some("limit") => false,
        Some("stop_limit") => true,
        None => return Err(Refusal::missing("type")),
        Some(_) => return Err(Refusal::invalid("type does not have a valid value")),
    };
    let number = |name| decimal_param(call, name)?.ok_or_else(|| Refusal::missing(name));
    let (quantity, price) = (number("quantity")?, number("price")?);
    let stop_price = decimal_param(call, "stopPrice")?;
    if is_stop && stop_price.is_none() {
        return Err(Refusal::new(94001, "Stop price not found."));
    }
    check_steps(market, side, quantity, price)?;
    let client_id = client_id(ex, state, call)?;
    let now = ex.world.now();
    Ok(Order {
        id: state.next_order_id(),
        client_id,
        market,
        side,
        price,
        stop_price: stop_price.filter(|_| is_stop),
        quantity,
        executed: Decimal::ZERO,
        gross: Decimal::ZERO,
        status: if is_stop { Status::Idle } else { Status::Wait },
        locked: Decimal::ZERO,
        created: now,
        updated: now,
        cancelling: None,
    })
}

pub(crate) fn check_steps(
    market: &Market,
    side: Side,
    quantity: Decimal,
    price: Decimal,
) -> Result<(), Refusal> {
    if !is_multiple(quantity, market.step) {
        return Err(Refusal::invalid("quantity does not have a valid precision"));
    }
    if !is_multiple(price, market.tick) {
        return Err(Refusal::invalid("price does not have a valid precision"));
    }
    if quantity * price < market.min_notional {
        let least = amount(market.min_notional);
        let (side, quote) = (side.lower(), market.quote);
        let message = format!("Minimum {side} amount must be worth {least} {quote}");
        return Err(Refusal::new(2031, message));
    }
    Ok(())
}

fn client_id(ex: &Exchange, state: &State, call: &Call) -> Result<String, Refusal> {
    let Some(given) = call.param("clientOrderId") else {
        return Ok(ex.world.entropy.uuid(ex.world.now()).to_string());
    };
    let plain = |b: u8| b.is_ascii_alphanumeric() || matches!(b, b'-' | b'_');
    if given.len() > 36 || !given.bytes().all(plain) {
        return Err(Refusal::invalid("clientOrderId does not have a valid value"));
    }
    let known = state.find_by_client_id(given).is_some();
    if known && state.settings.duplicates == Duplicates::Reject {
        return Err(Refusal::invalid("clientOrderId already exists"));
    }
    Ok(given.to_owned())
}

/// How much of an arriving order may execute, when a fault says so.
fn appetite(ex: &Exchange) -> Appetite {
    let named = |name| ex.world.faults.take_named(NAME, "place_order", name);
    if named("no_fill").is_some() {
        return Appetite(0);
    }
    Appetite(named("partial_fill").map_or(WHOLE, |fault| value_bps(&fault, 5000)))
}

fn value_bps(fault: &Fault, default: u32) -> u32 {
    fault.value.as_ref().and_then(|text| text.parse().ok()).unwrap_or(default).min(WHOLE)
}

pub(crate) fn symbol(call: &Call) -> Result<&'static Market, Refusal> {
    let name = call.param("symbol").ok_or_else(|| Refusal::missing("symbol"))?;
    market_of(name).ok_or_else(Refusal::invalid_symbol)
}

fn selected<'s>(state: &'s State, call: &Call) -> Result<&'s Order, Refusal> {
    if let Some(id) = whole_param(call, "orderId")? {
        return state.orders.get(&id).ok_or_else(Refusal::order_not_found);
    }
    let client_id = call.param("clientOrderId").ok_or_else(|| Refusal::missing("orderId"))?;
    state.find_by_client_id(client_id).ok_or_else(Refusal::order_not_found)
}

pub(crate) fn get(_: &Exchange, state: &mut State, call: &Call) -> Result<Response, Refusal> {
    ok(selected(state, call)?.to_json())
}

pub(crate) fn cancel(ex: &Exchange, state: &mut State, call: &Call) -> Result<Response, Refusal> {
    let market = symbol(call)?;
    let order = selected(state, call)?.clone();
    if order.market.pair() != market.pair() {
        return Err(Refusal::order_not_found());
    }
    if !order.status.is_open() {
        return Err(Refusal::invalid("Order is already closed"));
    }
    ok(start_cancel(ex, state, order).to_json())
}

fn start_cancel(ex: &Exchange, state: &mut State, mut order: Order) -> Order {
    if order.cancelling.is_some() {
        return order;
    }
    let now = ex.world.now();
    let named = |name| ex.world.faults.take_named(NAME, "cancel_order", name);
    let (late, slow) = (named("late_fill"), named("slow_cancel"));
    let delay = late.as_ref().map(|fault| fault.delay(0)).into_iter();
    let delay = delay.chain(slow.as_ref().map(|fault| fault.delay(5_000))).max();
    let answers_wait = match state.settings.cancel_reply {
        CancelReply::Wait => true,
        CancelReply::Cancel => false,
        CancelReply::Sometimes => {
            draw(ex.world.seed, &["cancel", &order.id.to_string()]).is_multiple_of(2)
        }
    };
    state.holdings.apply(Change {
        at: now,
        kind: "cancel_accepted",
        reference: order.id.to_string(),
        movements: Vec::new(),
        detail: order.to_json(),
    });
    order.updated = now;
    order.cancelling = Some(Cancelling {
        due: now + delay.map(millis).unwrap_or_default(),
        late_fill_bps: late.map_or(0, |fault| value_bps(&fault, WHOLE)),
    });
    if delay.is_none() && !answers_wait {
        state.finish_cancel(&mut order, now);
    }
    state.store(order.clone());
    order
}

pub(crate) fn cancel_all(
    ex: &Exchange,
    state: &mut State,
    call: &Call,
) -> Result<Response, Refusal> {
    let market = symbol(call)?.pair();
    let open: Vec<Order> =
        state.open_orders().filter(|order| order.market.pair() == market).cloned().collect();
    let answers = open.into_iter().map(|order| start_cancel(ex, state, order).to_json());
    ok(Value::Array(answers.collect()))
}

pub(crate) fn open_orders(
    _: &Exchange,
    state: &mut State,
    call: &Call,
) -> Result<Response, Refusal> {
    let wanted = optional_symbol(call)?;
    let limit = limit_param(call, 500, 1000)?;
    let orders = state.open_orders().filter(|order| matches_market(wanted, order.market));
    ok(Value::Array(orders.take(limit).map(Order::to_json).collect()))
}

pub(crate) fn all_orders(
    _: &Exchange,
    state: &mut State,
    call: &Call,
) -> Result<Response, Refusal> {
    let wanted = Some(symbol(call)?);
    let limit = limit_param(call, 500, 1000)?;
    let within = period(call)?;
    let first = whole_param(call, "orderId")?.unwrap_or(0);
    let mut orders: Vec<Value> = state
        .orders
        .range(first..)
        .map(|(_, order)| order)
        .filter(|order| matches_market(wanted, order.market))
        .filter(|order| within(order.created.timestamp_millis()))
        .map(Order::to_json)
        .collect();
    keep_newest(&mut orders, limit);
    ok(Value::Array(orders))
}

pub(crate) fn my_trades(_: &Exchange, state: &mut State, call: &Call) -> Result<Response, Refusal> {
    let wanted = optional_symbol(call)?;
    let limit = limit_param(call, 500, 1000)?;
    let within = period(call)?;
    let order_id = whole_param(call, "orderId")?;
    let first = whole_param(call, "fromId")?.unwrap_or(0);
    let mut trades: Vec<Value> = state
        .trades
        .iter()
        .filter(|trade| matches_market(wanted, trade.market) && trade.id >= first)
        .filter(|trade| order_id.is_none_or(|id| trade.order_id == id))
        .filter(|trade| within(trade.at.timestamp_millis()))
        .map(super::order::Trade::to_json)
        .collect();
    keep_newest(&mut trades, limit);
    ok(Value::Array(trades))
}

fn optional_symbol(call: &Call) -> Result<Option<&'static Market>, Refusal> {
    call.param("symbol").map(|_| symbol(call)).transpose()
}

fn matches_market(wanted: Option<&Market>, market: &Market) -> bool {
    wanted.is_none_or(|wanted| wanted.base == market.base && wanted.quote == market.quote)
}

/// Whether a time lies between `startTime` and `endTime`, both in milliseconds.
fn period(call: &Call) -> Result<impl Fn(i64) -> bool, Refusal> {
    let from = whole_param(call, "startTime")?.unwrap_or(0);
    let to = whole_param(call, "endTime")?.unwrap_or(u64::MAX);
    Ok(move |at: i64| (from..=to).contains(&u64::try_from(at).unwrap_or(0)))
}

fn keep_newest(items: &mut Vec<Value>, limit: usize) {
    let surplus = items.len().saturating_sub(limit);
    items.drain(..surplus);
}
