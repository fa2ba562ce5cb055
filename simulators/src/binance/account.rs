//! Account endpoints: balances, commission rates, order counts.

use rust_decimal::Decimal;
use serde_json::{Value, json};

use super::{
    Exchange, FeeAsset, State,
    engine::{BNB, BNB_DISCOUNT},
    limits::{ORDERS_PER_DAY, ORDERS_PER_TEN_SECONDS},
    market::symbol,
    wire::{Refusal, fixed},
};
use crate::{serving::Call, venue::Pockets};

type Answer = Result<Value, Refusal>;

fn rate(state: &State) -> String {
    fixed(Decimal::new(i64::from(state.settings.commission_bps), 4))
}

pub(crate) fn account(ex: &Exchange, state: &mut State, call: &Call) -> Answer {
    let leaves_zeros = call.param("omitZeroBalances") != Some("true");
    let balances: Vec<Value> = state
        .holdings
        .all()
        .iter()
        .filter(|(_, pockets)| leaves_zeros || **pockets != Pockets::default())
        .map(|(asset, pockets)| {
            json!({"asset": asset, "free": fixed(pockets.free), "locked": fixed(pockets.locked)})
        })
        .collect();
    let bps = state.settings.commission_bps;
    let (rate, zero) = (rate(state), fixed(Decimal::ZERO));
    Ok(json!({
        "makerCommission": bps,
        "takerCommission": bps,
        "buyerCommission": 0,
        "sellerCommission": 0,
        "commissionRates": {"maker": rate, "taker": rate, "buyer": zero, "seller": zero},
        "canTrade": true,
        "canWithdraw": true,
        "canDeposit": true,
        "brokered": false,
        "requireSelfTradePrevention": false,
        "preventSor": false,
        "updateTime": ex.world.now().timestamp_millis(),
        "accountType": "SPOT",
        "balances": balances,
        "permissions": ["SPOT"],
        "uid": 354_937_868,
    }))
}

pub(crate) fn commission(_: &Exchange, state: &mut State, call: &Call) -> Answer {
    Ok(rates(state, &symbol(call)?.pair()))
}

/// The commission of one symbol.
pub(crate) fn rates(state: &State, symbol: &str) -> Value {
    let (rate, zero) = (rate(state), fixed(Decimal::ZERO));
    let pays_bnb = state.settings.fee_asset == FeeAsset::Bnb;
    let none = json!({"maker": zero, "taker": zero, "buyer": zero, "seller": zero});
    json!({
        "symbol": symbol,
        "standardCommission": {"maker": rate, "taker": rate, "buyer": zero, "seller": zero},
        "specialCommission": none,
        "taxCommission": none,
        "discount": {
            "enabledForAccount": pays_bnb,
            "enabledForSymbol": pays_bnb,
            "discountAsset": BNB,
            "discount": fixed(BNB_DISCOUNT),
        },
    })
}

/// No filters beyond those of `exchangeInfo`.
pub(crate) fn my_filters(_: &Exchange, _: &mut State, call: &Call) -> Answer {
    symbol(call)?;
    Ok(json!({"exchangeFilters": [], "symbolFilters": [], "assetFilters": []}))
}

pub(crate) fn order_limits(ex: &Exchange, state: &mut State, _: &Call) -> Answer {
    let (short, long) = state.limits.orders_used(ex.world.now());
    let limit = |interval: &str, count: u32, limit: u32, used: u32| {
        json!({
            "rateLimitType": "ORDERS",
            "interval": interval,
            "intervalNum": count,
            "limit": limit,
            "count": used,
        })
    };
    Ok(json!([
        limit("SECOND", 10, ORDERS_PER_TEN_SECONDS, short),
        limit("DAY", 1, ORDERS_PER_DAY, long),
    ]))
}
