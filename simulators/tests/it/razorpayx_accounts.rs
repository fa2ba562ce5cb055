//! Keys, contacts, fund accounts, validations and the account itself: each rule of the vendor is
//! shown by a request that keeps it and one that breaks it.

use axum::body::Body;
use axum::http::{Request, StatusCode};
use serde_json::{Value, json};
use simulators::razorpayx::ACCOUNT_NUMBER;

use crate::razorpayx_bench::{Bench, epoch, text};

fn is_id(value: &Value, prefix: &str) -> bool {
    let id = value["id"].as_str().unwrap_or_default();
    let rest = id.strip_prefix(prefix).unwrap_or_default();
    rest.len() == 14 && rest.chars().all(|letter| letter.is_ascii_alphanumeric())
}

#[tokio::test]
async fn only_the_key_opens() {
    let bench = Bench::new();
    let good = bench.authorization();
    for wrong in ["", "Basic", "Basic !!!", "Bearer x", "Basic cnpwX3Rlc3Rfa2V5OnNlY3JldA=="] {
        let request = Request::get("/v1/contacts").header("authorization", wrong);
        let (status, body) = bench.send(request.body(Body::empty()).unwrap()).await;
        assert_eq!(status, StatusCode::UNAUTHORIZED, "{wrong}");
        assert_eq!(body["error"]["code"], "BAD_REQUEST_AUTHENTICATION_ERROR");
    }
    let request = Request::get("/v1/contacts").header("authorization", good);
    let (status, body) = bench.send(request.body(Body::empty()).unwrap()).await;
    assert_eq!(status, StatusCode::OK);
    assert_eq!(body, json!({"entity": "collection", "count": 0, "items": []}));
}

#[tokio::test]
async fn unknown_urls_and_ids_are_400() {
    let bench = Bench::new();
    let words = "The requested URL was not found on the server.";
    for (method, path) in [("GET", "/v1/nothing"), ("GET", "/"), ("DELETE", "/v1/payouts")] {
        let request = Request::builder().method(method).uri(path);
        let request = request.header("authorization", bench.authorization());
        let (status, body) = bench.send(request.body(Body::empty()).unwrap()).await;
        assert_eq!(
            (status, &body["error"]["description"]),
            (StatusCode::BAD_REQUEST, &json!(words))
        );
    }
    for path in [
        "/v1/payouts/pout_00000000000000",
        "/v1/contacts/x",
        "/v1/fund_accounts/x",
        "/v1/transactions/x",
    ] {
        let (status, body) = bench.get(path).await;
        assert_eq!(status, StatusCode::BAD_REQUEST);
        assert_eq!(body["error"]["description"], "The id provided does not exist");
        assert_eq!(body["error"]["reason"], "input_validation_failed");
    }
    let request = Request::post("/v1/contacts").header("authorization", bench.authorization());
    let (status, _) = bench.send(request.body(Body::from("[1")).unwrap()).await;
    assert_eq!(status, StatusCode::BAD_REQUEST);
    let (status, refusal) = bench.post("/v1/contacts", json!({"name": "x".repeat(70_000)})).await;
    assert_eq!(status, StatusCode::PAYLOAD_TOO_LARGE);
    assert_eq!(refusal["error"]["code"], "BAD_REQUEST_ERROR");
}

#[tokio::test]
async fn identical_contacts_are_one() {
    let bench = Bench::new();
    let details = json!({
        "name": "Gaurav Kumar", "email": "gaurav.kumar@example.com", "contact": 9_000_090_000_i64,
        "type": "employee", "reference_id": "Acme Contact ID 12345",
        "notes": {"notes_key_1": "Tea, Earl Grey, Hot"},
    });
    let contact = bench.posted("/v1/contacts", details.clone()).await;
    assert!(is_id(&contact, "cont_"), "{contact}");
    assert_eq!(contact["contact"], "9000090000");
    assert_eq!(contact["active"], true);
    assert!((contact["created_at"].as_i64().unwrap() - epoch()).abs() < 60);
    assert_eq!(bench.posted("/v1/contacts", details.clone()).await, contact);
    let mut other = details;
    other["type"] = json!("vendor");
    let other = bench.posted("/v1/contacts", other).await;
    assert_ne!(other["id"], contact["id"]);

    let bare = bench.posted("/v1/contacts", json!({"name": "Asha"})).await;
    assert_eq!((&bare["notes"], &bare["email"]), (&json!([]), &Value::Null));
    let path = format!("/v1/contacts/{}", text(&bare, "id"));
    let (status, patched) =
        bench.patch(&path, json!({"active": false, "email": "asha@example.com"})).await;
    assert_eq!((status, &patched["active"]), (StatusCode::OK, &json!(false)));
    assert_eq!(bench.got(&path).await, patched);
    let list = bench.got("/v1/contacts?email=asha%40example.com").await;
    assert_eq!(list["items"], json!([patched]));
    assert_eq!(bench.got("/v1/contacts?active=1").await["count"], 2);
    assert_eq!(bench.got("/v1/contacts?count=1&skip=1").await["items"], json!([other]));
    assert_eq!(bench.got("/v1/contacts?to=1").await["count"], 0);
}

#[tokio::test]
async fn contact_rules() {
    let bench = Bench::new();
    let many: serde_json::Map<String, Value> =
        (0..16).map(|n| (format!("key_{n}"), json!("x"))).collect();
    for (field, body) in [
        ("name", json!({})),
        ("name", json!({"name": "ab"})),
        ("name", json!({"name": "x".repeat(51)})),
        ("name", json!({"name": 7})),
        ("type", json!({"name": "Asha", "type": "Vendor"})),
        ("email", json!({"name": "Asha", "email": "nobody"})),
        ("reference_id", json!({"name": "Asha", "reference_id": "x".repeat(41)})),
        ("notes", json!({"name": "Asha", "notes": many})),
        ("notes", json!({"name": "Asha", "notes": {"k": "x".repeat(257)}})),
    ] {
        let (status, refusal) = bench.post("/v1/contacts", body).await;
        assert_eq!(status, StatusCode::BAD_REQUEST, "{refusal}");
        assert_eq!(refusal["error"]["field"], field);
        assert_eq!(refusal["error"]["code"], "BAD_REQUEST_ERROR");
        assert_eq!(refusal["error"]["metadata"], json!({}));
    }
    let (_, refusal) = bench.post("/v1/contacts", json!({})).await;
    assert_eq!(refusal["error"]["description"], "The name field is required.");
    let (status, refusal) = bench.get("/v1/contacts?count=101").await;
    assert_eq!((status, &refusal["error"]["field"]), (StatusCode::BAD_REQUEST, &json!("count")));
}

#[tokio::test]
async fn fund_accounts_of_both_kinds() {
    let bench = Bench::new();
    let contact_id = bench.contact("Gaurav Kumar").await;
    let body = json!({
        "contact_id": contact_id, "account_type": "vpa", "vpa": {"address": "gaurav.kumar@okbank"},
    });
    let vpa = bench.posted("/v1/fund_accounts", body.clone()).await;
    assert!(is_id(&vpa, "fa_"), "{vpa}");
    let parts =
        json!({"username": "gaurav.kumar", "handle": "okbank", "address": "gaurav.kumar@okbank"});
    assert_eq!((&vpa["vpa"], &vpa["active"]), (&parts, &json!(true)));
    assert_eq!(bench.posted("/v1/fund_accounts", body).await, vpa);

    let body = json!({
        "contact_id": contact_id, "account_type": "bank_account",
        "bank_account":
            {"name": "Gaurav Kumar", "ifsc": "HDFC0000053", "account_number": "765432123456789"},
    });
    let bank = bench.posted("/v1/fund_accounts", body.clone()).await;
    assert_eq!(bank["bank_account"]["ifsc"], "HDFC0000053");
    assert_eq!(bench.posted("/v1/fund_accounts", body).await["id"], bank["id"]);

    let path = format!("/v1/fund_accounts/{}", text(&bank, "id"));
    let (_, patched) = bench.patch(&path, json!({"active": false})).await;
    assert_eq!(patched["active"], false);
    assert_eq!(bench.got(&path).await, patched);
    assert_eq!(bench.patch(&path, json!({})).await.0, StatusCode::BAD_REQUEST);
    let list = bench.got(&format!("/v1/fund_accounts?contact_id={contact_id}")).await;
    assert_eq!(list["count"], 2);
}

#[tokio::test]
async fn fund_account_rules() {
    let bench = Bench::new();
    let id = bench.contact("Gaurav Kumar").await;
    let vpa = |address: &str| {
        json!({
            "contact_id": id, "account_type": "vpa", "vpa": {"address": address},
        })
    };
    let long = format!("{}@okbank", "x".repeat(94));
    for wrong in ["nobody", "a@b@c", "@okbank", "a@", "under_score@okbank", "sp ace@ok", "", &long]
    {
        let (status, refusal) = bench.post("/v1/fund_accounts", vpa(wrong)).await;
        assert_eq!((status, wrong), (StatusCode::BAD_REQUEST, wrong));
        assert_eq!(refusal["error"]["field"], "vpa.address");
    }
    let bank = |name: &str, ifsc: &str, number: &str| {
        json!({
            "contact_id": id, "account_type": "bank_account",
            "bank_account": {"name": name, "ifsc": ifsc, "account_number": number},
        })
    };
    for body in [
        bank("ab", "HDFC0000053", "765432123456789"),
        bank("Asha", "HDFC000005", "765432123456789"),
        bank("Asha", "HDFC1000053", "765432123456789"),
        bank("Asha", "HDFC0000053", "1234"),
        bank("Asha", "HDFC0000053", "1234 5678"),
        json!({"contact_id": id, "account_type": "card", "card": {}}),
        json!({"contact_id": id, "account_type": "vpa"}),
        json!({"contact_id": "cont_0", "account_type": "vpa", "vpa": {"address": "a@b"}}),
        json!({"account_type": "vpa", "vpa": {"address": "a@b"}}),
    ] {
        let (status, refusal) = bench.post("/v1/fund_accounts", body.clone()).await;
        assert_eq!(status, StatusCode::BAD_REQUEST, "{body} {refusal}");
    }
    assert_eq!(bench.got("/v1/fund_accounts").await["count"], 0);
}

#[tokio::test]
async fn balance_and_statement() {
    let bench = Bench::new();
    let item = &bench.got("/v1/banking_balances").await["items"][0];
    assert_eq!(item["account_number"], ACCOUNT_NUMBER);
    assert_eq!(
        (&item["amount"], &item["available_amount"]),
        (&json!(500_000_000), &json!(500_000_000))
    );
    let payout = bench.pay("statement-1").await;
    bench.controlled("/balance", json!({"paise": 1_000_000})).await;

    let left = 500_000_000 - 245_000 - 590;
    let path = format!("/v1/transactions?account_number={ACCOUNT_NUMBER}");
    let items = bench.got(&path).await["items"].clone();
    let (deposit, debit) = (&items[0], &items[1]);
    assert!(is_id(debit, "txn_"), "{debit}");
    assert_eq!((&debit["debit"], &debit["credit"]), (&json!(245_590), &json!(0)));
    assert_eq!((&debit["balance"], &debit["source"]["id"]), (&json!(left), &payout["id"]));
    assert_eq!(deposit["source"]["entity"], "bank_transfer");
    assert_eq!(
        (&deposit["credit"], &deposit["balance"]),
        (&json!(1_000_000), &json!(left + 1_000_000))
    );
    let one = bench.got(&format!("/v1/transactions/{}", text(debit, "id"))).await;
    assert_eq!(&one, debit);
    assert_eq!(bench.got(&format!("{path}&count=1&skip=1")).await["items"], json!([debit]));
    assert_eq!(bench.get("/v1/transactions").await.0, StatusCode::BAD_REQUEST);
    assert_eq!(bench.got("/v1/banking_balances").await["items"][0]["amount"], left + 1_000_000);
}

#[tokio::test]
async fn a_balance_may_be_stale() {
    let bench = Bench::new();
    bench.controlled("/plan", json!({"delays": {"balance_refresh_ms": 60_000}})).await;
    bench.pay("stale-1").await;
    assert_eq!(bench.got("/v1/banking_balances").await["items"][0]["amount"], 500_000_000);
    bench.pass(60_000);
    assert_eq!(bench.got("/v1/banking_balances").await["items"][0]["amount"], 499_754_410);
}

#[tokio::test]
async fn validations_of_both_shapes() {
    let bench = Bench::new();
    let fund_account_id = bench.vpa("shop@okbank").await;
    let older = json!({
        "account_number": ACCOUNT_NUMBER, "fund_account": {"id": fund_account_id},
        "amount": 100, "currency": "INR",
    });
    let older = bench.posted("/v1/fund_accounts/validations", older).await;
    assert!(is_id(&older, "fav_"), "{older}");
    assert_eq!((&older["status"], &older["amount"]), (&json!("created"), &json!(100)));
    bench
        .controlled("/beneficiaries", json!({"vpa": "Sold@okbank", "registered_name": "Else"}))
        .await;
    bench.controlled("/beneficiaries", json!({"vpa": "gone@okbank", "active": false})).await;
    let newer = |vpa: &str| {
        json!({
            "source_account_number": ACCOUNT_NUMBER, "validation_type": "pennydrop",
            "reference_id": "112233",
            "fund_account": {
                "account_type": "vpa", "vpa": {"address": vpa}, "contact": {"name": "Asha Rao"},
            },
        })
    };
    let sold = bench.posted("/v1/fund_accounts/validations", newer("sold@okbank")).await;
    let gone = bench.posted("/v1/fund_accounts/validations", newer("gone@okbank")).await;
    bench.pass(400);
    let path = |row: &Value| format!("/v1/fund_accounts/validations/{}", text(row, "id"));
    let older = bench.got(&path(&older)).await;
    assert_eq!(older["status"], "completed");
    assert_eq!(
        older["results"],
        json!({"account_status": "active", "registered_name": "Chai Corner"})
    );
    let sold = bench.got(&path(&sold)).await;
    assert_eq!(sold["validation_results"]["registered_name"], "Else");
    assert_eq!(sold["validation_results"]["name_match_score"], 0);
    assert_eq!(sold["fund_account"]["contact"]["name"], "Asha Rao");
    assert_eq!(bench.got(&path(&gone)).await["validation_results"]["account_status"], "invalid");
    assert_eq!(bench.got("/v1/fund_accounts/validations").await["count"], 3);
}
