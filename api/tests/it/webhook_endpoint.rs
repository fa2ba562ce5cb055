//! The endpoint's secret is shown once, is new each time, and is stored for whoever signs.

use reqwest::Method;
use serde_json::{Value, json};

use crate::shop::{Ask, Shop};

fn put(url: Value) -> Ask {
    Ask::get("/v1/webhook_endpoint").method(Method::PUT).json(&json!({ "url": url }))
}

#[tokio::test]
async fn an_endpoint_is_set_changed_and_taken_away() {
    let shop = Shop::open().await;
    let stored = async || -> (Option<String>, Option<String>) {
        sqlx::query_as("SELECT url, secret FROM webhook_endpoints")
            .fetch_one(&shop.db.owner)
            .await
            .unwrap()
    };
    let first = shop.ask(put(json!("https://shop.example/hook"))).await.json();
    let secret = first["secret"].as_str().unwrap().to_owned();
    assert!(secret.starts_with("whsec_") && secret.len() == 50, "{secret}");
    assert_eq!(stored().await, (Some("https://shop.example/hook".into()), Some(secret.clone())));
    let second = shop.ask(put(json!("https://shop.example/hook"))).await.json();
    assert_ne!(second["secret"], secret.as_str());
    let none = shop.ask(put(Value::Null)).await.json();
    assert_eq!(none, json!({ "url": null, "secret": null }));
    assert_eq!(stored().await, (None, None));
}

#[tokio::test]
async fn destinations_are_versions() {
    let shop = Shop::open().await;
    let place = json!({ "vpa": "Ravi.New@OkAxis", "name": "Ravi New" });
    let made = shop.ask(Ask::post("/v1/payout_destinations", &place)).await;
    assert_eq!(made.status, 201, "{}", made.text);
    let made = made.json();
    assert_eq!((&made["vpa"], &made["version"]), (&json!("ravi.new@okaxis"), &json!(2)));
    let listed = shop.ask(Ask::get("/v1/payout_destinations")).await.json();
    let flags: Vec<_> = listed["data"]
        .as_array()
        .unwrap()
        .iter()
        .map(|one| (one["version"].as_i64().unwrap(), one["current"].as_bool().unwrap()))
        .collect();
    assert_eq!(flags, [(2, true), (1, false)]);
    let same = shop.ask(Ask::post("/v1/payout_destinations", &place)).await.json();
    assert_eq!(same["id"], made["id"], "the same again adds no version");
}
