//! The diagram of states, the outcomes that can be planned, transitions by hand, and the money and
//! books behind each.

use axum::http::StatusCode;
use serde_json::{Value, json};
use simulators::razorpayx::Status;

use crate::razorpayx_bench::{Bench, text};

const OPENING: i64 = 500_000_000;
const COST: i64 = 245_000 + 590;

/// The vendor's diagram, written down a second time.
#[test]
fn every_arrow_and_no_other() {
    use Status::{
        Cancelled, Failed, Pending, Processed, Processing, Queued, Rejected, Reversed, Scheduled,
    };
    let arrows = [
        (Pending, Rejected),
        (Pending, Queued),
        (Pending, Scheduled),
        (Pending, Processing),
        (Queued, Processing),
        (Queued, Cancelled),
        (Queued, Failed),
        (Scheduled, Processing),
        (Scheduled, Cancelled),
        (Scheduled, Failed),
        (Processing, Processed),
        (Processing, Reversed),
        (Processing, Failed),
        (Processed, Reversed),
        (Failed, Reversed),
        (Reversed, Failed),
    ];
    for from in Status::ALL {
        assert_eq!(Status::parse(from.as_str()), Some(from));
        for to in Status::ALL {
            assert_eq!(from.may_become(to), arrows.contains(&(from, to)), "{from:?} {to:?}");
        }
    }
}

async fn history(bench: &Bench, id: &str) -> Vec<String> {
    let (_, view) = bench.control("GET", "/payouts", json!({})).await;
    let rows = view["payouts"].as_array().unwrap();
    let row = rows.iter().find(|row| row["payout"]["id"] == id).unwrap();
    row["history"].as_array().unwrap().iter().map(|step| text(step, "status")).collect()
}

/// Outcome, the states it goes through, the last reason, what it costs in the end.
const LIVES: [(&str, &str, &str, i64); 15] = [
    ("processed", "processing processed", "payout_processed", COST),
    ("failed", "processing failed", "beneficiary_bank_failure", 0),
    ("failed:beneficiary_bank_offline", "processing failed", "beneficiary_bank_offline", 0),
    ("reversed:bank_account_closed", "processing reversed", "bank_account_closed", 0),
    ("reversed_after_processed", "processing processed reversed", "beneficiary_bank_rejected", 0),
    ("failed_then_reversed", "processing failed reversed", "beneficiary_bank_rejected", 0),
    ("reversed_then_failed", "processing reversed failed", "beneficiary_bank_rejected", 0),
    ("stuck_processing", "processing", "beneficiary_bank_confirmation_pending", COST),
    ("queued", "queued", "beneficiary_bank_down", 0),
    (
        "queued_then_processed:gateway_degraded",
        "queued processing processed",
        "payout_processed",
        COST,
    ),
    ("queued_then_failed", "queued failed", "beneficiary_bank_offline", 0),
    ("pending", "pending", "pending_approval", 0),
    ("pending_then_processed", "pending processing processed", "payout_processed", COST),
    ("pending_then_rejected", "pending rejected", "", 0),
    ("scheduled_then_processed", "scheduled processing processed", "payout_processed", COST),
];

#[tokio::test]
async fn planned_outcomes_and_their_money() {
    let bench = Bench::new();
    for (n, (outcome, states, reason, spent)) in LIVES.into_iter().enumerate() {
        let path: Vec<&str> = states.split(' ').collect();
        let before = bench.bank.balance_paise();
        bench.controlled("/plan", json!({"outcomes": [outcome]})).await;
        let payout = bench.pay(&format!("plan-{n}")).await;
        let id = text(&payout, "id");
        assert_eq!(payout["status"], path[0], "{outcome}");
        bench.pass(10_000);
        let end = bench.payout(&id).await;
        assert_eq!(history(&bench, &id).await, path, "{outcome}");
        let last = *path.last().unwrap();
        assert_eq!(end["status"], last, "{outcome}");
        let given = end["status_details"]["reason"].as_str().unwrap_or_default();
        assert_eq!(given, reason, "{outcome}");
        assert_eq!(before - bench.bank.balance_paise(), spent, "{outcome}");
        let ended_badly = ["failed", "reversed"].contains(&last);
        assert_eq!(end["failure_reason"].is_string(), ended_badly, "{outcome}");
        assert_eq!(end["error"]["reason"].is_string(), ended_badly, "{outcome}");
        assert_eq!(end["utr"].is_string(), path.contains(&"processed"), "{outcome}");
    }
}

#[tokio::test]
async fn a_failure_can_hold_the_money_until_its_reversal() {
    let bench = Bench::new();
    bench.controlled("/plan", json!({"outcomes": ["failed_then_reversed"]})).await;
    let id = text(&bench.pay("held-1").await, "id");
    bench.pass(400);
    assert_eq!(bench.payout(&id).await["status"], "failed");
    assert_eq!(bench.bank.balance_paise(), OPENING - COST);
    bench.pass(400);
    assert_eq!(bench.payout(&id).await["status"], "reversed");
    assert_eq!(bench.bank.balance_paise(), OPENING);
}

#[tokio::test]
async fn a_late_utr() {
    let bench = Bench::new();
    bench.controlled("/plan", json!({"outcomes": ["processed_late_utr"]})).await;
    let id = text(&bench.pay("late-utr").await, "id");
    bench.pass(400);
    let paid = bench.payout(&id).await;
    assert_eq!((&paid["status"], &paid["utr"]), (&json!("processed"), &Value::Null));
    bench.pass(400);
    assert_eq!(text(&bench.payout(&id).await, "utr").len(), 12);
}

#[tokio::test]
async fn a_plan_may_name_the_payee_or_the_reference() {
    let bench = Bench::new();
    let plan = json!({"vpa": "Shop@okbank", "outcomes": ["failed:beneficiary_vpa_invalid"]});
    bench.controlled("/plan", plan).await;
    bench.controlled("/plan", json!({"reference_id": "ref-2", "outcomes": ["reversed"]})).await;
    bench.controlled("/plan", json!({"outcomes": ["queued"]})).await;
    bench.controlled("/plan", json!({"default": "stuck_processing"})).await;
    let mut ids = Vec::new();
    for key in ["ref-1", "ref-2", "ref-3", "ref-4"] {
        ids.push(text(&bench.pay(key).await, "id"));
    }
    bench.pass(10_000);
    let mut ends = Vec::new();
    for id in &ids {
        ends.push(text(&bench.payout(id).await, "status"));
    }
    assert_eq!(ends, ["failed", "reversed", "queued", "processing"]);
    let view = bench.controlled("/plan", json!({"clear": true})).await;
    assert_eq!((&view["default"], &view["next"]), (&json!("processed"), &json!([])));
    for wrong in [
        json!({"outcomes": ["processed", "lost"]}),
        json!({"outcomes": ["failed:low_balance"]}),
        json!({"default": "nothing"}),
        json!({"vpa": "a@b", "reference_id": "c", "outcomes": []}),
    ] {
        let (status, _) = bench.control("POST", "/plan", wrong.clone()).await;
        assert_eq!(status, StatusCode::BAD_REQUEST, "{wrong}");
    }
    let (_, view) = bench.control("GET", "/plan", json!({})).await;
    assert_eq!(view["next"], json!([]));
}

#[tokio::test]
async fn by_hand_only_along_the_arrows() {
    let bench = Bench::new();
    bench.controlled("/plan", json!({"default": "stuck_processing"})).await;
    let id = text(&bench.pay("hand-1").await, "id");
    let path = format!("/payouts/{id}/advance");
    for wrong in ["processing", "queued", "pending", "scheduled", "cancelled", "rejected"] {
        let (status, _) = bench.control("POST", &path, json!({"to": wrong})).await;
        assert_eq!(status, StatusCode::CONFLICT, "{wrong}");
    }
    for wrong in [json!({"to": "lost"}), json!({"to": "failed", "reason": "low_balance"})] {
        let (status, _) = bench.control("POST", &path, wrong).await;
        assert_eq!(status, StatusCode::BAD_REQUEST);
    }
    let (status, _) =
        bench.control("POST", "/payouts/pout_0/advance", json!({"to": "failed"})).await;
    assert_eq!(status, StatusCode::NOT_FOUND);
    assert_eq!(bench.controlled(&path, json!({"to": "processed"})).await["status"], "processed");
    assert_eq!(bench.bank.balance_paise(), OPENING - COST);
    let reversed = json!({"to": "reversed", "reason": "beneficiary_account_dormant"});
    let reversed = bench.controlled(&path, reversed).await;
    assert_eq!(reversed["status_details"]["reason"], "beneficiary_account_dormant");
    assert_eq!(bench.bank.balance_paise(), OPENING);
    bench.controlled(&path, json!({"to": "failed"})).await;
    assert_eq!(bench.bank.balance_paise(), OPENING);
    bench.controlled(&path, json!({"to": "reversed"})).await;
    assert_eq!(bench.bank.balance_paise(), OPENING);
}

#[tokio::test]
async fn a_hand_stops_what_was_planned() {
    let bench = Bench::new();
    let id = text(&bench.pay("hand-2").await, "id");
    bench.controlled(&format!("/payouts/{id}/advance"), json!({"to": "failed"})).await;
    bench.pass(10_000);
    assert_eq!(bench.payout(&id).await["status"], "failed");
    assert_eq!(bench.bank.balance_paise(), OPENING);
}

#[tokio::test]
async fn the_queue_for_money_is_served_in_order() {
    let bench = Bench::new();
    bench.controlled("/balance", json!({"set_paise": 0})).await;
    let mut ids = Vec::new();
    for key in ["fifo-1", "fifo-2", "fifo-3"] {
        let mut body = bench.order(key).await;
        body["queue_if_low_balance"] = json!(true);
        ids.push(text(&bench.pay_with(key, &body).await.1, "id"));
    }
    bench.controlled("/balance", json!({"paise": 2 * COST})).await;
    let mut states = Vec::new();
    for id in &ids {
        states.push(text(&bench.payout(id).await, "status"));
    }
    assert_eq!(states, ["processing", "processing", "queued"]);
    // Approval and scheduling meet the same empty account.
    let plan = json!({"outcomes": ["pending_then_processed", "queued_then_processed"]});
    bench.controlled("/plan", plan).await;
    let pending = text(&bench.pay("fifo-4").await, "id");
    let queued = text(&bench.pay("fifo-5").await, "id");
    bench.pass(10_000);
    assert_eq!(bench.payout(&pending).await["status_details"]["reason"], "low_balance");
    assert_eq!(bench.payout(&queued).await["status_details"]["reason"], "insufficient_funds");
    assert_eq!(bench.bank.balance_paise(), 0);
}

#[tokio::test]
async fn the_books_say_who_was_paid() {
    let bench = Bench::new();
    let plan = json!({"outcomes": ["processed", "failed", "reversed_after_processed"]});
    bench.controlled("/plan", plan).await;
    let mut ids = Vec::new();
    for key in ["book-1", "book-2", "book-3"] {
        ids.push(text(&bench.pay(key).await, "id"));
        bench.pass(10_000);
    }
    bench.controlled("/balance", json!({"paise": -7})).await;
    let books = bench.books().await;
    let paid = books["paid"].as_array().unwrap();
    assert_eq!(paid.len(), 2);
    assert_eq!(paid[0]["payout_id"], ids[0].as_str());
    assert_eq!(paid[0]["idempotency_key"], "book-1");
    assert_eq!((&paid[0]["vpa"], &paid[0]["amount"]), (&json!("shop@okbank"), &json!(245_000)));
    assert_eq!(paid[0]["reversed_at"], Value::Null);
    assert_eq!(paid[1]["payout_id"], ids[2].as_str());
    assert!(paid[1]["reversed_at"].is_string());
    let mut balance = books["opening_paise"].as_i64().unwrap();
    let entries = books["entries"].as_array().unwrap();
    for (place, entry) in entries.iter().enumerate() {
        assert_eq!(entry["sequence"], place + 1);
        balance += entry["credit"].as_i64().unwrap() - entry["debit"].as_i64().unwrap();
        assert_eq!(entry["balance"], balance);
    }
    assert_eq!(entries.len(), 6);
    assert_eq!((&books["balance_paise"], balance), (&json!(balance), OPENING - COST - 7));
    // The world's journal tells the same story in rupees.
    let journal = bench.world.journal.balances("razorpayx");
    assert_eq!(journal["INR"]["bank"], rust_decimal::Decimal::new(balance, 2));
    let (status, _) = bench.control("POST", "/balance", json!({"set_paise": -1})).await;
    assert_eq!(status, StatusCode::BAD_REQUEST);
}
