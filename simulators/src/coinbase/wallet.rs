//! The older API's accounts and addresses (`/v2`), and its pages.
//!
//! Invariant: an account has one address per network: a new one is the one it has. What moved in an
//! account is in `transactions.rs`, sending in `send.rs`.

use rust_decimal::Decimal;
use serde::Deserialize;
use serde_json::{Value, json};

use super::{
    Answer, Exchange, NAME,
    account::{asset_of, id_of},
    engine::State,
    market::ASSETS,
    rates,
    wire::{Refusal, seconds, uuid_of},
};
use crate::{
    serving::Call,
    venue::{Rail, fixed, rails},
};

const PAGE: usize = 25;
const PAGE_MOST: usize = 300;

/// An amount with the places of its asset.
pub(super) fn money(asset: &str, amount: Decimal) -> Value {
    let places = ASSETS.iter().find(|known| known.0 == asset).map_or(2, |known| known.2);
    json!({"amount": fixed(amount, places), "currency": asset})
}

pub(super) fn named(ex: &Exchange, ids: &[&str]) -> Result<&'static str, Refusal> {
    let id = ids.first().copied().unwrap_or_default();
    asset_of(ex, id).ok_or_else(|| Refusal::absent("Not found"))
}

/// A page of things in the older API's manner: newest first unless told. Only what is on it is
/// written out.
pub(super) fn paged<T>(
    call: &Call,
    mut things: Vec<T>,
    id_of: impl Fn(&T) -> String,
    show: impl Fn(&T) -> Value,
) -> Answer {
    let read = |text: &str| text.parse::<usize>().ok().filter(|wanted| *wanted > 0);
    let limit = match call.param("limit") {
        None => PAGE,
        Some(text) => read(text).ok_or_else(|| Refusal::validation("limit is invalid"))?,
    };
    let limit = limit.min(PAGE_MOST);
    let order = call.param("order").unwrap_or("desc");
    if order == "asc" {
        things.reverse();
    }
    let after = call.param("starting_after");
    let skip = match after {
        None => 0,
        Some(id) => {
            let at = things.iter().position(|known| id_of(known) == id);
            at.ok_or_else(|| Refusal::validation("starting_after is invalid"))?.saturating_add(1)
        }
    };
    let has_more = things.len() > skip.saturating_add(limit);
    let shown: Vec<&T> = things.iter().skip(skip).take(limit).collect();
    let next = shown.last().filter(|_| has_more).map(|last| id_of(last));
    let uri = next.as_ref().map(|id| format!("{}?limit={limit}&starting_after={id}", call.path));
    let data: Vec<Value> = shown.into_iter().map(show).collect();
    Ok(json!({
        "pagination": {
            "ending_before": null,
            "starting_after": after,
            "previous_ending_before": null,
            "next_starting_after": next,
            "limit": limit,
            "order": order,
            "previous_uri": null,
            "next_uri": uri,
        },
        "data": data,
    }))
}

fn describe(ex: &Exchange, state: &State, asset: &str, is_coin: bool) -> Value {
    let (id, pockets, opened) = (id_of(ex, asset), state.holdings.get(asset), seconds(ex.opened));
    json!({
        "id": id,
        "name": format!("{asset} Wallet"),
        "primary": asset == "BTC",
        "type": if is_coin { "wallet" } else { "fiat" },
        "currency": rates::describe(ex.world.seed, asset),
        "balance": money(asset, pockets.free + pockets.locked),
        "created_at": opened,
        "updated_at": opened,
        "resource": "account",
        "resource_path": format!("/v2/accounts/{id}"),
        "allow_deposits": true,
        "allow_withdrawals": true,
    })
}

pub(super) fn accounts(ex: &Exchange, state: &mut State, call: &Call, _: &[&str]) -> Answer {
    let account = |(asset, _, _, is_coin): &(&str, &str, u32, bool)| {
        (id_of(ex, asset), describe(ex, state, asset, *is_coin))
    };
    let all: Vec<(String, Value)> = ASSETS.iter().map(account).collect();
    paged(call, all, |known| known.0.clone(), |known| known.1.clone())
}

pub(super) fn account(ex: &Exchange, state: &mut State, _: &Call, ids: &[&str]) -> Answer {
    let asset = named(ex, ids)?;
    let is_coin = ASSETS.iter().any(|known| known.0 == asset && known.3);
    Ok(json!({"data": describe(ex, state, asset, is_coin)}))
}

fn address_id(ex: &Exchange, rail: &Rail) -> String {
    uuid_of(ex.world.seed, &format!("coinbase/address/{}/{}", rail.coin, rail.network))
}

fn describe_address(ex: &Exchange, rail: &Rail, is_default: bool) -> Option<(String, Value)> {
    let (id, account) = (address_id(ex, rail), id_of(ex, rail.coin));
    let address = ex.world.deposit_address(NAME, rail.network)?;
    let opened = seconds(ex.opened);
    let shown = json!({
        "id": id,
        "address": address,
        "address_info": {"address": address},
        "name": null,
        "created_at": opened,
        "updated_at": opened,
        "network": rail.network,
        "uri_scheme": rail.network,
        "resource": "address",
        "resource_path": format!("/v2/accounts/{account}/addresses/{id}"),
        "warnings": [],
        "address_label": format!("{} address ({})", rail.coin, rail.network),
        "default_receive": is_default,
        "deposit_uri": format!("{}:{address}", rail.network),
        "callback_url": null,
    });
    Some((id, shown))
}

fn addresses_of(ex: &Exchange, asset: &str) -> Vec<(String, Value)> {
    let all = rails(asset).enumerate();
    all.filter_map(|(place, rail)| describe_address(ex, rail, place == 0)).collect()
}

pub(super) fn addresses(ex: &Exchange, _: &mut State, call: &Call, ids: &[&str]) -> Answer {
    let all = addresses_of(ex, named(ex, ids)?);
    paged(call, all, |known| known.0.clone(), |known| known.1.clone())
}

pub(super) fn address(ex: &Exchange, _: &mut State, _: &Call, ids: &[&str]) -> Answer {
    let wanted = ids.get(1).copied().unwrap_or_default();
    let mut all = addresses_of(ex, named(ex, ids)?).into_iter();
    let found = all.find(|(id, shown)| {
        id == wanted || shown.get("address").is_some_and(|address| address == wanted)
    });
    let (_, shown) = found.ok_or_else(|| Refusal::absent("Not found"))?;
    Ok(json!({"data": shown}))
}

#[derive(Default, Deserialize)]
struct NewAddress {
    #[serde(default)]
    network: Option<String>,
}

/// The account's address on the network that is asked for, or on its default one.
pub(super) fn new_address(ex: &Exchange, _: &mut State, call: &Call, ids: &[&str]) -> Answer {
    let asset = named(ex, ids)?;
    let wanted: NewAddress = if call.body.trim().is_empty() {
        NewAddress::default()
    } else {
        serde_json::from_str(&call.body).map_err(|_| Refusal::validation("Invalid body"))?
    };
    let mut all = rails(asset).enumerate();
    let found = all.find(|(_, rail)| wanted.network.as_ref().is_none_or(|n| n == rail.network));
    let shown = found.and_then(|(place, rail)| describe_address(ex, rail, place == 0));
    let (_, shown) = shown.ok_or_else(|| Refusal::validation("Invalid network"))?;
    Ok(json!({"data": shown}))
}

/// Money of states does not come or go here.
pub(super) fn no_fiat(ex: &Exchange, _: &mut State, call: &Call, ids: &[&str]) -> Answer {
    named(ex, ids)?;
    paged(call, Vec::<()>::new(), |()| String::new(), |()| Value::Null)
}
