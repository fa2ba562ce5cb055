//! The merchant's endpoint: what it keeps, how it verifies, how it misbehaves on request.

use std::sync::Arc;

use axum::Router;
use axum::body::{Body, to_bytes};
use axum::http::{Request, Response, StatusCode};
use chrono::TimeDelta;
use primitives::{Clock, ManualClock, SystemClock};
use serde_json::{Value, json};
use simulators::merchant::{self, sign};
use simulators::{Options, World};
use tower::ServiceExt;

const SECRET: &str = "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw";
const BODY: &str = r#"{"type":"payment.settled","data":{"payment_id":"pay_1"}}"#;

struct Shop {
    clock: ManualClock,
    world: Arc<World>,
    hooks: Router,
    control: Router,
}

impl Shop {
    fn new() -> Self {
        let clock = ManualClock::new(SystemClock.now());
        let world = World::new(&Options::new(Arc::new(clock.clone()))).unwrap();
        let (hooks, inbox) = merchant::router(Arc::clone(&world));
        Self { clock, world, hooks, control: merchant::control_router(inbox) }
    }

    async fn send(&self, path: &str, headers: &[(&str, String)], body: &str) -> Response<Body> {
        let mut request = Request::post(path);
        for (name, value) in headers {
            request = request.header(*name, value);
        }
        self.hooks
            .clone()
            .oneshot(request.body(Body::from(body.to_owned())).unwrap())
            .await
            .unwrap()
    }

    fn signed(&self, id: &str, secrets: &[&str]) -> Vec<(&'static str, String)> {
        let timestamp = self.clock.now().timestamp().to_string();
        let signatures: Vec<String> = secrets
            .iter()
            .map(|secret| sign(secret, id, &timestamp, BODY.as_bytes()).unwrap())
            .collect();
        vec![
            ("webhook-id", id.to_owned()),
            ("webhook-timestamp", timestamp),
            ("webhook-signature", signatures.join(" ")),
        ]
    }

    async fn control(&self, method: &str, path: &str, body: Value) -> (StatusCode, Value) {
        let request = Request::builder()
            .method(method)
            .uri(path)
            .header("content-type", "application/json")
            .body(Body::from(body.to_string()))
            .unwrap();
        let response = self.control.clone().oneshot(request).await.unwrap();
        let status = response.status();
        let bytes = to_bytes(response.into_body(), 1 << 20).await.unwrap();
        (status, serde_json::from_slice(&bytes).unwrap_or(Value::Null))
    }

    async fn received(&self) -> Vec<Value> {
        let (_, view) = self.control("GET", "/received", json!({})).await;
        view["received"].as_array().unwrap().clone()
    }
}

#[tokio::test]
async fn everything_is_kept_as_it_came() {
    let shop = Shop::new();
    let response = shop.send("/hooks/shop-1", &[("x-any", "thing".to_owned())], BODY).await;
    assert_eq!(response.status(), StatusCode::OK);
    shop.send("/hooks/shop/two/deep", &[], "not json").await;
    let rows = shop.received().await;
    assert_eq!(rows.len(), 2);
    assert_eq!((&rows[0]["body"], &rows[0]["path"]), (&json!(BODY), &json!("/hooks/shop-1")));
    assert_eq!(rows[0]["headers"]["x-any"], "thing");
    assert_eq!(rows[0]["json"]["data"]["payment_id"], "pay_1");
    assert_eq!((&rows[0]["verified"], &rows[0]["answered"]), (&Value::Null, &json!(200)));
    assert_eq!((&rows[1]["body"], &rows[1]["json"]), (&json!("not json"), &Value::Null));
    let (_, later) = shop.control("GET", "/received?after=1", json!({})).await;
    assert_eq!((&later["count"], &later["received"][0]["sequence"]), (&json!(1), &json!(2)));
    let (_, one) = shop.control("GET", "/received?path=hooks/shop-1", json!({})).await;
    assert_eq!(one["count"], 1);
    assert_eq!(shop.world.journal.entries("merchant", 0, 10).len(), 2);
}

#[tokio::test]
async fn signatures_are_verified_per_path() {
    let shop = Shop::new();
    let path = "/hooks/shop-1";
    let register = json!({"path": path, "secret": SECRET});
    assert_eq!(shop.control("POST", "/secrets", register).await.0, StatusCode::OK);
    let other = "whsec_AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA";
    shop.send(path, &shop.signed("msg_1", &[SECRET]), BODY).await;
    shop.send(path, &shop.signed("msg_1", &[other, SECRET]), BODY).await;
    shop.send(path, &shop.signed("msg_2", &[other]), BODY).await;
    shop.send(path, &shop.signed("msg_3", &[SECRET]), "{}").await;
    shop.send(path, &shop.signed("msg_4", &[SECRET])[..2], BODY).await;
    let stale = shop.signed("msg_5", &[SECRET]);
    shop.clock.advance(TimeDelta::seconds(301));
    shop.send(path, &stale, BODY).await;
    shop.send("/hooks/shop-2", &shop.signed("msg_6", &[SECRET]), BODY).await;
    let rows = shop.received().await;
    let verified: Vec<&Value> = rows.iter().map(|row| &row["verified"]).collect();
    assert_eq!(
        verified,
        [
            &json!(true),
            &json!(true),
            &json!(false),
            &json!(false),
            &json!(false),
            &json!(false),
            &Value::Null
        ]
    );
    assert_eq!((&rows[0]["repeated"], &rows[1]["repeated"]), (&json!(false), &json!(true)));
    assert_eq!(rows[2]["problem"], "no signature matches");
    assert_eq!(rows[4]["problem"], "a webhook header is missing");
    // A second secret is accepted beside the first, until it replaces it.
    shop.control("POST", "/secrets", json!({"path": path, "secret": other})).await;
    shop.send(path, &shop.signed("msg_7", &[other]), BODY).await;
    shop.send(path, &shop.signed("msg_8", &[SECRET]), BODY).await;
    let only = json!({"path": path, "secret": other, "replace": true});
    shop.control("POST", "/secrets", only).await;
    shop.send(path, &shop.signed("msg_9", &[SECRET]), BODY).await;
    let rows = shop.received().await;
    assert_eq!((&rows[7]["verified_with"], &rows[8]["verified"]), (&json!(1), &json!(true)));
    assert_eq!(rows[9]["verified"], false);
    let (status, _) =
        shop.control("POST", "/secrets", json!({"path": path, "secret": "whsec_!"})).await;
    assert_eq!(status, StatusCode::BAD_REQUEST);
}

#[tokio::test]
async fn answers_as_told() {
    let shop = Shop::new();
    let replies = json!({"replies": [
        {"status": 500, "times": 2},
        {"path": "/hooks/shop-1", "status": 410},
        {"status": 302, "location": "http://127.0.0.1:1/elsewhere"},
    ]});
    assert_eq!(shop.control("POST", "/replies", replies).await.0, StatusCode::OK);
    let mut statuses = Vec::new();
    for _ in 0..4 {
        statuses.push(shop.send("/hooks/shop-1", &[], BODY).await.status().as_u16());
    }
    assert_eq!(statuses, [410, 500, 500, 302]);
    assert_eq!(shop.send("/hooks/shop-1", &[], BODY).await.status(), StatusCode::OK);
    let redirect = json!({"replies": [{"status": 307, "location": "http://127.0.0.1:1/x"}]});
    shop.control("POST", "/replies", redirect).await;
    let response = shop.send("/hooks/shop-1", &[], BODY).await;
    assert_eq!(response.headers()["location"], "http://127.0.0.1:1/x");
    let slow = json!({"replies": [{"status": 200, "delay_ms": 30}]});
    shop.control("POST", "/replies", slow).await;
    let asked = std::time::Instant::now();
    shop.send("/hooks/shop-1", &[], BODY).await;
    assert!(asked.elapsed().as_millis() >= 30);
    let (status, _) = shop.control("POST", "/replies", json!({"replies": [{"status": 99}]})).await;
    assert_eq!(status, StatusCode::BAD_REQUEST);
    shop.control("POST", "/replies", json!({"replies": [{"status": 500}]})).await;
    let (_, view) = shop.control("POST", "/replies", json!({"clear": true})).await;
    assert_eq!(view["replies"], json!([]));
    assert_eq!(shop.received().await.len(), 7);
}

#[tokio::test]
async fn shared_faults_strike_here_too() {
    let shop = Shop::new();
    let strike = |name: &str| {
        shop.world
            .faults
            .queue(simulators::fault::Fault::new("merchant", "receive", name))
            .unwrap();
    };
    strike("http_500_applied");
    let response = shop.send("/hooks/shop-1", &[], BODY).await;
    assert_eq!(response.status(), StatusCode::INTERNAL_SERVER_ERROR);
    strike("http_503");
    let response = shop.send("/hooks/shop-1", &[], BODY).await;
    assert_eq!(response.status(), StatusCode::SERVICE_UNAVAILABLE);
    strike("reject:410");
    assert_eq!(shop.send("/hooks/shop-1", &[], BODY).await.status(), StatusCode::GONE);
    assert_eq!(shop.received().await.len(), 1);
}

#[tokio::test]
async fn only_posts_of_bounded_size() {
    let shop = Shop::new();
    let request = Request::get("/hooks/shop-1").body(Body::empty()).unwrap();
    let response = shop.hooks.clone().oneshot(request).await.unwrap();
    assert_eq!(response.status(), StatusCode::METHOD_NOT_ALLOWED);
    let large = "x".repeat(256 * 1024 + 1);
    let response = shop.send("/hooks/shop-1", &[], &large).await;
    assert_eq!(response.status(), StatusCode::PAYLOAD_TOO_LARGE);
    assert!(shop.received().await.is_empty());
}
