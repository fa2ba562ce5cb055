//! Order endpoints: place, test, show, cancel, list, trades.
//!
//! Invariant: a client order id only has to differ from those of open orders; sent again after
//! its order closed, it trades a second time, as at the vendor.

use rust_decimal::Decimal;
use serde_json::{Value, json};

use super::{
    Exchange, NAME, State,
    engine::WHOLE,
    events,
    market::{
        check_market_quantity, check_notional, check_price, check_quantity, reference, status,
        symbol,
    },
    order::{InForce, Kind, Order, Status, Trade},
    wire::{Refusal, decimal_param, limit_param, whole_param},
};
use crate::{
    fault::Fault,
    serving::Call,
    venue::{Market, Side},
};

type Answer = Result<Value, Refusal>;

const CLIENT_ID_RANGE: &str = "^[a-zA-Z0-9-_]{1,36}$";

pub(crate) fn place(ex: &Exchange, state: &mut State, call: &Call) -> Answer {
    let order = read_order(ex, state, call)?;
    let named = |name| ex.world.faults.take_named(NAME, "place_order", name);
    let appetite = match named("no_fill") {
        Some(_) => 0,
        None => named("partial_fill").map_or(WHOLE, |fault| value_bps(&fault, 5000)),
    };
    let lag = named("query_lag").map(|fault| fault.delay(2_000));
    let mut order = order;
    if let Some(lag) = lag.and_then(|lag| chrono::TimeDelta::from_std(lag).ok()) {
        order.visible_from = order.created + lag;
    }
    let order = state.accept(order, appetite)?;
    let default = if order.kind == Kind::LimitMaker { "ACK" } else { "FULL" };
    match call.param("newOrderRespType").unwrap_or(default) {
        "ACK" => Ok(order.to_ack()),
        "RESULT" => Ok(order.to_result(None)),
        _ => {
            let fills = state.trades.iter().rev().take_while(|trade| trade.order_id == order.id);
            let mut fills: Vec<Value> = fills.map(Trade::to_fill).collect();
            fills.reverse();
            Ok(order.to_result(Some(fills)))
        }
    }
}

fn value_bps(fault: &Fault, default: u32) -> u32 {
    fault.value.as_ref().and_then(|text| text.parse().ok()).unwrap_or(default).min(WHOLE)
}

/// The dry run: everything is checked, nothing enters the books.
pub(crate) fn test(ex: &Exchange, state: &mut State, call: &Call) -> Answer {
    let order = read_order(ex, state, call)?;
    if call.param("computeCommissionRates") == Some("true") {
        return Ok(super::account::rates(state, &order.market.pair()));
    }
    Ok(json!({}))
}

fn read_order(ex: &Exchange, state: &State, call: &Call) -> Result<Order, Refusal> {
    let market = symbol(call)?;
    let side = match call.param("side") {
        Some("BUY") => Side::Buy,
        Some("SELL") => Side::Sell,
        None => return Err(Refusal::mandatory("side")),
        Some(_) => return Err(Refusal::new(-1117, "Invalid side.")),
    };
    let kind = match call.param("type") {
        Some("LIMIT") => Kind::Limit,
        Some("LIMIT_MAKER") => Kind::LimitMaker,
        Some("MARKET") => Kind::Market,
        None => return Err(Refusal::mandatory("type")),
        Some(_) => return Err(Refusal::new(-1116, "Invalid orderType.")),
    };
    if !matches!(call.param("newOrderRespType"), None | Some("ACK" | "RESULT" | "FULL")) {
        return Err(Refusal::illegal("newOrderRespType", "ACK|RESULT|FULL"));
    }
    if state.settings.maintenance || status(state, market) != "TRADING" {
        return Err(Refusal::new(-2010, "Market is closed."));
    }
    let in_force = in_force(call, kind)?;
    let (quantity, price, quote_quantity) = sizes(ex, market, kind, call)?;
    let client_id = client_id(ex, state, call, "newClientOrderId")?;
    let now = ex.world.now();
    Ok(Order {
        id: state.next_order_id(),
        client_id,
        market,
        side,
        kind,
        in_force,
        price,
        quantity,
        quote_quantity,
        executed: Decimal::ZERO,
        quote_executed: Decimal::ZERO,
        status: Status::New,
        expiry_reason: None,
        locked: Decimal::ZERO,
        created: now,
        updated: now,
        visible_from: now,
    })
}

fn in_force(call: &Call, kind: Kind) -> Result<InForce, Refusal> {
    match (kind, call.param("timeInForce")) {
        (Kind::Limit, None) => Err(Refusal::mandatory("timeInForce")),
        (Kind::Limit, Some("IOC")) => Ok(InForce::Ioc),
        (Kind::Limit, Some("FOK")) => Ok(InForce::Fok),
        (Kind::Limit | Kind::LimitMaker, Some("GTC")) | (_, None) => Ok(InForce::Gtc),
        (Kind::Limit, Some(_)) => Err(Refusal::new(-1115, "Invalid timeInForce.")),
        (_, Some(_)) => Err(Refusal::new(-1106, not_required("timeInForce"))),
    }
}

fn not_required(name: &str) -> String {
    format!("Parameter '{name}' sent when not required.")
}

type Sizes = (Decimal, Option<Decimal>, Option<Decimal>);

/// Quantity, limit price and quote amount, checked against the filters.
fn sizes(ex: &Exchange, market: &Market, kind: Kind, call: &Call) -> Result<Sizes, Refusal> {
    let quantity = decimal_param(call, "quantity")?;
    let price = decimal_param(call, "price")?;
    let quote_quantity = decimal_param(call, "quoteOrderQty")?;
    let reference = reference(ex, market)?;
    if kind != Kind::Market {
        let quantity = quantity.ok_or_else(|| Refusal::mandatory("quantity"))?;
        let price = price.ok_or_else(|| Refusal::mandatory("price"))?;
        if quote_quantity.is_some() {
            return Err(Refusal::new(-1106, not_required("quoteOrderQty")));
        }
        check_price(market, price, reference)?;
        check_quantity(market, quantity)?;
        check_notional(market, price * quantity, false)?;
        return Ok((quantity, Some(price), None));
    }
    if price.is_some() {
        return Err(Refusal::new(-1106, not_required("price")));
    }
    match (quantity, quote_quantity) {
        (Some(_), Some(_)) => Err(Refusal::new(-1106, not_required("quoteOrderQty"))),
        (Some(quantity), None) => {
            check_quantity(market, quantity)?;
            check_market_quantity(quantity)?;
            check_notional(market, quantity * reference, true)?;
            Ok((quantity, None, None))
        }
        (None, Some(quote)) => {
            check_notional(market, quote, true)?;
            Ok((Decimal::ZERO, None, Some(quote)))
        }
        (None, None) => Err(Refusal::new(
            -1102,
            "Param 'quantity' or 'quoteOrderQty' must be sent, but both were empty/null!",
        )),
    }
}

fn client_id(ex: &Exchange, state: &State, call: &Call, name: &str) -> Result<String, Refusal> {
    let Some(given) = call.param(name) else {
        let bytes: [u8; 11] = ex.world.entropy.bytes();
        return Ok(hex::encode(bytes));
    };
    let legal = |b: u8| b.is_ascii_alphanumeric() || matches!(b, b'-' | b'_');
    if given.len() > 36 || !given.bytes().all(legal) {
        return Err(Refusal::illegal(name, CLIENT_ID_RANGE));
    }
    if state.open_orders().any(|order| order.client_id == given) {
        return Err(Refusal::new(-2010, "Duplicate order sent."));
    }
    Ok(given.to_owned())
}

/// The order that `orderId` or `origClientOrderId` names.
fn selected(
    ex: &Exchange,
    state: &State,
    call: &Call,
    absent: fn() -> Refusal,
) -> Result<Order, Refusal> {
    let symbol = symbol(call)?.pair();
    let id = whole_param(call, "orderId")?;
    let client_id = call.param("origClientOrderId");
    let now = ex.world.now();
    let found = match (id, client_id) {
        (None, None) => {
            return Err(Refusal::new(
                -1102,
                "Param 'origClientOrderId' or 'orderId' must be sent, but both were empty/null!",
            ));
        }
        (Some(id), _) => state.orders.get(&id).filter(|order| order.market.pair() == symbol),
        (None, Some(client_id)) => state.find_by_client_id(&symbol, client_id),
    };
    let order = found.filter(|order| order.visible_from <= now).ok_or_else(absent)?;
    if client_id.is_some_and(|given| given != order.client_id) {
        let text = "Client order ID is not correct for this order ID.";
        return Err(Refusal::new(-2039, text));
    }
    Ok(order.clone())
}

pub(crate) fn get(ex: &Exchange, state: &mut State, call: &Call) -> Answer {
    Ok(selected(ex, state, call, Refusal::no_such_order)?.to_json())
}

pub(crate) fn cancel(ex: &Exchange, state: &mut State, call: &Call) -> Answer {
    let order = selected(ex, state, call, Refusal::unknown_order)?;
    if !order.status.is_open() {
        return Err(Refusal::unknown_order());
    }
    let allowed = match call.param("cancelRestrictions") {
        None => true,
        Some("ONLY_NEW") => order.status == Status::New,
        Some("ONLY_PARTIALLY_FILLED") => order.status == Status::PartiallyFilled,
        Some(_) => return Err(Refusal::mandatory("cancelRestrictions")),
    };
    if !allowed {
        let text = "Order was not canceled due to cancel restrictions.";
        return Err(Refusal::new(-2011, text));
    }
    let own_id = client_id(ex, state, call, "newClientOrderId")?;
    cancel_one(ex, state, &order, &own_id).map(|order| order.to_cancelled(&own_id))
}

/// Cancels what is left, unless a late fill comes first.
fn cancel_one(
    ex: &Exchange,
    state: &mut State,
    order: &Order,
    own_id: &str,
) -> Result<Order, Refusal> {
    let now = ex.world.now();
    if let Some(fault) = ex.world.faults.take_named(NAME, "cancel_order", "late_fill") {
        let bps = value_bps(&fault, WHOLE);
        let part = order.rest() * Decimal::new(i64::from(bps), 4);
        state.force_fill(order.id, Some(part));
    }
    let mut order = state.orders.get(&order.id).cloned().ok_or_else(Refusal::unknown_order)?;
    if !order.status.is_open() {
        return Err(Refusal::unknown_order());
    }
    state.close(&mut order, Status::Canceled, now);
    state.store(order.clone());
    state.tell(events::cancelled(&order, own_id, now));
    state.tell_balances(&[order.gives()], now);
    Ok(order)
}

pub(crate) fn cancel_all(ex: &Exchange, state: &mut State, call: &Call) -> Answer {
    let wanted = symbol(call)?.pair();
    let open: Vec<Order> =
        state.open_orders().filter(|order| order.market.pair() == wanted).cloned().collect();
    if open.is_empty() {
        return Err(Refusal::unknown_order());
    }
    let mut answers = Vec::new();
    for order in open {
        let own_id = hex::encode(ex.world.entropy.bytes::<11>());
        if let Ok(order) = cancel_one(ex, state, &order, &own_id) {
            answers.push(order.to_cancelled(&own_id));
        }
    }
    Ok(Value::Array(answers))
}

pub(crate) fn open_orders(ex: &Exchange, state: &mut State, call: &Call) -> Answer {
    let wanted = call.param("symbol").map(|_| symbol(call)).transpose()?.map(Market::pair);
    let now = ex.world.now();
    let orders = state
        .open_orders()
        .filter(|order| order.visible_from <= now)
        .filter(|order| wanted.as_ref().is_none_or(|wanted| order.market.pair() == *wanted));
    Ok(Value::Array(orders.map(Order::to_json).collect()))
}

pub(crate) fn all_orders(ex: &Exchange, state: &mut State, call: &Call) -> Answer {
    let wanted = symbol(call)?.pair();
    let limit = limit_param(call, 500, 1000)?;
    let within = period(call)?;
    let first = whole_param(call, "orderId")?;
    let now = ex.world.now();
    let found: Vec<Value> = state
        .orders
        .range(first.unwrap_or(0)..)
        .map(|(_, order)| order)
        .filter(|order| order.market.pair() == wanted && order.visible_from <= now)
        .filter(|order| within(order.created.timestamp_millis()))
        .map(Order::to_json)
        .collect();
    Ok(page(found, first.is_some(), limit))
}

pub(crate) fn my_trades(ex: &Exchange, state: &mut State, call: &Call) -> Answer {
    let wanted = symbol(call)?.pair();
    let limit = limit_param(call, 500, 1000)?;
    let within = period(call)?;
    let (order_id, first) = (whole_param(call, "orderId")?, whole_param(call, "fromId")?);
    let now = ex.world.now();
    let found: Vec<Value> = state
        .trades
        .iter()
        .filter(|trade| trade.market.pair() == wanted && trade.visible_from <= now)
        .filter(|trade| order_id.is_none_or(|id| trade.order_id == id))
        .filter(|trade| first.is_none_or(|first| trade.id >= first))
        .filter(|trade| within(trade.at.timestamp_millis()))
        .map(Trade::to_json)
        .collect();
    Ok(page(found, first.is_some(), limit))
}

/// Whether a time lies between `startTime` and `endTime`, at most a day apart.
fn period(call: &Call) -> Result<impl Fn(i64) -> bool, Refusal> {
    const DAY_MS: u64 = 86_400_000;
    let (start, end) = (whole_param(call, "startTime")?, whole_param(call, "endTime")?);
    let is_long = |(start, end): (u64, u64)| end < start || end - start > DAY_MS;
    if start.zip(end).is_some_and(is_long) {
        return Err(Refusal::new(-1127, "More than 24 hours between startTime and endTime."));
    }
    let (from, to) = (start.unwrap_or(0), end.unwrap_or(u64::MAX));
    Ok(move |at: i64| (from..=to).contains(&u64::try_from(at).unwrap_or(0)))
}

/// From an id on: the oldest; otherwise the newest.
fn page(mut found: Vec<Value>, from_id: bool, limit: usize) -> Value {
    if from_id {
        found.truncate(limit);
    } else {
        let surplus = found.len().saturating_sub(limit);
        found.drain(..surplus);
    }
    Value::Array(found)
}
