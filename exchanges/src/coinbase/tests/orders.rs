//! Orders, executions, rules and balances in the vendor's words.

use outbound::Effect;
use primitives::{Asset, CallError};
use rust_decimal::Decimal;

use super::{
    super::{
        map,
        refusal::{Refusal, classify, not_placed},
        wire,
    },
    client_ref, fixture,
};
use crate::{OrderState, Pair, decimal::parse};

const ETH: Pair = Pair { base: Asset::Eth, quote: Asset::Usdt };

fn order(json: &str) -> Result<crate::Order, &'static str> {
    map::order(&fixture(json), ETH, &client_ref("c-0001-1"))
}

#[test]
fn every_status_is_what_it_says_and_unknown_ones_are_open() {
    let table = [
        (include_str!("../fixtures/order.open.json"), OrderState::Open, "0"),
        (include_str!("../fixtures/order.partly_filled.json"), OrderState::Open, "0.2"),
        (include_str!("../fixtures/order.filled.json"), OrderState::Filled, "0.5"),
        (include_str!("../fixtures/order.cancelled_in_part.json"), OrderState::Closed, "0.2"),
        (include_str!("../fixtures/order.cancel_queued.json"), OrderState::Open, "0"),
        (include_str!("../fixtures/order.unknown_status.json"), OrderState::Open, "0"),
    ];
    for (json, state, executed) in table {
        let order = order(json).unwrap();
        assert_eq!((order.state, order.executed), (state, parse(executed).unwrap()));
        assert_eq!((order.quantity, order.price), (Decimal::new(5, 1), Decimal::new(3_000, 0)));
    }
    let market = order(include_str!("../fixtures/order.market.json")).unwrap();
    assert_eq!((market.state, market.price), (OrderState::Filled, Decimal::ZERO));
    let half = Decimal::new(5, 1);
    for (status, state) in [("EXPIRED", OrderState::Closed), ("FAILED", OrderState::Closed)] {
        assert_eq!(map::state(status, half, half), state);
    }
    for open in ["PENDING", "QUEUED", "EDIT_QUEUED", "UNKNOWN_ORDER_STATUS", "", "filled"] {
        assert_eq!(map::state(open, half, half), OrderState::Open, "{open}");
    }
    assert_eq!(map::state("FILLED", Decimal::ZERO, half), OrderState::Open, "not yet all told");
}

#[test]
fn an_order_that_is_not_ours_is_unreadable() {
    let good = include_str!("../fixtures/order.open.json");
    for (what, other) in [
        ("\"c-0001-1\"", "\"c-0001-2\""),
        ("\"ETH-USDT\"", "\"ETH-USD\""),
        ("\"SELL\"", "\"BUY\""),
        ("\"filled_size\": \"0\"", "\"filled_size\": \"0.6\""),
        ("\"filled_size\": \"0\"", "\"filled_size\": \"-0.1\""),
        ("\"base_size\": \"0.5\"", "\"base_size\": \"0\""),
        ("\"base_size\": \"0.5\"", "\"quote_size\": \"1500\""),
        ("a1b2c3d4-", "a1b2 c3d4-"),
    ] {
        assert!(good.contains(what), "{what}");
        assert!(order(&good.replace(what, other)).is_err(), "{other}");
    }
}

fn fills(json: &str) -> Result<Vec<crate::Fill>, &'static str> {
    map::fills(&fixture::<wire::Fills>(json).fills, ETH)
}

#[test]
fn executions_credit_what_surely_comes() {
    let told = fills(include_str!("../fixtures/fills.two.json")).unwrap();
    let of = |fill: &crate::Fill| (fill.sold.minor(), fill.gross.minor(), fill.fee.minor());
    // 0.2 at 3000.10: 600.02 less 0.60002; 0.3: 900.03 less 0.90003.
    assert_eq!(of(&told[0]), (200_000_000_000_000_000, 600_020_000, 600_020));
    assert_eq!(of(&told[1]), (300_000_000_000_000_000, 900_030_000, 900_030));
    assert!(told.iter().all(|fill| fill.fee.asset() == Asset::Usdt && fill.tds.minor() == 0));
    // Finer than our six places: gross and net are cut, the fee is what lies between them.
    let finer = include_str!("../fixtures/fills.two.json").replace("0.60002", "0.6000205");
    assert_eq!(fills(&finer).unwrap()[0].fee.minor(), 600_021);
}

// What the venue takes back is not told any more, so the books reverse it; a correction stands in
// its place under an id of its own.
#[test]
fn a_reversed_execution_is_gone_and_its_correction_stands() {
    let json = include_str!("../fixtures/fills.reversed.json");
    let told = fills(json).unwrap();
    let ids: Vec<_> = told.iter().map(|fill| fill.trade_id.as_str()).collect();
    assert_eq!(ids, ["1111-11111-111111", "44444-2"]);
    assert_eq!(told[1].price, Decimal::new(3_000, 0));
    assert!(fills(&json.replace("CORRECTION", "SYNTHETIC")).is_err(), "a person looks");
    for (what, other) in [
        ("\"size_in_quote\": false", "\"size_in_quote\": true"),
        ("\"size\": \"0.2\"", "\"size\": \"0\""),
        ("\"commission\": \"0.60002\"", "\"commission\": \"-1\""),
        ("\"commission\": \"0.60002\"", "\"commission\": \"601\""),
        ("2026-01-05T10:00:00.099Z", "yesterday"),
    ] {
        assert!(fills(&json.replace(what, other)).is_err(), "{other}");
    }
}

#[test]
fn balances_leave_out_what_cannot_be_traded() {
    let accounts: wire::Accounts = fixture(include_str!("../fixtures/accounts.some.json"));
    let held = map::holdings(&accounts.accounts).unwrap();
    let told: Vec<_> = held.iter().map(|h| (h.asset, h.free.minor(), h.locked.minor())).collect();
    let eth = 1_000_000_000_000_000_000;
    let expected =
        [(Asset::Inr, 149_950, 0), (Asset::Eth, eth, eth / 2), (Asset::Usdt, 1_499_450_699, 0)];
    assert_eq!(told, expected, "no vault, no coin of a stranger");
    let json = include_str!("../fixtures/accounts.some.json");
    let twice = json.replace("ACCOUNT_TYPE_VAULT", "ACCOUNT_TYPE_CRYPTO");
    let held = map::holdings(&fixture::<wire::Accounts>(&twice).accounts).unwrap();
    assert_eq!(held[1].free.minor(), 8 * eth, "several accounts of one coin");
    let debt = json.replace("\"1499.45069971\"", "\"-1\"");
    assert!(map::holdings(&fixture::<wire::Accounts>(&debt).accounts).is_err());
}

#[test]
fn increments_are_the_filters() {
    let json = include_str!("../fixtures/product.eth_usdt.json");
    let rules = map::rules(&fixture(json), ETH).unwrap();
    assert_eq!(rules.price_tick, Decimal::new(1, 2));
    assert_eq!((rules.quantity_step, rules.quantity_min), (Decimal::new(1, 4), Decimal::new(1, 4)));
    assert_eq!(rules.quantity_max, Some(Decimal::new(34_000_000, 0)));
    assert!(rules.is_open && rules.notional_min == Decimal::ONE);
    for shut in ["trading_disabled", "is_disabled", "cancel_only", "post_only", "auction_mode"] {
        let what = format!("\"{shut}\": false");
        assert!(json.contains(&what));
        let told = json.replace(&what, &format!("\"{shut}\": true"));
        assert!(!map::rules(&fixture(&told), ETH).unwrap().is_open, "{shut}");
    }
    assert!(!map::rules(&fixture(&json.replace("online", "delisted")), ETH).unwrap().is_open);
    for (what, other) in [
        ("\"base_increment\": \"0.0001\"", "\"base_increment\": \"0\""),
        ("\"base_increment\": \"0.0001\"", "\"base_increment\": \"1e-20\""),
        ("\"ETH-USDT\"", "\"ETH-USD\""),
    ] {
        assert!(map::rules(&fixture(&json.replace(what, other)), ETH).is_err(), "{other}");
    }
    let summary = include_str!("../fixtures/summary.some.json");
    let levies = map::levies(&fixture(summary)).unwrap();
    assert_eq!((levies.fee.get(), levies.gst.get(), levies.tds.get()), (60, 1_800, 0));
    let within = summary.replace("EXCLUSIVE", "INCLUSIVE");
    assert_eq!(map::levies(&fixture(&within)).unwrap().gst.get(), 0);
}

#[test]
fn only_words_that_mean_no_are_refusals() {
    let json = include_str!("../fixtures/order.not_placed.json");
    let told = |json: &str| not_placed(&fixture::<wire::Placed>(json));
    let reason = "Insufficient balance in source account".to_owned();
    assert_eq!(told(json), CallError::Rejected { code: "INSUFFICIENT_FUND".into(), reason });
    let vague = json.replace("INSUFFICIENT_FUND\"", "UNKNOWN_FAILURE_REASON\"");
    assert!(matches!(
        told(&vague.replace("PREVIEW_UNKNOWN", "PREVIEW_X")),
        CallError::Rejected { .. }
    ));
    let unknown = r#"{"success":false,"failure_reason":"UNKNOWN_FAILURE_REASON"}"#;
    assert!(told(unknown).may_have_happened());
    for new in ["DUPLICATE_CLIENT_ORDER_ID", "A_NEW_WORD"] {
        let json = format!(r#"{{"success":false,"error_response":{{"error":"{new}"}}}}"#);
        assert!(told(&json).may_have_happened(), "{new}");
    }
}

#[test]
fn errors_of_both_apis_are_sorted() {
    let v3 = |error: &str| format!(r#"{{"error":"{error}","error_details":"","message":"m"}}"#);
    let v2 = |id: &str| format!(r#"{{"errors":[{{"id":"{id}","message":"m"}}]}}"#);
    let sorted = |status: u16, json: &str, effect: Effect| {
        classify(status, &fixture::<wire::Failure>(json), effect)
    };
    let is_no = |refusal: Refusal| matches!(CallError::from(refusal), CallError::Rejected { .. });
    for (status, json) in [
        (400, v3("INVALID_ARGUMENT")),
        (400, v2("validation_error")),
        (402, v2("two_factor_required")),
    ] {
        assert!(is_no(sorted(status, &json, Effect::Money)), "{json}");
        assert!(is_no(sorted(status, &json, Effect::None)), "{json}");
    }
    for json in [
        v3("INTERNAL"),
        v3("ALREADY_EXISTS"),
        v3("NOT_FOUND"),
        v2("not_found"),
        v2("new_word"),
        "{}".into(),
    ] {
        let told = CallError::from(sorted(400, &json, Effect::Money));
        assert!(told.may_have_happened(), "{json}: {told}");
        let told = CallError::from(sorted(400, &json, Effect::None));
        assert!(!told.may_have_happened(), "{json}: {told}");
    }
    for (status, json) in [(403, v3("PERMISSION_DENIED")), (401, v2("invalid_token"))] {
        let told = CallError::from(sorted(status, &json, Effect::Money));
        assert!(crate::is_access_refusal(&told), "{told}");
    }
    let busy = sorted(400, &v2("rate_limit_exceeded"), Effect::Money);
    assert!(matches!(CallError::from(busy), CallError::RateLimited { .. }));
    assert!(matches!(sorted(404, &v3("NOT_FOUND"), Effect::None), Refusal::NotFound));
}
