//! Account endpoints: balances and the stream token. Coins in and out are in `wallet.rs`.

use axum::response::Response;
use serde_json::{Value, json};

use super::{
    Exchange, State,
    wire::{Refusal, amount, ok},
};
use crate::{serving::Call, venue};

type Answer = Result<Response, Refusal>;

pub(crate) fn account(ex: &Exchange, _: &mut State, _: &Call) -> Answer {
    ok(json!({
        "accountType": "SPOT",
        "canTrade": true,
        "canWithdraw": true,
        "canDeposit": true,
        "updateTime": ex.world.now().timestamp_millis(),
    }))
}

pub(crate) fn funds(_: &Exchange, state: &mut State, _: &Call) -> Answer {
    let fund = |(asset, pockets): (&String, &venue::Pockets)| {
        json!({
            "asset": asset.to_ascii_lowercase(),
            "free": amount(pockets.free),
            "locked": amount(pockets.locked),
            "reservedFee": "0.0",
        })
    };
    ok(Value::Array(state.holdings.all().iter().map(fund).collect()))
}

pub(crate) fn auth_token(ex: &Exchange, _: &mut State, _: &Call) -> Answer {
    let key: [u8; 32] = ex.world.entropy.bytes();
    ok(json!({"auth_key": hex::encode(key), "timeout_duration": 900}))
}
