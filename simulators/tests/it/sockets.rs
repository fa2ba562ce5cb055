//! The WebSocket API: signatures, sessions, orders, and every event of the account.

use serde_json::{Value, json};
use simulators::{binance::Settings, fault::Fault};

use crate::{
    socket_bench::{Bench, Ended},
    venue_bench::dec,
};

fn order(side: &str, price: &str) -> Value {
    json!({
        "symbol": "BTCUSDT", "side": side, "type": "LIMIT", "timeInForce": "GTC",
        "quantity": "0.1", "price": price,
    })
}

fn error(answer: &Value) -> (i64, i64) {
    (answer["status"].as_i64().unwrap(), answer["error"]["code"].as_i64().unwrap_or_default())
}

#[tokio::test]
async fn public_calls_echo_the_id_and_count_weight() {
    let bench = Bench::new().await;
    let mut socket = bench.api().await;
    socket.say(r#"{"id":"a-b","method":"ping"}"#).await;
    let pong = socket.hear().await;
    assert_eq!(
        (&pong["id"], &pong["status"], &pong["result"]),
        (&"a-b".into(), &200.into(), &json!({}))
    );
    let time = socket.ask("time", json!({})).await;
    assert_eq!(time["result"]["serverTime"], bench.now());
    assert_eq!(time["rateLimits"][0]["rateLimitType"], "REQUEST_WEIGHT");
    assert_eq!(time["rateLimits"][0]["count"], 4, "two for the connection, one for each call");
    let hidden = socket.ask("time", json!({"returnRateLimits": false})).await;
    assert!(hidden.get("rateLimits").is_none());
    let versioned = socket.ask("v3/ticker.book", json!({"symbol": "BTCUSDT"})).await;
    assert!(versioned["result"]["bidPrice"].is_string());
    assert_eq!(error(&socket.ask("order.dance", json!({})).await), (400, -5000));
    socket.say("{nonsense").await;
    assert_eq!(error(&socket.hear().await), (400, -1135));
    let mut micros = bench.socket("/ws-api/v3?timeUnit=MICROSECOND").await;
    assert_eq!(micros.ask("time", json!({})).await["result"]["serverTime"], bench.now() * 1000);
}

#[tokio::test]
async fn each_request_is_signed_over_its_sorted_names() {
    let bench = Bench::new().await;
    let mut socket = bench.api().await;
    for signed in [bench.hmac(order("SELL", "99000")), bench.ed25519(order("SELL", "99000.0"))] {
        let placed = socket.ask("order.place", signed).await;
        assert_eq!(placed["result"]["status"], "FILLED", "{placed}");
        assert_eq!(placed["rateLimits"][0]["rateLimitType"], "ORDERS");
    }
    let mut wrong = bench.hmac(order("SELL", "99000"));
    wrong["quantity"] = json!("0.2");
    assert_eq!(error(&socket.ask("order.place", wrong).await), (400, -1022));
    assert_eq!(error(&socket.ask("order.place", order("SELL", "99000")).await), (400, -1102));
    let mut unknown = bench.hmac(json!({}));
    unknown["apiKey"] = json!("nobody");
    assert_eq!(error(&socket.ask("account.status", unknown).await), (401, -2015));
    let old = bench.hmac(json!({}));
    bench.pass(5_001);
    assert_eq!(error(&socket.ask("account.status", old).await), (400, -1021));
    let account = socket.ask("account.status", bench.hmac(json!({"omitZeroBalances": true}))).await;
    assert_eq!(account["result"]["canTrade"], true);
}

#[tokio::test]
async fn only_ed25519_logs_on() {
    let bench = Bench::new().await;
    let mut socket = bench.api().await;
    let refused = socket.ask("session.logon", bench.hmac(json!({}))).await;
    assert_eq!(error(&refused), (400, -4056));
    assert_eq!(refused["error"]["msg"], "HMAC_SHA256 API key is not supported.");
    assert_eq!(error(&socket.ask("userDataStream.subscribe", json!({})).await), (401, -2015));
    let on = socket.ask("session.logon", bench.ed25519(json!({}))).await;
    assert_eq!(on["result"]["authorizedSince"], bench.now());
    // From now on neither key nor signature, but the time.
    let mut free = order("SELL", "120000");
    free["timestamp"] = json!(bench.now());
    free["newClientOrderId"] = json!("mine");
    assert_eq!(socket.ask("order.place", free.clone()).await["result"]["status"], "NEW");
    assert_eq!(error(&socket.ask("order.place", free).await), (400, -2010));
    let named = json!({"symbol": "BTCUSDT", "origClientOrderId": "mine", "timestamp": bench.now()});
    let found = socket.ask("order.status", named.clone()).await;
    assert_eq!(found["result"]["clientOrderId"], "mine");
    assert_eq!(socket.ask("order.cancel", named.clone()).await["result"]["status"], "CANCELED");
    assert_eq!(error(&socket.ask("order.cancel", named).await), (400, -2011));
    let open = json!({"symbol": "BTCUSDT"});
    assert_eq!(error(&socket.ask("openOrders.status", open).await), (400, -1102), "no timestamp");
    socket.ask("userDataStream.subscribe", json!({})).await;
    let off = socket.ask("session.logout", json!({})).await;
    assert_eq!(off["result"]["apiKey"], Value::Null);
    assert_eq!(socket.event("eventStreamTerminated").await["subscriptionId"], 0);
    let account = json!({"timestamp": bench.now()});
    assert_eq!(error(&socket.ask("account.status", account).await), (400, -1102));
}

#[tokio::test]
async fn every_change_of_an_order_is_told_in_order() {
    let bench = Bench::new().await;
    let mut socket = bench.api().await;
    let subscribed = socket.ask("userDataStream.subscribe.signature", bench.hmac(json!({}))).await;
    assert_eq!(subscribed["result"]["subscriptionId"], 0);
    let again = socket.ask("userDataStream.subscribe.signature", bench.hmac(json!({}))).await;
    assert_eq!(error(&again), (400, -2035));
    let mut other = bench.api().await;
    let mut resting = order("SELL", "120000");
    resting["newClientOrderId"] = json!("told");
    let placed = other.ask("order.place", bench.hmac(resting)).await;
    let id = placed["result"]["orderId"].as_u64().unwrap();
    let new = socket.event("executionReport").await["event"].clone();
    assert_eq!((&new["x"], &new["X"], &new["c"]), (&"NEW".into(), &"NEW".into(), &"told".into()));
    assert_eq!((&new["i"], &new["N"], &new["t"]), (&id.into(), &Value::Null, &(-1).into()));
    let position = socket.event("outboundAccountPosition").await["event"].clone();
    assert_eq!(position["B"], json!([{"a": "BTC", "f": "4.90000000", "l": "0.10000000"}]));
    assert!(bench.sims.binance.force_fill(id, Some(dec("0.04"))));
    let trade = socket.event("executionReport").await["event"].clone();
    assert_eq!((&trade["x"], &trade["X"]), (&"TRADE".into(), &"PARTIALLY_FILLED".into()));
    assert_eq!((&trade["l"], &trade["z"]), (&"0.04000000".into(), &"0.04000000".into()));
    assert_eq!((&trade["N"], &trade["n"]), (&"USDT".into(), &"4.80000000".into()));
    let named = json!({"symbol": "BTCUSDT", "origClientOrderId": "told"});
    other.ask("order.cancel", bench.hmac(named)).await;
    let gone = socket.event("executionReport").await["event"].clone();
    assert_eq!(
        (&gone["x"], &gone["X"], &gone["C"]),
        (&"CANCELED".into(), &"CANCELED".into(), &"told".into())
    );
    assert_ne!(gone["c"], "told");
    assert!(bench.sims.binance.fill_after_the_end(id, dec("0.01")));
    let late = socket.event("executionReport").await["event"].clone();
    assert_eq!((&late["x"], &late["X"]), (&"TRADE".into(), &"PARTIALLY_FILLED".into()));
    let mut ioc = order("SELL", "120000");
    ioc["timeInForce"] = json!("IOC");
    other.ask("order.place", bench.hmac(ioc)).await;
    assert_eq!(socket.event("executionReport").await["event"]["x"], "NEW");
    assert_eq!(socket.event("executionReport").await["event"]["x"], "EXPIRED");
    let none = socket.ask("userDataStream.unsubscribe", json!({})).await;
    assert_eq!(none["result"], json!({}));
    socket.event("eventStreamTerminated").await;
    assert_eq!(error(&socket.ask("userDataStream.unsubscribe", json!({})).await), (400, -2036));
}

#[tokio::test]
async fn coins_in_and_out_are_told_without_anybody_asking() {
    let bench = Bench::new().await;
    let mut socket = bench.api().await;
    socket.ask("userDataStream.subscribe.signature", bench.ed25519(json!({}))).await;
    assert!(bench.sims.binance.deposit_on("BTC", dec("0.5"), "tx", None, "pending"));
    assert!(bench.sims.binance.judge_deposit("tx", "credited"));
    let update = socket.event("balanceUpdate").await["event"].clone();
    assert_eq!((&update["a"], &update["d"]), (&"BTC".into(), &"0.50000000".into()));
    // From WazirX: nobody calls anything, the clock alone goes on.
    let usdt = bench.sims.wazirx.balance("USDT").free;
    let book = json!({"label": "own", "network": "sol", "address":
        bench.sims.world.deposit_address("binance", "solana").unwrap()});
    assert_eq!(bench.control("/wazirx/address_book", book).await["id"], 101);
    assert_eq!(usdt, dec("2000000"));
    let sent = json!({"asset": "USDT", "amount": "25", "network": "solana", "stage": "pending",
        "reference": "sig"});
    assert_eq!(bench.control("/binance/deposit", sent).await["status"], "ok");
    let judged = json!({"reference": "sig", "stage": "held"});
    assert_eq!(bench.control("/binance/deposit_stage", judged).await["status"], "ok");
    assert_eq!(socket.event("balanceUpdate").await["event"]["d"], "25.00000000");
}

#[tokio::test]
async fn faults_strike_on_sockets_too() {
    let bench = Bench::new().await;
    let mut socket = bench.api().await;
    let faults = &bench.sims.world.faults;
    let fault = |operation: &str, name: &str| {
        let mut fault = Fault::new("binance", operation, name);
        fault.delay_ms = Some(1);
        faults.queue(fault).unwrap();
    };
    let place = |client_id: &str| {
        let mut wanted = order("SELL", "99000");
        wanted["newClientOrderId"] = json!(client_id);
        bench.hmac(wanted)
    };
    fault("place_order", "timeout_applied");
    assert_eq!(error(&socket.ask("order.place", place("lost")).await), (504, -1007));
    let named = bench.hmac(json!({"symbol": "BTCUSDT", "origClientOrderId": "lost"}));
    assert_eq!(socket.ask("order.status", named).await["result"]["status"], "FILLED");
    fault("place_order", "rate_limited");
    let slow = socket.ask("order.place", place("slow")).await;
    assert_eq!(error(&slow), (429, -1003));
    assert!(slow["error"]["data"]["retryAfter"].as_i64().unwrap() > bench.now());
    fault("place_order", "http_502_html_applied");
    assert_eq!(error(&socket.ask("order.place", place("page")).await).0, 502);
    fault("subscribe_user_data", "http_503");
    let refused = socket.ask("userDataStream.subscribe.signature", bench.hmac(json!({}))).await;
    assert_eq!(refused["status"], 503);
    socket.ask("userDataStream.unsubscribe", json!({})).await;
    socket.ask("userDataStream.subscribe.signature", bench.hmac(json!({}))).await;
    fault("user_event", "lost_event");
    socket.ask("order.place", place("quiet")).await;
    faults.clear();
    fault("user_event", "repeated_event");
    assert!(bench.sims.binance.deposit("BTC", dec("1"), "tx"));
    assert_eq!(socket.event("balanceUpdate").await["event"]["d"], "1.00000000");
    assert_eq!(socket.event("balanceUpdate").await["event"]["d"], "1.00000000");
    fault("place_order", "reset_applied");
    socket.say(json!({"id": 99, "method": "order.place", "params": place("reset")})).await;
    assert!(matches!(socket.end().await, Ended::Broken));
    fault("connect", "http_503");
    let url = format!("ws://{}/ws-api/v3", bench.sims.addresses.binance);
    assert!(tokio_tungstenite::connect_async(url).await.is_err());
}

#[tokio::test]
async fn a_socket_ends_by_control_by_age_and_without_pongs() {
    let bench = Bench::new().await;
    let act = async |action: &str, delay_ms: Option<u64>| {
        bench.control("/binance/sockets", json!({"action": action, "delay_ms": delay_ms})).await
    };
    let mut socket = bench.api().await;
    socket.ask("userDataStream.subscribe.signature", bench.hmac(json!({}))).await;
    assert_eq!(act("terminate", None).await["open"], 1);
    socket.event("eventStreamTerminated").await;
    socket.ask("ping", json!({})).await;
    act("shutdown", Some(50)).await;
    assert_eq!(socket.event("serverShutdown").await["event"]["E"], bench.now());
    assert!(matches!(socket.end().await, Ended::Close(Some(_))));
    let mut socket = bench.api().await;
    socket.ask("ping", json!({})).await;
    act("close", None).await;
    assert!(matches!(socket.end().await, Ended::Close(Some(_))));
    let mut socket = bench.api().await;
    socket.ask("ping", json!({})).await;
    act("break", None).await;
    assert!(matches!(socket.end().await, Ended::Broken));
    let exchange = &bench.sims.binance;
    exchange.set_settings(Settings { ping_ms: 1_000, ..exchange.settings() });
    let mut socket = bench.api().await;
    socket.ping().await;
    act("silence", Some(60_000)).await;
    socket.say(r#"{"id":1,"method":"ping"}"#).await;
    while let Some(message) = socket.overhears(700).await {
        assert!(message.is_ping(), "what was on its way: {message:?}");
    }
    exchange.set_settings(Settings { socket_life_ms: 300, ..exchange.settings() });
    let mut socket = bench.api().await;
    let Ended::Close(Some(frame)) = socket.end().await else { panic!("no close frame") };
    assert_eq!(frame.reason.as_str(), "Connection is over", "its day is over");
}
