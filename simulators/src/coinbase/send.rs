//! Sending coins away: `POST /v2/accounts/:id/transactions`.
//!
//! Invariant: the amount arrives and the network's fee is taken beside it; both leave the balance
//! at once, the coins leave `withdraw_ms` later by the world's clock. An `idem` names one
//! transaction for ever: sent again, whatever else is in the body, that transaction is answered.

use rust_decimal::Decimal;
use serde::Deserialize;
use serde_json::{Value, json};

use super::{
    Answer, Exchange, NAME,
    account::asset_of,
    engine::State,
    transactions::outgoing,
    wallet::money,
    wire::{Refusal, decimal, uuid},
};
use crate::{
    serving::Call,
    venue::{Departing, Departure, Wanted, is_address, rail_of},
};

const IDEM_MAX: usize = 100;

#[derive(Deserialize)]
struct Body {
    #[serde(rename = "type", default)]
    kind: String,
    #[serde(default)]
    to: String,
    #[serde(default)]
    amount: Value,
    #[serde(default)]
    currency: String,
    #[serde(default)]
    idem: Option<String>,
    #[serde(default)]
    network: Option<String>,
    #[serde(default)]
    destination_tag: Option<String>,
}

pub(super) fn send(ex: &Exchange, state: &mut State, call: &Call, ids: &[&str]) -> Answer {
    let id = ids.first().copied().unwrap_or_default();
    let asset = asset_of(ex, id).ok_or_else(|| Refusal::absent("Not found"))?;
    if !state.settings.can_withdraw {
        let status = axum::http::StatusCode::FORBIDDEN;
        return Err(Refusal::App(status, "invalid_scope", "Invalid scope".to_owned()));
    }
    let body: Body =
        serde_json::from_str(&call.body).map_err(|_| Refusal::validation("Invalid body"))?;
    let idem = body.idem.clone().filter(|idem| !idem.is_empty());
    if idem.as_ref().is_some_and(|idem| idem.len() > IDEM_MAX) {
        return Err(Refusal::validation("idem is too long (maximum is 100 characters)"));
    }
    if let Some(idem) = &idem {
        let same = |known: &&Departure| known.order_id.as_ref() == Some(idem);
        if let Some(known) = state.custody.departures.iter().find(same) {
            return Ok(json!({"data": told(ex, known)}));
        }
    }
    let wanted = read(state, asset, &body, idem)?;
    let (id, now) = (uuid(ex.world.entropy.bytes()), ex.world.now());
    let asked = state.custody.ask(&mut state.holdings, wanted, id.clone(), now);
    if asked.is_none() {
        return Err(Refusal::validation("You don't have that much."));
    }
    if ex.world.faults.take_named(NAME, "withdraw", "stuck").is_some() {
        // Until somebody decides over control.
        if let Some(departure) = state.custody.departures.last_mut() {
            departure.stage = Departing::AwaitingApproval;
        }
    } else {
        ex.world.send_later(NAME, &id, state.settings.withdraw_ms);
    }
    let shown = state.custody.departures.last().map(|known| told(ex, known));
    Ok(json!({"data": shown}))
}

/// The answer to a request says more about the network than the list does.
fn told(ex: &Exchange, departure: &Departure) -> Value {
    let mut shown = outgoing(ex, departure);
    if let Some(network) = shown.get_mut("network").and_then(Value::as_object_mut) {
        let amount = money(departure.rail.coin, departure.amount);
        network.insert("transaction_amount".to_owned(), amount);
        network.insert("confirmations".to_owned(), Value::from(0));
    }
    shown
}

fn read(state: &State, asset: &str, body: &Body, idem: Option<String>) -> Result<Wanted, Refusal> {
    if body.kind != "send" {
        return Err(Refusal::validation("type is invalid"));
    }
    if body.currency != asset {
        return Err(Refusal::validation("currency does not match the account"));
    }
    let rail = rail_of(asset, body.network.as_deref())
        .ok_or_else(|| Refusal::validation("Invalid network"))?;
    if state.settings.withdrawals_paused {
        return Err(Refusal::validation("Sends are temporarily disabled for this asset"));
    }
    if !is_address(rail.network, &body.to) {
        return Err(Refusal::validation("Please enter a valid email or address"));
    }
    if body.destination_tag.as_ref().is_some_and(|tag| !tag.is_empty()) {
        return Err(Refusal::validation("destination_tag is not supported by this asset"));
    }
    let amount = match &body.amount {
        Value::String(text) => decimal(text),
        Value::Number(number) => decimal(&number.to_string()),
        _ => None,
    };
    let amount = amount.ok_or_else(|| Refusal::validation("amount is invalid"))?;
    if amount.normalize().scale() > rail.places || amount > Decimal::new(10_000_000, 0) {
        return Err(Refusal::validation("amount is invalid"));
    }
    if amount < rail.least {
        return Err(Refusal::validation(format!("Minimum send is {} {asset}", rail.least)));
    }
    // The fee comes on top: what is asked for is what arrives.
    let amount = amount + rail.fee;
    Ok(Wanted { rail, amount, address: body.to.clone(), order_id: idem })
}
