//! The events of the user-data stream, in the vendor's one-letter fields.
//!
//! Invariant: amounts are strings with eight places, ids and times integers; an event says what
//! happened and how things stand after it.

use chrono::{DateTime, Utc};
use rust_decimal::Decimal;
use serde_json::{Value, json};

use super::{
    order::{Order, Trade},
    wire::fixed,
};
use crate::venue::Holdings;

/// `executionReport`; the client id and the one it cancels are swapped by [`cancelled`].
pub(crate) fn report(
    order: &Order,
    execution: &str,
    trade: Option<&Trade>,
    now: DateTime<Utc>,
) -> Value {
    let zero = Decimal::ZERO;
    let last = trade.map_or((zero, zero, zero), |t| (t.quantity, t.price, t.quote));
    let commission = trade.map_or_else(|| "0".to_owned(), |trade| fixed(trade.commission));
    let sequence = order.id.saturating_add(trade.map_or(0, |trade| trade.id));
    json!({
        "e": "executionReport",
        "E": now.timestamp_millis(),
        "s": order.market.pair(),
        "c": order.client_id,
        "S": order.side.upper(),
        "o": order.kind.name(),
        "f": order.in_force.name(),
        "q": fixed(order.quantity),
        "p": fixed(order.price.unwrap_or_default()),
        "P": fixed(zero),
        "F": fixed(zero),
        "g": -1,
        "C": "",
        "x": execution,
        "X": order.status.name(),
        "r": "NONE",
        "i": order.id,
        "l": fixed(last.0),
        "z": fixed(order.executed),
        "L": fixed(last.1),
        "n": commission,
        "N": trade.map(|trade| trade.commission_asset),
        "T": now.timestamp_millis(),
        "t": trade.map_or(json!(-1), |trade| json!(trade.id)),
        "I": sequence,
        "w": order.status.is_open(),
        "m": trade.is_some_and(|trade| trade.is_maker),
        "M": false,
        "O": order.created.timestamp_millis(),
        "Z": fixed(order.quote_executed),
        "Y": fixed(last.2),
        "Q": fixed(order.quote_quantity.unwrap_or_default()),
        "W": order.created.timestamp_millis(),
        "V": "EXPIRE_MAKER",
    })
}

/// As [`report`], for a cancellation: it has a client id of its own.
pub(crate) fn cancelled(order: &Order, own_id: &str, now: DateTime<Utc>) -> Value {
    let mut event = report(order, "CANCELED", None, now);
    if let Some(fields) = event.as_object_mut() {
        fields.insert("c".to_owned(), Value::from(own_id));
        fields.insert("C".to_owned(), Value::from(order.client_id.as_str()));
    }
    event
}

/// `outboundAccountPosition` of these assets.
pub(crate) fn position(holdings: &Holdings, assets: &[&str], now: DateTime<Utc>) -> Value {
    let mut named: Vec<&str> = assets.to_vec();
    named.sort_unstable();
    named.dedup();
    let balance = |asset: &&str| {
        let pockets = holdings.get(asset);
        json!({"a": asset, "f": fixed(pockets.free), "l": fixed(pockets.locked)})
    };
    let at = now.timestamp_millis();
    let balances: Vec<Value> = named.iter().map(balance).collect();
    json!({"e": "outboundAccountPosition", "E": at, "u": at, "B": balances})
}

/// `balanceUpdate`: a deposit, or a withdrawal with its sign.
pub(crate) fn balance_update(asset: &str, delta: Decimal, now: DateTime<Utc>) -> Value {
    let at = now.timestamp_millis();
    json!({"e": "balanceUpdate", "E": at, "a": asset, "d": fixed(delta), "T": at})
}

/// The end of a subscription.
pub(crate) fn terminated(now: DateTime<Utc>) -> Value {
    json!({"e": "eventStreamTerminated", "E": now.timestamp_millis()})
}

/// The server is about to go.
pub(crate) fn shutdown(now: DateTime<Utc>) -> Value {
    json!({"e": "serverShutdown", "E": now.timestamp_millis()})
}
