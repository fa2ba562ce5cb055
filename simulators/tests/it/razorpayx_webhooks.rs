//! Webhooks of the bank: their bytes and signatures, and every way in which they misbehave.

use std::sync::Arc;

use axum::http::StatusCode;
use serde_json::{Value, json};
use simulators::razorpayx::{sign, spawn};

use crate::razorpayx_bench::{Bench, Listener, text};

async fn mode(bench: &Bench, mode: Value) {
    bench.controlled("/webhooks", json!({"mode": mode})).await;
}

async fn deliveries(bench: &Bench) -> Vec<Value> {
    let (_, view) = bench.control("GET", "/webhooks", json!({})).await;
    view["deliveries"].as_array().unwrap().clone()
}

#[tokio::test]
async fn the_events_of_an_ordinary_payout() {
    let bench = Bench::new();
    let listener = Listener::start(&bench).await;
    let payout = bench.pay("hook-1").await;
    bench.deliver().await;
    assert_eq!(listener.events(), ["payout.initiated", "transaction.created"]);
    bench.pass(400);
    bench.deliver().await;
    let events = listener.events();
    assert_eq!(&events[2..], ["payout.updated", "payout.processed"]);
    let secret = bench.bank.credentials().webhook_secret;
    let mut ids = std::collections::HashSet::new();
    for hook in listener.got() {
        assert_eq!(hook.signature, Some(sign(&secret, hook.body.as_bytes())));
        assert!(ids.insert(hook.event_id.clone()));
        let body = hook.json();
        assert_eq!(body["entity"], "event");
        assert!(text(&body, "account_id").starts_with("acc_"));
        assert!(body["created_at"].is_i64());
    }
    let last = listener.got()[3].json();
    assert_eq!(last["contains"], json!(["payout"]));
    let entity = &last["payload"]["payout"]["entity"];
    assert_eq!((&entity["id"], &entity["status"]), (&payout["id"], &json!("processed")));
    assert_eq!(entity["fund_account"]["vpa"]["address"], "shop@okbank");
    let debit = listener.got()[1].json();
    assert_eq!(debit["payload"]["transaction"]["entity"]["debit"], 245_590);
    assert!(deliveries(&bench).await.iter().all(|row| row["state"] == "delivered"));
}

#[tokio::test]
async fn an_event_for_every_state() {
    let bench = Bench::new();
    let listener = Listener::start(&bench).await;
    for (n, (outcome, expected)) in [
        ("queued_then_failed", vec!["payout.queued", "payout.failed"]),
        ("pending_then_rejected", vec!["payout.pending", "payout.rejected"]),
        (
            "reversed",
            vec![
                "payout.initiated",
                "transaction.created",
                "payout.reversed",
                "transaction.created",
            ],
        ),
        (
            "processed_late_utr",
            vec!["payout.initiated", "transaction.created", "payout.processed", "payout.updated"],
        ),
    ]
    .into_iter()
    .enumerate()
    {
        let before = listener.got().len();
        bench.controlled("/plan", json!({"outcomes": [outcome]})).await;
        bench.pay(&format!("state-{n}")).await;
        bench.pass(10_000);
        bench.deliver().await;
        assert_eq!(&listener.events()[before..], expected, "{outcome}");
    }
    bench.controlled("/webhooks/downtime", json!({"method": "IMPS", "bank": "HDFC"})).await;
    bench.deliver().await;
    assert_eq!(listener.events().last().unwrap(), "payout.downtime.started");
    let (status, _) = bench.control("POST", "/webhooks/downtime", json!({"method": "UPI"})).await;
    assert_eq!(status, StatusCode::BAD_REQUEST);
}

#[tokio::test]
async fn duplicates_are_the_same_bytes() {
    let bench = Bench::new();
    let listener = Listener::start(&bench).await;
    mode(&bench, json!({"duplicate": 2})).await;
    bench.pay("dup-1").await;
    bench.deliver().await;
    let got = listener.got();
    assert_eq!(got.len(), 6);
    let initiated: Vec<_> = got.iter().filter(|hook| hook.event() == "payout.initiated").collect();
    assert_eq!(initiated.len(), 3);
    assert!(
        initiated.iter().all(|hook| {
            hook.event_id == initiated[0].event_id && hook.body == initiated[0].body
        })
    );
}

#[tokio::test]
async fn reordered_events_come_newest_first() {
    let bench = Bench::new();
    let listener = Listener::start(&bench).await;
    mode(&bench, json!({"reorder": true})).await;
    bench.pay("order-1").await;
    bench.pass(400);
    bench.deliver().await;
    assert!(listener.got().is_empty());
    bench.pass(600);
    bench.deliver().await;
    assert_eq!(
        listener.events(),
        ["payout.processed", "payout.updated", "transaction.created", "payout.initiated"]
    );
}

#[tokio::test]
async fn delayed_dropped_and_sent_again() {
    let bench = Bench::new();
    let listener = Listener::start(&bench).await;
    mode(&bench, json!({"delay_ms": 5_000})).await;
    bench.pay("delay-1").await;
    bench.pass(4_999);
    bench.deliver().await;
    assert!(listener.got().is_empty());
    bench.pass(1);
    bench.deliver().await;
    assert_eq!(listener.events(), ["payout.initiated", "transaction.created"]);

    let bench = Bench::new();
    let listener = Listener::start(&bench).await;
    mode(&bench, json!({"drop": true})).await;
    bench.pay("drop-1").await;
    bench.pass(400);
    bench.deliver().await;
    assert!(listener.got().is_empty());
    assert!(deliveries(&bench).await.iter().all(|row| row["state"] == "dropped"));
    mode(&bench, json!({})).await;
    assert_eq!(bench.controlled("/webhooks/replay", json!({})).await["events"], 4);
    bench.deliver().await;
    assert_eq!(listener.got().len(), 4);
    let event_id = listener.got()[0].event_id.clone();
    bench.controlled("/webhooks/replay", json!({"event_id": event_id})).await;
    bench.deliver().await;
    assert_eq!(listener.got()[4].body, listener.got()[0].body);
}

#[tokio::test]
async fn failures_are_retried_with_growing_pauses_and_given_up() {
    let bench = Bench::new();
    let listener = Listener::start(&bench).await;
    bench.controlled("/plan", json!({"default": "pending"})).await;
    mode(&bench, json!({"attempts_max": 3, "retry_ms": 1_000})).await;
    listener.answer(&[500, 302, 410]);
    bench.pay("retry-1").await;
    for (ms, attempts) in [(0, 1), (999, 1), (1, 2), (1_999, 2), (1, 3), (3_600_000, 3)] {
        bench.pass(ms);
        bench.deliver().await;
        assert_eq!(listener.got().len(), attempts);
    }
    let row = &deliveries(&bench).await[0];
    assert_eq!(row["state"], "gave_up");
    let statuses: Vec<&Value> =
        row["attempts"].as_array().unwrap().iter().map(|attempt| &attempt["status"]).collect();
    assert_eq!(statuses, [500, 302, 410]);

    listener.answer(&[503]);
    bench.pay("retry-2").await;
    bench.deliver().await;
    bench.pass(1_000);
    bench.deliver().await;
    let rows = deliveries(&bench).await;
    assert_eq!(rows[1]["state"], "delivered");
    assert_eq!(rows[1]["attempts"].as_array().unwrap().len(), 2);
}

#[tokio::test]
async fn rotation_and_forgery() {
    let bench = Bench::new();
    let listener = Listener::start(&bench).await;
    bench.controlled("/plan", json!({"default": "pending"})).await;
    let first = bench.bank.credentials().webhook_secret;
    listener.answer(&[500]);
    bench.pay("rotate-1").await;
    bench.deliver().await;
    bench.controlled("/webhooks", json!({"secrets": ["the new one", first.clone()]})).await;
    bench.pass(500);
    bench.deliver().await;
    bench.pay("rotate-2").await;
    bench.deliver().await;
    for (n, signing) in ["old", "wrong", "missing"].into_iter().enumerate() {
        mode(&bench, json!({"signature": signing})).await;
        bench.pay(&format!("forge-{n}")).await;
        bench.deliver().await;
    }
    let got = listener.got();
    let made = |place: usize, secret: &str| {
        got[place].signature.clone() == Some(sign(secret, got[place].body.as_bytes()))
    };
    assert!(made(0, &first) && made(1, &first), "a retry keeps the old secret");
    assert!(made(2, "the new one"));
    assert!(made(3, &first));
    assert!(!made(4, &first) && !made(4, "the new one"));
    assert_eq!(got[5].signature, None);
    for wrong in [json!({"secrets": []}), json!({"url": "ftp://x"}), json!({"mode": {"x": 1}})] {
        let (status, _) = bench.control("POST", "/webhooks", wrong).await;
        assert!(status.is_client_error());
    }
}

#[tokio::test]
async fn a_webhook_can_come_before_the_reply() {
    let bench = Bench::new();
    let listener = Listener::start(&bench).await;
    let running = spawn(Arc::clone(&bench.bank));
    bench.controlled("/plan", json!({"delays": {"processing_ms": 0}})).await;
    mode(&bench, json!({"before_reply": true})).await;
    for n in 0..5 {
        bench.pay(&format!("before-{n}")).await;
        assert_eq!(listener.got().len(), 4 * (n + 1));
    }
    running.abort();
}

#[tokio::test]
async fn a_dead_target_holds_nobody_up() {
    let bench = Bench::new();
    let socket = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = format!("http://{}/never", socket.local_addr().unwrap());
    bench.controlled("/webhooks", json!({"url": url, "mode": {"timeout_ms": 50}})).await;
    let running = spawn(Arc::clone(&bench.bank));
    let paying = async {
        for n in 0..50 {
            bench.pay(&format!("dead-{n}")).await;
        }
    };
    tokio::time::timeout(std::time::Duration::from_secs(20), paying).await.unwrap();
    let tried = async {
        while deliveries(&bench).await[0]["attempts"] == json!([]) {
            tokio::time::sleep(std::time::Duration::from_millis(10)).await;
        }
    };
    tokio::time::timeout(std::time::Duration::from_secs(20), tried).await.unwrap();
    assert_eq!(deliveries(&bench).await[0]["attempts"][0]["error"], "no answer in time");
    running.abort();
}

#[tokio::test]
async fn without_a_target_events_are_kept() {
    let bench = Bench::new();
    bench.pay("kept-1").await;
    bench.deliver().await;
    assert!(deliveries(&bench).await.iter().all(|row| row["state"] == "no_target"));
    let listener = Listener::start(&bench).await;
    bench.controlled("/webhooks/replay", json!({})).await;
    bench.deliver().await;
    assert_eq!(listener.got().len(), 2);
}
