//! What venues send over local chains: one real transaction from a venue's own wallet, credited by
//! the other venue when it sees it, and nothing of it a second time by any other way.

use std::time::{Duration, Instant};

use rust_decimal::Decimal;
use serde_json::{Value, json};
use simulators::{Running, binance, chains::Spec, signature::hmac_hex, wazirx};

use crate::{
    chain_nodes::{Node, http, read_to, watching},
    venue_bench::dec,
};

const TRANSFER: &str = "ddf252ad1be2c89b69c2b068fc378daa952ba7f163c4a11628f55a4df523b3ef";
const TOKEN: &str = "0x00000000000000000000000000000000000000c3";
const PATIENCE: Duration = Duration::from_secs(60);
/// Nobody of this world.
const STRANGER: &str = "0x00000000000000000000000000000000000000ee";

/// A token of six places with balances: `decimals`, `balanceOf`, an open `mint`, and anything else
/// is a transfer that fails when the sender has too little.
fn token() -> String {
    let code = [
        "60003560e01c",                                   // which function
        "8063313ce56714607957",                           // places
        "806370a0823114608457",                           // balance
        "806340c10f1914603557",                           // mint: nobody gives
        "6024353354106073576024353354033355",             // enough? less of it
        "5b60243560043554016004355560243560005260043533", // more for the receiver
        "7f",
        TRANSFER,
        "60206000a300",           // the event
        "5b60006000fd",           // too little
        "5b600660005260206000f3", // places
        "5b6004355460005260206000f3",
    ];
    format!("0x{}", code.concat())
}

fn quick(sims: &Running) {
    let (b, w) = (sims.binance.settings(), sims.wazirx.settings());
    assert!(sims.binance.set_settings(binance::Settings { withdraw_ms: 0, ..b }));
    assert!(sims.wazirx.set_settings(wazirx::Settings { withdraw_ms: 0, ..w }));
}

/// Asks a venue for a withdrawal, signed; answers its id.
async fn withdraw(sims: &Running, venue: &str, params: &str) -> String {
    let now = sims.world.now().timestamp_millis();
    let (keys, header, path, address) = match venue {
        "binance" => {
            let path = "/sapi/v1/capital/withdraw/apply";
            (sims.binance.credentials(), "x-mbx-apikey", path, sims.addresses.binance)
        }
        _ => {
            let path = "/sapi/v1/crypto/withdraw";
            (sims.wazirx.credentials(), "x-api-key", path, sims.addresses.wazirx)
        }
    };
    let text = format!("{params}&timestamp={now}&recvWindow=20000");
    let signature = hmac_hex(keys.secret.expose(), &text);
    let url = format!("http://{address}{path}?{text}&signature={signature}");
    let sent = http().post(url).header(header, &keys.api_key).send().await.unwrap();
    let answer: Value = sent.json().await.unwrap();
    answer["id"].as_str().unwrap_or_else(|| panic!("{answer}")).to_owned()
}

fn known(book: &Value, list: &str) -> Vec<Value> {
    book[list].as_array().unwrap().clone()
}

/// Polls until the venue's withdrawal has a transaction.
async fn left(sims: &Running, venue: &str, id: &str) -> String {
    let deadline = Instant::now() + PATIENCE;
    loop {
        let book = if venue == "binance" { sims.binance.book() } else { sims.wazirx.book() };
        let all = known(&book, "withdrawals");
        let mine = all.iter().find(|one| one["id"] == id).unwrap();
        if let Some(tx) = mine["txId"].as_str().filter(|tx| !tx.is_empty()) {
            return tx.to_owned();
        }
        assert!(Instant::now() < deadline, "{mine} {:?}", sims.chains.progress());
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
}

/// Polls until a venue has so much of a coin.
async fn holds(balance: impl Fn() -> Decimal, wanted: &str) {
    let deadline = Instant::now() + PATIENCE;
    while balance() != dec(wanted) {
        assert!(Instant::now() < deadline, "{} instead of {wanted}", balance());
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
}

async fn evm() -> (Node, Running) {
    let node = Node::anvil();
    node.rpc("anvil_setCode", json!([TOKEN, token()])).await;
    let sims = watching(json!({
        "network": "ethereum", "kind": "anvil", "rpc_url": node.url, "confirmations": 2,
        "tokens": {"USDT": TOKEN},
    }))
    .await;
    quick(&sims);
    (node, sims)
}

#[tokio::test]
async fn tokens_and_coins_cross_an_evm_chain_once() {
    let (node, sims) = evm().await;
    let to = sims.world.deposit_address("wazirx", "ethereum").unwrap();
    let asked = format!("coin=USDT&network=ETH&address={to}&amount=1000");
    let id = withdraw(&sims, "binance", &asked).await;
    let tx = left(&sims, "binance", &id).await;
    // The receipt is the chain's own: from the venue's wallet, to the token.
    let receipt = node.rpc("eth_getTransactionReceipt", json!([tx])).await;
    let wallet = &sims.chains.progress()["ethereum"].1.hot_wallets["binance"];
    assert_eq!((&receipt["status"], &receipt["to"]), (&json!("0x1"), &json!(TOKEN)));
    assert_eq!(&receipt["from"], &json!(wallet.to_lowercase()));
    holds(|| sims.binance.balance("USDT").free, "1999000").await;
    let deadline = Instant::now() + PATIENCE;
    while known(&sims.wazirx.book(), "deposits").is_empty() {
        assert!(Instant::now() < deadline, "not seen");
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
    let seen = known(&sims.wazirx.book(), "deposits");
    assert_eq!((&seen[0]["tx_id"], &seen[0]["credited"]), (&json!(tx), &json!(false)));
    assert_eq!(sims.wazirx.balance("USDT").free, dec("2000000"), "one confirmation of two");
    node.rpc("anvil_mine", json!(["0x1"])).await;
    holds(|| sims.wazirx.balance("USDT").free, "2000997").await;
    // Back, and in coins, with nothing by the other way after the transfer's delay.
    sims.world.transit.set_delay_ms(0);
    let sent = "coin=eth&network=eth&amount=2&addressBookId=2&withdrawConsent=true";
    let id = withdraw(&sims, "wazirx", sent).await;
    let tx = left(&sims, "wazirx", &id).await;
    node.rpc("anvil_mine", json!(["0x5"])).await;
    holds(|| sims.binance.balance("ETH").free, "201.9988").await;
    let seen = known(&sims.binance.book(), "deposits");
    assert_eq!((seen.len(), &seen[0]["txId"]), (1, &json!(tx)));
    read_to(&sims, "ethereum", 7).await;
    assert_eq!(sims.wazirx.balance("USDT").free, dec("2000997"), "once");
    assert_eq!(sims.wazirx.balance("ETH").free, dec("198"));
    sims.shutdown().await;
}

// What goes to nobody of this world leaves over the chain all the same.
#[tokio::test]
async fn a_stranger_is_paid_on_the_chain() {
    let (node, sims) = evm().await;
    let asked = format!("coin=ETH&network=ETH&address={STRANGER}&amount=1.5");
    let id = withdraw(&sims, "binance", &asked).await;
    left(&sims, "binance", &id).await;
    let wei = node.rpc("eth_getBalance", json!([STRANGER, "latest"])).await;
    assert_eq!(wei, json!(format!("0x{:x}", 1_498_800_000_000_000_000_u64)));
    assert!(!sims.binance.judge_withdrawal(&id, "failed"), "it is gone");
    assert_eq!(sims.binance.balance("ETH").free, dec("198.5"));
    sims.shutdown().await;
}

#[tokio::test]
async fn a_withdrawal_waits_for_coins_and_can_be_called_back() {
    let node = Node::bitcoind().await;
    let own = node.rpc("getnewaddress", json!([])).await;
    node.rpc("generatetoaddress", json!([101, own])).await;
    let sims = watching(json!({
        "network": "bitcoin", "kind": "bitcoind", "rpc_url": node.url, "confirmations": 2,
    }))
    .await;
    quick(&sims);
    let to = sims.world.deposit_address("wazirx", "bitcoin").unwrap();
    let asked = format!("coin=BTC&network=BTC&address={to}&amount=0.5");
    let first = withdraw(&sims, "binance", &asked).await;
    let second = withdraw(&sims, "binance", &asked).await;
    let deadline = Instant::now() + PATIENCE;
    let wallet = loop {
        let told = sims.chains.progress()["bitcoin"].1.clone();
        // Both were tried, and wait.
        if let Some(trouble) = told.trouble.filter(|_| told.waiting == 2) {
            assert!(trouble.contains("too little"), "{trouble}");
            break told.hot_wallets["binance"].clone();
        }
        assert!(Instant::now() < deadline, "nobody says that it waits");
        tokio::time::sleep(Duration::from_millis(20)).await;
    };
    // The venue thinks better of one while it waits: its coins come back, once.
    let recalled = async {
        while !sims.binance.judge_withdrawal(&second, "failed") {
            assert!(Instant::now() < deadline, "never called back");
            tokio::time::sleep(Duration::from_millis(3)).await;
        }
    };
    recalled.await;
    assert_eq!(sims.binance.balance("BTC").free, dec("4.5"));
    // The wallet is paid by whoever has coins, and sends from a block on.
    node.rpc("sendtoaddress", json!([wallet, "0.3"])).await;
    node.rpc("sendtoaddress", json!([wallet, "0.4"])).await;
    node.rpc("generatetoaddress", json!([1, own])).await;
    let tx = left(&sims, "binance", &first).await;
    let mempool = node.rpc("getrawmempool", json!([])).await;
    assert_eq!(mempool, json!([tx]));
    node.rpc("generatetoaddress", json!([2, own])).await;
    holds(|| sims.wazirx.balance("BTC").free, "5.4999").await;
    // The change is the wallet's again.
    let more = format!("coin=BTC&network=BTC&address={to}&amount=0.1");
    let third = withdraw(&sims, "binance", &more).await;
    left(&sims, "binance", &third).await;
    node.rpc("generatetoaddress", json!([3, own])).await;
    holds(|| sims.wazirx.balance("BTC").free, "5.5998").await;
    assert_eq!(sims.binance.balance("BTC").free, dec("4.4"));
    assert_eq!(known(&sims.wazirx.book(), "deposits").len(), 2);
    sims.shutdown().await;
}

#[tokio::test]
async fn lamports_and_tokens_cross_the_local_solana_once() {
    let seed = [7_u8; 32];
    let pair = ring::signature::Ed25519KeyPair::from_seed_unchecked(&seed).unwrap();
    let public = ring::signature::KeyPair::public_key(&pair).as_ref().to_vec();
    let node = Node::surfnet(&[seed.to_vec(), public].concat());
    let mint = bs58::encode([21_u8; 32]).into_string();
    // A mint of six places, without authorities.
    let mut data = vec![0; 36];
    data.extend_from_slice(&u64::MAX.to_le_bytes());
    data.extend_from_slice(&[6, 1]);
    data.extend_from_slice(&[0; 36]);
    let program = "TokenkegQfeZyiNwAJbNbGKPFXCWuBvf9Ss623VQ5DA";
    let content = json!({"lamports": 10_000_000, "owner": program, "data": hex::encode(data)});
    node.rpc("surfnet_setAccount", json!([mint, content])).await;
    let spec = json!({
        "network": "solana", "kind": "surfnet", "rpc_url": node.url, "confirmations": 2,
        "tokens": {"USDC": mint},
    });
    let sims = watching(spec.clone()).await;
    quick(&sims);
    let to = sims.world.deposit_address("wazirx", "solana").unwrap();
    for amount in ["20", "20"] {
        let asked = format!("coin=USDC&network=SOL&address={to}&amount={amount}");
        let id = withdraw(&sims, "binance", &asked).await;
        left(&sims, "binance", &id).await;
    }
    let sent = "coin=sol&network=sol&amount=1.5&addressBookId=4&withdrawConsent=true";
    let id = withdraw(&sims, "wazirx", sent).await;
    let tx = left(&sims, "wazirx", &id).await;
    let read = node.rpc("getTransaction", json!([tx, {"encoding": "json"}])).await;
    assert_eq!(read["meta"]["err"], Value::Null);
    node.rpc("sandbox_mine", json!([3])).await;
    holds(|| sims.wazirx.balance("USDC").free, "2000039").await;
    holds(|| sims.binance.balance("SOL").free, "20001.499").await;
    // Registered again, the chain is read on from its tip, and nothing comes twice.
    let spec: Spec = serde_json::from_value(spec).unwrap();
    sims.chains.register(&spec).await.unwrap();
    node.rpc("sandbox_mine", json!([3])).await;
    assert_eq!(sims.wazirx.balance("USDC").free, dec("2000039"));
    sims.shutdown().await;
}
