//! Coinbase: answers that are lost or lie, orders that live on behind the caller's back.

use rust_decimal::Decimal;
use serde_json::{Value, json};
use simulators::coinbase::{Reversals, Settings};

use crate::{
    coinbase_bench::{FILLS, HISTORY, reasons},
    venue_bench::{Venues, dec, number},
};

const SELL: &str = "sell 0.1 BTC-USDT sor_limit_ioc 99000";

fn venues() -> Venues {
    let venues = Venues::new();
    venues.pin("BTCUSDT", "100000");
    venues
}

async fn orders(venues: &Venues) -> Vec<Value> {
    venues.cb_get(HISTORY).await.ok()["orders"].as_array().unwrap().clone()
}

#[tokio::test]
async fn a_lost_answer_says_nothing_about_the_order() {
    let venues = venues();
    for (name, status, is_there) in [
        ("http_500_applied", 500, true),
        ("http_500_not_applied", 500, false),
        ("http_504_applied", 504, true),
        ("timeout_applied", 504, true),
        ("timeout_not_applied", 504, false),
        ("http_503", 503, false),
    ] {
        let before = orders(&venues).await.len();
        venues.fault("coinbase", "place_order", name, None);
        assert_eq!(venues.cb_order(SELL, name).await.status.as_u16(), status, "{name}");
        assert_eq!(orders(&venues).await.len() - before, usize::from(is_there), "{name}");
        // Sent again, there is one order in the end, and its answer.
        let id = venues.cb_placed(SELL, name).await;
        assert_eq!(venues.cb_shown(&id).await["status"], "FILLED");
        assert_eq!(orders(&venues).await.len() - before, 1, "{name}: never sold twice");
        venues.pass(1_000);
    }
    for name in ["reset_applied", "truncated", "malformed"] {
        venues.fault("coinbase", "place_order", name, None);
        let seen = venues.cb_order(SELL, name).await;
        assert!(seen.body["order_id"].is_null(), "{name}");
        venues.cb_placed(SELL, name).await;
        venues.pass(1_000);
    }
    assert_eq!(orders(&venues).await.len(), 9);
    assert_eq!(venues.coinbase.balance("BTC").free, dec("4.1"));
    venues.assert_books_balance();
}

#[tokio::test]
async fn an_order_can_take_effect_after_its_timeout() {
    let venues = venues();
    let mut fault = simulators::fault::Fault::new("coinbase", "place_order", "delayed_apply");
    fault.delay_ms = Some(5_000);
    venues.world.faults.queue(fault).unwrap();
    assert_eq!(venues.cb_order(SELL, "late").await.status.as_u16(), 504);
    assert_eq!(orders(&venues).await.len(), 0);
    venues.pass(5_000);
    let late = orders(&venues).await;
    assert_eq!(
        (&late[0]["client_order_id"], &late[0]["status"]),
        (&json!("late"), &json!("FILLED"))
    );
    // A token that has run out by then leaves no effect.
    let mut fault = simulators::fault::Fault::new("coinbase", "place_order", "delayed_apply");
    fault.delay_ms = Some(119_000);
    venues.world.faults.queue(fault).unwrap();
    assert_eq!(venues.cb_order(SELL, "too-late").await.status.as_u16(), 504);
    venues.pass(126_000);
    assert_eq!(orders(&venues).await.len(), 1);
    venues.assert_books_balance();
}

#[tokio::test]
async fn orders_wait_fail_and_hide() {
    let venues = venues();
    let fault = |operation: &str, name: &str, delay_ms: u64| {
        let mut fault = simulators::fault::Fault::new("coinbase", operation, name);
        fault.delay_ms = Some(delay_ms);
        venues.world.faults.queue(fault).unwrap();
    };
    fault("place_order", "slow_accept", 3_000);
    let id = venues.cb_placed(SELL, "slow").await;
    let order = venues.cb_shown(&id).await;
    assert_eq!((&order["status"], &order["filled_size"]), (&json!("PENDING"), &json!("0")));
    assert_eq!(venues.coinbase.balance("BTC").locked, dec("0.1"));
    venues.pass(3_000);
    assert_eq!(venues.cb_shown(&id).await["status"], "FILLED");
    fault("place_order", "fails_later", 1_000);
    let id = venues.cb_placed(SELL, "fails").await;
    assert_eq!(venues.cb_shown(&id).await["status"], "PENDING");
    venues.pass(1_000);
    let order = venues.cb_shown(&id).await;
    assert_eq!((&order["status"], &order["filled_size"]), (&json!("FAILED"), &json!("0")));
    assert_ne!(order["reject_reason"], "REJECT_REASON_UNSPECIFIED");
    assert_eq!(venues.coinbase.balance("BTC").locked, Decimal::ZERO);
    fault("place_order", "query_lag", 2_000);
    let id = venues.cb_placed(SELL, "hidden").await;
    let path = format!("/api/v3/brokerage/orders/historical/{id}");
    assert_eq!(venues.cb_get(&path).await.status.as_u16(), 404);
    assert_eq!(orders(&venues).await.len(), 2);
    let fills = format!("{FILLS}?order_ids={id}");
    assert_eq!(venues.cb_get(&fills).await.ok()["fills"], json!([]));
    assert_eq!(venues.cb_placed(SELL, "hidden").await, id, "asking again finds it");
    venues.pass(2_000);
    assert_eq!(venues.cb_shown(&id).await["status"], "FILLED");
    fault("get_order", "unknown_status", 0);
    assert_eq!(venues.cb_shown(&id).await["status"], "UNKNOWN_ORDER_STATUS");
    venues.fault("coinbase", "all_orders", "unknown_status", Some("EDIT_QUEUED"));
    assert_eq!(orders(&venues).await[0]["status"], "EDIT_QUEUED");
    venues.assert_books_balance();
}

#[tokio::test]
async fn fills_can_be_short_and_cancellations_slow() {
    let venues = venues();
    venues.fault("coinbase", "place_order", "partial_fill", Some("4000"));
    let id = venues.cb_placed(SELL, "short").await;
    let order = venues.cb_shown(&id).await;
    assert_eq!((&order["status"], &order["filled_size"]), (&json!("CANCELLED"), &json!("0.04")));
    venues.fault("coinbase", "place_order", "no_fill", None);
    let id = venues.cb_placed(SELL, "none").await;
    assert_eq!(venues.cb_shown(&id).await["filled_size"], "0");
    venues.fault("coinbase", "place_order", "partial_fill", Some("5000"));
    let rests = venues.cb_placed("sell 0.2 BTC-USDT limit_limit_gtc 99000", "rests").await;
    let order = venues.cb_shown(&rests).await;
    assert_eq!((&order["status"], &order["filled_size"]), (&json!("OPEN"), &json!("0.1")));
    assert_eq!(order["completion_percentage"], "50");
    let mut fault = simulators::fault::Fault::new("coinbase", "cancel_order", "slow_cancel");
    fault.delay_ms = Some(5_000);
    venues.world.faults.queue(fault).unwrap();
    assert_eq!(venues.cb_cancel(&[&rests]).await[0]["success"], true);
    venues.pass(4_999);
    assert_eq!(venues.cb_shown(&rests).await["status"], "CANCEL_QUEUED");
    venues.pass(1);
    assert_eq!(venues.cb_shown(&rests).await["status"], "CANCELLED");
    // A fill between the request and its effect.
    let id = venues.cb_placed("sell 0.2 BTC-USDT limit_limit_gtc 120000", "race").await;
    venues.fault("coinbase", "cancel_order", "late_fill", Some("2500"));
    assert_eq!(venues.cb_cancel(&[&id]).await[0]["success"], true);
    venues.pass(200);
    let order = venues.cb_shown(&id).await;
    assert_eq!((&order["status"], &order["filled_size"]), (&json!("CANCELLED"), &json!("0.05")));
    let id = venues.cb_placed("sell 0.2 BTC-USDT limit_limit_gtc 120000", "lost race").await;
    venues.fault("coinbase", "cancel_order", "late_fill", None);
    assert_eq!(venues.cb_cancel(&[&id]).await[0]["success"], true, "the request was taken");
    assert_eq!(venues.cb_shown(&id).await["status"], "FILLED", "and changed nothing");
    assert_eq!(venues.coinbase.balance("BTC").locked, Decimal::ZERO);
    venues.assert_books_balance();
}

#[tokio::test]
async fn named_refusals_have_the_vendors_shape() {
    let venues = venues();
    venues.fault("coinbase", "place_order", "reject:INSUFFICIENT_FUND", None);
    let expected = ("INSUFFICIENT_FUND".to_owned(), "PREVIEW_INSUFFICIENT_FUND".to_owned());
    assert_eq!(reasons(venues.cb_order(SELL, "a").await), expected);
    venues.fault("coinbase", "account", "reject:validation_error", None);
    let refused = venues.cb_get("/api/v3/brokerage/accounts").await;
    assert_eq!(refused.status.as_u16(), 400);
    assert_eq!(refused.body["errors"][0]["id"], "validation_error");
    venues.fault("coinbase", "get_order", "rate_limited", None);
    let slow = venues.cb_get("/api/v3/brokerage/orders/historical/x").await;
    assert_eq!(slow.status.as_u16(), 429);
    assert_eq!(orders(&venues).await.len(), 0);
}

#[tokio::test]
async fn an_order_that_is_over_can_fill_and_a_fill_can_be_undone() {
    let venues = venues();
    let before = (venues.coinbase.balance("BTC"), venues.coinbase.balance("USDT"));
    let id = venues.cb_placed("sell 0.4 BTC-USDT limit_limit_gtc 120000", "late").await;
    assert!(!venues.coinbase.fill_after_the_end(&id, dec("0.1")), "it is open");
    venues.cb_cancel(&[&id]).await;
    venues.pass(200);
    assert!(venues.coinbase.fill_after_the_end(&id, dec("0.1")));
    let order = venues.cb_shown(&id).await;
    assert_eq!((&order["status"], &order["filled_size"]), (&json!("CANCELLED"), &json!("0.1")));
    assert_eq!(venues.coinbase.balance("BTC").locked, Decimal::ZERO);
    let fills = venues.cb_fills(&format!("order_ids={id}")).await;
    let trade = fills[0]["trade_id"].as_str().unwrap();
    assert!(venues.coinbase.take_trade_back(trade));
    assert!(!venues.coinbase.take_trade_back(trade), "once");
    assert_eq!(venues.cb_fills(&format!("order_ids={id}")).await.len(), 0);
    let order = venues.cb_shown(&id).await;
    assert_eq!((&order["filled_size"], &order["total_fees"]), (&json!("0"), &json!("0")));
    assert_eq!((venues.coinbase.balance("BTC"), venues.coinbase.balance("USDT")), before);
    // All of it, by the client's id, is all of it.
    assert!(venues.coinbase.fill_after_the_end("late", dec("9")));
    assert_eq!(venues.cb_shown(&id).await["status"], "FILLED");
    assert!(!venues.coinbase.fill_after_the_end("late", dec("1")), "nothing is left");
    // With reversals listed, the execution stays and its opposite stands beside it.
    let settings = Settings { reversals: Reversals::Listed, ..venues.coinbase.settings() };
    assert!(venues.coinbase.set_settings(settings));
    let trade = venues.cb_fills(&format!("order_ids={id}")).await[0]["trade_id"].clone();
    assert!(venues.coinbase.take_trade_back(trade.as_str().unwrap()));
    assert!(!venues.coinbase.take_trade_back(trade.as_str().unwrap()), "once");
    let fills = venues.cb_fills(&format!("order_ids={id}")).await;
    let kinds: Vec<&Value> = fills.iter().map(|fill| &fill["trade_type"]).collect();
    assert_eq!(kinds, ["REVERSAL", "FILL"]);
    assert_ne!(fills[0]["entry_id"], fills[1]["entry_id"]);
    let order = venues.cb_shown(&id).await;
    assert_eq!((&order["status"], &order["filled_size"]), (&json!("CANCELLED"), &json!("0")));
    assert_eq!((venues.coinbase.balance("BTC"), venues.coinbase.balance("USDT")), before);
    // Of an order that is still open: what comes back is locked again.
    let open = venues.cb_placed("buy 0.5 BTC-USDT limit_limit_gtc 90000", "open").await;
    let held = venues.coinbase.balance("USDT").locked;
    assert!(venues.coinbase.force_fill(&open, Some(dec("0.2"))));
    assert!(venues.coinbase.balance("USDT").locked < held);
    let trade = venues.cb_fills(&format!("order_ids={open}")).await[0]["trade_id"].clone();
    assert!(venues.coinbase.take_trade_back(trade.as_str().unwrap()));
    assert_eq!(venues.coinbase.balance("USDT").locked, held);
    assert_eq!(number(&venues.cb_shown(&open).await, "filled_size"), Decimal::ZERO);
    venues.assert_books_balance();
}
