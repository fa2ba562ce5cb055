//! Binance: coins in and out over the wallet, and the way to the other venue.

use rust_decimal::Decimal;
use serde_json::{Value, json};
use simulators::binance::{DuplicateWithdrawals, Settings};

use crate::venue_bench::{Venues, dec, number};

const APPLY: &str = "/sapi/v1/capital/withdraw/apply";
const ADDRESS: &str = "0x94df8b352de7f46f64b01d3666bf6e936e44ce60";

async fn deposits(venues: &Venues, params: &str) -> Value {
    venues.binance("GET", "/sapi/v1/capital/deposit/hisrec", params).await.ok()
}

async fn withdrawals(venues: &Venues, params: &str) -> Value {
    venues.binance("GET", "/sapi/v1/capital/withdraw/history", params).await.ok()
}

#[tokio::test]
async fn deposits_pass_through_their_stages() {
    let venues = Venues::new();
    let exchange = &venues.binance;
    let free = || exchange.balance("USDC").free - dec("2000000");
    assert!(exchange.deposit_on("USDC", dec("50"), "0xaa", Some("base"), "pending"));
    let shown = deposits(&venues, "coin=USDC&txId=0xaa").await[0].clone();
    assert_eq!((&shown["status"], &shown["network"]), (&json!(0), &json!("BASE")));
    assert_eq!(shown["confirmTimes"], "0/10");
    assert_eq!(shown["amount"], "50");
    assert_eq!(free(), Decimal::ZERO);
    assert!(exchange.judge_deposit("0xaa", "held"));
    assert_eq!(deposits(&venues, "status=6").await.as_array().unwrap().len(), 1);
    assert_eq!(free(), dec("50"), "credited, and not to be withdrawn");
    let all = format!("coin=USDC&network=ETH&address={ADDRESS}&amount=2000050");
    assert_eq!(venues.binance("POST", APPLY, &all).await.refusal(), (400, -4026));
    assert!(exchange.judge_deposit("0xaa", "credited"));
    assert!(!exchange.judge_deposit("0xaa", "rejected"), "what is credited stays");
    assert_eq!(free(), dec("50"), "once");
    venues.binance("POST", APPLY, &all).await.ok();
    for (stage, number) in [("rejected", 2), ("wrong", 7), ("waiting", 8)] {
        assert!(exchange.deposit_on("BTC", dec("1"), stage, None, stage));
        let shown = deposits(&venues, &format!("coin=BTC&status={number}")).await;
        assert_eq!(shown[0]["txId"], stage);
    }
    assert_eq!(exchange.balance("BTC").free, dec("5"));
    let old = format!("startTime={}", venues.timestamp() - 91 * 86_400_000);
    let refused = venues.binance("GET", "/sapi/v1/capital/deposit/hisrec", &old).await;
    assert_eq!(refused.refusal(), (400, -4047));
    venues.assert_books_balance();
}

#[tokio::test]
async fn addresses_belong_to_a_coin_on_a_network() {
    let venues = Venues::new();
    let path = "/sapi/v1/capital/deposit/address";
    let ask = async |params: &str| venues.binance("GET", path, params).await;
    let eth = ask("coin=USDC&network=ETH").await.ok()["address"].clone();
    assert_eq!(ask("coin=USDC&network=BASE").await.ok()["address"], eth, "one EVM wallet");
    assert_eq!(ask("coin=USDC").await.ok()["address"], eth, "the default network");
    let bitcoin = ask("coin=BTC").await.ok()["address"].clone();
    assert!(bitcoin.as_str().unwrap().starts_with("bc1q"));
    let solana = ask("coin=SOL").await.ok()["address"].clone();
    assert!((32..=44).contains(&solana.as_str().unwrap().len()));
    assert_eq!(ask("coin=BTC&network=SOL").await.refusal(), (400, -4019));
    assert_eq!(ask("coin=DOGE").await.refusal(), (400, -4018));
    let coins = venues.binance("GET", "/sapi/v1/capital/config/getall", "").await.ok();
    let usdc = coins.as_array().unwrap().iter().find(|coin| coin["coin"] == "USDC").unwrap();
    let networks: Vec<&Value> =
        usdc["networkList"].as_array().unwrap().iter().map(|n| &n["network"]).collect();
    assert_eq!(networks, ["ETH", "BASE", "SOL"]);
    let rights = venues.binance("GET", "/sapi/v1/account/apiRestrictions", "").await.ok();
    assert_eq!(
        (&rights["enableWithdrawals"], &rights["enableReading"]),
        (&true.into(), &true.into())
    );
}

#[tokio::test]
async fn a_withdrawal_leaves_by_the_clock_and_says_so_in_text() {
    let venues = Venues::new();
    let params = format!("coin=USDT&network=ETH&address={ADDRESS}&amount=100&withdrawOrderId=w-1");
    let id = venues.binance("POST", APPLY, &params).await.ok()["id"].clone();
    assert_eq!(venues.binance.balance("USDT").free, dec("1999900"), "gone at once, fee included");
    let shown = withdrawals(&venues, "withdrawOrderId=w-1").await[0].clone();
    assert_eq!((&shown["id"], &shown["status"]), (&id, &json!(4)));
    assert_eq!((number(&shown, "amount"), number(&shown, "transactionFee")), (dec("97"), dec("3")));
    assert_eq!((&shown["txId"], &shown["applyTime"]), (&json!(""), &json!("2026-01-01 00:00:00")));
    venues.pass(29_999);
    assert_eq!(withdrawals(&venues, "coin=USDT").await[0]["status"], 4);
    venues.pass(1);
    let shown = withdrawals(&venues, "status=6").await[0].clone();
    assert!(shown["txId"].as_str().unwrap().starts_with("0x"));
    assert_eq!(shown["completeTime"], "2026-01-01 00:00:30");
    assert!(!venues.binance.judge_withdrawal("w-1", "rejected"), "it is gone");
    let long = format!("withdrawOrderId=w-1&startTime={}", venues.timestamp() - 8 * 86_400_000);
    let path = "/sapi/v1/capital/withdraw/history";
    assert_eq!(venues.binance("GET", path, &long).await.refusal(), (400, -4047));
    let spent = venues.binance("GET", path, "").await;
    assert!(spent.header("x-sapi-used-uid-weight-1m").is_some());
    venues.assert_books_balance();
}

#[tokio::test]
async fn withdrawals_are_refused_with_the_vendors_codes() {
    let venues = Venues::new();
    let fine = format!("coin=USDT&network=ETH&address={ADDRESS}");
    let cases = [
        (format!("{fine}&amount=100&addressTag=1"), -4106),
        (format!("{fine}&amount=9.9"), -4022),
        (format!("{fine}&amount=10.0000001"), -4021),
        (format!("{fine}&amount=3000000"), -4026),
        (format!("{fine}&amount=30000000"), -4023),
        (fine.clone(), -1102),
        ("coin=USDT&network=ETH&address=bc1q&amount=100".to_owned(), -4007),
        (format!("coin=USDT&network=TRX&address={ADDRESS}&amount=100"), -4019),
        (format!("coin=DOGE&address={ADDRESS}&amount=100"), -4018),
    ];
    for (params, code) in cases {
        let refused = venues.binance("POST", APPLY, &params).await;
        assert_eq!(refused.refusal(), (400, code), "{params}: {}", refused.body);
    }
    assert_eq!(venues.binance.balance("USDT").free, dec("2000000"));
    let settings = Settings { can_withdraw: false, ..venues.binance.settings() };
    venues.binance.set_settings(settings);
    let refused = venues.binance("POST", APPLY, &format!("{fine}&amount=100")).await;
    assert_eq!(refused.refusal(), (401, -2015));
}

// The trap of every resend: the vendor does not promise to refuse a known reference.
#[tokio::test]
async fn a_reference_is_no_key() {
    let venues = Venues::new();
    let params = format!("coin=USDT&network=ETH&address={ADDRESS}&amount=10&withdrawOrderId=twice");
    venues.fault("binance", "withdraw", "timeout_applied", None);
    assert_eq!(venues.binance("POST", APPLY, &params).await.refusal(), (504, -1007));
    assert_eq!(withdrawals(&venues, "withdrawOrderId=twice").await.as_array().unwrap().len(), 1);
    venues.fault("binance", "withdraw", "timeout_not_applied", None);
    assert_eq!(venues.binance("POST", APPLY, &params).await.refusal(), (504, -1007));
    assert_eq!(withdrawals(&venues, "withdrawOrderId=twice").await.as_array().unwrap().len(), 1);
    venues.binance("POST", APPLY, &params).await.ok();
    assert_eq!(withdrawals(&venues, "withdrawOrderId=twice").await.as_array().unwrap().len(), 2);
    let duplicate_withdrawals = DuplicateWithdrawals::Reject;
    venues.binance.set_settings(Settings { duplicate_withdrawals, ..venues.binance.settings() });
    assert_eq!(venues.binance("POST", APPLY, &params).await.refusal(), (400, -4104));
    assert_eq!(venues.binance.balance("USDT").free, dec("1999980"));
}

#[tokio::test]
async fn a_stuck_withdrawal_waits_for_a_person_and_comes_back_once() {
    let venues = Venues::new();
    venues.fault("binance", "withdraw", "stuck", None);
    let params = format!("coin=USDT&network=ETH&address={ADDRESS}&amount=50&withdrawOrderId=stuck");
    venues.binance("POST", APPLY, &params).await.ok();
    venues.pass(3_600_000);
    assert_eq!(withdrawals(&venues, "").await[0]["status"], 2);
    assert!(venues.binance.judge_withdrawal("stuck", "rejected"));
    assert!(!venues.binance.judge_withdrawal("stuck", "rejected"));
    assert!(!venues.binance.judge_withdrawal("stuck", "completed"));
    assert_eq!(withdrawals(&venues, "status=3").await[0]["txId"], "");
    assert_eq!(venues.binance.balance("USDT").free, dec("2000000"));
    venues.assert_books_balance();
}

// Binance → WazirX: the same transaction, the fee gone on the way, after the transfer's delay.
#[tokio::test]
async fn coins_sent_to_the_other_venue_arrive_there_once() {
    let venues = Venues::new();
    venues.world.transit.set_delay_ms(5_000);
    let address = venues.wazirx("GET", "crypto/deposits/address", "coin=usdt&network=eth").await;
    let address = address.ok()["address"].as_str().unwrap().to_owned();
    // Letters of the other size mean the same address.
    let address = format!("0x{}", address[2..].to_uppercase());
    let params = format!("coin=USDT&network=ETH&address={address}&amount=1000");
    venues.binance("POST", APPLY, &params).await.ok();
    venues.pass(30_000);
    let tx_id = withdrawals(&venues, "").await[0]["txId"].clone();
    assert_eq!(venues.wazirx.balance("USDT").free, dec("2000000"), "on its way");
    let pending = venues.wazirx.book()["deposits"][0].clone();
    assert_eq!((&pending["tx_id"], &pending["credited"]), (&tx_id, &false.into()));
    venues.pass(5_000);
    venues.wazirx("GET", "funds", "").await.ok();
    assert_eq!(venues.wazirx.balance("USDT").free, dec("2000997"));
    venues.pass(60_000);
    venues.wazirx("GET", "funds", "").await.ok();
    assert_eq!(venues.wazirx.balance("USDT").free, dec("2000997"), "once");
    venues.assert_books_balance();
}

// A venue that suspends its wallet: coins are seen, credited when it is over, and none leave.
#[tokio::test]
async fn a_paused_wallet_takes_and_gives_nothing_for_a_while() {
    let venues = Venues::new();
    venues.world.transit.set_delay_ms(5_000);
    let fine = venues.binance.settings();
    let paused = Settings { deposits_paused: true, withdrawals_paused: true, ..fine.clone() };
    venues.binance.set_settings(paused);
    let params = format!("coin=USDT&network=ETH&address={ADDRESS}&amount=100");
    assert_eq!(venues.binance("POST", APPLY, &params).await.refusal(), (400, -4019));
    let coins = venues.binance("GET", "/sapi/v1/capital/config/getall", "").await.ok();
    assert_eq!(coins[0]["networkList"][0]["depositEnable"], false);
    let sent = "coin=usdt&network=eth&amount=500&addressBookId=2&withdrawConsent=true";
    venues.wazirx("POST", "crypto/withdraw", sent).await.ok();
    for _ in 0..10 {
        venues.pass(30_000);
        deposits(&venues, "").await;
    }
    assert_eq!(deposits(&venues, "status=0").await.as_array().unwrap().len(), 1);
    assert_eq!(venues.binance.balance("USDT").free, dec("2000000"));
    venues.binance.set_settings(fine);
    venues.pass(5_000);
    assert_eq!(deposits(&venues, "").await[0]["status"], 1);
    assert_eq!(venues.binance.balance("USDT").free, dec("2000497"));
    venues.assert_books_balance();
}
