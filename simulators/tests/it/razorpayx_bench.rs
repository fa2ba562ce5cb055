//! A bank on a manual clock, called without a network; webhooks go to a listener of the test.

use std::collections::VecDeque;
use std::sync::{Arc, Mutex};

use axum::Router;
use axum::body::{Body, Bytes, to_bytes};
use axum::extract::State;
use axum::http::{HeaderMap, Request, StatusCode};
use axum::routing::post;
use base64::Engine;
use chrono::{TimeDelta, Utc};
use primitives::{Clock, ManualClock, SystemClock};
use serde_json::{Value, json};
use simulators::razorpayx::{self, ACCOUNT_NUMBER, Bank};
use simulators::{Options, World};
use tower::ServiceExt;

pub(crate) struct Bench {
    pub(crate) clock: ManualClock,
    pub(crate) world: Arc<World>,
    pub(crate) bank: Arc<Bank>,
    pub(crate) api: Router,
    control: Router,
}

impl Bench {
    pub(crate) fn new() -> Self {
        let clock = ManualClock::new(SystemClock.now());
        let world = World::new(&Options::new(Arc::new(clock.clone()))).unwrap();
        let (api, bank) = razorpayx::router(Arc::clone(&world));
        let control = razorpayx::control_router(Arc::clone(&bank));
        Self { clock, world, bank, api, control }
    }

    pub(crate) fn pass(&self, ms: i64) {
        self.clock.advance(TimeDelta::milliseconds(ms));
    }

    pub(crate) fn authorization(&self) -> String {
        let keys = self.bank.credentials();
        let pair = format!("{}:{}", keys.key_id, keys.key_secret);
        format!("Basic {}", base64::engine::general_purpose::STANDARD.encode(pair))
    }

    pub(crate) async fn send(&self, request: Request<Body>) -> (StatusCode, Value) {
        answer(self.api.clone(), request).await
    }

    async fn call(&self, method: &str, path: &str, body: &Value) -> (StatusCode, Value) {
        let request = Request::builder()
            .method(method)
            .uri(path)
            .header("authorization", self.authorization())
            .header("content-type", "application/json");
        let body = if body.is_null() { Body::empty() } else { Body::from(body.to_string()) };
        self.send(request.body(body).unwrap()).await
    }

    pub(crate) async fn get(&self, path: &str) -> (StatusCode, Value) {
        self.call("GET", path, &Value::Null).await
    }

    /// The entity, where nothing but success is expected.
    pub(crate) async fn got(&self, path: &str) -> Value {
        let (status, entity) = self.get(path).await;
        assert_eq!(status, StatusCode::OK, "{path}: {entity}");
        entity
    }

    pub(crate) async fn post(&self, path: &str, body: Value) -> (StatusCode, Value) {
        self.call("POST", path, &body).await
    }

    pub(crate) async fn posted(&self, path: &str, body: Value) -> Value {
        let (status, entity) = self.post(path, body).await;
        assert_eq!(status, StatusCode::OK, "{path}: {entity}");
        entity
    }

    pub(crate) async fn patch(&self, path: &str, body: Value) -> (StatusCode, Value) {
        self.call("PATCH", path, &body).await
    }

    pub(crate) async fn control(
        &self,
        method: &str,
        path: &str,
        body: Value,
    ) -> (StatusCode, Value) {
        let request = Request::builder()
            .method(method)
            .uri(path)
            .header("content-type", "application/json")
            .body(Body::from(body.to_string()))
            .unwrap();
        answer(self.control.clone(), request).await
    }

    pub(crate) async fn controlled(&self, path: &str, body: Value) -> Value {
        let (status, answer) = self.control("POST", path, body).await;
        assert_eq!(status, StatusCode::OK, "{path}: {answer}");
        answer
    }

    /// The first of the fault's strikes hits the next call.
    pub(crate) fn fault(&self, operation: &str, name: &str) {
        let mut fault = simulators::fault::Fault::new("razorpayx", operation, name);
        fault.delay_ms = Some(1);
        self.world.faults.queue(fault).unwrap();
    }

    pub(crate) async fn contact(&self, name: &str) -> String {
        let body = json!({"name": name, "type": "vendor"});
        text(&self.posted("/v1/contacts", body).await, "id")
    }

    /// A fund account for the VPA.
    pub(crate) async fn vpa(&self, address: &str) -> String {
        let contact_id = self.contact("Chai Corner").await;
        let body = json!({
            "contact_id": contact_id, "account_type": "vpa", "vpa": {"address": address},
        });
        text(&self.posted("/v1/fund_accounts", body).await, "id")
    }

    pub(crate) async fn pay_with(&self, key: &str, body: &Value) -> (StatusCode, Value) {
        let request = Request::builder()
            .method("POST")
            .uri("/v1/payouts")
            .header("authorization", self.authorization())
            .header("content-type", "application/json")
            .header("X-Payout-Idempotency", key);
        self.send(request.body(Body::from(body.to_string())).unwrap()).await
    }

    /// A payout of ₹ 2,450.00 to `shop@okbank`, its key also being its reference.
    pub(crate) async fn pay(&self, key: &str) -> Value {
        let body = self.order(key).await;
        let (status, payout) = self.pay_with(key, &body).await;
        assert_eq!(status, StatusCode::OK, "{payout}");
        payout
    }

    pub(crate) async fn order(&self, reference: &str) -> Value {
        json!({
            "account_number": ACCOUNT_NUMBER,
            "fund_account_id": self.vpa("shop@okbank").await,
            "amount": 245_000,
            "currency": "INR",
            "mode": "UPI",
            "purpose": "payout",
            "reference_id": reference,
        })
    }

    pub(crate) async fn payout(&self, id: &str) -> Value {
        self.got(&format!("/v1/payouts/{id}")).await
    }

    /// Sends what is due by the clock, and waits for it.
    pub(crate) async fn deliver(&self) {
        self.bank.deliver_due().await;
    }

    pub(crate) async fn books(&self) -> Value {
        let (_, books) = self.control("GET", "/books", json!({})).await;
        books
    }
}

async fn answer(router: Router, request: Request<Body>) -> (StatusCode, Value) {
    let response = router.oneshot(request).await.unwrap();
    let status = response.status();
    let bytes = to_bytes(response.into_body(), 1 << 20).await.unwrap_or_default();
    (status, serde_json::from_slice(&bytes).unwrap_or(Value::Null))
}

pub(crate) fn text(value: &Value, field: &str) -> String {
    value[field].as_str().unwrap_or_else(|| panic!("{field} of {value}")).to_owned()
}

/// What the listener got: event id, signature, body as bytes.
#[derive(Debug, Clone)]
pub(crate) struct Hook {
    pub(crate) event_id: String,
    pub(crate) signature: Option<String>,
    pub(crate) body: String,
}

impl Hook {
    pub(crate) fn json(&self) -> Value {
        serde_json::from_str(&self.body).unwrap()
    }

    pub(crate) fn event(&self) -> String {
        text(&self.json(), "event")
    }
}

/// An endpoint that answers as told, 200 when nothing was told.
#[derive(Clone, Default)]
pub(crate) struct Listener {
    got: Arc<Mutex<Vec<Hook>>>,
    answers: Arc<Mutex<VecDeque<u16>>>,
}

impl Listener {
    /// Listening, and the bank's target.
    pub(crate) async fn start(bench: &Bench) -> Self {
        let listener = Self::default();
        let router = Router::new().route("/in/razorpayx", post(take)).with_state(listener.clone());
        let socket = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
        let url = format!("http://{}/in/razorpayx", socket.local_addr().unwrap());
        tokio::spawn(async move { axum::serve(socket, router).await.unwrap() });
        bench.controlled("/webhooks", json!({"url": url})).await;
        listener
    }

    pub(crate) fn answer(&self, statuses: &[u16]) {
        self.answers.lock().unwrap().extend(statuses);
    }

    pub(crate) fn got(&self) -> Vec<Hook> {
        self.got.lock().unwrap().clone()
    }

    pub(crate) fn events(&self) -> Vec<String> {
        self.got().iter().map(Hook::event).collect()
    }
}

async fn take(State(listener): State<Listener>, headers: HeaderMap, body: Bytes) -> StatusCode {
    let header = |name: &str| headers.get(name).map(|value| value.to_str().unwrap().to_owned());
    let hook = Hook {
        event_id: header("x-razorpay-event-id").unwrap(),
        signature: header("x-razorpay-signature"),
        body: String::from_utf8(body.to_vec()).unwrap(),
    };
    listener.got.lock().unwrap().push(hook);
    let answer = listener.answers.lock().unwrap().pop_front().unwrap_or(200);
    StatusCode::from_u16(answer).unwrap()
}

/// Now, in the vendor's seconds.
pub(crate) fn epoch() -> i64 {
    let now: chrono::DateTime<Utc> = SystemClock.now();
    now.timestamp()
}
