//! Every way an answer can fail to arrive, and what RazorpayX's connector makes of it: a payout
//! whose answer is lost is `Unknown`, a refusal is `Rejected`, and a read is never `Unknown`.

use std::sync::Arc;

use payouts::{
    BODY_MISMATCH, Beneficiary, BeneficiaryHandle, FrozenRequest, PayoutOrder, Rail, RailStatus,
    razorpayx::Razorpayx,
};
use primitives::{Amount, Asset, CallError, PayoutId, SystemClock, Vpa};
use uuid::Uuid;

use crate::vendor::{Say, Vendor, ok};

fn rail(base_url: &str) -> Razorpayx {
    let json = serde_json::json!({
        "base_url": base_url, "key_id": "rzp_test_1", "key_secret": "s3cret",
        "account_number": "7878780080316316", "webhook_secrets": ["wh00k"],
        "http": {"connect_timeout_ms": 200, "read_timeout_ms": 300, "total_timeout_ms": 600,
            "response_bytes_max": 10_000},
    });
    Razorpayx::try_new(&serde_json::from_value(json).unwrap(), Arc::new(SystemClock)).unwrap()
}

fn frozen() -> FrozenRequest {
    let order = PayoutOrder {
        payout: PayoutId::from_uuid(Uuid::from_u128(7)),
        attempt: 2,
        amount: Amount::try_new(245_000, Asset::Inr).unwrap(),
        handle: BeneficiaryHandle {
            contact_id: "cont_1".into(),
            fund_account_id: "fa_00000000000001".into(),
        },
        narration: "Chukta".into(),
    };
    rail("http://127.0.0.1:1").freeze(&order)
}

fn payout() -> String {
    format!(
        r#"{{"id":"pout_1","entity":"payout","fund_account_id":"fa_00000000000001",
        "amount":245000,"currency":"INR","fees":590,"tax":90,"status":"processing","utr":null,
        "reference_id":"{}","status_details":null}}"#,
        frozen().reference
    )
}

fn refusal(status: &'static str, code: &str, description: &str) -> Say {
    let body = serde_json::json!({"error": {"code": code, "description": description,
        "source": "business", "step": null, "reason": "null", "metadata": {}, "field": null}});
    Say::Status(status, body.to_string())
}

#[tokio::test]
async fn exactly_the_frozen_bytes_are_sent_once() {
    let vendor = Vendor::start(vec![ok(payout())]).await;
    let request = frozen();
    let sent = rail(&vendor.base_url()).send(&request).await.unwrap();
    assert_eq!((sent.status, sent.rail_payout_id.as_str()), (RailStatus::Processing, "pout_1"));
    let asked = vendor.asked();
    assert_eq!(asked.len(), 1);
    let (head, body) = asked[0].split_once("\r\n\r\n").unwrap();
    assert_eq!(body, request.body);
    assert!(head.starts_with("POST /v1/payouts HTTP/1.1"));
    let key = format!("x-payout-idempotency: {}", request.idempotency_key);
    assert!(head.contains(&key) && head.contains("authorization: Basic cnpw"), "{head}");
}

#[tokio::test]
async fn a_lost_answer_to_a_payout_is_unknown() {
    let table = [
        Say::Hang,
        Say::HangUp,
        Say::Raw(b"\x00 garbage"),
        Say::Raw(b"HTTP/1.1 200 OK\r\ncontent-length: 500\r\n\r\n{\"id\":\"pout_1\","),
        refusal("500 Internal Server Error", "SERVER_ERROR", "trouble"),
        Say::Status("502 Bad Gateway", "<html>".into()),
        Say::Status("503 Service Unavailable", String::new()),
        Say::Status("504 Gateway Timeout", String::new()),
        Say::Status("409 Conflict", "{}".into()),
        Say::Status("400 Bad Request", "<html>".into()),
        Say::Status("302 Found", String::new()),
        ok(""),
        ok("{}"),
        ok("[]"),
        ok(payout().replace("\"id\":\"pout_1\",", "")),
        ok(payout().replace("245000", "245001")),
        ok(payout().replace("fa_00000000000001", "fa_00000000000002")),
        ok(payout().replace(&frozen().reference, "another-1")),
        ok(payout().replace("\"INR\"", "\"USD\"")),
        ok("x".repeat(20_000)),
    ];
    for answer in table {
        let vendor = Vendor::start(vec![answer.clone()]).await;
        let error = rail(&vendor.base_url()).send(&frozen()).await.unwrap_err();
        assert!(error.may_have_happened(), "{answer:?}: {error}");
        assert_eq!(vendor.asked().len(), 1, "sent once: {answer:?}");
        assert!(!error.to_string().contains("s3cret"));
    }
}

#[tokio::test]
async fn a_refusal_says_which_kind() {
    let code = |error| match error {
        CallError::Rejected { code, .. } => code,
        other => panic!("{other:?}"),
    };
    let send = async |answer| {
        let vendor = Vendor::start(vec![answer]).await;
        rail(&vendor.base_url()).send(&frozen()).await.unwrap_err()
    };
    let (bad, no) = ("400 Bad Request", "BAD_REQUEST_ERROR");
    assert_eq!(code(send(refusal(bad, no, "The amount must be at least 100.")).await), no);
    let text = "Different request body sent for the same Idempotency Header.";
    assert_eq!(code(send(refusal(bad, no, text)).await), BODY_MISMATCH);
    // What is wrong with us says nothing about an earlier send of the same request.
    let auth = "BAD_REQUEST_AUTHENTICATION_ERROR";
    let ip = "Transactions from this IP are not allowed for your account.";
    for answer in [
        refusal("401 Unauthorized", auth, "Authentication failed"),
        refusal("404 Not Found", no, "The requested URL was not found on the server."),
        refusal(bad, no, ip),
    ] {
        let error = send(answer.clone()).await;
        assert!(matches!(error, CallError::NotSent(_)), "{answer:?}: {error:?}");
    }
    let limited = send(refusal("429 Too Many Requests", no, "Please try after sometime.")).await;
    assert!(matches!(limited, CallError::RateLimited { .. }));
    let named = send(refusal(bad, no, "VPA ravi@okaxis of 7878780080316316 is invalid")).await;
    assert!(!named.to_string().contains("ravi") && !named.to_string().contains("7878"), "{named}");
}

#[tokio::test]
async fn nothing_is_sent_to_a_closed_door_or_without_an_amount() {
    let closed = tokio::net::TcpListener::bind(("127.0.0.1", 0)).await.unwrap();
    let address = closed.local_addr().unwrap();
    drop(closed);
    let result = rail(&format!("http://{address}")).send(&frozen()).await;
    assert!(matches!(result, Err(CallError::NotSent(_))), "{result:?}");
    let vendor = Vendor::start(vec![ok(payout())]).await;
    for (from, to) in [("245000", "0"), ("\"amount\"", "\"sum\""), ("-2\"", "-3\"")] {
        let request = FrozenRequest { body: frozen().body.replace(from, to), ..frozen() };
        let result = rail(&vendor.base_url()).send(&request).await;
        assert!(matches!(result, Err(CallError::NotSent(_))), "{to}: {result:?}");
    }
    assert!(vendor.asked().is_empty());
}

#[tokio::test]
async fn a_read_is_never_unknown() {
    for answer in [
        Say::Hang,
        Say::HangUp,
        Say::Status("502 Bad Gateway", "<html>".into()),
        ok("{"),
        ok("{\"items\":[{\"account_number\":\"1\",\"available_amount\":5}]}"),
        ok("x".repeat(20_000)),
    ] {
        let vendor = Vendor::start(vec![answer.clone(), answer.clone(), answer.clone()]).await;
        let rail = rail(&vendor.base_url());
        let errors = [
            rail.fetch("pout_1").await.unwrap_err(),
            rail.find("ref-1").await.map(|_| ()).err().unwrap_or(CallError::NotSent("-".into())),
            rail.balance().await.unwrap_err(),
        ];
        for error in errors {
            assert!(matches!(error, CallError::NotSent(_)), "{answer:?}: {error:?}");
        }
    }
    let other = payout().replace("pout_1", "pout_2");
    let vendor = Vendor::start(vec![ok(other)]).await;
    let result = rail(&vendor.base_url()).fetch("pout_1").await;
    assert!(matches!(result, Err(CallError::NotSent(_))), "somebody else's payout: {result:?}");
    let result = rail(&vendor.base_url()).fetch("../balances").await;
    assert!(matches!(result, Err(CallError::NotSent(_))), "{result:?}");
}

// The list is filtered by them and compared by us; two of a kind are a person's business.
#[tokio::test]
async fn a_find_believes_only_its_own_reference() {
    let reference = frozen().reference;
    let other = payout().replace(&reference, "someone-else").replace("pout_1", "pout_9");
    let none = format!("{{\"items\":[{other}]}}");
    let one = format!("{{\"items\":[{other},{}]}}", payout());
    let two = format!("{{\"items\":[{0},{0}]}}", payout());
    let vendor = Vendor::start(vec![ok(none), ok(one), ok(two)]).await;
    let rail = rail(&vendor.base_url());
    assert_eq!(rail.find(&reference).await, Ok(None));
    let found = rail.find(&reference).await.unwrap().unwrap();
    assert_eq!(found.rail_payout_id, "pout_1");
    let twice = rail.find(&reference).await;
    assert!(matches!(twice, Err(CallError::Rejected { .. })), "{twice:?}");
    let query = format!("account_number=7878780080316316&count=100&reference_id={reference} ");
    assert!(vendor.asked()[0].contains(&query));
}

#[tokio::test]
async fn a_beneficiary_is_the_one_we_named() {
    let who = Beneficiary {
        reference: "dest-1".into(),
        name: "Ravi Stores".into(),
        vpa: Vpa::parse("ravi@okaxis").unwrap(),
    };
    let contact = ok(r#"{"id":"cont_1","entity":"contact","reference_id":"dest-1"}"#);
    let account = |address: &str, contact: &str, active: bool| {
        ok(format!(
            r#"{{"id":"fa_1","contact_id":"{contact}","active":{active},"account_type":"vpa",
            "vpa":{{"username":"ravi","handle":"okaxis","address":"{address}"}}}}"#
        ))
    };
    let ensure = async |contact: &Say, account: Say| {
        let vendor = Vendor::start(vec![contact.clone(), account]).await;
        (rail(&vendor.base_url()).ensure_beneficiary(&who).await, vendor.asked())
    };
    let (handle, asked) = ensure(&contact, account("Ravi@okaxis", "cont_1", true)).await;
    assert_eq!(handle.unwrap().fund_account_id, "fa_1");
    let body = |n: usize| asked[n].split("\r\n\r\n").nth(1).unwrap().to_owned();
    assert_eq!(body(0), r#"{"name":"Ravi Stores","reference_id":"dest-1","type":"vendor"}"#);
    let expected =
        r#"{"account_type":"vpa","contact_id":"cont_1","vpa":{"address":"ravi@okaxis"}}"#;
    assert_eq!(body(1), expected);
    for wrong in [
        account("mallory@okaxis", "cont_1", true),
        account("ravi@okaxis", "cont_2", true),
        account("ravi@okaxis", "cont_1", false),
    ] {
        let (result, _) = ensure(&contact, wrong).await;
        assert!(matches!(result, Err(CallError::Rejected { .. })), "{result:?}");
    }
    let (result, _) = ensure(&contact, Say::Hang).await;
    assert!(result.unwrap_err().may_have_happened());
    let other = ok(r#"{"id":"cont_1","reference_id":"dest-2"}"#);
    let (result, asked) = ensure(&other, Say::Hang).await;
    assert!(result.is_err() && asked.len() == 1, "nothing more is asked about somebody else");
}
