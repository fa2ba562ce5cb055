//! WazirX: what an order does to money, how it ends, and what is refused.

use rust_decimal::{Decimal, RoundingStrategy};
use serde_json::Value;
use simulators::wazirx::{CancelReply, Duplicates, Settings};

use crate::venue_bench::{Venues, dec, number};

fn venues() -> Venues {
    let venues = Venues::new();
    venues.pin("BTCINR", "9200000");
    venues.pin("ETHINR", "270000");
    let settings =
        Settings { limits: false, cancel_reply: CancelReply::Cancel, ..venues.wazirx.settings() };
    assert!(venues.wazirx.set_settings(settings));
    venues
}

async fn shown(venues: &Venues, order: &Value) -> Value {
    venues.wazirx("GET", "order", &format!("orderId={}", order["id"])).await.ok()
}

// The rule both sides must follow independently: per execution, gross down to paise, fee, GST on
// the fee and TDS half up, and nothing but the fee shown.
#[tokio::test]
async fn a_sale_credits_gross_less_fee_gst_and_tds() {
    let venues = venues();
    let before = venues.wazirx.balance("INR").free;
    let order = venues.wazirx_order("sell 0.74321 ethinr 269000.1", "").await.ok();
    assert_eq!(order["status"], "done", "{order}");
    assert_eq!(order["executedQty"], "0.74321");
    let params = format!("symbol=ethinr&orderId={}", order["id"]);
    let trades = venues.wazirx("GET", "myTrades", &params).await.ok();
    let mut credit = Decimal::ZERO;
    for trade in trades.as_array().unwrap() {
        let product = number(trade, "price") * number(trade, "qty");
        let gross = product.round_dp_with_strategy(2, RoundingStrategy::ToZero);
        let half_up = |value: Decimal| {
            value.round_dp_with_strategy(2, RoundingStrategy::MidpointAwayFromZero)
        };
        let fee = half_up(gross * dec("0.0020"));
        assert_eq!(number(trade, "quoteQty"), gross);
        assert_eq!(number(trade, "fee"), fee, "the fee is shown without GST");
        assert!(trade.get("tds").is_none() && trade.get("gst").is_none(), "{trade}");
        assert_eq!(trade["isBuyerMaker"], true, "a taker's sale meets a maker's bid");
        credit += gross - fee - half_up(fee * dec("0.18")) - half_up(gross * dec("0.01"));
    }
    assert_eq!(venues.wazirx.balance("INR").free - before, credit);
    assert_eq!(venues.wazirx.balance("ETH").free, dec("200") - dec("0.74321"));
    venues.assert_books_balance();
}

#[tokio::test]
async fn a_purchase_pays_fee_and_gst_on_top_and_gets_its_reserve_back() {
    let venues = venues();
    let before = venues.wazirx.balance("INR");
    let order = venues.wazirx_order("buy 0.1 ethinr 275000", "").await.ok();
    assert_eq!(order["status"], "done");
    let book = venues.wazirx.book();
    let paid: Decimal = book["trades"]
        .as_array()
        .unwrap()
        .iter()
        .map(|t| {
            assert_eq!(t["tds"], "0.0", "rupees are no virtual asset");
            number(t, "quoteQty") + number(t, "fee") + number(t, "gst")
        })
        .sum();
    let after = venues.wazirx.balance("INR");
    assert_eq!(before.free - after.free, paid);
    assert_eq!(after.locked, Decimal::ZERO, "the reserve came back");
    assert_eq!(venues.wazirx.balance("ETH").free, dec("200.1"));
    venues.assert_books_balance();
}

// More than the book holds: the rest stays in `wait` until the market comes back or it is
// cancelled; what executed stays executed.
#[tokio::test]
async fn a_partial_fill_waits_and_survives_the_cancellation() {
    let venues = venues();
    venues.world.prices.set_liquidity("wazirx", "BTCINR", dec("0.01")).unwrap();
    let order = venues.wazirx_order("sell 1 btcinr 9000000", "").await.ok();
    assert_eq!(order["status"], "wait");
    let filled = number(&order, "executedQty");
    assert!(filled > Decimal::ZERO && filled < Decimal::ONE, "{order}");
    assert_eq!(shown(&venues, &order).await["executedQty"], order["executedQty"]);
    assert_eq!(venues.wazirx.balance("BTC").locked, Decimal::ONE - filled);
    venues.wazirx.match_resting();
    let more = number(&shown(&venues, &order).await, "executedQty");
    assert!(more > filled, "new bids came");
    let params = format!("symbol=btcinr&orderId={}", order["id"]);
    let cancelled = venues.wazirx("DELETE", "order", &params).await.ok();
    assert_eq!(cancelled["status"], "cancel");
    assert_eq!(number(&cancelled, "executedQty"), more);
    assert_eq!(venues.wazirx.balance("BTC").locked, Decimal::ZERO);
    let again = venues.wazirx("DELETE", "order", &params).await;
    assert_eq!(again.refusal(), (400, 1999));
    venues.assert_books_balance();
}

// DELETE may answer `wait`; the cancellation takes effect afterwards, and a fill can come first.
#[tokio::test]
async fn cancelling_is_asynchronous() {
    let venues = venues();
    venues
        .wazirx
        .set_settings(Settings { cancel_reply: CancelReply::Wait, ..venues.wazirx.settings() });
    let order = venues.wazirx_order("sell 0.5 btcinr 9900000", "&clientOrderId=c-1").await.ok();
    let params = "symbol=btcinr&clientOrderId=c-1";
    assert_eq!(venues.wazirx("DELETE", "order", params).await.ok()["status"], "wait");
    assert_eq!(shown(&venues, &order).await["status"], "cancel");
    let order = venues.wazirx_order("sell 0.5 btcinr 9900000", "").await.ok();
    let params = format!("symbol=btcinr&orderId={}", order["id"]);
    venues.fault("wazirx", "cancel_order", "late_fill", Some("4000"));
    venues.wazirx("DELETE", "order", &params).await.ok();
    assert_eq!(shown(&venues, &order).await["status"], "wait", "the delay has not passed");
    venues.pass(1);
    let end = shown(&venues, &order).await;
    assert_eq!((&end["status"], &end["executedQty"]), (&"cancel".into(), &"0.2".into()));
    let order = venues.wazirx_order("sell 0.5 btcinr 9900000", "").await.ok();
    venues.fault("wazirx", "cancel_order", "late_fill", None);
    let params = format!("symbol=btcinr&orderId={}", order["id"]);
    venues.wazirx("DELETE", "order", &params).await.ok();
    venues.pass(1);
    assert_eq!(shown(&venues, &order).await["status"], "done", "all of it was sold meanwhile");
    venues.assert_books_balance();
}

#[tokio::test]
async fn both_duplicate_modes_exist() {
    let venues = venues();
    let twin = "&clientOrderId=twin";
    let first = venues.wazirx_order("sell 0.1 btcinr 9000000", twin).await.ok();
    let second = venues.wazirx_order("sell 0.1 btcinr 9000000", twin).await;
    assert_eq!(second.refusal(), (400, 1999));
    assert_eq!(venues.wazirx.balance("BTC").free, dec("4.9"), "sold once");
    let settings = Settings { duplicates: Duplicates::Accept, ..venues.wazirx.settings() };
    venues.wazirx.set_settings(settings);
    let second = venues.wazirx_order("sell 0.1 btcinr 9000000", twin).await.ok();
    assert_ne!(first["id"], second["id"]);
    let found = venues.wazirx("GET", "order", "clientOrderId=twin").await.ok();
    assert_eq!(found["id"], second["id"]);
}

// A stop order is idle until the market touches its stop; setting a price moves the market.
#[tokio::test]
async fn a_stop_order_wakes_when_the_market_falls() {
    let venues = venues();
    let params = "symbol=btcinr&side=sell&type=stop_limit&quantity=0.1&price=8900000";
    let missing = venues.wazirx("POST", "order", params).await;
    assert_eq!(missing.refusal(), (400, 94001));
    let order = venues.wazirx("POST", "order", &format!("{params}&stopPrice=9000000")).await.ok();
    assert_eq!(order["status"], "idle");
    venues.wazirx.match_resting();
    assert_eq!(shown(&venues, &order).await["status"], "idle");
    venues.pin("BTCINR", "8950000");
    venues.wazirx.match_resting();
    assert_eq!(shown(&venues, &order).await["status"], "done");
    venues.assert_books_balance();
}

#[tokio::test]
async fn refusals_have_the_vendors_codes_and_move_nothing() {
    let venues = venues();
    let cases = [
        ("sell 6 btcinr 9200000", "", 2002),
        ("buy 100 btcinr 9200000", "", 2002),
        ("sell 0.000001 btcinr 9200000", "", 2031),
        ("sell 0.1 dogeinr 9200000", "", -1121),
        ("sell 0.0000001 btcinr 9200000", "", 1999),
        ("sell 0.1 btcinr 9200000.5", "", 1999),
        ("sell -1 btcinr 9200000", "", 1999),
        ("sell 0 btcinr 9200000", "", 1999),
        ("sell 1e999 btcinr 9200000", "", 1999),
        ("hold 0.1 btcinr 9200000", "", 1999),
        ("sell 0.1 btcinr 9200000", "&clientOrderId=a%20b", 1999),
        ("sell 0.1 btcinr 9200000", "&clientOrderId=0123456789012345678901234567890123456", 1999),
    ];
    let entries = venues.world.journal.entries("wazirx", 0, 1000).len();
    for (order, more, code) in cases {
        let refused = venues.wazirx_order(order, more).await;
        assert_eq!(refused.refusal(), (400, code), "{order}{more}: {}", refused.body);
    }
    let market = "symbol=btcinr&side=sell&type=market&quantity=1&price=1";
    assert_eq!(venues.wazirx("POST", "order", market).await.refusal(), (400, 1999));
    let unknown = venues.wazirx("GET", "order", "orderId=1").await;
    assert_eq!(unknown.body["message"], "Order does not exist");
    assert_eq!(venues.world.journal.entries("wazirx", 0, 1000).len(), entries);
    let test = "symbol=btcinr&side=sell&type=limit&quantity=0.1&price=9200000";
    assert_eq!(venues.wazirx("POST", "order/test", test).await.ok(), serde_json::json!({}));
    assert_eq!(venues.world.journal.entries("wazirx", 0, 1000).len(), entries);
}

// There is no way to take rupees out over the API; a person does it in the vendor's pages.
#[tokio::test]
async fn rupees_do_not_leave_over_the_api() {
    let venues = venues();
    for path in ["inr/withdraw", "withdraw"] {
        let answer = venues.wazirx("POST", path, "coin=inr&amount=1").await;
        assert_eq!(answer.status.as_u16(), 404, "{path}");
    }
    let crypto = "coin=inr&network=btc&amount=1&addressBookId=1&withdrawConsent=true";
    let refused = venues.wazirx("POST", "crypto/withdraw", crypto).await;
    assert_eq!(refused.refusal(), (400, 1999));
    assert!(venues.wazirx.withdraw_inr(dec("1000000.50"), "NEFT-1"));
    assert!(!venues.wazirx.withdraw_inr(dec("99000000"), "NEFT-2"), "not that much");
    assert_eq!(venues.wazirx.balance("INR").free, dec("8999999.50"));
    venues.assert_books_balance();
}

// 429 with Retry-After; who goes on is banned with 418, and is let in again afterwards.
#[tokio::test]
async fn limits_climb_the_ladder() {
    let venues = Venues::new();
    let ask = async || venues.raw_wazirx("GET", "/sapi/v1/time", "", None).await;
    for _ in 0..20 {
        ask().await.ok();
    }
    let refused = ask().await;
    assert_eq!(refused.refusal(), (429, 2136));
    assert_eq!(refused.header("retry-after"), Some("2"));
    venues.pass(2000);
    ask().await.ok();
    for _ in 0..25 {
        ask().await;
    }
    let banned = ask().await;
    assert_eq!(banned.refusal(), (418, 2136));
    assert!(banned.header("retry-after").is_some());
    let elsewhere = venues.raw_wazirx("GET", "/sapi/v1/ping", "", None).await;
    assert_eq!(elsewhere.status.as_u16(), 418, "the ban is for everything");
    venues.pass(121_000);
    ask().await.ok();
}

#[tokio::test]
async fn public_data_has_the_vendors_shape() {
    let venues = venues();
    let get = async |path: &str| {
        venues.raw_wazirx("GET", &format!("/sapi/v1/{path}"), "", None).await.ok()
    };
    let info = get("exchangeInfo").await;
    let symbols: Vec<&str> =
        info["symbols"].as_array().unwrap().iter().map(|s| s["symbol"].as_str().unwrap()).collect();
    let wanted = ["btcinr", "ethinr", "solinr", "usdtinr", "usdcinr", "btcusdt", "ethusdt"];
    assert_eq!(symbols, wanted);
    let depth = get("depth?symbol=btcinr&limit=5").await;
    let (bids, asks) = (depth["bids"].as_array().unwrap(), depth["asks"].as_array().unwrap());
    assert_eq!((bids.len(), asks.len()), (5, 5));
    let price = |level: &Value| dec(level[0].as_str().unwrap());
    assert!(bids.windows(2).all(|pair| price(&pair[0]) > price(&pair[1])));
    assert!(asks.windows(2).all(|pair| price(&pair[0]) < price(&pair[1])));
    assert!(price(&bids[0]) < dec("9200000") && dec("9200000") < price(&asks[0]));
    let ticker = get("ticker/24hr?symbol=btcinr").await;
    assert_eq!(ticker["bidPrice"], bids[0][0]);
    assert_eq!(ticker["lastPrice"], "9200000.0");
    assert_eq!(ticker["at"], venues.timestamp());
    assert_eq!(get("klines?symbol=btcinr&interval=1m&limit=3").await.as_array().unwrap().len(), 3);
    for path in ["depth?symbol=btcinr&limit=7", "depth?symbol=btcinr&limit=x", "depth"] {
        let refused = venues.raw_wazirx("GET", &format!("/sapi/v1/{path}"), "", None).await;
        assert_eq!(refused.refusal(), (400, 1999), "{path}");
    }
}
