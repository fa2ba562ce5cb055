//! Coinbase's trading API: orders, executions, fees, increments, cancellations, lists.

use rust_decimal::Decimal;
use serde_json::{Value, json};
use simulators::coinbase::{Duplicates, Settings};

use crate::{
    coinbase_bench::{HISTORY, ORDERS, reasons, sum, value},
    venue_bench::{Venues, dec, number},
};

fn venues() -> Venues {
    let venues = Venues::new();
    venues.pin("BTCUSDT", "100000");
    venues.pin("USDTUSD", "1");
    venues
}

async fn free(venues: &Venues, asset: &str) -> Decimal {
    let all = venues.cb_get("/api/v3/brokerage/accounts").await.ok();
    let mut accounts = all["accounts"].as_array().unwrap().iter();
    let account = accounts.find(|account| account["currency"] == asset).unwrap();
    dec(account["available_balance"]["value"].as_str().unwrap())
}

#[tokio::test]
async fn a_market_order_sells_and_pays_its_fee_in_the_quote() {
    let venues = venues();
    let (btc, usdt) = (free(&venues, "BTC").await, free(&venues, "USDT").await);
    let id = venues.cb_placed("sell 0.5 BTC-USDT market_market_ioc", "m-1").await;
    let order = venues.cb_shown(&id).await;
    assert_eq!((&order["status"], &order["filled_size"]), (&json!("FILLED"), &json!("0.5")));
    assert_eq!(order["completion_percentage"], "100");
    assert_eq!(order["time_in_force"], "IMMEDIATE_OR_CANCEL");
    assert_eq!((&order["order_type"], &order["settled"]), (&json!("MARKET"), &json!(true)));
    let fills = venues.cb_fills(&format!("order_ids={id}")).await;
    assert_eq!(fills.len().to_string(), order["number_of_fills"].as_str().unwrap());
    let (gross, fees) = (sum(&fills, value), sum(&fills, |fill| number(fill, "commission")));
    assert_eq!((number(&order, "filled_value"), number(&order, "total_fees")), (gross, fees));
    assert_eq!(number(&order, "total_value_after_fees"), gross - fees);
    assert_eq!(fees, sum(&fills, |fill| (value(fill) * dec("0.006")).trunc_with_scale(8)));
    for fill in &fills {
        assert_eq!((&fill["size_in_quote"], &fill["trade_type"]), (&json!(false), &json!("FILL")));
        assert_eq!(fill["liquidity_indicator"], "TAKER");
    }
    assert_eq!(free(&venues, "BTC").await, btc - dec("0.5"));
    assert_eq!(free(&venues, "USDT").await, usdt + gross - fees);
    let tier = venues.cb_get("/api/v3/brokerage/transaction_summary").await.ok();
    assert_eq!(tier["fee_tier"]["taker_fee_rate"], "0.006");
    assert_eq!(tier["total_volume"], gross.normalize().to_string());
    venues.assert_books_balance();
}

#[tokio::test]
async fn a_purchase_by_its_cost_has_the_fee_in_it() {
    let venues = venues();
    let usdt = free(&venues, "USDT").await;
    let size = json!({"market_market_ioc": {"quote_size": "1006"}});
    let id = venues.cb_configured("buy", "BTC-USDT", size, "q-1").await.ok()["order_id"].clone();
    let order = venues.cb_shown(id.as_str().unwrap()).await;
    assert_eq!((&order["status"], &order["size_in_quote"]), (&json!("FILLED"), &json!(true)));
    let spent = number(&order, "total_value_after_fees");
    assert!(spent <= dec("1006") && spent > dec("1005.9"), "{spent}");
    assert_eq!(usdt - free(&venues, "USDT").await, spent);
    let fills = venues.cb_fills("product_ids=BTC-USDT").await;
    assert!(fills.iter().all(|fill| fill["size_in_quote"] == true));
    let quote = sum(&fills, |fill| number(fill, "size"));
    assert_eq!(quote, number(&order, "filled_value"), "sizes are amounts of the quote");
    // In base, it needs what it costs and no more.
    let id = venues.cb_placed("buy 0.01 BTC-USDT market_market_ioc", "q-2").await;
    assert_eq!(venues.cb_shown(&id).await["filled_size"], "0.01");
    assert_eq!(venues.coinbase.balance("USDT").locked, Decimal::ZERO);
    venues.assert_books_balance();
}

#[tokio::test]
async fn limit_orders_rest_expire_or_are_refused() {
    let venues = venues();
    let id = venues.cb_placed("sell 0.4 BTC-USDT limit_limit_gtc 120000", "r-1").await;
    let order = venues.cb_shown(&id).await;
    assert_eq!((&order["status"], &order["filled_size"]), (&json!("OPEN"), &json!("0")));
    assert_eq!(order["outstanding_hold_amount"], "0.4");
    assert_eq!(venues.coinbase.balance("BTC").locked, dec("0.4"));
    let hold = venues.cb_placed("buy 0.1 BTC-USDT limit_limit_gtc 90000", "r-2").await;
    let held = venues.cb_shown(&hold).await;
    assert_eq!(held["outstanding_hold_amount"], "9054", "the fee is held too");
    venues.pin("BTCUSDT", "121000");
    venues.coinbase.match_resting();
    let order = venues.cb_shown(&id).await;
    assert_eq!((&order["status"], &order["filled_value"]), (&json!("FILLED"), &json!("48000")));
    assert_eq!(order["total_fees"], "192", "a maker pays less");
    venues.pin("BTCUSDT", "89000");
    venues.coinbase.match_resting();
    let bought = venues.cb_shown(&hold).await;
    assert_eq!(number(&bought, "total_value_after_fees"), dec("9036"));
    assert_eq!(venues.coinbase.balance("USDT").locked, Decimal::ZERO);
    venues.pin("BTCUSDT", "100000");
    // A better price than the limit frees the difference at once.
    let cheap = venues.cb_placed("buy 0.1 BTC-USDT limit_limit_gtc 110000", "r-3").await;
    assert_eq!(venues.cb_shown(&cheap).await["status"], "FILLED");
    assert_eq!(venues.coinbase.balance("USDT").locked, Decimal::ZERO);
    // Immediate ones never rest.
    let none = venues.cb_placed("sell 0.1 BTC-USDT sor_limit_ioc 120000", "i-1").await;
    let none = venues.cb_shown(&none).await;
    assert_eq!((&none["status"], &none["filled_size"]), (&json!("CANCELLED"), &json!("0")));
    let all = venues.cb_placed("sell 3 BTC-USDT limit_limit_fok 99990", "f-1").await;
    assert_eq!(venues.cb_shown(&all).await["filled_size"], "0", "all or nothing");
    let some = venues.cb_placed("sell 3 BTC-USDT sor_limit_ioc 99990", "f-2").await;
    let some = venues.cb_shown(&some).await;
    assert_eq!(some["status"], "CANCELLED");
    assert!(number(&some, "filled_size") > Decimal::ZERO, "what there was");
    assert_eq!(venues.coinbase.balance("BTC").locked, Decimal::ZERO);
    venues.assert_books_balance();
}

#[tokio::test]
async fn post_only_and_good_till_a_date() {
    let venues = venues();
    let post_only = |price: &str| {
        json!({"limit_limit_gtc":
            {"base_size": "0.1", "limit_price": price, "post_only": true}})
    };
    let crossing = venues.cb_configured("sell", "BTC-USDT", post_only("99000"), "p-1").await;
    let expected = ("INVALID_LIMIT_PRICE_POST_ONLY", "PREVIEW_INVALID_LIMIT_PRICE_POST_ONLY");
    let (code, preview) = reasons(crossing);
    assert_eq!((code.as_str(), preview.as_str()), expected);
    assert_eq!(venues.coinbase.balance("BTC").locked, Decimal::ZERO, "nothing was locked");
    // What was refused can be sent again under the same id.
    let rests = venues.cb_configured("sell", "BTC-USDT", post_only("120000"), "p-1").await.ok();
    let shown = venues.cb_shown(rests["order_id"].as_str().unwrap()).await;
    assert_eq!(shown["status"], "OPEN");
    assert_eq!(shown["order_configuration"], post_only("120000"));
    let until = |end: &str| {
        json!({"limit_limit_gtd": {"base_size": "0.2", "limit_price": "120000",
            "end_time": end, "post_only": false}})
    };
    let (_, preview) =
        reasons(venues.cb_configured("sell", "BTC-USDT", until("2025-12-31T23:59:59Z"), "d").await);
    assert_eq!(preview, "PREVIEW_INVALID_END_TIME");
    let end = until("2026-01-01T00:00:10Z");
    let id = venues.cb_configured("sell", "BTC-USDT", end, "d").await.ok()["order_id"].clone();
    let id = id.as_str().unwrap();
    venues.pass(9_999);
    assert_eq!(venues.cb_shown(id).await["status"], "OPEN");
    venues.pass(1);
    assert_eq!(venues.cb_shown(id).await["status"], "EXPIRED");
    assert_eq!(venues.coinbase.balance("BTC").locked, dec("0.1"));
    venues.assert_books_balance();
}

#[tokio::test]
async fn a_client_id_names_one_order_for_ever() {
    let venues = venues();
    let first = venues.cb_placed("sell 0.1 BTC-USDT limit_limit_gtc 99000", "once").await;
    assert_eq!(venues.cb_shown(&first).await["status"], "FILLED");
    let btc = venues.coinbase.balance("BTC");
    let again = venues.cb_placed("sell 0.1 BTC-USDT limit_limit_gtc 99000", "once").await;
    assert_eq!(again, first, "the order that is there");
    let other = venues.cb_order("buy 5 ETH-USDT limit_limit_gtc 1", "once").await.ok();
    assert_eq!(other["order_id"], json!(first), "whatever else is in the body");
    assert_eq!(other["success_response"]["product_id"], "BTC-USDT");
    assert_eq!(venues.coinbase.balance("BTC"), btc, "nothing was traded again");
    let all = venues.cb_get(HISTORY).await.ok();
    assert_eq!(all["orders"].as_array().unwrap().len(), 1);
    let settings = Settings { duplicates: Duplicates::Reject, ..venues.coinbase.settings() };
    assert!(venues.coinbase.set_settings(settings));
    let (code, _) =
        reasons(venues.cb_order("sell 0.1 BTC-USDT limit_limit_gtc 99000", "once").await);
    assert_eq!(code, "DUPLICATE_CLIENT_ORDER_ID");
    assert_eq!(venues.coinbase.balance("BTC"), btc);
}

#[tokio::test]
async fn orders_keep_to_increments_and_sizes() {
    let venues = venues();
    let cases = [
        ("sell 0.1 DOGE-USDT limit_limit_gtc 1", "INVALID_PRODUCT_ID", ""),
        ("sell 0.123456789 BTC-USDT limit_limit_gtc 99000", "INVALID_SIZE_PRECISION", ""),
        ("sell 0.1 BTC-USDT limit_limit_gtc 99000.001", "INVALID_PRICE_PRECISION", ""),
        ("sell 9 BTC-USDT limit_limit_gtc 99000", "INSUFFICIENT_FUND", "PREVIEW_INSUFFICIENT_FUND"),
        ("buy 99 BTC-USDT limit_limit_gtc 99000", "INSUFFICIENT_FUND", "PREVIEW_INSUFFICIENT_FUND"),
        ("sell 0.000001 BTC-USDT limit_limit_gtc 99000", "", "PREVIEW_INVALID_BASE_SIZE_TOO_SMALL"),
        ("sell 0.00001 BTC-USDT limit_limit_gtc 9900", "", "PREVIEW_INVALID_BASE_SIZE_TOO_SMALL"),
        ("sell 3401 BTC-USDT limit_limit_gtc 99000", "", "PREVIEW_INVALID_BASE_SIZE_TOO_LARGE"),
        ("sell 0 BTC-USDT limit_limit_gtc 99000", "", "PREVIEW_INVALID_ORDER_CONFIG"),
        ("sell -1 BTC-USDT limit_limit_gtc 99000", "", "PREVIEW_INVALID_ORDER_CONFIG"),
        ("sell 1e-1 BTC-USDT limit_limit_gtc 99000", "", "PREVIEW_INVALID_ORDER_CONFIG"),
        ("sell 0.1 BTC-USDT limit_limit_gtc 0", "INVALID_LIMIT_PRICE", ""),
        ("sell 1 BTC-USDT stop_limit_stop_limit_gtc 1", "UNSUPPORTED_ORDER_CONFIGURATION", ""),
    ];
    for (place, (order, code, preview)) in cases.into_iter().enumerate() {
        let seen = reasons(venues.cb_order(order, &format!("c-{place}")).await);
        if !code.is_empty() {
            assert_eq!(seen.0, code, "{order}");
        }
        if !preview.is_empty() {
            assert_eq!(seen.1, preview, "{order}");
        }
    }
    let quote = |text: &str| json!({"market_market_ioc": {"quote_size": text}});
    let cases = [
        ("buy", "0.5", "PREVIEW_INVALID_QUOTE_SIZE_TOO_SMALL"),
        ("buy", "10.001", "PREVIEW_INVALID_QUOTE_SIZE_PRECISION"),
        ("sell", "10", "PREVIEW_INVALID_ORDER_CONFIG"),
        ("buy", "3000000", "PREVIEW_INSUFFICIENT_FUND"),
    ];
    for (side, size, preview) in cases {
        let seen = reasons(venues.cb_configured(side, "BTC-USDT", quote(size), size).await);
        assert_eq!(seen.1, preview, "{side} {size}");
    }
    // What is shown is what is asked for.
    let product = venues.cb_get("/api/v3/brokerage/products/BTC-USDT").await.ok();
    assert_eq!(product["base_increment"], "0.00000001");
    assert_eq!(
        (&product["price_increment"], &product["base_min_size"]),
        (&json!("0.01"), &json!("0.00001"))
    );
    venues.cb_placed("sell 0.00002 BTC-USDT limit_limit_gtc 99000.01", "least").await;
    venues.assert_books_balance();
}

#[tokio::test]
async fn bodies_that_are_not_the_vendors_are_refused_with_400() {
    let venues = venues();
    let fine = json!({"client_order_id": "b", "product_id": "BTC-USDT", "side": "SELL",
        "order_configuration": {"market_market_ioc": {"base_size": "0.1"}}});
    let with = |name: &str, value: Value| {
        let mut body = fine.clone();
        body[name] = value;
        body
    };
    let configured = |inside: Value| with("order_configuration", inside);
    let cases = [
        json!([]),
        json!("text"),
        with("client_order_id", json!("")),
        with("client_order_id", json!(7)),
        with("client_order_id", json!("x".repeat(129))),
        with("side", json!("HOLD")),
        with("max_floor", json!("1")),
        configured(json!({})),
        configured(json!({"limit_limit_ioc": {"base_size": "1", "limit_price": "1"}})),
        configured(json!({"market_market_ioc": {"base_size": 0.1}})),
        configured(json!({"market_market_ioc": {"base_size": "0.1", "quote_size": "1"}})),
        configured(json!({"market_market_ioc": {"base_size": "0.1", "limit_price": "1"}})),
        configured(json!({"market_market_ioc": {}})),
        configured(json!({"limit_limit_gtc": {"base_size": "0.1"}})),
        configured(json!({"limit_limit_gtd": {"base_size": "0.1", "limit_price": "1"}})),
        configured(json!({"sor_limit_ioc":
            {"base_size": "0.1", "limit_price": "99000", "post_only": true}})),
        configured(json!({"market_market_ioc": {"base_size": "0.1"},
            "sor_limit_ioc": {"base_size": "0.1", "limit_price": "1"}})),
    ];
    for body in cases {
        let refused = venues.cb("POST", ORDERS, body.clone()).await;
        assert_eq!(refused.status.as_u16(), 400, "{body}: {}", refused.body);
        assert!(refused.body["error"].is_string() && refused.body["message"].is_string());
        venues.pass(50);
    }
    assert_eq!(venues.cb_get(HISTORY).await.ok()["orders"], json!([]));
    venues.cb("POST", ORDERS, fine).await.ok();
}

#[tokio::test]
async fn cancelling_is_asked_for_and_comes_later() {
    let venues = venues();
    let id = venues.cb_placed("sell 0.4 BTC-USDT limit_limit_gtc 120000", "k-1").await;
    let filled = venues.cb_placed("sell 0.1 BTC-USDT limit_limit_gtc 99000", "k-2").await;
    let results = venues.cb_cancel(&[&id, &filled, "no-such-order"]).await;
    let seen: Vec<(&Value, &Value)> = results
        .as_array()
        .unwrap()
        .iter()
        .map(|result| (&result["success"], &result["failure_reason"]))
        .collect();
    assert_eq!(
        seen,
        [
            (&json!(true), &json!("UNKNOWN_CANCEL_FAILURE_REASON")),
            (&json!(false), &json!("ORDER_IS_FULLY_FILLED")),
            (&json!(false), &json!("UNKNOWN_CANCEL_ORDER")),
        ]
    );
    let order = venues.cb_shown(&id).await;
    assert_eq!(
        (&order["status"], &order["pending_cancel"]),
        (&json!("CANCEL_QUEUED"), &json!(true))
    );
    assert_eq!(venues.coinbase.balance("BTC").locked, dec("0.4"), "it may still fill");
    let again = venues.cb_cancel(&[&id]).await;
    assert_eq!(again[0]["failure_reason"], "DUPLICATE_CANCEL_REQUEST");
    assert!(venues.coinbase.force_fill(&id, Some(dec("0.1"))), "and does");
    venues.pass(200);
    let order = venues.cb_shown(&id).await;
    assert_eq!((&order["status"], &order["filled_size"]), (&json!("CANCELLED"), &json!("0.1")));
    assert_eq!(venues.coinbase.balance("BTC").locked, Decimal::ZERO);
    let over = venues.cb_cancel(&[&id]).await;
    assert_eq!(over[0]["failure_reason"], "INVALID_CANCEL_REQUEST");
    let path = "/api/v3/brokerage/orders/batch_cancel";
    let none = venues.cb("POST", path, json!({"order_ids": []})).await;
    assert_eq!(none.status.as_u16(), 400);
    let many: Vec<String> = (0..101).map(|n| n.to_string()).collect();
    assert_eq!(venues.cb("POST", path, json!({"order_ids": many})).await.status.as_u16(), 400);
    venues.assert_books_balance();
}
