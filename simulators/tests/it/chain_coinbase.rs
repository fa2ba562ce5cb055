//! Coinbase on a local chain: what arrives at its address is credited, what it sends really leaves.

use std::time::{Duration, Instant};

use primitives::{Clock, SystemClock};
use rust_decimal::Decimal;
use serde_json::{Value, json};
use simulators::{Running, coinbase::Settings};

use crate::{
    chain_nodes::{Node, http, watching},
    coinbase_bench::Token,
    venue_bench::dec,
};

const PATIENCE: Duration = Duration::from_secs(60);

/// Asks until it is so.
async fn until(sims: &Running, what: &str, is_so: impl Fn() -> bool) {
    let deadline = Instant::now() + PATIENCE;
    while !is_so() {
        assert!(Instant::now() < deadline, "{what}: {:?}", sims.chains.progress());
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
}

async fn send(sims: &Running, asset: &str, body: Value) -> Value {
    let path = format!("/v2/accounts/{asset}/transactions");
    let key = sims.coinbase.key();
    let token = Token::new(key, "POST", &path, SystemClock.now().timestamp()).signed(key);
    let url = format!("http://{}{path}", sims.addresses.coinbase);
    let request = http().post(url).bearer_auth(token).body(body.to_string());
    let answer = request.send().await.unwrap();
    assert_eq!(answer.status().as_u16(), 201);
    answer.json().await.unwrap()
}

#[tokio::test]
async fn coins_come_and_go_over_a_local_chain() {
    let node = Node::anvil();
    let sims = watching(json!({
        "network": "base", "kind": "anvil", "rpc_url": node.url, "confirmations": 3,
    }))
    .await;
    assert!(sims.coinbase.set_settings(Settings { withdraw_ms: 0, ..sims.coinbase.settings() }));
    let address = sims.world.deposit_address("coinbase", "base").unwrap();
    let payer = node.rpc("eth_accounts", json!([])).await[0].clone();
    let wei = format!("0x{:x}", 1_500_000_000_000_000_000_u64);
    let sent = json!([{"from": payer, "to": address, "value": wei}]);
    let tx = node.rpc("eth_sendTransaction", sent).await;
    let shown = || sims.coinbase.book()["deposits"].clone();
    until(&sims, "seen", || !shown().as_array().unwrap().is_empty()).await;
    let deposit = shown()[0].clone();
    assert_eq!((&deposit["network"]["hash"], &deposit["status"]), (&tx, &json!("pending")));
    assert_eq!(deposit["amount"], json!({"amount": "1.50000000", "currency": "ETH"}));
    assert_eq!(sims.coinbase.balance("ETH").free, dec("200"));
    node.rpc("anvil_mine", json!(["0x2"])).await;
    until(&sims, "credited", || sims.coinbase.balance("ETH").free == dec("201.5")).await;
    assert_eq!(shown()[0]["status"], "completed");
    // To the other venue, which credits what arrives on the chain.
    let to = sims.world.deposit_address("binance", "base").unwrap();
    let body = json!({"type": "send", "to": to, "amount": "2", "currency": "ETH",
        "network": "base", "idem": "over-the-chain"});
    let asked = send(&sims, "ETH", body.clone()).await;
    let gone = || sims.coinbase.book()["withdrawals"][0].clone();
    until(&sims, "left", || gone()["network"]["hash"].is_string()).await;
    let receipt = node.rpc("eth_getTransactionReceipt", json!([gone()["network"]["hash"]])).await;
    let wallet = &sims.chains.progress()["base"].1.hot_wallets["coinbase"];
    assert_eq!(receipt["from"], json!(wallet.to_lowercase()));
    node.rpc("anvil_mine", json!(["0x5"])).await;
    until(&sims, "arrived", || sims.binance.balance("ETH").free == dec("202")).await;
    assert_eq!(sims.coinbase.balance("ETH").free, dec("199.4999"), "with the fee");
    let again = send(&sims, "ETH", body).await;
    assert_eq!(again["data"]["id"], asked["data"]["id"], "one token, one transaction");
    assert_eq!(sims.coinbase.balance("ETH").free, dec("199.4999"));
    let book = sims.coinbase.book();
    let sums = sims.world.journal.balances("coinbase");
    let free = dec(book["balances"]["ETH"]["free"].as_str().unwrap());
    assert_eq!(sums["ETH"]["free"], free);
    assert!(free > Decimal::ZERO);
    sims.shutdown().await;
}
