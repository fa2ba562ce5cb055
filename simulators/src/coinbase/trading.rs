//! Order endpoints beside placing: cancel, show, list, executions.
//!
//! Invariant: a cancellation is asked for, and answered before it takes effect: what the order did
//! in between is in its own status. Lists are newest first, and a cursor is a place that later
//! orders do not move.

use chrono::TimeDelta;
use rust_decimal::Decimal;
use serde::Deserialize;
use serde_json::{Value, json};

use super::{
    Answer, Exchange, NAME,
    engine::{State, WHOLE},
    order::{Kind, Order, Status, Trade},
    place::{later, value_bps},
    wire::{Refusal, all_of, body, limit, moment, page},
};
use crate::serving::Call;

/// Ids in one request to cancel.
const MOST_CANCELS: usize = 100;

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Cancelled {
    #[serde(default)]
    order_ids: Vec<String>,
}

pub(super) fn cancel(ex: &Exchange, state: &mut State, call: &Call, _: &[&str]) -> Answer {
    let Cancelled { order_ids } = body(call)?;
    if order_ids.is_empty() || order_ids.len() > MOST_CANCELS {
        return Err(Refusal::invalid("order_ids: between 1 and 100 are required"));
    }
    let results: Vec<Value> = order_ids
        .iter()
        .map(|id| {
            let reason = cancel_one(ex, state, id).err();
            json!({
                "success": reason.is_none(),
                "failure_reason": reason.unwrap_or("UNKNOWN_CANCEL_FAILURE_REASON"),
                "order_id": id,
            })
        })
        .collect();
    Ok(json!({"results": results}))
}

/// Asks for a cancellation; a late fill comes in between.
fn cancel_one(ex: &Exchange, state: &mut State, id: &str) -> Result<(), &'static str> {
    let now = ex.world.now();
    let order = state.by_id(id).cloned().ok_or("UNKNOWN_CANCEL_ORDER")?;
    match order.status {
        Status::CancelQueued => return Err("DUPLICATE_CANCEL_REQUEST"),
        Status::Filled => return Err("ORDER_IS_FULLY_FILLED"),
        Status::Pending | Status::Open => {}
        Status::Cancelled | Status::Expired | Status::Failed => {
            return Err("INVALID_CANCEL_REQUEST");
        }
    }
    let named = |name| ex.world.faults.take_named(NAME, "cancel_order", name);
    if let Some(fault) = named("late_fill") {
        let part = Decimal::new(i64::from(value_bps(&fault, WHOLE)), 4);
        state.force_fill(id, Some(order.rest() * part));
    }
    let usual = i64::try_from(state.settings.cancel_ms).unwrap_or(i64::MAX);
    let usual = TimeDelta::try_milliseconds(usual).unwrap_or(TimeDelta::MAX);
    let wait = named("slow_cancel").map_or(usual, |fault| later(&fault, 5_000));
    // The answer says that the request was taken, even when the order is filled by now.
    if state.by_id(id).is_some_and(|order| order.status.is_open()) {
        state.queue_cancel(order.number, wait, now);
    }
    Ok(())
}

/// The order as queries show it: a fault can make its status one that nobody knows.
fn shown(ex: &Exchange, operation: &str, order: &Order) -> Value {
    let mut shown = order.to_json();
    let status = match ex.world.faults.take_named(NAME, operation, "unknown_status") {
        Some(fault) => fault.value.unwrap_or_else(|| "UNKNOWN_ORDER_STATUS".to_owned()),
        None => return shown,
    };
    if let Some(fields) = shown.as_object_mut() {
        fields.insert("status".to_owned(), Value::from(status));
    }
    shown
}

pub(super) fn get(ex: &Exchange, state: &mut State, _: &Call, ids: &[&str]) -> Answer {
    let now = ex.world.now();
    let order = state.by_id(ids.first().copied().unwrap_or_default());
    let order = order.filter(|order| order.visible_from <= now);
    let order = order.ok_or_else(Refusal::no_such_order)?;
    Ok(json!({"order": shown(ex, "get_order", order)}))
}

/// The values of a filter under its name for lists and its older one for a single thing.
fn either(call: &Call, many: &str, one: &str) -> Vec<String> {
    let mut wanted = all_of(call, many);
    wanted.extend(call.param(one).map(str::to_owned));
    wanted
}

fn is_in(wanted: &[String], value: &str) -> bool {
    wanted.is_empty() || wanted.iter().any(|known| known == value)
}

pub(super) fn list(ex: &Exchange, state: &mut State, call: &Call, _: &[&str]) -> Answer {
    let (ids, products) = (all_of(call, "order_ids"), either(call, "product_ids", "product_id"));
    let (statuses, types) = (all_of(call, "order_status"), all_of(call, "order_types"));
    let in_force = all_of(call, "time_in_forces");
    let side = call.param("order_side");
    let (from, to) = (moment(call, "start_date")?, moment(call, "end_date")?);
    let is_spot = !matches!(call.param("product_type"), Some("FUTURE"));
    let limit = limit(call, 100, 1_000)?;
    let now = ex.world.now();
    let type_of = |order: &Order| if order.kind == Kind::Market { "MARKET" } else { "LIMIT" };
    let found = state.orders.values().rev().filter(|order| {
        is_spot
            && order.visible_from <= now
            && is_in(&ids, &order.id)
            && is_in(&products, &order.product.id())
            && is_in(&statuses, order.status.name())
            && is_in(&types, type_of(order))
            && is_in(&in_force, order.in_force.name())
            && side.is_none_or(|side| order.side.upper() == side)
            && from.is_none_or(|from| order.created >= from)
            && to.is_none_or(|to| order.created < to)
    });
    let (orders, cursor) = page(call, found.map(|order| (order.number, order)), limit)?;
    let shown: Vec<Value> = orders.iter().map(|order| shown(ex, "all_orders", order)).collect();
    let has_next = !cursor.is_empty();
    Ok(json!({"orders": shown, "sequence": "0", "has_next": has_next, "cursor": cursor}))
}

pub(super) fn fills(ex: &Exchange, state: &mut State, call: &Call, _: &[&str]) -> Answer {
    let (orders, trades) = (either(call, "order_ids", "order_id"), all_of(call, "trade_ids"));
    let products = either(call, "product_ids", "product_id");
    let from = moment(call, "start_sequence_timestamp")?;
    let to = moment(call, "end_sequence_timestamp")?;
    let limit = limit(call, 100, 1_000)?;
    let now = ex.world.now();
    let found = state.trades.iter().rev().filter(|trade| {
        trade.visible_from <= now
            && is_in(&orders, &trade.order_id)
            && is_in(&trades, &trade.id)
            && is_in(&products, &trade.product.id())
            && from.is_none_or(|from| trade.at >= from)
            && to.is_none_or(|to| trade.at < to)
    });
    let (fills, cursor) = page(call, found.map(|trade| (trade.number, trade)), limit)?;
    let fills: Vec<Value> = fills.into_iter().map(Trade::to_json).collect();
    Ok(json!({"fills": fills, "cursor": cursor}))
}
