//! Coins in and out: networks, deposit addresses, the address book, withdrawals.
//!
//! Invariant: a withdrawal goes to an address of the book and nowhere else, and only with the
//! consent spelt out. Deliberately absent, as at the vendor: rupees in or out, the history of
//! deposits, a tag. The other venue's own deposit addresses are in the book from the start: its
//! owner has entered them.

use axum::response::Response;
use chrono::{DateTime, Utc};
use rust_decimal::Decimal;
use serde_json::{Value, json};

use super::{
    Duplicates, Exchange, NAME, State,
    wire::{Refusal, amount, decimal_param, limit_param, ok, whole_param},
};
use crate::{
    serving::Call,
    venue::{Departing, Departure, RAILS, Rail, Wanted, rail_of, rails},
};

type Answer = Result<Response, Refusal>;

const COINS: [(&str, &str, &str); 5] = [
    ("BTC", "btc", "Bitcoin"),
    ("ETH", "eth", "Ethereum"),
    ("SOL", "sol", "Solana"),
    ("USDT", "usdt", "Tether"),
    ("USDC", "usdc", "USD Coin"),
];
const NETWORKS: [(&str, &str); 4] =
    [("bitcoin", "btc"), ("ethereum", "eth"), ("base", "base"), ("solana", "sol")];
const CONSENT: &str = "I confirm that this withdrawal is being done to my own wallet.";
const MOST: Decimal = Decimal::from_parts(10_000_000, 0, 0, false, 0);

/// An address its owner has entered in the vendor's pages.
#[derive(Debug, Clone)]
pub(crate) struct Contact {
    pub(crate) id: u64,
    pub(crate) label: String,
    /// Any coin of the network when absent.
    pub(crate) coin: Option<String>,
    /// Of ours.
    pub(crate) network: &'static str,
    pub(crate) address: String,
}

/// How the vendor writes a network of ours.
pub(crate) fn code(network: &str) -> &'static str {
    NETWORKS.iter().find(|known| known.0 == network).map_or("", |known| known.1)
}

/// The network of ours that the vendor writes so.
pub(crate) fn network_of(code: &str) -> Option<&'static str> {
    NETWORKS.iter().find(|known| known.1 == code).map(|known| known.0)
}

fn rail(call: &Call) -> Result<(&'static Rail, &str), Refusal> {
    let coin = call.param("coin").ok_or_else(|| Refusal::missing("coin"))?;
    let network = call.param("network").ok_or_else(|| Refusal::missing("network"))?;
    let known = COINS.iter().find(|known| known.1 == coin);
    let found = known.zip(network_of(network));
    found
        .and_then(|(known, network)| rail_of(known.0, Some(network)))
        .map(|rail| (rail, coin))
        .ok_or_else(|| Refusal::invalid("network does not have a valid value"))
}

pub(crate) fn coins(ex: &Exchange, state: &mut State, _: &Call) -> Answer {
    let (deposits, withdraws) =
        (!state.settings.deposits_paused, !state.settings.withdrawals_paused);
    let network = |(place, rail): (usize, &'static Rail)| {
        let (need, _) = ex.world.networks.confirmations(rail);
        json!({
            "network": code(rail.network),
            "name": code(rail.network).to_ascii_uppercase(),
            "depositEnable": deposits,
            "withdrawEnable": withdraws,
            "withdrawFee": rail.fee.to_string(),
            "minWithdrawAmount": rail.least.to_string(),
            "maxWithdrawAmount": MOST.to_string(),
            "withdrawConsent": {"helpUrl": null, "message": CONSENT},
            "depositDust": Decimal::new(1, rail.places).to_string(),
            "isDefault": place == 0,
            "precision": rail.places,
            "confirmations": need,
            "minConfirm": need,
        })
    };
    let coin = |(coin, currency, name): &(&str, &str, &str)| {
        let networks: Vec<Value> = rails(coin).enumerate().map(network).collect();
        json!({
            "currency": currency, "name": name, "networkList": networks, "rapidListed": false,
        })
    };
    ok(Value::Array(COINS.iter().map(coin).collect()))
}

pub(crate) fn deposit_address(ex: &Exchange, _: &mut State, call: &Call) -> Answer {
    let (rail, coin) = rail(call)?;
    let address = ex.world.deposit_address(NAME, rail.network);
    let address = address.ok_or_else(|| Refusal::invalid("network does not have a valid value"))?;
    ok(json!({"address": address, "coin": coin, "url": ""}))
}

/// The book: the other venue's addresses first, then what was entered over control.
fn contacts(ex: &Exchange, state: &State) -> Vec<Contact> {
    let venue = |(id, (network, _)): (u64, &(&'static str, &str))| Contact {
        id,
        label: format!("Binance {network}"),
        coin: None,
        network,
        address: ex.world.deposit_address("binance", network).unwrap_or_default(),
    };
    let own = (1..).zip(NETWORKS.iter()).map(venue);
    own.chain(state.address_book.iter().cloned()).collect()
}

pub(crate) fn address_book(ex: &Exchange, state: &mut State, call: &Call) -> Answer {
    let coin = call.param("coin").map(str::to_ascii_uppercase);
    let network = call.param("network");
    let mut shown = Vec::new();
    for contact in contacts(ex, state) {
        let takes = |rail: &&Rail| {
            rail.network == contact.network
                && contact.coin.as_ref().is_none_or(|only| only == rail.coin)
        };
        for rail in RAILS.iter().filter(takes) {
            if coin.as_ref().is_none_or(|wanted| wanted == rail.coin)
                && network.is_none_or(|wanted| wanted == code(rail.network))
            {
                shown.push(json!({
                    "id": contact.id,
                    "name": contact.label,
                    "coin": rail.coin.to_ascii_lowercase(),
                    "network": code(rail.network),
                    "address": contact.address,
                    "memo": null,
                }));
            }
        }
    }
    ok(Value::Array(shown))
}

pub(crate) fn withdraw(ex: &Exchange, state: &mut State, call: &Call) -> Answer {
    if !state.settings.can_withdraw {
        return Err(Refusal::new(2078, "Permission denied."));
    }
    if state.settings.withdrawals_paused {
        return Err(Refusal::invalid("Withdrawals are suspended"));
    }
    let (rail, coin) = rail(call)?;
    let total = decimal_param(call, "amount")?.ok_or_else(|| Refusal::missing("amount"))?;
    if total.scale() > rail.places {
        return Err(Refusal::invalid("amount does not have a valid precision"));
    }
    if total < rail.least || total <= rail.fee {
        let least = amount(rail.least);
        let text = format!("Minimum withdrawal amount is {least} {}", rail.coin);
        return Err(Refusal::new(2031, text));
    }
    if total > MOST {
        return Err(Refusal::invalid("amount does not have a valid value"));
    }
    if call.param("withdrawConsent") != Some("true") {
        return Err(Refusal::invalid("withdrawConsent is missing, withdrawConsent must be true"));
    }
    let entry = whole_param(call, "addressBookId")?;
    let entry = entry.ok_or_else(|| Refusal::missing("addressBookId"))?;
    let contact = contacts(ex, state).into_iter().find(|contact| {
        contact.id == entry
            && contact.network == rail.network
            && contact.coin.as_ref().is_none_or(|only| only == rail.coin)
    });
    let contact =
        contact.ok_or_else(|| Refusal::invalid("addressBookId does not have a valid value"))?;
    let order_id = call.param("withdrawOrderId").map(str::to_owned);
    let known = order_id.as_ref().is_some_and(|id| state.custody.has_order_id(id));
    if known && state.settings.duplicate_withdrawals == Duplicates::Reject {
        return Err(Refusal::invalid("withdrawOrderId already exists"));
    }
    let wanted =
        Wanted { rail, amount: total, address: contact.address, order_id: order_id.clone() };
    let now = ex.world.now();
    let id = hex::encode(ex.world.entropy.bytes::<16>());
    if state.custody.ask(&mut state.holdings, wanted, id.clone(), now).is_none() {
        let text = format!("Not enough {} balance to withdraw", coin.to_ascii_uppercase());
        return Err(Refusal::new(2002, text));
    }
    if ex.world.faults.take_named(NAME, "withdraw", "stuck").is_some() {
        // Until somebody decides over control.
        if let Some(departure) = state.custody.departures.last_mut() {
            departure.stage = Departing::AwaitingApproval;
        }
    } else {
        ex.world.send_later(NAME, &id, state.settings.withdraw_ms);
    }
    ok(json!({"id": id, "withdrawOrderId": order_id}))
}

/// What is live is said in words; the documents number it.
fn status(stage: Departing, as_number: bool) -> Value {
    let (number, text) = match stage {
        Departing::MailSent => (0, "Pending"),
        Departing::Cancelled => (1, "Cancelled"),
        Departing::AwaitingApproval => (2, "Pending"),
        Departing::Rejected => (3, "Failed"),
        Departing::Processing => (4, "Pending"),
        Departing::Failed => (5, "Failed"),
        Departing::Completed => (6, "SUCCESS"),
    };
    if as_number { Value::from(number) } else { Value::from(text) }
}

/// A withdrawal as the history shows it: times are text here.
pub(crate) fn withdrawal_json(departure: &Departure, as_number: bool) -> Value {
    let text = |at: DateTime<Utc>| at.format("%Y-%m-%d %H:%M:%S").to_string();
    json!({
        "id": departure.id,
        "withdrawOrderId": departure.order_id,
        "address": departure.address,
        "amount": amount(departure.amount),
        "transactionFee": amount(departure.rail.fee),
        "coin": departure.rail.coin.to_ascii_lowercase(),
        "network": code(departure.rail.network),
        "status": status(departure.stage, as_number),
        "createdAt": text(departure.applied),
        "lastUpdated": text(departure.updated),
        "failureInfo": departure.reason,
        "txId": departure.tx_id,
    })
}

/// The newest first.
pub(crate) fn withdraws(_: &Exchange, state: &mut State, call: &Call) -> Answer {
    let coin = call.param("coin").map(str::to_ascii_uppercase);
    let order_id = call.param("withdrawOrderId");
    let limit = limit_param(call, 1000, 1000)?;
    let as_number = state.settings.numeric_statuses;
    let found = state
        .custody
        .departures
        .iter()
        .rev()
        .filter(|departure| coin.as_ref().is_none_or(|coin| departure.rail.coin == coin))
        .filter(|departure| order_id.is_none_or(|id| departure.order_id.as_deref() == Some(id)))
        .take(limit);
    ok(Value::Array(found.map(|departure| withdrawal_json(departure, as_number)).collect()))
}
