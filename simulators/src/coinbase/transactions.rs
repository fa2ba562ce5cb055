//! What moved in an account (`/v2/accounts/:id/transactions`): coins in, coins out, executions.
//!
//! Invariant: coins that come in have a positive amount, what is sent a negative one with the fee
//! in it; executions of orders stand in the same list under a type of their own.

use chrono::{DateTime, Utc};
use rust_decimal::Decimal;
use serde_json::{Value, json};

use super::{
    Answer, Exchange, NAME,
    account::id_of,
    engine::State,
    order::Trade,
    settings::Incoming,
    wallet::{money, named, paged},
    wire::{Refusal, plain, seconds},
};
use crate::{
    serving::Call,
    venue::{Arrival, Departing, Departure, Side, Stage},
};

/// What it is worth in the user's own money.
fn native(ex: &Exchange, asset: &str, amount: Decimal) -> Value {
    let price = match asset {
        "USD" => Some(Decimal::ONE),
        _ => ex.world.prices.mid(NAME, &format!("{asset}USD"), ex.world.now()),
    };
    money("USD", (amount * price.unwrap_or_default()).round_dp(2))
}

/// Fields that every transaction has.
fn transaction(
    ex: &Exchange,
    (id, kind, status): (&str, &str, &str),
    (asset, amount): (&str, Decimal),
    (created, updated): (DateTime<Utc>, DateTime<Utc>),
    further: Value,
) -> Value {
    let account = id_of(ex, asset);
    let mut shown = json!({
        "id": id,
        "type": kind,
        "status": status,
        "amount": money(asset, amount),
        "native_amount": native(ex, asset, amount),
        "description": null,
        "created_at": seconds(created),
        "updated_at": seconds(updated),
        "resource": "transaction",
        "resource_path": format!("/v2/accounts/{account}/transactions/{id}"),
    });
    if let (Some(fields), Value::Object(further)) = (shown.as_object_mut(), further) {
        fields.extend(further);
    }
    shown
}

const fn came(stage: Stage) -> &'static str {
    match stage {
        Stage::Pending => "pending",
        Stage::Held | Stage::Credited => "completed",
        Stage::Rejected | Stage::Wrong => "failed",
        Stage::Waiting => "waiting_for_clearing",
    }
}

/// A deposit as the list shows it.
pub(super) fn incoming(ex: &Exchange, kind: Incoming, arrival: &Arrival) -> Value {
    let found = &arrival.found;
    let kind = match kind {
        Incoming::Send => "send",
        Incoming::Receive => "receive",
    };
    let updated = arrival.credited_at.unwrap_or(arrival.at);
    let network = json!({
        "status": if arrival.stage.is_credited() { "confirmed" } else { "pending" },
        "hash": found.tx_id,
        "network_name": found.network,
    });
    let from = json!({"resource": format!("{}_network", found.network), "currency": found.asset});
    transaction(
        ex,
        (&arrival.id, kind, came(arrival.stage)),
        (&found.asset, found.amount),
        (arrival.at, updated),
        json!({"network": network, "from": from}),
    )
}

const fn went(stage: Departing) -> &'static str {
    match stage {
        Departing::MailSent | Departing::AwaitingApproval | Departing::Processing => "pending",
        Departing::Completed => "completed",
        Departing::Cancelled => "canceled",
        Departing::Rejected | Departing::Failed => "failed",
    }
}

/// A withdrawal as the list shows it: fee and amount are in one, the fee is told beside it.
pub(super) fn outgoing(ex: &Exchange, departure: &Departure) -> Value {
    let rail = departure.rail;
    let mut network = json!({
        "status": if departure.tx_id.is_some() { "confirmed" } else { "pending" },
        "network_name": rail.network,
        "transaction_fee": money(rail.coin, rail.fee),
    });
    if let (Some(fields), Some(tx_id)) = (network.as_object_mut(), &departure.tx_id) {
        fields.insert("hash".to_owned(), Value::from(tx_id.as_str()));
    }
    let address = &departure.address;
    let mut further = json!({
        "network": network,
        "to": {
            "resource": "address",
            "address": address,
            "currency": rail.coin,
            "address_info": {"address": address},
        },
    });
    if let (Some(fields), Some(idem)) = (further.as_object_mut(), &departure.order_id) {
        fields.insert("idem".to_owned(), Value::from(idem.as_str()));
    }
    transaction(
        ex,
        (&departure.id, "send", went(departure.stage)),
        (rail.coin, -(departure.amount + rail.fee)),
        (departure.applied, departure.updated),
        further,
    )
}

/// One line of the list.
enum Entry<'a> {
    In(&'a Arrival),
    Out(&'a Departure),
    Fill(&'a Trade),
}

impl Entry<'_> {
    const fn at(&self) -> DateTime<Utc> {
        match self {
            Self::In(arrival) => arrival.at,
            Self::Out(departure) => departure.applied,
            Self::Fill(trade) => trade.at,
        }
    }

    /// An execution has one in each of its two accounts.
    fn id(&self, asset: &str) -> String {
        match self {
            Self::In(arrival) => arrival.id.clone(),
            Self::Out(departure) => departure.id.clone(),
            Self::Fill(trade) => {
                let is_base = asset == trade.product.market.base;
                let half = if is_base { 0..32 } else { 32..64 };
                trade.entry_id.get(half).unwrap_or_default().to_owned()
            }
        }
    }

    fn to_json(&self, ex: &Exchange, kind: Incoming, asset: &str) -> Value {
        match self {
            Self::In(arrival) => incoming(ex, kind, arrival),
            Self::Out(departure) => outgoing(ex, departure),
            Self::Fill(trade) => executed(ex, trade, &self.id(asset), asset),
        }
    }
}

/// What an execution moved in the account of an asset.
fn executed(ex: &Exchange, trade: &Trade, id: &str, asset: &str) -> Value {
    let sign = if trade.side == Side::Buy { Decimal::ONE } else { Decimal::NEGATIVE_ONE };
    let amount = if asset == trade.product.market.base {
        trade.quantity * sign
    } else {
        -(trade.quote * sign) - trade.fee
    };
    let fill = json!({
        "fill_price": plain(trade.price),
        "product_id": trade.product.id(),
        "order_id": trade.order_id,
        "commission": plain(trade.fee),
        "order_side": trade.side.lower(),
    });
    transaction(
        ex,
        (id, "advanced_trade_fill", "completed"),
        (asset, amount),
        (trade.at, trade.at),
        json!({"advanced_trade_fill": fill}),
    )
}

/// Everything that moved in the account, newest first.
fn entries<'a>(state: &'a State, asset: &str) -> Vec<Entry<'a>> {
    let custody = &state.custody;
    let came = custody.arrivals.iter().filter(|known| known.found.asset == asset);
    let went = custody.departures.iter().filter(|known| known.rail.coin == asset);
    let is_ours = |trade: &&Trade| {
        let market = &trade.product.market;
        !trade.is_reversal && [market.base, market.quote].contains(&asset)
    };
    let traded = state.trades.iter().filter(is_ours);
    let mut all: Vec<Entry<'a>> =
        came.map(Entry::In).chain(went.map(Entry::Out)).chain(traded.map(Entry::Fill)).collect();
    all.sort_by_key(Entry::at);
    all.reverse();
    all
}

pub(super) fn list(ex: &Exchange, state: &mut State, call: &Call, ids: &[&str]) -> Answer {
    let (asset, kind) = (named(ex, ids)?, state.settings.incoming);
    let show = |entry: &Entry<'_>| entry.to_json(ex, kind, asset);
    paged(call, entries(state, asset), |entry| entry.id(asset), show)
}

pub(super) fn one(ex: &Exchange, state: &mut State, _: &Call, ids: &[&str]) -> Answer {
    let (asset, kind) = (named(ex, ids)?, state.settings.incoming);
    let wanted = ids.get(1).copied().unwrap_or_default();
    let all = entries(state, asset);
    let found = all.iter().find(|entry| entry.id(asset) == wanted);
    let found = found.ok_or_else(|| Refusal::absent("Not found"))?;
    Ok(json!({"data": found.to_json(ex, kind, asset)}))
}
