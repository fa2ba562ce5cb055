//! Named faults: what the caller sees, and whether it happened.

use simulators::fault::Fault;

use crate::venue_bench::{Venues, dec};

const GTC: &str = "&timeInForce=GTC";

fn venues() -> Venues {
    let venues = Venues::new();
    venues.pin("BTCINR", "9200000");
    venues.pin("BTCUSDT", "100000");
    venues
}

// Every spoilt answer, at both exchanges: the status the caller sees and whether 0.1 BTC is gone.
#[tokio::test]
async fn applied_faults_sell_and_the_others_do_not() {
    let cases = [
        ("timeout_applied", 504, true),
        ("timeout_not_applied", 504, false),
        ("reset_applied", 200, true),
        ("reset_not_applied", 200, false),
        ("http_408_applied", 408, true),
        ("http_408_not_applied", 408, false),
        ("http_500_applied", 500, true),
        ("http_500_not_applied", 500, false),
        ("http_502_html", 502, false),
        ("http_502_html_applied", 502, true),
        ("http_503", 503, false),
        ("http_504", 504, false),
        ("http_504_applied", 504, true),
        ("rate_limited", 429, false),
        ("banned", 418, false),
        ("malformed", 200, true),
        ("truncated", 200, true),
        ("wrong_type", 200, true),
        ("slow_drip", 200, true),
    ];
    for (name, status, applied) in cases {
        let venues = venues();
        let sold = if applied { dec("4.9") } else { dec("5") };
        venues.fault("wazirx", "place_order", name, None);
        let answer = venues.wazirx_order("sell 0.1 btcinr 9000000", "").await;
        assert_eq!(answer.status.as_u16(), status, "wazirx {name}");
        assert_eq!(venues.wazirx.balance("BTC").free, sold, "wazirx {name}");
        let is_whole = name == "slow_drip" || name == "rate_limited" || name == "banned";
        assert_eq!(answer.body.is_object(), is_whole, "wazirx {name}: {:?}", answer.text);
        venues.fault("binance", "place_order", name, None);
        let answer = venues.binance_order("SELL 0.1 BTCUSDT 99000", GTC).await;
        assert_eq!(answer.status.as_u16(), status, "binance {name}");
        assert_eq!(venues.binance.balance("BTC").free, sold, "binance {name}");
        assert!(venues.world.faults.waiting().is_empty());
        venues.assert_books_balance();
    }
}

#[tokio::test]
async fn broken_bodies_are_really_broken() {
    let venues = venues();
    let ask = async |name: &str| {
        venues.fault("wazirx", "exchange_info", name, None);
        venues.raw_wazirx("GET", "/sapi/v1/exchangeInfo", "", None).await
    };
    assert!(ask("truncated").await.text.is_none(), "the connection ends in the body");
    let reset = ask("reset_applied").await;
    assert!(reset.text.is_none(), "so does an empty one");
}

#[tokio::test]
async fn a_huge_body_is_huge() {
    let venues = venues();
    venues.fault("binance", "time", "huge_body", None);
    let answer = venues.raw_binance("GET", "/api/v3/time", "", None).await;
    assert_eq!(answer.text.unwrap().len(), 16 << 20);
}

// The venue applies the order after the client gave up: invisible first, then there; but not when
// the request has left its receiving window by then.
#[tokio::test]
async fn a_late_effect_honours_the_receiving_window() {
    let venues = venues();
    let late = |delay_ms| {
        let mut fault = Fault::new("wazirx", "place_order", "delayed_apply");
        fault.delay_ms = Some(delay_ms);
        venues.world.faults.queue(fault).unwrap();
    };
    late(3_000);
    let answer = venues.wazirx_order("sell 0.1 btcinr 9000000", "&clientOrderId=late").await;
    assert_eq!(answer.status.as_u16(), 504);
    let find = async || venues.wazirx("GET", "order", "clientOrderId=late").await;
    assert_eq!(find().await.body["message"], "Order does not exist");
    venues.pass(3_000);
    assert_eq!(find().await.ok()["status"], "done");
    late(6_000);
    venues.wazirx_order("sell 0.1 btcinr 9000000", "&clientOrderId=too-late").await;
    venues.pass(6_000);
    let gone = venues.wazirx("GET", "order", "clientOrderId=too-late").await;
    assert_eq!(gone.body["message"], "Order does not exist", "5 s is the default window");
    assert_eq!(venues.wazirx.balance("BTC").free, dec("4.9"));
}

#[tokio::test]
async fn refusals_can_be_asked_for_by_code() {
    let venues = venues();
    venues.fault("wazirx", "place_order", "reject:2002", None);
    let refused = venues.wazirx_order("sell 0.1 btcinr 9000000", "").await;
    assert_eq!(refused.refusal(), (400, 2002));
    venues.fault("binance", "place_order", "reject:-2010:closed", None);
    let refused = venues.binance_order("SELL 0.1 BTCUSDT 99000", GTC).await;
    assert_eq!(refused.body["msg"], "Market is closed.");
    venues.fault("binance", "get_order", "reject:-1007", None);
    let unknown = venues.binance("GET", "/api/v3/order", "symbol=BTCUSDT&orderId=1").await;
    assert_eq!(unknown.refusal(), (408, -1007));
    venues.fault("coinbase", "exchange_rates", "rate_limited", None);
    let answer = venues.coinbase("/v2/exchange-rates?currency=BTC").await;
    assert_eq!(answer.body["errors"][0]["id"], "rate_limit_exceeded");
}

// In the order they were queued, one per call, only where aimed, after those to be skipped.
#[tokio::test]
async fn faults_strike_in_order() {
    let venues = venues();
    let queue = |name: &str, operation: &str, times, skip| {
        let fault = Fault { times, skip, ..Fault::new("binance", operation, name) };
        venues.world.faults.queue(fault)
    };
    queue("http_503", "time", 2, 1).unwrap();
    queue("http_500_not_applied", "*", 1, 0).unwrap();
    let mut seen = Vec::new();
    for _ in 0..5 {
        seen.push(venues.raw_binance("GET", "/api/v3/time", "", None).await.status.as_u16());
    }
    assert_eq!(seen, [200, 503, 503, 500, 200]);
    assert_eq!(venues.world.faults.struck().len(), 3);
    for (name, operation) in [("http_999", "time"), ("http_503", "tiem"), ("reject:", "time")] {
        assert!(queue(name, operation, 1, 0).is_err(), "{name} {operation}");
    }
    assert!(venues.world.faults.queue(Fault::new("kraken", "time", "http_503")).is_err());
}
