//! Account endpoints of the trading API: balances, fees, what the keys may do.

use serde_json::{Value, json};

use super::{
    Answer, Exchange,
    engine::State,
    market::ASSETS,
    wire::{Refusal, limit, micros, page, plain, uuid_of},
};
use crate::serving::Call;

/// The id of the account that holds an asset, the same in both APIs.
pub(super) fn id_of(ex: &Exchange, asset: &str) -> String {
    uuid_of(ex.world.seed, &format!("coinbase/account/{asset}"))
}

/// The asset of an account.
pub(super) fn asset_of(ex: &Exchange, id: &str) -> Option<&'static str> {
    let mut assets = ASSETS.iter().map(|known| known.0);
    assets.find(|asset| *asset == id || id_of(ex, asset) == id)
}

fn portfolio(ex: &Exchange) -> String {
    uuid_of(ex.world.seed, "coinbase/portfolio")
}

fn describe(ex: &Exchange, state: &State, asset: &str, is_coin: bool) -> Value {
    let pockets = state.holdings.get(asset);
    let opened = micros(ex.opened);
    json!({
        "uuid": id_of(ex, asset),
        "name": format!("{asset} Wallet"),
        "currency": asset,
        "available_balance": {"value": plain(pockets.free), "currency": asset},
        "default": true,
        "active": true,
        "created_at": opened,
        "updated_at": opened,
        "deleted_at": null,
        "type": if is_coin { "ACCOUNT_TYPE_CRYPTO" } else { "ACCOUNT_TYPE_FIAT" },
        "ready": true,
        "hold": {"value": plain(pockets.locked), "currency": asset},
        "retail_portfolio_id": portfolio(ex),
        "platform": "ACCOUNT_PLATFORM_CONSUMER",
    })
}

pub(super) fn accounts(ex: &Exchange, state: &mut State, call: &Call, _: &[&str]) -> Answer {
    let limit = limit(call, 49, 250)?;
    let numbers = (1..=u64::try_from(ASSETS.len()).unwrap_or(u64::MAX)).rev();
    let found = numbers
        .zip(&ASSETS)
        .map(|(number, (asset, _, _, is_coin))| (number, describe(ex, state, asset, *is_coin)));
    let (accounts, cursor) = page(call, found, limit)?;
    let (size, has_next) = (accounts.len(), !cursor.is_empty());
    Ok(json!({"accounts": accounts, "has_next": has_next, "cursor": cursor, "size": size}))
}

pub(super) fn account(ex: &Exchange, state: &mut State, _: &Call, ids: &[&str]) -> Answer {
    let id = ids.first().copied().unwrap_or_default();
    let known = ASSETS.iter().find(|known| id_of(ex, known.0) == id);
    let (asset, _, _, is_coin) =
        known.ok_or_else(|| Refusal::not_found("account with this uuid was not found"))?;
    Ok(json!({"account": describe(ex, state, asset, *is_coin)}))
}

pub(super) fn summary(_: &Exchange, state: &mut State, _: &Call, _: &[&str]) -> Answer {
    let (taker, maker) = state.settings.rates(false);
    // Every product is quoted in dollars of one kind or another.
    let traded = || state.trades.iter().filter(|trade| !trade.is_reversal);
    let volume = plain(traded().map(|trade| trade.quote).sum());
    let fees = plain(traded().map(|trade| trade.fee).sum());
    Ok(json!({
        "total_volume": volume,
        "total_fees": fees,
        "fee_tier": {
            "pricing_tier": "Advanced 1",
            "usd_from": "0",
            "usd_to": "10000",
            "taker_fee_rate": plain(taker),
            "maker_fee_rate": plain(maker),
            "aop_from": "",
            "aop_to": "",
        },
        "margin_rate": null,
        "goods_and_services_tax": null,
        "advanced_trade_only_volume": volume,
        "advanced_trade_only_fees": fees,
        "coinbase_pro_volume": "0",
        "coinbase_pro_fees": "0",
        "total_balance": "",
        "has_promo_fee": false,
    }))
}

pub(super) fn permissions(ex: &Exchange, state: &mut State, _: &Call, _: &[&str]) -> Answer {
    Ok(json!({
        "can_view": true,
        "can_trade": true,
        "can_transfer": state.settings.can_withdraw,
        "can_receive": true,
        "portfolio_uuid": portfolio(ex),
        "portfolio_type": "DEFAULT",
    }))
}
