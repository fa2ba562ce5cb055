//! Coinbase: coins in and out over the older API, and the way to the other venues.

use rust_decimal::Decimal;
use serde_json::{Value, json};
use simulators::coinbase::{Incoming, Settings};

use crate::venue_bench::{Answer, Venues, dec};

const ADDRESS: &str = "0x94df8b352de7f46f64b01d3666bf6e936e44ce60";

async fn transactions(venues: &Venues, asset: &str, query: &str) -> Vec<Value> {
    let path = format!("/v2/accounts/{asset}/transactions?{query}");
    venues.cb_get(&path).await.ok()["data"].as_array().unwrap().clone()
}

async fn send(venues: &Venues, asset: &str, more: Value) -> Answer {
    let mut body = json!({"type": "send", "to": ADDRESS, "amount": "100", "currency": asset});
    for (name, value) in more.as_object().unwrap() {
        body[name] = value.clone();
    }
    venues.cb("POST", &format!("/v2/accounts/{asset}/transactions"), body).await
}

fn amount(thing: &Value) -> Decimal {
    dec(thing["amount"].as_str().unwrap())
}

#[tokio::test]
async fn deposits_pass_through_their_stages() {
    let venues = Venues::new();
    let exchange = &venues.coinbase;
    assert!(exchange.deposit_on("USDC", dec("25.5"), "0xaa", Some("base"), "pending"));
    let shown = transactions(&venues, "USDC", "").await[0].clone();
    assert_eq!((&shown["type"], &shown["status"]), (&json!("send"), &json!("pending")));
    assert_eq!(shown["amount"], json!({"amount": "25.500000", "currency": "USDC"}));
    assert_eq!(shown["network"]["network_name"], "base");
    assert_eq!(
        (&shown["network"]["hash"], &shown["network"]["status"]),
        (&json!("0xaa"), &json!("pending"))
    );
    assert_eq!(shown["created_at"], "2026-01-01T00:00:00Z");
    assert_eq!(exchange.balance("USDC").free, dec("2000000"));
    assert!(exchange.judge_deposit("0xaa", "credited"));
    assert!(!exchange.judge_deposit("0xaa", "rejected"), "what is credited stays");
    let id = shown["id"].as_str().unwrap();
    let one = venues.cb_get(&format!("/v2/accounts/USDC/transactions/{id}")).await.ok();
    assert_eq!(
        (&one["data"]["status"], &one["data"]["network"]["status"]),
        (&json!("completed"), &json!("confirmed"))
    );
    assert_eq!(exchange.balance("USDC").free, dec("2000025.5"), "once");
    for (stage, status) in
        [("rejected", "failed"), ("wrong", "failed"), ("waiting", "waiting_for_clearing")]
    {
        assert!(exchange.deposit_on("BTC", dec("1"), stage, None, stage));
        assert_eq!(transactions(&venues, "BTC", "limit=1").await[0]["status"], status);
    }
    assert_eq!(exchange.balance("BTC").free, dec("5"));
    let settings = Settings { incoming: Incoming::Receive, ..exchange.settings() };
    assert!(exchange.set_settings(settings));
    assert_eq!(transactions(&venues, "USDC", "").await[0]["type"], "receive");
    assert_eq!(transactions(&venues, "ETH", "").await.len(), 0, "each account its own");
    venues.assert_books_balance();
}

#[tokio::test]
async fn accounts_and_addresses_belong_to_an_asset() {
    let venues = Venues::new();
    let all = venues.cb_get("/v2/accounts?limit=250").await.ok();
    assert_eq!(all["pagination"]["next_starting_after"], Value::Null);
    let mut accounts = all["data"].as_array().unwrap().iter();
    let usdc = accounts.find(|account| account["currency"]["code"] == "USDC").unwrap();
    assert_eq!(usdc["balance"], json!({"amount": "2000000.000000", "currency": "USDC"}));
    let id = usdc["id"].as_str().unwrap();
    let trading = venues.cb_get(&format!("/api/v3/brokerage/accounts/{id}")).await.ok();
    assert_eq!(trading["account"]["currency"], "USDC", "one id in both APIs");
    let list = format!("/v2/accounts/{id}/addresses");
    let addresses = venues.cb_get(&list).await.ok()["data"].clone();
    let networks: Vec<&Value> =
        addresses.as_array().unwrap().iter().map(|address| &address["network"]).collect();
    assert_eq!(networks, ["ethereum", "base", "solana"]);
    assert_eq!(addresses[0]["address"], addresses[1]["address"], "one EVM wallet");
    assert_eq!(addresses[0]["default_receive"], true);
    let new = venues.cb("POST", &list, json!({"network": "solana"})).await;
    assert_eq!(new.status.as_u16(), 201);
    assert_eq!(new.body["data"]["address"], addresses[2]["address"]);
    let new = venues.cb("POST", "/v2/accounts/BTC/addresses", Value::Null).await;
    assert!(new.body["data"]["address"].as_str().unwrap().starts_with("bc1q"));
    let one = format!("{list}/{}", addresses[1]["id"].as_str().unwrap());
    assert_eq!(venues.cb_get(&one).await.ok()["data"]["network"], "base");
    let wrong = venues.cb("POST", &list, json!({"network": "bitcoin"})).await;
    assert_eq!(
        (wrong.status.as_u16(), &wrong.body["errors"][0]["id"]),
        (400, &json!("validation_error"))
    );
    for path in
        ["/v2/accounts/none", "/v2/accounts/DOGE/addresses", "/v2/accounts/BTC/transactions/x"]
    {
        let absent = venues.cb_get(path).await;
        assert_eq!(
            (absent.status.as_u16(), &absent.body["errors"][0]["id"]),
            (404, &json!("not_found")),
            "{path}"
        );
    }
    assert_eq!(venues.cb_get("/v2/accounts/USD/deposits").await.ok()["data"], json!([]));
    assert_ne!(
        venues.world.deposit_address("coinbase", "bitcoin"),
        venues.world.deposit_address("binance", "bitcoin")
    );
}

#[tokio::test]
async fn what_is_sent_arrives_whole_and_the_fee_is_beside_it() {
    let venues = Venues::new();
    let more = json!({"idem": "4b1f0b3e", "network": "ethereum"});
    let sent = send(&venues, "USDT", more.clone()).await;
    assert_eq!(sent.status.as_u16(), 201);
    let sent = sent.body["data"].clone();
    assert_eq!((&sent["status"], &sent["idem"]), (&json!("pending"), &json!("4b1f0b3e")));
    assert_eq!(amount(&sent["amount"]), dec("-103"));
    assert_eq!(amount(&sent["network"]["transaction_amount"]), dec("100"));
    assert_eq!(amount(&sent["network"]["transaction_fee"]), dec("3"));
    assert_eq!((&sent["to"]["address"], &sent["network"]["hash"]), (&json!(ADDRESS), &Value::Null));
    assert_eq!(venues.coinbase.balance("USDT").free, dec("1999897"), "gone at once, fee included");
    // The same token names the same transaction, whatever else is in the body.
    let again = send(&venues, "USDT", json!({"idem": "4b1f0b3e", "amount": "500"})).await;
    assert_eq!(again.body["data"]["id"], sent["id"]);
    assert_eq!(venues.coinbase.balance("USDT").free, dec("1999897"), "once");
    venues.pass(29_999);
    assert_eq!(transactions(&venues, "USDT", "").await[0]["status"], "pending");
    venues.pass(1);
    let shown = transactions(&venues, "USDT", "").await;
    assert_eq!((shown.len(), &shown[0]["status"]), (1, &json!("completed")));
    assert!(shown[0]["network"]["hash"].as_str().unwrap().starts_with("0x"));
    assert!(!venues.coinbase.judge_withdrawal("4b1f0b3e", "rejected"), "it is gone");
    // Without a network, over the asset's default one.
    let plain = send(&venues, "USDC", json!({})).await.body["data"].clone();
    assert_eq!(plain["network"]["network_name"], "ethereum");
    venues.assert_books_balance();
}

#[tokio::test]
async fn sends_are_refused_in_the_vendors_words() {
    let venues = Venues::new();
    let cases = [
        json!({"type": "request"}),
        json!({"currency": "BTC"}),
        json!({"network": "tron"}),
        json!({"to": "somebody"}),
        json!({"to": "bc1qw508d6qejxtdg4y5r3zarvary0c5xw7kv8f3t4"}),
        json!({"amount": "0"}),
        json!({"amount": "-5"}),
        json!({"amount": "much"}),
        json!({"amount": null}),
        json!({"amount": "9.9"}),
        json!({"amount": "10.0000001"}),
        json!({"amount": "1999998"}),
        json!({"amount": "99999999"}),
        json!({"destination_tag": "1"}),
        json!({"idem": "x".repeat(101)}),
    ];
    for more in cases {
        let refused = send(&venues, "USDT", more.clone()).await;
        assert_eq!(refused.status.as_u16(), 400, "{more}");
        assert_eq!(refused.body["errors"][0]["id"], "validation_error", "{more}");
    }
    assert_eq!(transactions(&venues, "USDT", "").await.len(), 0);
    let too_much = send(&venues, "USDT", json!({"amount": "1999998"})).await;
    assert_eq!(too_much.body["errors"][0]["message"], "You don't have that much.");
    venues.coinbase.deposit_on("USDT", dec("50"), "0xheld", None, "held");
    let all = send(&venues, "USDT", json!({"amount": "2000047"})).await;
    assert_eq!(all.status.as_u16(), 400, "what is held may not leave");
    let settings = Settings { withdrawals_paused: true, ..venues.coinbase.settings() };
    assert!(venues.coinbase.set_settings(settings));
    assert_eq!(send(&venues, "USDT", json!({})).await.status.as_u16(), 400);
    let settings = Settings { can_withdraw: false, ..Settings::default() };
    assert!(venues.coinbase.set_settings(settings));
    let refused = send(&venues, "USDT", json!({})).await;
    assert_eq!(
        (refused.status.as_u16(), &refused.body["errors"][0]["id"]),
        (403, &json!("invalid_scope"))
    );
    assert_eq!(venues.coinbase.balance("USDT").free, dec("2000050"));
}

#[tokio::test]
async fn sends_can_hang_come_back_and_lose_their_answer() {
    let venues = Venues::new();
    venues.fault("coinbase", "withdraw", "stuck", None);
    let stuck = send(&venues, "USDT", json!({"idem": "stuck"})).await.body["data"]["id"].clone();
    venues.pass(3_600_000);
    assert_eq!(transactions(&venues, "USDT", "").await[0]["status"], "pending");
    assert!(venues.coinbase.judge_withdrawal(stuck.as_str().unwrap(), "cancelled"));
    assert!(!venues.coinbase.judge_withdrawal("stuck", "cancelled"), "comes back once");
    assert_eq!(transactions(&venues, "USDT", "").await[0]["status"], "canceled");
    assert_eq!(venues.coinbase.balance("USDT").free, dec("2000000"), "with its fee");
    send(&venues, "USDT", json!({"idem": "fails"})).await;
    assert!(venues.coinbase.judge_withdrawal("fails", "failed"));
    assert_eq!(transactions(&venues, "USDT", "limit=1").await[0]["status"], "failed");
    for (name, status, left) in
        [("http_504_applied", 504, "1999897"), ("http_500_not_applied", 500, "1999897")]
    {
        venues.fault("coinbase", "withdraw", name, None);
        let answer = send(&venues, "USDT", json!({"idem": name})).await;
        assert_eq!(answer.status.as_u16(), status);
        assert_eq!(venues.coinbase.balance("USDT").free, dec(left), "{name}");
    }
    // Asked again, the lost one is answered and the other one sent.
    send(&venues, "USDT", json!({"idem": "http_504_applied"})).await;
    assert_eq!(venues.coinbase.balance("USDT").free, dec("1999897"));
    send(&venues, "USDT", json!({"idem": "http_500_not_applied"})).await;
    assert_eq!(venues.coinbase.balance("USDT").free, dec("1999794"));
    venues.assert_books_balance();
}

#[tokio::test]
async fn coins_travel_between_the_venues() {
    let venues = Venues::new();
    let to = venues.world.deposit_address("binance", "solana").unwrap();
    let more = json!({"to": to, "network": "solana", "idem": "to-binance"});
    send(&venues, "USDT", more).await;
    venues.pass(30_000);
    let sent = transactions(&venues, "USDT", "").await[0].clone();
    let history = "/sapi/v1/capital/deposit/hisrec";
    let there = venues.binance("GET", history, "coin=USDT").await.ok()[0].clone();
    assert_eq!((&there["txId"], &there["status"]), (&sent["network"]["hash"], &json!(0)));
    venues.pass(60_000);
    let there = venues.binance("GET", history, "coin=USDT").await.ok()[0].clone();
    assert_eq!((&there["status"], &there["amount"]), (&json!(1), &json!("100")));
    assert_eq!(venues.binance.balance("USDT").free, dec("2000100"));
    // And back, with the other venue's fee taken from what arrives.
    let to = venues.world.deposit_address("coinbase", "ethereum").unwrap();
    let params = format!("coin=USDC&network=ETH&address={to}&amount=50");
    venues.binance("POST", "/sapi/v1/capital/withdraw/apply", &params).await.ok();
    venues.pass(30_000);
    let paused = Settings { deposits_paused: true, ..venues.coinbase.settings() };
    assert!(venues.coinbase.set_settings(paused));
    let seen = transactions(&venues, "USDC", "").await[0].clone();
    assert_eq!((&seen["status"], amount(&seen["amount"])), (&json!("pending"), dec("47")));
    venues.pass(60_000);
    assert_eq!(transactions(&venues, "USDC", "").await[0]["status"], "pending", "paused");
    assert!(venues.coinbase.set_settings(Settings::default()));
    venues.pass(60_000);
    assert_eq!(transactions(&venues, "USDC", "").await[0]["status"], "completed");
    assert_eq!(venues.coinbase.balance("USDC").free, dec("2000047"));
    venues.assert_books_balance();
}

#[tokio::test]
async fn the_list_has_executions_among_the_coins_and_pages() {
    let venues = Venues::new();
    venues.pin("BTCUSDT", "100000");
    assert!(venues.coinbase.deposit("BTC", dec("0.5"), "first"));
    venues.pass(1_000);
    let id = venues.cb_placed("sell 0.25 BTC-USDT market_market_ioc", "sale").await;
    venues.pass(1_000);
    assert!(venues.coinbase.deposit("BTC", dec("0.75"), "second"));
    let all = transactions(&venues, "BTC", "limit=100").await;
    assert_eq!((&all[0]["type"], amount(&all[0]["amount"])), (&json!("send"), dec("0.75")));
    let sold: Vec<&Value> = all.iter().filter(|t| t["type"] == "advanced_trade_fill").collect();
    assert_eq!(sold.iter().map(|t| amount(&t["amount"])).sum::<Decimal>(), dec("-0.25"));
    assert!(sold.iter().all(|t| t["advanced_trade_fill"]["order_id"] == json!(id)));
    let (mut seen, mut after) = (Vec::new(), String::new());
    loop {
        let query =
            if after.is_empty() { String::new() } else { format!("&starting_after={after}") };
        let path = format!("/v2/accounts/BTC/transactions?limit=1&order=asc{query}");
        let page = venues.cb_get(&path).await.ok();
        seen.extend(page["data"].as_array().unwrap().clone());
        let Some(next) = page["pagination"]["next_starting_after"].as_str() else { break };
        assert!(page["pagination"]["next_uri"].as_str().unwrap().contains(next));
        after = next.to_owned();
    }
    seen.reverse();
    assert_eq!(seen, all);
    let wrong = venues.cb_get("/v2/accounts/BTC/transactions?starting_after=x").await;
    assert_eq!(wrong.status.as_u16(), 400);
    venues.assert_books_balance();
}
