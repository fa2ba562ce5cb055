//! Every way an answer can fail to arrive, and what WazirX's connector makes of it: a placed order
//! whose answer is lost is `Unknown`, a refusal is `Rejected`, and a read is never `Unknown`.

use std::sync::Arc;

use exchanges::{
    ClientRef, Exchange, NewOrder, OrderKind, Pair, RateSource, registry, wazirx::Wazirx,
};
use primitives::{Asset, CallError, CallResult, ManualClock};
use rust_decimal::Decimal;

use crate::vendor::{Say, Vendor, http, ok};

const NOW_MS: i64 = 1_767_607_200_000;

fn clock() -> Arc<ManualClock> {
    Arc::new(ManualClock::new(chrono::DateTime::from_timestamp_millis(NOW_MS).unwrap()))
}

fn wazirx(base_url: &str) -> Wazirx {
    let json = serde_json::json!({
        "base_url": base_url, "api_key": "key", "secret": "s3cret", "paced": false,
        "http": http(10_000),
    });
    Wazirx::try_new(&serde_json::from_value(json).unwrap(), clock()).unwrap()
}

const ETH_INR: Pair = Pair { base: Asset::Eth, quote: Asset::Inr };

fn order() -> NewOrder {
    NewOrder {
        client_ref: ClientRef::new("c-0001-1").unwrap(),
        pair: ETH_INR,
        kind: OrderKind::Limit,
        quantity: Decimal::new(500, 3),
        price: Decimal::new(2_500_000, 1),
        stamp: chrono::DateTime::from_timestamp_millis(NOW_MS).unwrap(),
    }
}

fn time() -> Say {
    ok(format!("{{\"serverTime\":{NOW_MS}}}"))
}

fn refusal(status: &'static str, code: i64, message: &str) -> Say {
    Say::Status(status, format!("{{\"code\":{code},\"message\":\"{message}\"}}"))
}

const PLACED: &str = r#"{"id":28,"clientOrderId":"c-0001-1","symbol":"ethinr","price":"250000.0",
    "origQty":"0.5","executedQty":"0.0","status":"wait","type":"limit","side":"sell"}"#;

async fn place(answer: Say) -> (CallResult<exchanges::Order>, Vec<String>) {
    let vendor = Vendor::start(vec![time(), answer]).await;
    let result = wazirx(&vendor.base_url()).place_order(&order()).await;
    (result, vendor.asked())
}

#[tokio::test]
async fn an_order_is_sent_once_signed_and_without_exponents() {
    let (placed, asked) = place(ok(PLACED)).await;
    assert_eq!(placed.unwrap().venue_order_id, "28");
    assert_eq!(asked.len(), 2);
    assert!(asked[1].starts_with("POST /sapi/v1/order HTTP/1.1\r\n"), "{}", asked[1]);
    assert!(asked[1].contains("x-api-key: key\r\n"));
    let body = asked[1].split("\r\n\r\n").nth(1).unwrap();
    let expected = "clientOrderId=c-0001-1&price=250000&quantity=0.5&recvWindow=5000&side=sell\
        &symbol=ethinr&timestamp=1767607200000&type=limit&signature=";
    assert!(body.starts_with(expected), "{body}");
}

#[tokio::test]
async fn a_lost_answer_to_an_order_is_unknown() {
    let table = [
        Say::Hang,
        Say::HangUp,
        Say::Raw(b"\x00 garbage"),
        Say::Raw(b"HTTP/1.1 200 OK\r\ncontent-length: 500\r\n\r\n{\"id\":28,"),
        Say::Status("500 Internal Server Error", "{\"code\":-1,\"message\":\"\"}".into()),
        Say::Status("502 Bad Gateway", "<html>".into()),
        Say::Status("503 Service Unavailable", String::new()),
        Say::Status("504 Gateway Timeout", String::new()),
        Say::Status("403 Forbidden", "<html>blocked</html>".into()),
        ok("{}"),
        ok("<html>"),
        ok("[]"),
        ok(PLACED.replace("\"id\":28,", "")),
        ok(PLACED.replace("c-0001-1", "c-0001-2")),
        ok(PLACED.replace("ethinr", "btcinr")),
        ok(PLACED.replace("\"origQty\":\"0.5\"", "\"origQty\":\"5.0\"")),
        ok("x".repeat(20_000)),
        refusal("400 Bad Request", 1999, "clientOrderId already exists"),
    ];
    for answer in table {
        let (result, asked) = place(answer.clone()).await;
        let error = result.unwrap_err();
        assert!(error.may_have_happened(), "{answer:?}: {error}");
        assert_eq!(asked.len(), 2, "sent once: {answer:?}");
        assert!(!error.to_string().contains("s3cret"));
    }
}

#[tokio::test]
async fn a_refusal_is_told_in_the_venues_words() {
    let cases = [
        ("400 Bad Request", 2002, "Insufficient balance"),
        ("400 Bad Request", 2031, "Minimum sell amount must be worth 50.0 INR"),
        ("400 Bad Request", -1121, "Invalid symbol."),
        ("400 Bad Request", 2005, "Signature is incorrect."),
    ];
    for (status, code, message) in cases {
        let (result, _) = place(refusal(status, code, message)).await;
        let expected = CallError::Rejected { code: code.to_string(), reason: message.into() };
        assert_eq!(result.unwrap_err(), expected);
    }
    let (result, _) = place(refusal("400 Bad Request", 2136, "Too many api request")).await;
    assert!(matches!(result, Err(CallError::RateLimited { .. })));
    let (result, _) = place(refusal("429 Too Many Requests", 2136, "Too many")).await;
    assert!(matches!(result, Err(CallError::RateLimited { .. })));
    let mut at_once = order();
    at_once.kind = OrderKind::Market;
    let result = wazirx("http://127.0.0.1:1").place_order(&at_once).await;
    assert!(matches!(result, Err(CallError::Rejected { .. })), "no such kind here");
    let mut nothing = order();
    nothing.quantity = Decimal::ZERO;
    let result = wazirx("http://127.0.0.1:1").place_order(&nothing).await;
    assert!(matches!(result, Err(CallError::Rejected { .. })));
}

// Our key, its rights or our address: the venue took nothing, and the same order may go later.
#[tokio::test]
async fn a_closed_account_is_not_sent() {
    for (status, code) in [("401 Unauthorized", 2078), ("403 Forbidden", 2115)] {
        let (result, asked) = place(refusal(status, code, "Permission denied.")).await;
        let error = result.unwrap_err();
        assert!(matches!(error, CallError::NotSent(_)), "{status}: {error}");
        assert!(exchanges::is_access_refusal(&error), "{error}");
        assert_eq!(asked.len(), 2, "sent once");
    }
    assert!(!exchanges::is_access_refusal(&CallError::NotSent("connection refused".into())));
}

#[tokio::test]
async fn open_orders_are_told_whoever_placed_them() {
    let other = PLACED.replace("c-0001-1", "by hand").replace("\"0.0\"", "\"0.2\"");
    let buy = PLACED.replace("\"sell\"", "\"buy\"");
    let nobody = PLACED.replace("\"c-0001-1\"", "null");
    let page = ok(format!("[{PLACED},{other},{buy},{nobody}]"));
    let vendor = Vendor::start(vec![time(), page, ok("[{}]")]).await;
    let venue = wazirx(&vendor.base_url());
    assert_eq!(venue.recv_window(), chrono::TimeDelta::seconds(5));
    let open = venue.open_orders(ETH_INR).await.unwrap();
    let told: Vec<_> = open.iter().map(|o| (o.client_ref.as_deref(), o.rest)).collect();
    let (half, less) = (Decimal::new(5, 1), Decimal::new(3, 1));
    assert_eq!(told, [(Some("c-0001-1"), half), (Some("by hand"), less), (None, half)]);
    let asked = vendor.asked();
    assert!(asked[1].starts_with("GET /sapi/v1/openOrders?limit=1000&"), "{}", asked[1]);
    assert!(matches!(venue.open_orders(ETH_INR).await, Err(CallError::NotSent(_))));
}

#[tokio::test]
async fn nothing_is_sent_to_a_closed_door() {
    let closed = tokio::net::TcpListener::bind(("127.0.0.1", 0)).await.unwrap();
    let address = closed.local_addr().unwrap();
    drop(closed);
    let result = wazirx(&format!("http://{address}")).place_order(&order()).await;
    assert!(matches!(result, Err(CallError::NotSent(_))), "{result:?}");
}

// A refused stamp proves that nothing happened. The clock is measured again; a read goes on by
// itself, an order is handed back.
#[tokio::test]
async fn a_refused_stamp_measures_the_clock_again() {
    let later = format!("{{\"serverTime\":{}}}", NOW_MS + 60_000);
    let stale = || refusal("400 Bad Request", 2098, "Request out of receiving window.");
    let script = vec![time(), stale(), ok(later.clone()), ok(PLACED)];
    let vendor = Vendor::start(script).await;
    let venue = wazirx(&vendor.base_url());
    let first = venue.place_order(&order()).await;
    assert!(matches!(first, Err(CallError::NotSent(_))), "{first:?}");
    venue.place_order(&order()).await.unwrap();
    assert!(vendor.asked()[3].contains("timestamp=1767607260000"));

    let vendor = Vendor::start(vec![time(), stale(), ok(later), ok(PLACED)]).await;
    let found = wazirx(&vendor.base_url()).find_order(ETH_INR, &order().client_ref).await.unwrap();
    assert_eq!(found.unwrap().venue_order_id, "28");
}

#[tokio::test]
async fn a_read_is_never_unknown() {
    let table = [
        Say::Hang,
        Say::HangUp,
        Say::Status("502 Bad Gateway", "<html>".into()),
        ok("{"),
        ok("{\"id\":28}"),
        ok("x".repeat(20_000)),
    ];
    for answer in table {
        let vendor = Vendor::start(vec![time(), answer.clone()]).await;
        let result = wazirx(&vendor.base_url()).find_order(ETH_INR, &order().client_ref).await;
        assert!(matches!(result, Err(CallError::NotSent(_))), "{answer:?}: {result:?}");
        let vendor = Vendor::start(vec![answer.clone()]).await;
        let result = wazirx(&vendor.base_url()).quotations(&[Asset::Eth]).await;
        assert!(matches!(result, Err(CallError::NotSent(_))), "{answer:?}: {result:?}");
    }
    let absent = refusal("400 Bad Request", 1999, "Order does not exist");
    let vendor = Vendor::start(vec![time(), absent]).await;
    assert_eq!(wazirx(&vendor.base_url()).find_order(ETH_INR, &order().client_ref).await, Ok(None));
}

// A cancel reads the order first, uses the venue's id, and believes a refusal only after reading
// again.
#[tokio::test]
async fn a_cancel_that_comes_too_late_tells_the_fill() {
    let filled = PLACED.replace("\"executedQty\":\"0.0\"", "\"executedQty\":\"0.5\"");
    let filled = filled.replace("wait", "done");
    let refused = refusal("400 Bad Request", 1999, "Order is already closed");
    let vendor = Vendor::start(vec![time(), ok(PLACED), refused, ok(filled)]).await;
    let order =
        wazirx(&vendor.base_url()).cancel_order(ETH_INR, &order().client_ref).await.unwrap();
    assert_eq!(order.state, exchanges::OrderState::Filled);
    let asked = vendor.asked();
    assert!(asked[2].starts_with("DELETE /sapi/v1/order?orderId=28&"), "{}", asked[2]);

    let vendor = Vendor::start(vec![time(), ok(PLACED), Say::Hang]).await;
    let lost = wazirx(&vendor.base_url()).cancel_order(ETH_INR, &order.client_ref).await;
    assert!(lost.unwrap_err().may_have_happened());
}

// Executions that do not yet cover the order are no answer: booking them would lose the rest.
#[tokio::test]
async fn lagging_executions_are_refused() {
    let filled = PLACED.replace("\"executedQty\":\"0.0\"", "\"executedQty\":\"0.5\"");
    let trade = |id: u32, quantity: &str| {
        format!(
            r#"{{"id":{id},"symbol":"ethinr","fee":"1.0","feeCurrency":"inr","price":"250000.0",
            "qty":"{quantity}","orderId":28,"side":"sell","time":{NOW_MS}}}"#
        )
    };
    let other = trade(9, "0.3").replace("\"orderId\":28", "\"orderId\":29");
    let half = format!("[{},{other}]", trade(1, "0.2"));
    let whole = format!("[{},{other},{}]", trade(2, "0.3"), trade(1, "0.2"));
    let vendor = Vendor::start(vec![time(), ok(filled), ok(half), ok(whole)]).await;
    let venue = wazirx(&vendor.base_url());
    let order = venue.find_order(ETH_INR, &order().client_ref).await.unwrap().unwrap();
    assert!(matches!(venue.fills(&order).await, Err(CallError::NotSent(_))));
    let fills = venue.fills(&order).await.unwrap();
    assert_eq!(fills.iter().map(|f| f.trade_id.as_str()).collect::<Vec<_>>(), ["1", "2"]);
}

fn source(kind: &str, base_url: &str) -> Arc<dyn RateSource> {
    let mut json = serde_json::json!({"kind": kind, "base_url": base_url});
    if kind == "coinbase" {
        json["usd_books"] = false.into();
    }
    let config: registry::Config = serde_json::from_value(json).unwrap();
    registry::connect(&config, clock()).unwrap().rates.unwrap()
}

#[tokio::test]
async fn rate_sources_fail_as_weather_and_refuse_in_words() {
    let binance = r#"[{"symbol":"ETHUSDT","bidPrice":"3000.1","askPrice":"3000.2"}]"#;
    let vendor = Vendor::start(vec![
        ok(binance),
        Say::HangUp,
        Say::Status("400 Bad Request", r#"{"code":-1121,"msg":"Invalid symbol."}"#.into()),
        Say::Status("401 Unauthorized", r#"{"code":-2015,"msg":"Invalid API-key."}"#.into()),
        Say::Status("418 I'm a teapot", "{}".into()),
    ])
    .await;
    let source_binance = source("binance", &vendor.base_url());
    let bases = [Asset::Eth, Asset::Btc, Asset::Usdt];
    let quotations = source_binance.quotations(&bases).await.unwrap();
    assert_eq!(quotations.len(), 1, "what is not listed is left out");
    assert_eq!((quotations[0].base, quotations[0].at.timestamp_millis()), (Asset::Eth, NOW_MS));
    assert!(vendor.asked()[0].contains("symbols=%5B%22ETHUSDT%22%2C%22BTCUSDT%22%5D HTTP/1.1"));
    assert!(matches!(source_binance.quotations(&bases).await, Err(CallError::NotSent(_))));
    let refused = source_binance.quotations(&bases).await;
    assert!(matches!(refused, Err(CallError::Rejected { .. })), "{refused:?}");
    let closed = source_binance.quotations(&bases).await.unwrap_err();
    assert!(exchanges::is_access_refusal(&closed), "{closed}");
    let banned = source_binance.quotations(&bases).await;
    assert_eq!(banned, Err(CallError::RateLimited { retry_after_s: 120 }));

    refuses_as_a_slow_source_does().await;

    let coinbase = r#"{"data":{"currency":"BTC","rates":{"INR":"8735217.5"}}}"#;
    let failure = r#"{"errors":[{"id":"not_found","message":"Invalid base currency"}]}"#;
    let vendor = Vendor::start(vec![
        ok(coinbase),
        Say::Status("400 Bad Request", failure.into()),
        Say::Status("500 Internal Server Error", String::new()),
    ])
    .await;
    let source_coinbase = source("coinbase", &vendor.base_url());
    let quotations = source_coinbase.quotations(&[Asset::Btc]).await.unwrap();
    assert_eq!(quotations[0].bid, quotations[0].ask);
    let refused = source_coinbase.quotations(&[Asset::Btc]).await;
    assert!(matches!(refused, Err(CallError::Rejected { .. })), "{refused:?}");
    let weather = source_coinbase.quotations(&[Asset::Btc]).await;
    assert!(matches!(weather, Err(CallError::NotSent(_))), "{weather:?}");
}

/// A clock that moves a minute with every look: the slow source is asked anew each time.
#[derive(Debug)]
struct Minutes(std::sync::atomic::AtomicI64);

impl primitives::Clock for Minutes {
    fn now(&self) -> chrono::DateTime<chrono::Utc> {
        let n = self.0.fetch_add(1, std::sync::atomic::Ordering::SeqCst);
        chrono::DateTime::from_timestamp_millis(NOW_MS + n * 60_000).unwrap()
    }
}

async fn refuses_as_a_slow_source_does() {
    let failure = |code: i64| {
        let status = format!(r#"{{"status":{{"error_code":{code},"error_message":"no"}}}}"#);
        Say::Status("400 Bad Request", status)
    };
    let vendor = Vendor::start(vec![
        Say::Status("401 Unauthorized", r#"{"error_code":10002,"error":"key missing"}"#.into()),
        failure(10_010),
        failure(429),
        failure(1),
        Say::Status("404 Not Found", "Incorrect path.".into()),
        ok(r#"{"bitcoin":{"inr":8735217.52,"last_updated_at":1767607170}}"#),
    ])
    .await;
    let json = serde_json::json!({
        "kind": "coingecko", "base_url": vendor.base_url(), "api_key": "K3Y",
    });
    let config: registry::Config = serde_json::from_value(json).unwrap();
    let clock = Arc::new(Minutes(std::sync::atomic::AtomicI64::new(0)));
    let slow = registry::connect(&config, clock).unwrap().rates.unwrap();
    for _ in 0..2 {
        let refused = slow.quotations(&[Asset::Btc]).await.unwrap_err();
        assert!(exchanges::is_access_refusal(&refused), "{refused}");
        assert!(!refused.to_string().contains("K3Y"));
    }
    let limited = slow.quotations(&[Asset::Btc]).await;
    assert_eq!(limited, Err(CallError::RateLimited { retry_after_s: 60 }));
    let refused = slow.quotations(&[Asset::Btc]).await;
    assert!(matches!(refused, Err(CallError::Rejected { .. })), "{refused:?}");
    let weather = slow.quotations(&[Asset::Btc]).await;
    assert!(matches!(weather, Err(CallError::NotSent(_))), "{weather:?}");
    let told = slow.quotations(&[Asset::Btc, Asset::Eth]).await.unwrap();
    assert_eq!((told.len(), told[0].at.timestamp()), (1, 1_767_607_170));
    assert!(vendor.asked()[0].contains("x-cg-demo-api-key: K3Y\r\n"), "{}", vendor.asked()[0]);
}

// The venue tells an address once a minute: asking more often would cost a pause for everything.
#[tokio::test]
async fn what_is_counted_by_the_minute_is_asked_by_the_minute() {
    let address = ok(r#"{"address":"0xabc"}"#);
    let vendor = Vendor::start(vec![time(), address.clone(), address]).await;
    let json = serde_json::json!({
        "kind": "wazirx", "base_url": vendor.base_url(), "api_key": "key", "secret": "s3cret",
    });
    let config: registry::Config = serde_json::from_value(json).unwrap();
    let clock = clock();
    let shared = Arc::<ManualClock>::clone(&clock);
    let custody = registry::connect(&config, shared).unwrap().custody.unwrap();
    let network = primitives::NetworkId::new("ethereum").unwrap();
    for _ in 0..2 {
        custody.deposit_address(Asset::Eth, &network).await.unwrap();
    }
    let held = custody.deposit_address(Asset::Usdt, &network).await;
    assert_eq!(held, Err(CallError::RateLimited { retry_after_s: 60 }));
    assert_eq!(vendor.asked().len(), 2, "kept, and not asked");
    clock.advance(chrono::TimeDelta::seconds(60));
    custody.deposit_address(Asset::Usdt, &network).await.unwrap();
}
