//! Two merchants: nothing one of them sends reads or changes a row of the other.

use identity::Scope;
use reqwest::Method;
use serde_json::json;

use crate::shop::{Ask, Shop, order};

#[tokio::test]
async fn a_stranger_sees_nothing_and_changes_nothing() {
    let shop = Shop::open().await;
    let mine = shop.payment("mine").await["id"].as_str().unwrap().to_owned();
    let (stranger, key) = shop.merchant(&Scope::ALL).await;
    let before = shop.everything().await;
    let path = format!("/v1/payments/{mine}");
    let eth = json!({ "network": "anvil", "asset": "ETH" });
    let asks = [
        Ask::get(path.as_str()),
        Ask::get(format!("{path}/explain")),
        Ask::get(format!("{path}/events")),
        Ask::post(format!("{path}/quotes"), &eth),
        Ask::get(format!("{path}/cancel")).method(Method::POST),
    ];
    // A foreign id is answered in the same words as one that does not exist.
    let nobody = "/v1/payments/pay_00000000000070008000000000000000";
    let missing = shop.ask(Ask::get(nobody).by(&key)).await;
    for ask in asks {
        let what = format!("{} {}", ask.method, ask.path);
        let reply = shop.ask(ask.by(&key)).await;
        assert_eq!((reply.status, &reply.text), (404, &missing.text), "{what}");
    }
    assert_eq!(shop.everything().await, before);

    let listed = shop.ask(Ask::get("/v1/payments").by(&key)).await.json();
    assert_eq!(listed, json!({ "data": [], "next": null }));
    let cursor = shop.ask(Ask::get(format!("/v1/payments?after={mine}")).by(&key)).await.json();
    assert_eq!(cursor["data"], json!([]));

    let place = json!({ "vpa": "stranger@okaxis", "name": "Stranger" });
    shop.ask(Ask::post("/v1/payout_destinations", &place).by(&key)).await;
    let hook = json!({ "url": "https://stranger.example/" });
    let put = Ask::get("/v1/webhook_endpoint").method(Method::PUT).json(&hook).by(&key);
    assert_eq!(shop.ask(put).await.status, 200);
    let mine = shop.ask(Ask::get("/v1/payout_destinations")).await.text;
    assert!(!mine.contains("stranger"), "{mine}");
    let owners: Vec<uuid::Uuid> =
        sqlx::query_scalar("SELECT merchant_id FROM webhook_endpoints WHERE url IS NOT NULL")
            .fetch_all(&shop.db.owner)
            .await
            .unwrap();
    assert_eq!(owners, [stranger.uuid()]);
}

#[tokio::test]
async fn a_reference_is_used_once_by_each_merchant() {
    let shop = Shop::open().await;
    let (_, key) = shop.merchant(&Scope::ALL).await;
    shop.payment("order-1").await;
    let theirs = shop.ask(Ask::post("/v1/payments", &order("order-1")).by(&key)).await;
    assert_eq!(theirs.status, 201);
    let again = shop.ask(Ask::post("/v1/payments", &order("order-1")).by(&key)).await;
    assert_eq!((again.status, again.code().as_str()), (409, "reference_reused"));
}
