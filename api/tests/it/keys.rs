//! Without a live key nothing is answered; with one, only what its scopes allow.

use identity::Scope;
use serde_json::json;

use crate::shop::{Ask, Shop, order};

#[tokio::test]
async fn every_wrong_key_gets_the_same_answer() {
    let shop = Shop::open().await;
    let before = shop.everything().await;
    let nobody = "sk_test_aaaaaaaa_aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa";
    let mut changed = shop.key.clone();
    let last = changed.pop().unwrap();
    changed.push(if last == 'a' { 'b' } else { 'a' });
    let with =
        |value: String| Ask::post("/v1/payments", &order("x")).header("authorization", value);
    let wrong = [
        Ask::post("/v1/payments", &order("x")),
        with(format!("Bearer {nobody}")),
        with(format!("Bearer {changed}")),
        with(format!("Bearer  {}", shop.key)),
        with(format!("Basic {}", shop.key)),
        with(shop.key.clone()),
        with("Bearer".into()),
        with(String::new()),
        with(format!("Bearer {}", "x".repeat(8000))),
        with(format!("Bearer {}", shop.key)).header("authorization", format!("Bearer {nobody}")),
    ];
    let mut answers = std::collections::BTreeSet::new();
    for ask in wrong {
        let reply = shop.bare(ask).await;
        assert_eq!((reply.status, reply.code().as_str()), (401, "unauthorized"));
        assert_eq!(reply.headers["www-authenticate"], "Bearer realm=\"chukta\"");
        answers.insert(reply.text);
    }
    assert_eq!(answers.len(), 1);
    let query = shop.bare(Ask::get(format!("/v1/payments?api_key={}", shop.key))).await;
    assert_eq!(query.status, 401);
    assert_eq!(shop.everything().await, before);
    // The scheme's case is free.
    let ask = Ask::get("/v1/payments").header("authorization", format!("bearer {}", shop.key));
    assert_eq!(shop.bare(ask).await.status, 200);
}

#[tokio::test]
async fn a_revoked_key_stops_at_once() {
    let shop = Shop::open().await;
    assert_eq!(shop.ask(Ask::get("/v1/payments")).await.status, 200);
    let mut conn = shop.base.pool.acquire().await.unwrap();
    let id: uuid::Uuid =
        sqlx::query_scalar("SELECT id FROM api_keys").fetch_one(&mut *conn).await.unwrap();
    let id = primitives::ApiKeyId::from_uuid(id);
    assert!(identity::revoke(&mut conn, shop.merchant, id, shop.base.now()).await.unwrap());
    assert_eq!(shop.ask(Ask::get("/v1/payments")).await.status, 401);
}

#[tokio::test]
async fn each_route_wants_its_own_scope() {
    let shop = Shop::open().await;
    let id = shop.payment("a").await["id"].as_str().unwrap().to_owned();
    let eth = json!({ "network": "anvil", "asset": "ETH" });
    let place = json!({ "vpa": "ravi@okaxis", "name": "Ravi" });
    let hook = json!({ "url": null });
    let asks = || {
        [
            (Scope::PaymentsWrite, Ask::post("/v1/payments", &order("scoped"))),
            (Scope::PaymentsRead, Ask::get("/v1/payments")),
            (Scope::PaymentsRead, Ask::get(format!("/v1/payments/{id}"))),
            (Scope::PaymentsRead, Ask::get(format!("/v1/payments/{id}/explain"))),
            (Scope::PaymentsRead, Ask::get(format!("/v1/payments/{id}/events"))),
            (Scope::PaymentsWrite, Ask::post(format!("/v1/payments/{id}/quotes"), &eth)),
            (Scope::PaymentsWrite, Ask::post(format!("/v1/payments/{id}/cancel"), &json!({}))),
            (Scope::RatesRead, Ask::get("/v1/rates")),
            (Scope::DestinationsRead, Ask::get("/v1/payout_destinations")),
            (Scope::DestinationsWrite, Ask::post("/v1/payout_destinations", &place)),
            (
                Scope::WebhooksWrite,
                Ask::get("/v1/webhook_endpoint").method(reqwest::Method::PUT).json(&hook),
            ),
        ]
    };
    for missing in Scope::ALL {
        let others: Vec<_> = Scope::ALL.into_iter().filter(|scope| *scope != missing).collect();
        let key = shop.key_of(shop.merchant, &others).await;
        for (_, ask) in asks().into_iter().filter(|(scope, _)| *scope == missing) {
            let what = format!("{} {}", ask.method, ask.path);
            let reply = shop.ask(ask.by(&key)).await;
            assert_eq!((reply.status, reply.code().as_str()), (403, "scope_missing"), "{what}");
            assert!(reply.text.contains(missing.name()), "{what}: {}", reply.text);
        }
    }
    // And with every scope but one, the others' routes still answer.
    let key = shop.key_of(shop.merchant, &[Scope::RatesRead]).await;
    assert_eq!(shop.ask(Ask::get("/v1/rates").by(&key)).await.status, 200);
}
