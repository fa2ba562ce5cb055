//! Creating, reading, listing and cancelling payouts; idempotency keys; faults on the wire.

use axum::body::Body;
use axum::http::{Request, StatusCode};
use serde_json::{Value, json};
use simulators::razorpayx::ACCOUNT_NUMBER;

use crate::razorpayx_bench::{Bench, text};

#[tokio::test]
async fn a_payout_runs_from_processing_to_processed() {
    let bench = Bench::new();
    let payout = bench.pay("pay-0001").await;
    let fund_account_id = bench.vpa("shop@okbank").await;
    let expected = json!({
        "id": payout["id"], "entity": "payout", "fund_account_id": fund_account_id,
        "amount": 245_000, "currency": "INR", "notes": [], "fees": 590, "tax": 90,
        "status": "processing", "utr": null, "mode": "UPI", "purpose": "payout",
        "reference_id": "pay-0001", "narration": "Sandbox Fund Transfer", "batch_id": null,
        "debit_account_number": ACCOUNT_NUMBER,
        "status_details": {
            "description": "Payout is being processed by our partner bank. Please check the final \
                status after some time.",
            "source": "gateway", "reason": "payout_bank_processing",
        },
        "created_at": payout["created_at"], "fee_type": null, "failure_reason": null,
        "error": {"description": null, "source": null, "reason": null},
    });
    assert_eq!(payout, expected);
    let id = text(&payout, "id");
    assert!(id.starts_with("pout_") && id.len() == 19, "{id}");
    bench.pass(399);
    assert_eq!(bench.payout(&id).await["status"], "processing");
    bench.pass(1);
    let paid = bench.payout(&id).await;
    assert_eq!(paid["status"], "processed");
    let utr = text(&paid, "utr");
    assert!(utr.len() == 12 && utr.chars().all(|digit| digit.is_ascii_digit()), "{utr}");
    assert_eq!(bench.bank.balance_paise(), 500_000_000 - 245_000 - 590);
}

#[tokio::test]
async fn the_key_is_compulsory_and_bound_to_its_body() {
    let bench = Bench::new();
    let body = bench.order("key-test").await;
    let (status, refusal) = bench.post("/v1/payouts", body.clone()).await;
    assert_eq!(status, StatusCode::BAD_REQUEST);
    let exact = json!({"error": {
        "code": "BAD_REQUEST_ERROR",
        "description":
            "Idempotency key is missing. Include idempotency header and key in the request.",
        "source": "business", "step": null, "reason": "null", "metadata": {},
        "field": "X-Payout-Idempotency",
    }});
    assert_eq!(refusal, exact);
    assert_eq!(bench.pay_with("", &body).await, (StatusCode::BAD_REQUEST, exact));
    for key in ["abc", &"x".repeat(37), "semi;colon", "dot.dot"] {
        assert_eq!(bench.pay_with(key, &body).await.0, StatusCode::BAD_REQUEST, "{key}");
    }
    let key = "53cda91c-8f81-4e77-bbb9-7388f4ac6bf4";
    let (_, first) = bench.pay_with(key, &body).await;
    bench.pass(400);
    let (status, again) = bench.pay_with(key, &body).await;
    assert_eq!((status, &again["id"]), (StatusCode::OK, &first["id"]));
    assert_eq!((&first["status"], &again["status"]), (&json!("processing"), &json!("processed")));
    let mut other = body.clone();
    other["amount"] = json!(245_001);
    let (status, refusal) = bench.pay_with(key, &other).await;
    assert_eq!(status, StatusCode::BAD_REQUEST);
    assert_eq!(
        refusal["error"]["description"],
        "Different request body sent for the same Idempotency Header."
    );
    let books = bench.books().await;
    assert_eq!(books["paid"].as_array().unwrap().len(), 1);
    let replays: Vec<&Value> =
        books["accepted"].as_array().unwrap().iter().map(|row| &row["replay"]).collect();
    assert_eq!(replays, [false, true]);
}

#[tokio::test]
async fn a_key_lives_seven_days() {
    let bench = Bench::new();
    let body = bench.order("seven-days").await;
    let (_, first) = bench.pay_with("seven days_key", &body).await;
    bench.pass(7 * 86_400_000 - 1);
    assert_eq!(bench.pay_with("seven days_key", &body).await.1["id"], first["id"]);
    bench.pass(1);
    let (status, second) = bench.pay_with("seven days_key", &body).await;
    assert_eq!(status, StatusCode::OK);
    assert_ne!(second["id"], first["id"]);
}

#[tokio::test]
async fn the_same_key_at_once_pays_once() {
    let bench = Bench::new();
    let body = bench.order("at-once").await;
    let calls = (0..20).map(|_| bench.pay_with("at-once-key", &body));
    let answers = futures::future::join_all(calls).await;
    assert!(answers.iter().all(|(status, payout)| {
        *status == StatusCode::OK && payout["id"] == answers[0].1["id"]
    }));
    assert_eq!(bench.books().await["entries"].as_array().unwrap().len(), 1);
}

#[tokio::test]
async fn payout_rules() {
    let bench = Bench::new();
    let good = bench.order("rules").await;
    for (n, (field, wrong)) in [
        ("account_number", json!("1234567890")),
        ("account_number", Value::Null),
        ("fund_account_id", Value::Null),
        ("amount", json!(99)),
        ("amount", json!(-100)),
        ("amount", json!("245000")),
        ("amount", json!(245_000.5)),
        ("amount", Value::Null),
        ("amount", json!(10_000_001)),
        ("currency", json!("USD")),
        ("mode", json!("upi")),
        ("mode", json!("IMPS")),
        ("purpose", json!("gift")),
        ("narration", json!("x".repeat(31))),
        ("narration", json!("tea & scones")),
        ("reference_id", json!("x".repeat(41))),
        ("notes", json!("tea")),
        ("queue_if_low_balance", json!("maybe")),
    ]
    .into_iter()
    .enumerate()
    {
        let mut body = good.clone();
        body[field] = wrong.clone();
        let (status, refusal) = bench.pay_with(&format!("rule-{n}"), &body).await;
        assert_eq!(status, StatusCode::BAD_REQUEST, "{field} {wrong}");
        assert_eq!(refusal["error"]["field"], field, "{refusal}");
    }
    let mut body = good.clone();
    body["fund_account_id"] = json!("fa_00000000000000");
    let (_, refusal) = bench.pay_with("rule-unknown", &body).await;
    assert_eq!(refusal["error"]["description"], "The id provided does not exist");
    assert_eq!(bench.books().await["accepted"], json!([]));

    let mut edge = good.clone();
    edge["amount"] = json!(10_000_000);
    edge["narration"] = json!("Thirty letters at the very end");
    assert_eq!(bench.pay_with("rule-edge", &edge).await.0, StatusCode::OK);
    let path = format!("/v1/fund_accounts/{}", text(&good, "fund_account_id"));
    bench.patch(&path, json!({"active": false})).await;
    assert_eq!(bench.pay_with("rule-inactive", &good).await.0, StatusCode::BAD_REQUEST);
}

#[tokio::test]
async fn limits_of_the_modes() {
    let bench = Bench::new();
    let order = |mode: &str, amount: i64| {
        json!({
            "account_number": ACCOUNT_NUMBER, "amount": amount, "currency": "INR", "mode": mode,
            "purpose": "vendor bill",
            "fund_account": {
                "account_type": "bank_account", "contact": {"name": "Asha Rao"},
                "bank_account":
                    {"name": "Asha Rao", "ifsc": "HDFC0000053", "account_number": "765432123"},
            },
        })
    };
    for (n, (mode, amount, expected)) in [
        ("IMPS", 50_000_000, 12),
        ("IMPS", 50_000_001, 0),
        ("NEFT", 101, 16),
        ("NEFT", 100, 0),
        ("RTGS", 20_000_001, 22),
        ("RTGS", 20_000_000, 0),
        ("UPI", 245_000, 0),
        ("card", 245_000, 0),
    ]
    .into_iter()
    .enumerate()
    {
        let (status, payout) = bench.pay_with(&format!("mode-{n}"), &order(mode, amount)).await;
        if expected == 0 {
            assert_eq!(status, StatusCode::BAD_REQUEST, "{mode} {amount}");
            continue;
        }
        assert_eq!(status, StatusCode::OK, "{payout}");
        bench.pass(400);
        let paid = bench.payout(&text(&payout, "id")).await;
        assert_eq!(text(&paid, "utr").len(), expected, "{mode}");
    }
}

#[tokio::test]
async fn a_composite_payout_makes_its_payee() {
    let bench = Bench::new();
    let body = json!({
        "account_number": ACCOUNT_NUMBER, "amount": 100, "currency": "INR", "mode": "UPI",
        "purpose": "refund", "notes": {"invoice": "7"}, "narration": "Chai Corner",
        "fund_account": {
            "account_type": "vpa", "vpa": {"address": "gauravkumar@exampleupi"},
            "contact": {"name": "Gaurav Kumar", "type": "self"},
        },
    });
    let (status, payout) = bench.pay_with("composite-1", &body).await;
    assert_eq!(status, StatusCode::OK, "{payout}");
    assert_eq!(payout["fund_account"]["vpa"]["username"], "gauravkumar");
    assert_eq!(payout["fund_account"]["contact"]["name"], "Gaurav Kumar");
    assert_eq!(payout["fund_account"]["id"], payout["fund_account_id"]);
    assert_eq!(payout["notes"], json!({"invoice": "7"}));
    assert_eq!(payout["reference_id"], Value::Null);
    let (_, second) = bench.pay_with("composite-2", &body).await;
    assert_eq!(second["fund_account_id"], payout["fund_account_id"]);
    assert_ne!(second["id"], payout["id"]);
}

#[tokio::test]
async fn low_balance_fails_or_queues() {
    let bench = Bench::new();
    bench.controlled("/balance", json!({"set_paise": 245_589})).await;
    let failed = bench.pay("low-1").await;
    assert_eq!((&failed["status"], &failed["fees"]), (&json!("failed"), &json!(0)));
    assert_eq!(failed["status_details"]["reason"], "insufficient_funds");
    let mut body = bench.order("low-2").await;
    body["queue_if_low_balance"] = json!(true);
    let (_, queued) = bench.pay_with("low-2", &body).await;
    assert_eq!(queued["status"], "queued");
    assert_eq!(
        queued["status_details"],
        json!({
            "description": "Payout is queued as there is insufficient balance in your business \
                account to process the payout",
            "source": "business", "reason": "low_balance",
        })
    );
    let id = text(&queued, "id");
    bench.pass(86_400_000);
    assert_eq!(bench.payout(&id).await["status"], "queued");
    bench.controlled("/balance", json!({"paise": 1})).await;
    assert_eq!(bench.payout(&id).await["status"], "processing");
    assert_eq!(bench.bank.balance_paise(), 0);
    bench.pass(400);
    assert_eq!(bench.payout(&id).await["status"], "processed");
}

#[tokio::test]
async fn only_queued_payouts_can_be_cancelled() {
    let bench = Bench::new();
    bench.controlled("/plan", json!({"outcomes": ["queued", "queued"]})).await;
    for (key, method) in [("cancel-1", "POST"), ("cancel-2", "PATCH")] {
        let path = format!("/v1/payouts/{}/cancel", text(&bench.pay(key).await, "id"));
        let request = || {
            Request::builder()
                .method(method)
                .uri(&path)
                .header("authorization", bench.authorization())
                .body(Body::empty())
                .unwrap()
        };
        let (status, payout) = bench.send(request()).await;
        assert_eq!((status, &payout["status"]), (StatusCode::OK, &json!("cancelled")));
        assert_eq!(bench.send(request()).await.0, StatusCode::BAD_REQUEST);
    }
    let running = bench.pay("cancel-3").await;
    let path = format!("/v1/payouts/{}/cancel", text(&running, "id"));
    assert_eq!(bench.post(&path, Value::Null).await.0, StatusCode::BAD_REQUEST);
    bench.pass(1_000);
    assert_eq!(bench.payout(&text(&running, "id")).await["status"], "processed");
    assert_eq!(bench.books().await["paid"].as_array().unwrap().len(), 1);
}

#[tokio::test]
async fn lists_find_by_reference() {
    let bench = Bench::new();
    for n in 0..12 {
        bench.pay(&format!("list-{n}")).await;
        bench.pass(1_000);
    }
    let list = format!("/v1/payouts?account_number={ACCOUNT_NUMBER}");
    let all = bench.got(&list).await;
    assert_eq!((&all["entity"], &all["count"]), (&json!("collection"), &json!(10)));
    assert_eq!(all["items"][0]["reference_id"], "list-11");
    let found = bench.got(&format!("{list}&reference_id=list-3")).await;
    assert_eq!(found["count"], 1);
    assert_eq!(found["items"][0]["reference_id"], "list-3");
    assert_eq!(bench.got(&format!("{list}&reference_id=list-99")).await["count"], 0);
    assert_eq!(bench.got(&format!("{list}&count=100&skip=11")).await["count"], 1);
    assert_eq!(bench.got(&format!("{list}&status=processing")).await["count"], 0);
    assert_eq!(bench.got(&format!("{list}&status=processed&mode=UPI&count=50")).await["count"], 12);
    let since = all["items"][1]["created_at"].as_i64().unwrap();
    assert_eq!(bench.got(&format!("{list}&from={since}")).await["count"], 2);
    assert_eq!(bench.get("/v1/payouts").await.0, StatusCode::BAD_REQUEST);
    assert_eq!(bench.get(&format!("{list}&status=lost")).await.0, StatusCode::BAD_REQUEST);
}

#[tokio::test]
async fn applied_faults_leave_a_payout_and_others_do_not() {
    let bench = Bench::new();
    for (fault, status, exists) in [
        ("timeout_applied", 504, 1),
        ("timeout_not_applied", 504, 0),
        ("http_500_applied", 500, 1),
        ("http_500_not_applied", 500, 0),
        ("http_502_html", 502, 0),
        ("http_503", 503, 0),
        ("http_504_applied", 504, 1),
        ("rate_limited", 429, 0),
        ("malformed", 200, 1),
        ("truncated", 200, 1),
        ("reject:ip_not_allowed", 400, 0),
    ] {
        let key = fault.replace(':', "-");
        let body = bench.order(&key).await;
        bench.fault("create_payout", fault);
        let (got, answer) = bench.pay_with(&key, &body).await;
        assert_eq!(got.as_u16(), status, "{fault}");
        assert_eq!(answer["id"], Value::Null, "{fault}");
        let list = format!("/v1/payouts?account_number={ACCOUNT_NUMBER}&reference_id={key}");
        assert_eq!(bench.got(&list).await["count"], exists, "{fault}");
        // The same request again, as a careful client would send it.
        assert_eq!(bench.pay_with(&key, &body).await.0, StatusCode::OK, "{fault}");
        assert_eq!(bench.got(&list).await["count"], 1, "{fault}");
    }
}

#[tokio::test]
async fn a_payout_can_be_applied_after_the_caller_gave_up() {
    let bench = Bench::new();
    let body = bench.order("applied-late").await;
    bench.fault("create_payout", "delayed_apply");
    assert_eq!(bench.pay_with("applied-late", &body).await.0, StatusCode::GATEWAY_TIMEOUT);
    let list = format!("/v1/payouts?account_number={ACCOUNT_NUMBER}&reference_id=applied-late");
    assert_eq!(bench.got(&list).await["count"], 0);
    bench.pass(1);
    assert_eq!(bench.got(&list).await["count"], 1);
    assert_eq!(bench.pay_with("applied-late", &body).await.0, StatusCode::OK);
    assert_eq!(bench.got(&list).await["count"], 1);
}

#[tokio::test]
async fn faults_of_the_other_operations() {
    let bench = Bench::new();
    let payout = bench.pay("faulty").await;
    let list = format!("/v1/payouts?account_number={ACCOUNT_NUMBER}");
    let one = format!("/v1/payouts/{}", text(&payout, "id"));
    for (operation, path) in [
        ("fetch_payout", one.as_str()),
        ("list_payouts", &list),
        ("balance", "/v1/banking_balances"),
    ] {
        bench.fault(operation, "http_500_not_applied");
        let (status, body) = bench.get(path).await;
        assert_eq!(status, StatusCode::INTERNAL_SERVER_ERROR, "{operation}");
        assert_eq!(body["error"]["code"], "SERVER_ERROR");
        assert_eq!(bench.get(path).await.0, StatusCode::OK);
    }
    bench.fault("create_contact", "http_500_applied");
    let body = json!({"name": "Applied Anyway"});
    assert_eq!(bench.post("/v1/contacts", body).await.0, StatusCode::INTERNAL_SERVER_ERROR);
    assert_eq!(bench.got("/v1/contacts?name=Applied%20Anyway").await["count"], 1);
    bench.fault("create_fund_account", "rate_limited");
    assert_eq!(bench.post("/v1/fund_accounts", json!({})).await.0, StatusCode::TOO_MANY_REQUESTS);
}
