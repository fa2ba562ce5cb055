//! All servers together over real sockets: the first line, the control server, a clean stop.

use std::{sync::Arc, time::Duration};

use primitives::SystemClock;
use serde_json::{Value, json};
use simulators::{Options, Running};
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::TcpStream,
};

async fn world() -> Running {
    simulators::start(Options::new(Arc::new(SystemClock))).await.unwrap()
}

/// One request over a plain socket: status and body.
async fn http(base_url: &str, method: &str, path: &str, body: Option<Value>) -> (u16, String) {
    let address = base_url.strip_prefix("http://").unwrap();
    let mut stream = TcpStream::connect(address).await.unwrap();
    let body = body.map(|body| body.to_string()).unwrap_or_default();
    let request = format!(
        "{method} {path} HTTP/1.1\r\nhost: {address}\r\nconnection: close\r\n\
         content-type: application/json\r\ncontent-length: {}\r\n\r\n{body}",
        body.len()
    );
    stream.write_all(request.as_bytes()).await.unwrap();
    let mut answer = Vec::new();
    stream.read_to_end(&mut answer).await.unwrap();
    let answer = String::from_utf8_lossy(&answer).into_owned();
    let (head, body) = answer.split_once("\r\n\r\n").unwrap();
    (head.split(' ').nth(1).unwrap().parse().unwrap(), body.to_owned())
}

async fn control(running: &Running, method: &str, path: &str, body: Option<Value>) -> (u16, Value) {
    let base_url = running.first_line()["control"]["base_url"].as_str().unwrap().to_owned();
    let (status, body) = http(&base_url, method, path, body).await;
    (status, serde_json::from_str(&body).unwrap_or(Value::String(body)))
}

#[tokio::test]
async fn the_first_line_names_every_server_and_nothing_else() {
    let running = world().await;
    let line = running.first_line();
    let keys = |value: &Value| {
        let mut keys: Vec<String> = value.as_object().unwrap().keys().cloned().collect();
        keys.sort();
        keys
    };
    let fields = |name: &str| keys(&line[name]);
    let names = keys(&line);
    let all = ["binance", "coinbase", "coingecko", "control", "merchant", "razorpayx", "wazirx"];
    assert_eq!(names, all);
    assert_eq!(fields("wazirx"), ["api_key", "base_url", "secret"]);
    let keys = ["api_key", "base_url", "ed25519_api_key", "ed25519_private_key", "secret"];
    assert_eq!(fields("binance"), keys);
    assert_eq!(fields("coinbase"), keys);
    assert_eq!(fields("coingecko"), ["api_key", "base_url"]);
    for name in ["merchant", "control"] {
        assert_eq!(fields(name), ["base_url"]);
    }
    let bank = ["account_number", "base_url", "key_id", "key_secret", "webhook_secret"];
    assert_eq!(fields("razorpayx"), bank);
    for name in &names {
        let base_url = line[name]["base_url"].as_str().unwrap();
        let port = base_url.strip_prefix("http://127.0.0.1:").unwrap();
        assert!(port.parse::<u16>().unwrap() > 0, "{base_url}");
    }
    let again = world().await;
    for name in ["wazirx", "coinbase"] {
        assert_eq!(again.first_line()[name]["secret"], line[name]["secret"], "same seed");
    }
    running.shutdown().await;
    let mut options = Options::new(Arc::new(SystemClock));
    options.seed = 2;
    let other = simulators::start(options).await.unwrap();
    for name in ["wazirx", "coinbase"] {
        assert_ne!(other.first_line()[name]["secret"], line[name]["secret"], "other seed");
    }
}

#[tokio::test]
async fn control_sets_prices_faults_and_settings() {
    let running = world().await;
    let post = async |path: &str, body: Value| control(&running, "POST", path, Some(body)).await;
    let get = async |path: &str| control(&running, "GET", path, None).await;
    assert_eq!(get("/healthz").await.1["status"], "ok");
    assert_eq!(post("/prices", json!({"BTCINR": "9100000"})).await.0, 200);
    assert_eq!(get("/prices").await.1["wazirx"]["BTCINR"], "9100000");
    let fault = json!({"target": "wazirx", "operation": "time", "fault": "http_503", "times": 2});
    assert_eq!(post("/faults", fault).await.0, 200);
    assert_eq!(get("/faults").await.1["waiting"][0]["fault"], "http_503");
    let base_url = running.first_line()["wazirx"]["base_url"].as_str().unwrap().to_owned();
    assert_eq!(http(&base_url, "GET", "/sapi/v1/time", None).await.0, 503);
    assert_eq!(control(&running, "DELETE", "/faults", None).await.0, 200);
    assert_eq!(http(&base_url, "GET", "/sapi/v1/time", None).await.0, 200);
    assert_eq!(post("/limits", json!({"limits": false})).await.0, 200);
    assert_eq!(get("/wazirx/settings").await.1["limits"], false);
    assert_eq!(post("/wazirx/settings", json!({"duplicates": "accept"})).await.0, 200);
    let deposit = json!({"asset": "eth", "amount": "2.5", "reference": "tx"});
    assert_eq!(post("/wazirx/deposit", deposit).await.0, 200);
    let book = get("/books/wazirx?after=6").await.1;
    assert_eq!(book["balances"]["ETH"]["free"], "202.5");
    assert_eq!(book["journal_balances"]["ETH"]["free"], "202.5");
    assert_eq!(book["entries"][0]["kind"], "deposit");
    for name in ["binance", "coinbase", "razorpayx", "merchant"] {
        assert_eq!(get(&format!("/books/{name}")).await.0, 200, "{name}");
    }
    let deposit =
        json!({"asset": "usdt", "amount": "7.5", "reference": "0x7", "network": "solana"});
    assert_eq!(post("/coinbase/deposit", deposit).await.0, 200);
    let dollars = json!({"asset": "USD", "amount": "10", "reference": "wire"});
    assert_eq!(post("/coinbase/deposit", dollars).await.0, 200);
    let book = get("/books/coinbase").await.1;
    assert_eq!(book["balances"]["USDT"]["free"], "2000007.5");
    assert_eq!(book["journal_balances"]["USD"]["free"], "10");
    assert_eq!(book["deposits"][0]["network"]["network_name"], "solana");
    assert_eq!(get("/coinbase/settings").await.1["limits"], false);
    assert_eq!(post("/coinbase/settings", json!({"taker_bps": 25})).await.0, 200);
    assert_eq!(running.coinbase.settings().taker_bps, 25);
    let target = "http://127.0.0.1:9/hook";
    assert_eq!(post("/webhook_target", json!({"url": target})).await.0, 200);
    assert_eq!(running.world.webhook_url().as_deref(), Some(target));
}

#[tokio::test]
async fn control_refuses_what_it_does_not_understand() {
    let running = world().await;
    let cases = [
        ("/prices", json!({"BTCXYZ": "1"})),
        ("/prices", json!({"BTCINR": "-1"})),
        ("/prices", json!({"BTCINR": "NaN"})),
        ("/prices", json!([])),
        ("/faults", json!({"target": "wazirx", "operation": "time", "fault": "nonsense"})),
        ("/prices", json!({"BTCINR": "1", "ZZZ": null})),
        ("/faults", json!({"target": "wazirx", "operation": "time", "fault": "http_503", "x": 1})),
        ("/price_mode", json!({"source": "kraken", "mode": "stale"})),
        ("/price_mode", json!({"source": "wazirx", "mode": "scaled", "value": 99})),
        ("/wazirx/settings", json!({"fee_bps": 10_001})),
        ("/wazirx/settings", json!({"unknown": 1})),
        ("/wazirx/deposit", json!({"asset": "ETH", "amount": "-1"})),
        ("/wazirx/deposit", json!({"asset": "DOGE", "amount": "1"})),
        ("/wazirx/withdraw_inr", json!({"amount": "99999999999"})),
        ("/wazirx/fill", json!({"order_id": 1})),
        ("/webhook_target", json!({"url": "ftp://x"})),
        ("/binance/deposit", json!({"asset": "BTC", "amount": "1", "network": "solana"})),
        ("/binance/deposit", json!({"asset": "BTC", "amount": "1", "stage": "maybe"})),
        ("/binance/deposit_stage", json!({"reference": "none", "stage": "credited"})),
        ("/wazirx/withdrawal", json!({"reference": "none", "stage": "completed"})),
        ("/wazirx/address_book", json!({"label": "x", "network": "eth", "address": "bc1q"})),
        ("/binance/take_back", json!({"trade_id": 1})),
        ("/wazirx/late_fill", json!({"order_id": 1})),
        ("/binance/sockets", json!({"action": "explode"})),
        ("/binance/settings", json!({"fee_asset": "WRX"})),
        ("/binance/settings", json!({"bnb_price": "0"})),
        ("/coinbase/settings", json!({"taker_bps": 10_001})),
        ("/coinbase/settings", json!({"duplicates": "sometimes"})),
        ("/coinbase/deposit", json!({"asset": "BTC", "amount": "1", "network": "solana"})),
        ("/coinbase/deposit", json!({"asset": "USD", "amount": "1", "stage": "pending"})),
        ("/coinbase/deposit_stage", json!({"reference": "none", "stage": "credited"})),
        ("/coinbase/withdrawal", json!({"reference": "none", "stage": "completed"})),
        ("/coinbase/fill", json!({"order_id": 1})),
        ("/coinbase/fill", json!({"order_id": "none"})),
        ("/coinbase/late_fill", json!({"order_id": "none"})),
        ("/coinbase/take_back", json!({"trade_id": "none"})),
        ("/transfers", json!({"delay_ms": -1})),
        ("/chains", json!({"network": "dogecoin", "kind": "bitcoind", "rpc_url": "http://x"})),
        ("/chains", json!({"network": "bitcoin", "kind": "anvil", "rpc_url": "http://x"})),
        ("/chains", json!({"network": "bitcoin", "kind": "bitcoind", "rpc_url": "https://x"})),
        (
            "/chains",
            json!({"network": "bitcoin", "kind": "bitcoind", "rpc_url": "http://u:p@127.0.0.1:1"}),
        ),
    ];
    for (path, body) in cases {
        let (status, answer) = control(&running, "POST", path, Some(body.clone())).await;
        assert_eq!(status, 400, "{path} {body}: {answer}");
        let error = answer["error"].as_str().unwrap_or_else(|| panic!("{path} {body}: {answer}"));
        assert!(!error.contains("u:p"), "a login is nobody's business: {error}");
    }
    assert_eq!(control(&running, "GET", "/books/kraken", None).await.0, 404);
}

#[tokio::test]
async fn oversized_bodies_are_refused() {
    let running = world().await;
    let big = Value::String("x".repeat(70_000));
    for name in ["wazirx", "binance", "coinbase", "coingecko"] {
        let base_url = running.first_line()[name]["base_url"].as_str().unwrap().to_owned();
        let (status, _) = http(&base_url, "POST", "/sapi/v1/order", Some(big.clone())).await;
        assert_eq!(status, 413, "{name}");
    }
    assert_eq!(control(&running, "POST", "/prices", Some(big)).await.0, 400);
}

// A hanging answer does not hold up the stop, and afterwards nobody listens.
#[tokio::test]
async fn shutdown_does_not_wait_for_hanging_answers() {
    let running = world().await;
    let fault = json!({"target": "binance", "operation": "time", "fault": "timeout_applied"});
    control(&running, "POST", "/faults", Some(fault)).await;
    let address = running.addresses.binance;
    let mut hanging = TcpStream::connect(address).await.unwrap();
    hanging.write_all(b"GET /api/v3/time HTTP/1.1\r\nhost: x\r\n\r\n").await.unwrap();
    while running.world.faults.struck().is_empty() {
        tokio::task::yield_now().await;
    }
    tokio::time::timeout(Duration::from_secs(10), running.shutdown()).await.unwrap();
    assert!(TcpStream::connect(address).await.is_err());
}
