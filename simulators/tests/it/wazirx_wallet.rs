//! WazirX: crypto out, to addresses of the book alone.

use serde_json::{Value, json};
use simulators::wazirx::{Duplicates, Settings};

use crate::venue_bench::{Venues, dec, number};

const WITHDRAW: &str = "crypto/withdraw";

async fn withdraws(venues: &Venues) -> Value {
    venues.wazirx("GET", "crypto/withdraws", "").await.ok()
}

fn venues() -> Venues {
    let venues = Venues::new();
    venues.wazirx.set_settings(Settings { limits: false, ..venues.wazirx.settings() });
    venues
}

// WazirX → Binance: the book knows the other venue's addresses; there the history shows it.
#[tokio::test]
async fn crypto_goes_to_the_other_venue() {
    let venues = venues();
    let book = venues.wazirx("GET", "crypto/withdraw/address-book", "coin=usdt&network=eth").await;
    let book = book.ok();
    let path = "/sapi/v1/capital/deposit/address";
    let address = venues.binance("GET", path, "coin=USDT&network=ETH").await.ok();
    assert_eq!(book[0]["address"], address["address"]);
    let entry = &book[0]["id"];
    let params = format!(
        "coin=usdt&network=eth&amount=500&addressBookId={entry}&withdrawConsent=true\
         &withdrawOrderId=refill-1"
    );
    let id = venues.wazirx("POST", WITHDRAW, &params).await.ok()["id"].clone();
    let shown = withdraws(&venues).await[0].clone();
    assert_eq!((&shown["id"], &shown["status"]), (&id, &"Pending".into()));
    assert_eq!((&shown["txId"], &shown["withdrawOrderId"]), (&Value::Null, &"refill-1".into()));
    assert_eq!(venues.wazirx.balance("USDT").free, dec("1999500"));
    venues.pass(30_000);
    let shown = withdraws(&venues).await[0].clone();
    assert_eq!(
        (&shown["status"], &shown["createdAt"]),
        (&"SUCCESS".into(), &"2026-01-01 00:00:00".into())
    );
    assert_eq!(number(&shown, "amount") + number(&shown, "transactionFee"), dec("500"));
    let history = "/sapi/v1/capital/deposit/hisrec";
    let arriving = venues.binance("GET", history, "").await.ok()[0].clone();
    assert_eq!((&arriving["txId"], &arriving["status"]), (&shown["txId"], &json!(0)));
    assert_eq!(arriving["confirmTimes"], "0/6");
    venues.pass(60_000);
    let arrived = venues.binance("GET", history, "").await.ok()[0].clone();
    assert_eq!((&arrived["status"], &arrived["confirmTimes"]), (&json!(1), &"6/6".into()));
    assert_eq!(venues.binance.balance("USDT").free, dec("2000497"));
    venues.assert_books_balance();
}

#[tokio::test]
async fn nothing_leaves_without_consent_and_a_known_address() {
    let venues = venues();
    let fine = "coin=usdt&network=eth&amount=100";
    let cases = [
        (format!("{fine}&addressBookId=2"), 1999, "withdrawConsent"),
        (format!("{fine}&addressBookId=2&withdrawConsent=false"), 1999, "withdrawConsent"),
        (format!("{fine}&withdrawConsent=true"), 1999, "addressBookId"),
        (format!("{fine}&addressBookId=99&withdrawConsent=true"), 1999, "addressBookId"),
        // The first entry is on another network.
        (format!("{fine}&addressBookId=1&withdrawConsent=true"), 1999, "addressBookId"),
        ("coin=usdt&network=trx&amount=100".to_owned(), 1999, "network"),
        ("coin=usdt&network=eth&amount=0.5".to_owned(), 2031, "Minimum"),
        ("coin=usdt&network=eth&amount=10.0000001".to_owned(), 1999, "precision"),
        (
            "coin=usdt&network=eth&amount=2000001&addressBookId=2&withdrawConsent=true".to_owned(),
            2002,
            "Not enough USDT",
        ),
    ];
    for (params, code, words) in cases {
        let refused = venues.wazirx("POST", WITHDRAW, &params).await;
        assert_eq!(refused.refusal(), (400, code), "{params}: {}", refused.body);
        assert!(refused.body["message"].as_str().unwrap().contains(words), "{}", refused.body);
    }
    assert_eq!(venues.wazirx.balance("USDT").free, dec("2000000"));
    venues.wazirx.set_settings(Settings { can_withdraw: false, ..venues.wazirx.settings() });
    assert_eq!(venues.wazirx("POST", WITHDRAW, fine).await.refusal(), (400, 2078));
}

#[tokio::test]
async fn the_book_takes_what_its_owner_enters() {
    let venues = venues();
    let address = "0x94df8b352de7f46f64b01d3666bf6e936e44ce60";
    let id = venues.wazirx.add_contact("cold storage", Some("usdc"), "base", address).unwrap();
    assert!(venues.wazirx.add_contact("typo", None, "eth", "0x12").is_none());
    let book = venues.wazirx("GET", "crypto/withdraw/address-book", "coin=usdc&network=base").await;
    let entries = book.ok();
    assert!(entries.as_array().unwrap().iter().any(|entry| entry["address"] == address));
    let params =
        format!("coin=usdc&network=base&amount=10&addressBookId={id}&withdrawConsent=true");
    venues.fault("wazirx", "withdraw", "http_504_applied", None);
    assert_eq!(venues.wazirx("POST", WITHDRAW, &params).await.status.as_u16(), 504);
    assert_eq!(withdraws(&venues).await.as_array().unwrap().len(), 1, "it was applied");
    venues.pass(30_000);
    assert_eq!(withdraws(&venues).await[0]["status"], "SUCCESS", "out of this world");
    let settings = Settings {
        numeric_statuses: true,
        duplicate_withdrawals: Duplicates::Reject,
        ..venues.wazirx.settings()
    };
    venues.wazirx.set_settings(settings);
    assert_eq!(withdraws(&venues).await[0]["status"], 6);
    let named = format!("{params}&withdrawOrderId=one");
    venues.fault("wazirx", "withdraw", "stuck", None);
    venues.wazirx("POST", WITHDRAW, &named).await.ok();
    assert_eq!(venues.wazirx("POST", WITHDRAW, &named).await.refusal(), (400, 1999));
    assert!(venues.wazirx.judge_withdrawal("one", "cancelled"));
    assert_eq!(withdraws(&venues).await[0]["status"], 1);
    venues.assert_books_balance();
}
