//! A quote holds while it lives, is one quote however often it is asked for, and is refused when
//! there is no trustworthy price, but what was promised still holds then. Rates show the board.

use chrono::TimeDelta;
use serde_json::json;

use crate::shop::{Ask, Shop, noon};

#[tokio::test]
async fn a_quote_says_what_to_pay() {
    let shop = Shop::open().await;
    let payment = shop.payment("a").await;
    assert_eq!(payment["methods"][0], json!({ "network": "anvil", "asset": "ETH" }));
    let id = payment["id"].as_str().unwrap();
    let path = format!("/v1/payments/{id}/quotes");
    let eth = json!({ "network": "anvil", "asset": "ETH" });
    let reply = shop.ask(Ask::post(path.as_str(), &eth).idempotent("q")).await;
    assert_eq!(reply.status, 201, "{}", reply.text);
    let quote = reply.json();
    assert_eq!(quote["payment_id"], id);
    assert_eq!(quote["payable"]["asset"], "ETH");
    assert_eq!(quote["due"], quote["payable"]);
    // ceil(1499 / (250000 × 0.99)) ether.
    assert_eq!(quote["payable"]["amount_minor"], "6056565656565657");
    let uri = quote["uri"].as_str().unwrap();
    assert!(uri.contains(quote["address"].as_str().unwrap()) && uri.contains("6056565656565657"));

    let again = shop.ask(Ask::post(path.as_str(), &eth)).await;
    assert_eq!(again.json()["id"], quote["id"], "a live quote is returned, not replaced");
    let replay = shop.ask(Ask::post(path.as_str(), &eth).idempotent("q")).await;
    assert_eq!((replay.text.as_str(), replay.replayed()), (reply.text.as_str(), true));

    // The price is too old for anything new; the promise still stands.
    shop.clock.advance(TimeDelta::seconds(120));
    let held = shop.ask(Ask::post(path.as_str(), &eth)).await;
    assert_eq!((held.status, &held.json()["id"]), (201, &quote["id"]));
    shop.clock.advance(TimeDelta::seconds(900));
    let before = shop.everything().await;
    let stale = shop.ask(Ask::post(path.as_str(), &eth).idempotent("q2")).await;
    assert_eq!((stale.status, stale.code().as_str()), (503, "rate_unavailable"));
    assert!(stale.headers.contains_key("retry-after"));
    assert_eq!(shop.everything().await, before, "a 503 is not stored");
    shop.price(noon() + TimeDelta::seconds(1030)).await;
    let fresh = shop.ask(Ask::post(path.as_str(), &eth).idempotent("q2")).await;
    assert_eq!((fresh.status, fresh.replayed()), (201, false), "{}", fresh.text);
    assert_ne!(fresh.json()["id"], quote["id"]);
}

#[tokio::test]
async fn ten_quotes_at_once_are_one() {
    let shop = Shop::open().await;
    let id = shop.payment("a").await["id"].as_str().unwrap().to_owned();
    let eth = json!({ "network": "anvil", "asset": "ETH" });
    let asks = (0..10).map(|_| shop.ask(Ask::post(format!("/v1/payments/{id}/quotes"), &eth)));
    let replies = futures::future::join_all(asks).await;
    assert!(replies.iter().all(|reply| reply.status == 201));
    assert_eq!(shop.count("quotes").await, 1);
}

#[tokio::test]
async fn an_asset_without_a_rate_is_not_quoted() {
    let shop = Shop::open().await;
    let id = shop.payment("a").await["id"].as_str().unwrap().to_owned();
    let usdc = json!({ "network": "anvil", "asset": "USDC" });
    let reply = shop.ask(Ask::post(format!("/v1/payments/{id}/quotes"), &usdc)).await;
    assert_eq!((reply.status, reply.code().as_str()), (503, "rate_unavailable"));
}

#[tokio::test]
async fn rates_show_the_board_and_no_number_when_it_is_old() {
    let shop = Shop::open().await;
    let fresh = shop.ask(Ask::get("/v1/rates")).await.json();
    assert_eq!(fresh["data"][0]["asset"], "ETH");
    assert_eq!(fresh["data"][0]["verdict"], "good");
    assert_eq!(fresh["data"][0]["bid"], "250000");
    shop.clock.advance(TimeDelta::seconds(600));
    let old = shop.ask(Ask::get("/v1/rates")).await.json();
    assert_eq!(old["data"][0]["verdict"], "unusable");
    assert_eq!((&old["data"][0]["bid"], &old["data"][0]["ask"]), (&json!(null), &json!(null)));
}
