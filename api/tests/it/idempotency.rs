//! The same key and body is one effect and one answer, however often and however much at once; the
//! same key with another body is refused; a failure of ours is never an answer.

use primitives::Vpa;
use serde_json::{Value, json};

use crate::shop::{Ask, Shop, order};

#[tokio::test]
async fn the_same_request_gets_the_stored_answer() {
    let shop = Shop::open().await;
    let first = shop.ask(Ask::post("/v1/payments", &order("a")).idempotent("k-1")).await;
    assert_eq!(first.status, 201, "{}", first.text);
    assert!(!first.replayed());
    let before = shop.everything().await;
    let again = shop.ask(Ask::post("/v1/payments", &order("a")).idempotent("k-1")).await;
    assert_eq!((again.status, again.replayed()), (201, true));
    assert_eq!(again.text, first.text);
    // The order of members and spaces make no difference to what was asked.
    let other_order = r#"{ "reference":"a", "metadata":{"till":"3"},
        "amount":{"asset":"INR","amount_minor":"149900"} }"#;
    let ask = Ask::post("/v1/payments", &json!({})).raw(other_order).idempotent("k-1");
    let spaced = shop.ask(ask).await;
    assert_eq!((spaced.text.as_str(), spaced.replayed()), (first.text.as_str(), true));

    // And it reads as the payment does when it is shown.
    let path = format!("/v1/payments/{}", first.json()["id"].as_str().unwrap());
    assert_eq!(shop.ask(Ask::get(path)).await.json(), first.json());

    let other = shop.ask(Ask::post("/v1/payments", &order("b")).idempotent("k-1")).await;
    assert_eq!((other.status, other.code().as_str()), (409, "idempotency_key_reused"));
    assert_eq!(shop.everything().await, before);
}

#[tokio::test]
async fn twenty_at_once_are_one_payment() {
    let shop = Shop::open().await;
    let body = order("at once");
    let asks = (0..20).map(|_| shop.ask(Ask::post("/v1/payments", &body).idempotent("one")));
    let replies = futures::future::join_all(asks).await;
    let texts: std::collections::BTreeSet<_> = replies.iter().map(|r| r.text.clone()).collect();
    assert!(replies.iter().all(|reply| reply.status == 201), "{texts:?}");
    assert_eq!(texts.len(), 1);
    assert_eq!(replies.iter().filter(|reply| !reply.replayed()).count(), 1);
    assert_eq!(shop.count("payments").await, 1);
    assert_eq!(shop.count("idempotency_keys").await, 1);
}

#[tokio::test]
async fn a_key_belongs_to_a_merchant_and_a_route() {
    let shop = Shop::open().await;
    let (_, stranger) = shop.merchant(&identity::Scope::ALL).await;
    let mine = shop.ask(Ask::post("/v1/payments", &order("a")).idempotent("k")).await;
    let ask = Ask::post("/v1/payments", &order("a")).idempotent("k").by(&stranger);
    let theirs = shop.ask(ask).await;
    assert_eq!((theirs.status, theirs.replayed()), (201, false));
    assert_ne!(theirs.json()["id"], mine.json()["id"]);

    let place = json!({ "vpa": "ravi.two@okaxis", "name": "Ravi Two" });
    let other_route = shop.ask(Ask::post("/v1/payout_destinations", &place).idempotent("k")).await;
    assert_eq!((other_route.status, other_route.replayed()), (201, false));
    let again = shop.ask(Ask::post("/v1/payout_destinations", &place).idempotent("k")).await;
    assert_eq!((again.text.as_str(), again.replayed()), (other_route.text.as_str(), true));

    // The id in the path is part of what was asked.
    let id = |made: &Value| made["id"].as_str().unwrap().to_owned();
    let (one, two) = (id(&mine.json()), id(&shop.payment("b").await));
    let cancel =
        |id: &str| Ask::get(format!("/v1/payments/{id}/cancel")).method("POST".parse().unwrap());
    let ended = shop.ask(cancel(&one).idempotent("c")).await;
    assert_eq!((ended.status, ended.json()["state"].as_str()), (200, Some("cancelled")));
    let reused = shop.ask(cancel(&two).idempotent("c")).await;
    assert_eq!((reused.status, reused.code().as_str()), (409, "idempotency_key_reused"));
    let replay = shop.ask(cancel(&one).idempotent("c")).await;
    assert_eq!((replay.text.as_str(), replay.replayed()), (ended.text.as_str(), true));
}

#[tokio::test]
async fn a_refusal_spends_no_key() {
    let shop = Shop::open().await;
    // A merchant without a destination is refused; once there is one, the same request works.
    let mut conn = shop.base.pool.acquire().await.unwrap();
    let entropy = &shop.base.entropy;
    let now = shop.base.now();
    let poor = identity::create_merchant_in(&mut conn, entropy, now, "New Shop").await.unwrap();
    drop(conn);
    let key = shop.key_of(poor, &identity::Scope::ALL).await;
    let ask = || Ask::post("/v1/payments", &order("a")).idempotent("k").by(&key);
    let before = shop.everything().await;
    let refused = shop.ask(ask()).await;
    assert_eq!((refused.status, refused.code().as_str()), (409, "destination_missing"));
    assert_eq!(shop.everything().await, before);
    let mut conn = shop.base.pool.acquire().await.unwrap();
    let vpa = Vpa::parse("new@okaxis").unwrap();
    settlement::destination::set_in(&mut conn, &shop.base, poor, &vpa, "New Shop").await.unwrap();
    drop(conn);
    let made = shop.ask(ask()).await;
    assert_eq!((made.status, made.replayed()), (201, false), "{}", made.text);
    assert!(shop.ask(ask()).await.replayed());
}

#[tokio::test]
async fn a_failure_of_ours_is_not_stored_and_leaves_nothing() {
    let shop = Shop::open().await;
    // The effect is done and the storing of its answer fails: neither may be there afterwards.
    sqlx::query("ALTER TABLE idempotency_keys ADD CONSTRAINT broken CHECK (key <> 'k')")
        .execute(&shop.db.owner)
        .await
        .unwrap();
    let before = shop.everything().await;
    let ask = || Ask::post("/v1/payments", &order("a")).idempotent("k");
    let failed = shop.ask(ask()).await;
    assert_eq!((failed.status, failed.code().as_str()), (500, "internal"));
    for inner in ["constraint", "idempotency_keys", "sql"] {
        assert!(!failed.text.to_lowercase().contains(inner), "{}", failed.text);
    }
    assert_eq!(shop.everything().await, before);
    sqlx::query("ALTER TABLE idempotency_keys DROP CONSTRAINT broken")
        .execute(&shop.db.owner)
        .await
        .unwrap();
    let made = shop.ask(ask()).await;
    assert_eq!((made.status, made.replayed()), (201, false));
}

#[tokio::test]
async fn stored_answers_can_be_neither_changed_nor_deleted() {
    let shop = Shop::open().await;
    shop.ask(Ask::post("/v1/payments", &order("a")).idempotent("k")).await;
    for forbidden in ["DELETE FROM idempotency_keys", "UPDATE idempotency_keys SET body = '{}'"] {
        let refused = sqlx::query(forbidden).execute(&shop.db.app).await.unwrap_err();
        assert_eq!(refused.as_database_error().unwrap().code().unwrap(), "42501", "{forbidden}");
    }
}
