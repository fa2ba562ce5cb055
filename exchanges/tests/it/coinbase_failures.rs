//! Every way an answer of Coinbase's can fail to arrive, what a token claims, and lists page by
//! page: a lost order is `Unknown`, a refused one `Rejected`, a refused token `NotSent`, and a read
//! is never `Unknown`.

use std::{collections::BTreeSet, sync::Arc};

use base64::{Engine as _, engine::general_purpose::URL_SAFE_NO_PAD};
use chrono::{DateTime, TimeDelta};
use exchanges::{
    Custody, Exchange, NewOrder, OrderKind, OrderState, Pair, coinbase::Coinbase,
    custody::NewWithdrawal,
};
use primitives::{Amount, Asset, CallError, CallResult, ManualClock, NetworkId};
use rust_decimal::Decimal;
use serde_json::{Value, json};

use crate::{
    recorded::ED25519,
    vendor::{Say, Vendor, http, ok},
    world::{World, client_ref, order},
};

const NOW_MS: i64 = 1_767_607_200_000;
const ETH: Pair = Pair { base: Asset::Eth, quote: Asset::Usdt };
const ID: &str = "a1b2c3d4-e5f6-4890-abcd-ef1234567890";

fn clock() -> Arc<ManualClock> {
    Arc::new(ManualClock::new(DateTime::from_timestamp_millis(NOW_MS).unwrap()))
}

fn coinbase_by(base_url: &str, clock: Arc<ManualClock>) -> Coinbase {
    let json = json!({
        "base_url": base_url, "api_key": "organizations/o/apiKeys/k", "private_key": ED25519,
        "paced": false, "send_fees": {"ethereum": {"ETH": "0.001"}},
        "http": http(20_000),
    });
    Coinbase::try_new(&serde_json::from_value(json).unwrap(), clock).unwrap()
}

fn coinbase(base_url: &str) -> Coinbase {
    coinbase_by(base_url, clock())
}

fn new_order() -> NewOrder {
    NewOrder {
        client_ref: client_ref("c-0001-1"),
        pair: ETH,
        kind: OrderKind::Limit,
        quantity: Decimal::new(500, 3),
        price: Decimal::new(300_010, 2),
        stamp: DateTime::from_timestamp_millis(NOW_MS).unwrap(),
    }
}

fn time_at(millis: i64) -> Say {
    ok(json!({"iso": "", "epochSeconds": "0", "epochMillis": millis.to_string()}).to_string())
}

fn time() -> Say {
    time_at(NOW_MS)
}

fn placed() -> Value {
    json!({"success": true, "failure_reason": "UNKNOWN_FAILURE_REASON", "order_id": ID,
        "success_response": {"order_id": ID, "product_id": "ETH-USDT", "side": "SELL",
            "client_order_id": "c-0001-1"}})
}

fn an_order(reference: &str, status: &str, filled: &str) -> Value {
    json!({"order_id": ID, "product_id": "ETH-USDT", "side": "SELL", "status": status,
        "order_configuration": {"limit_limit_gtc": {"base_size": "0.5", "limit_price": "3000.1"}},
        "client_order_id": reference, "filled_size": filled})
}

fn shown(status: &str, filled: &str) -> Say {
    ok(json!({"order": an_order("c-0001-1", status, filled)}).to_string())
}

fn listed(orders: &[Value], next: Option<&str>) -> Say {
    let has_next = next.is_some();
    let page = json!({"orders": orders, "has_next": has_next, "cursor": next.unwrap_or("")});
    ok(page.to_string())
}

async fn place(answer: Say) -> (CallResult<exchanges::Order>, Vec<String>) {
    let vendor = Vendor::start(vec![time(), answer, shown("OPEN", "0")]).await;
    let result = coinbase(&vendor.base_url()).place_order(&new_order()).await;
    (result, vendor.asked())
}

/// Method, path and claims of a request.
fn token_of(request: &str) -> (String, Value) {
    let line = request.split("\r\n").next().unwrap().trim_end_matches(" HTTP/1.1").to_owned();
    let bearer = request.split("authorization: Bearer ").nth(1).unwrap();
    let claims = bearer.split("\r\n").next().unwrap().split('.').nth(1).unwrap().to_owned();
    (line, serde_json::from_slice(&URL_SAFE_NO_PAD.decode(claims).unwrap()).unwrap())
}

#[tokio::test]
async fn an_order_is_sent_once_with_a_token_of_its_own_and_then_read() {
    let (order, asked) = place(ok(placed().to_string())).await;
    let order = order.unwrap();
    assert_eq!((order.venue_order_id.as_str(), order.state), (ID, OrderState::Open));
    assert_eq!(asked.len(), 3);
    let (line, claims) = token_of(&asked[1]);
    assert_eq!(line, "POST /api/v3/brokerage/orders");
    let host = asked[1].split("host: ").nth(1).unwrap().split("\r\n").next().unwrap();
    let uri = format!("POST {host}/api/v3/brokerage/orders");
    let expected = json!({"sub": "organizations/o/apiKeys/k", "iss": "cdp",
        "nbf": NOW_MS / 1_000, "exp": NOW_MS / 1_000 + 10, "uri": uri});
    assert_eq!(claims, expected);
    let body: Value = serde_json::from_str(asked[1].split("\r\n\r\n").nth(1).unwrap()).unwrap();
    let terms = json!({"limit_limit_gtc":
        {"base_size": "0.5", "limit_price": "3000.1", "post_only": false}});
    let expected = json!({"client_order_id": "c-0001-1", "product_id": "ETH-USDT",
        "side": "SELL", "order_configuration": terms});
    assert_eq!(body, expected);
    let (line, claims) = token_of(&asked[2]);
    assert_eq!(line, format!("GET /api/v3/brokerage/orders/historical/{ID}"));
    assert_eq!(claims["uri"], format!("GET {host}/api/v3/brokerage/orders/historical/{ID}"));
}

#[tokio::test]
async fn a_lost_answer_to_an_order_is_unknown() {
    let told = |what: &str, other: &str| ok(placed().to_string().replace(what, other));
    let failure = |error: &str| {
        let body = json!({"success": false, "error_response": {"error": error, "message": "m"}});
        ok(body.to_string())
    };
    let table = [
        Say::Hang,
        Say::HangUp,
        Say::Raw(b"\x00 garbage"),
        Say::Raw(b"HTTP/1.1 200 OK\r\ncontent-length: 500\r\n\r\n{\"success\":true,"),
        Say::Status("500 Internal Server Error", "{\"error\":\"INTERNAL\"}".into()),
        Say::Status("502 Bad Gateway", "<html>".into()),
        Say::Status("503 Service Unavailable", String::new()),
        Say::Status("504 Gateway Timeout", String::new()),
        Say::Status("408 Request Timeout", String::new()),
        Say::Status("403 Forbidden", "<html>blocked</html>".into()),
        Say::Status("401 Unauthorized", "<html>sign in to this network</html>".into()),
        Say::Status("400 Bad Request", json!({"error": "INTERNAL"}).to_string()),
        Say::Status("400 Bad Request", "{}".into()),
        ok("{}"),
        ok("<html>"),
        ok("[]"),
        ok("x".repeat(30_000)),
        ok(json!({"success": true}).to_string()),
        told("c-0001-1", "c-0001-2"),
        told("ETH-USDT", "BTC-USDT"),
        told("SELL", "BUY"),
        told(ID, "../../accounts"),
        failure("UNKNOWN_FAILURE_REASON"),
        failure("DUPLICATE_CLIENT_ORDER_ID"),
        failure("A_NEW_WORD"),
        failure(""),
    ];
    for answer in table {
        let (result, asked) = place(answer.clone()).await;
        let error = result.unwrap_err();
        assert!(error.may_have_happened(), "{answer:?}: {error}");
        let posts = asked.iter().filter(|request| request.starts_with("POST")).count();
        assert_eq!(posts, 1, "sent once: {answer:?}");
        assert!(!error.to_string().contains(ED25519));
    }
}

// The order was taken; that it cannot be read just now does not make it doubtful. That it is
// another one does.
#[tokio::test]
async fn what_was_taken_is_open_until_it_can_be_read() {
    let absent = Say::Status("404 Not Found", json!({"error": "NOT_FOUND"}).to_string());
    for answer in [Say::HangUp, Say::Status("502 Bad Gateway", String::new()), absent, ok("{}")] {
        let vendor = Vendor::start(vec![time(), ok(placed().to_string()), answer]).await;
        let order = coinbase(&vendor.base_url()).place_order(&new_order()).await.unwrap();
        assert_eq!((order.state, order.executed), (OrderState::Open, Decimal::ZERO));
    }
    let other = shown_with("\"0.5\"", "\"0.6\"");
    let vendor = Vendor::start(vec![time(), ok(placed().to_string()), other]).await;
    let lost = coinbase(&vendor.base_url()).place_order(&new_order()).await;
    assert!(lost.unwrap_err().may_have_happened());
}

fn shown_with(what: &str, other: &str) -> Say {
    let order = json!({"order": an_order("c-0001-1", "OPEN", "0")}).to_string();
    ok(order.replace(what, other))
}

#[tokio::test]
async fn a_refusal_is_told_in_the_venues_words() {
    let message = "Insufficient balance in source account";
    let body = json!({"success": false, "failure_reason": "UNKNOWN_FAILURE_REASON",
        "error_response": {"error": "INSUFFICIENT_FUND", "message": message}});
    let (result, _) = place(ok(body.to_string())).await;
    let expected = CallError::Rejected { code: "INSUFFICIENT_FUND".into(), reason: message.into() };
    assert_eq!(result.unwrap_err(), expected);
    let body = json!({"error": "INVALID_ARGUMENT", "error_details": "order_configuration"});
    let (result, _) = place(Say::Status("400 Bad Request", body.to_string())).await;
    assert!(matches!(result, Err(CallError::Rejected { .. })));
    let (result, _) =
        place(Say::Headed("429 Too Many Requests", "retry-after: 7\r\n", "{}".into())).await;
    assert_eq!(result, Err(CallError::RateLimited { retry_after_s: 7 }));
    let nothing = NewOrder { quantity: Decimal::ZERO, ..new_order() };
    let result = coinbase("http://127.0.0.1:1").place_order(&nothing).await;
    assert!(matches!(result, Err(CallError::Rejected { .. })));
    let nowhere = NewOrder { pair: Pair { base: Asset::Usdc, quote: Asset::Usdt }, ..new_order() };
    let result = coinbase("http://127.0.0.1:1").place_order(&nowhere).await;
    assert!(matches!(result, Err(CallError::Rejected { .. })));
}

fn bare() -> Say {
    Say::Status("401 Unauthorized", "Unauthorized\n".into())
}

// One bare word says everything from a late stamp to a revoked key: the venue's clock tells which.
// Nothing was done either way.
#[tokio::test]
async fn a_refused_token_was_late_or_is_not_ours() {
    let refused = async |later_by: i64| {
        let vendor = Vendor::start(vec![time(), bare(), time_at(NOW_MS + later_by)]).await;
        let result = coinbase(&vendor.base_url()).place_order(&new_order()).await;
        assert_eq!(vendor.asked().len(), 3, "sent once");
        result.unwrap_err()
    };
    let late = refused(60_000).await;
    assert!(matches!(late, CallError::NotSent(_)) && !exchanges::is_access_refusal(&late));
    let early = refused(-60_000).await;
    assert!(matches!(early, CallError::NotSent(_)) && !exchanges::is_access_refusal(&early));
    let not_ours = refused(0).await;
    assert!(exchanges::is_access_refusal(&not_ours), "{not_ours}");
    let body = json!({"error": "PERMISSION_DENIED", "message": "Missing required scopes"});
    let (result, _) = place(Say::Status("403 Forbidden", body.to_string())).await;
    assert!(exchanges::is_access_refusal(&result.unwrap_err()));
}

// The vendor has been seen to refuse good tokens: a read is tried once more with another one.
#[tokio::test]
async fn a_read_is_tried_again_once_with_a_fresh_token() {
    let accounts = ok(json!({"accounts": [], "has_next": false}).to_string());
    let vendor = Vendor::start(vec![time(), bare(), time(), accounts]).await;
    assert_eq!(coinbase(&vendor.base_url()).holdings().await, Ok(Vec::new()));
    let asked = vendor.asked();
    let nonce = |request: &str| request.split("Bearer ").nth(1).unwrap()[..80].to_owned();
    assert_ne!(nonce(&asked[1]), nonce(&asked[3]), "another nonce, another token");
    let vendor = Vendor::start(vec![time(), bare(), time(), bare()]).await;
    let refused = coinbase(&vendor.base_url()).holdings().await.unwrap_err();
    assert!(exchanges::is_access_refusal(&refused));
    assert_eq!(vendor.asked().len(), 4, "and no further");
}

// A process that wakes up late sends the stamp it was given, and the venue's time it knew.
#[tokio::test]
async fn a_late_order_carries_its_old_stamp() {
    let vendor = Vendor::start(vec![time_at(NOW_MS + 500), bare(), time_at(NOW_MS + 90_500)]).await;
    let clock = clock();
    let venue = coinbase_by(&vendor.base_url(), Arc::clone(&clock));
    clock.advance(TimeDelta::zero());
    let late = venue.place_order(&new_order()).await.unwrap_err();
    assert!(matches!(late, CallError::NotSent(_)) && !exchanges::is_access_refusal(&late));
    let (_, claims) = token_of(&vendor.asked()[1]);
    assert_eq!(claims["exp"], NOW_MS / 1_000 + 10);
    assert!(venue.recv_window() > TimeDelta::seconds(10), "the fence covers what may be granted");
}

#[tokio::test]
async fn a_read_is_never_unknown() {
    let table = [
        Say::Hang,
        Say::HangUp,
        Say::Status("502 Bad Gateway", "<html>".into()),
        Say::Status("403 Forbidden", "<html>".into()),
        ok("{"),
        ok("{\"orders\":[{}]}"),
        ok("x".repeat(30_000)),
    ];
    for answer in table {
        let vendor = Vendor::start(vec![time(), answer.clone()]).await;
        let result = coinbase(&vendor.base_url()).find_order(ETH, &client_ref("c-0001-1")).await;
        assert!(matches!(result, Err(CallError::NotSent(_))), "{answer:?}: {result:?}");
    }
}

// The venue finds by its own id alone, so ours is looked for page after page; a list that does not
// end proves nothing.
#[tokio::test]
async fn an_order_is_looked_for_page_by_page() {
    let other = an_order("somebody", "FILLED", "0.5");
    let ours = an_order("c-0001-1", "FILLED", "0.5");
    let pages = vec![
        time(),
        listed(std::slice::from_ref(&other), Some("next&page=")),
        listed(&[other.clone(), ours], Some("and-on")),
        shown("FILLED", "0.5"),
    ];
    let vendor = Vendor::start(pages).await;
    let venue = coinbase(&vendor.base_url());
    let reference = client_ref("c-0001-1");
    let found = venue.find_order(ETH, &reference).await.unwrap().unwrap();
    assert_eq!(found.state, OrderState::Filled);
    let again = venue.find_order(ETH, &reference).await.unwrap().unwrap();
    assert_eq!(found, again);
    let asked = vendor.asked();
    let first = "GET /api/v3/brokerage/orders/historical/batch?product_ids=ETH-USDT\
        &order_side=SELL&start_date=2025-12-22T10:00:00.000Z&limit=250";
    assert!(asked[1].starts_with(&format!("{first} HTTP")), "{}", asked[1]);
    assert!(asked[2].starts_with(&format!("{first}&cursor=next%26page%3D HTTP")), "{}", asked[2]);
    let by_id = format!("GET /api/v3/brokerage/orders/historical/{ID} ");
    assert!(asked[3].starts_with(&by_id), "known by then: {}", asked[3]);

    let mut pages = vec![time()];
    pages.extend((0..50).map(|_| listed(std::slice::from_ref(&other), Some("on"))));
    let vendor = Vendor::start(pages).await;
    let endless = coinbase(&vendor.base_url()).find_order(ETH, &reference).await;
    assert!(matches!(endless, Err(CallError::NotSent(_))), "{endless:?}");
    assert_eq!(vendor.asked().len(), 41, "bounded");
}

// What a list may leave out of a page is on another one: only its own word is its end.
#[tokio::test]
async fn an_empty_page_is_not_the_end_of_a_list_that_goes_on() {
    let ours = an_order("c-0001-1", "OPEN", "0");
    let reference = client_ref("c-0001-1");
    let find = async |pages: Vec<Say>| {
        let vendor = Vendor::start([vec![time()], pages].concat()).await;
        let found = coinbase(&vendor.base_url()).find_order(ETH, &reference).await;
        (found, vendor.asked().len())
    };
    let on = || listed(&[], Some("on"));
    let (found, asked) = find(vec![on(), on(), listed(&[ours], None)]).await;
    assert_eq!((found.unwrap().unwrap().state, asked), (OrderState::Open, 4));
    assert_eq!(find(vec![on(), listed(&[], None)]).await, (Ok(None), 3));
    let (endless, asked) = find((0..50).map(|_| on()).collect()).await;
    assert!(matches!(endless, Err(CallError::NotSent(_))) && asked == 41, "{endless:?} {asked}");
    let (nowhere, _) = find(vec![listed(&[], Some(""))]).await;
    assert!(matches!(nowhere, Err(CallError::NotSent(_))), "{nowhere:?}");

    let account = json!({"currency": "ETH", "type": "ACCOUNT_TYPE_CRYPTO",
        "available_balance": {"value": "2"}, "hold": {"value": "1"}});
    let accounts = |accounts: &[Value], next: &str| {
        let page = json!({"accounts": accounts, "has_next": !next.is_empty(), "cursor": next});
        ok(page.to_string())
    };
    let vendor = Vendor::start(vec![time(), accounts(&[], "on"), accounts(&[account], "")]).await;
    let held = coinbase(&vendor.base_url()).holdings().await.unwrap();
    assert_eq!(held.iter().map(|held| held.asset).collect::<Vec<_>>(), [Asset::Eth]);

    let moves = |next: &str| {
        let page = json!({"pagination": {"next_starting_after": next}, "data": []});
        ok(page.to_string())
    };
    let sent = async |pages: Vec<Say>| {
        let vendor = Vendor::start([vec![time(), wallets()], pages].concat()).await;
        let venue = coinbase(&vendor.base_url());
        let found = venue.find_withdrawal(Asset::Eth, &client_ref("w-0001-1")).await;
        (found, vendor.asked().len())
    };
    assert_eq!(sent(vec![moves("57ffb4ae"), moves("")]).await, (Ok(None), 4));
    let (nowhere, asked) = sent(vec![moves("../57ffb4ae")]).await;
    assert!(matches!(nowhere, Err(CallError::NotSent(_))) && asked == 3, "{nowhere:?}");
}

#[tokio::test]
async fn a_cancel_that_comes_too_late_tells_the_fill() {
    let cancel = |success: bool, reason: &str| {
        let result = json!({"success": success, "failure_reason": reason, "order_id": ID});
        ok(json!({"results": [result]}).to_string())
    };
    let first = || listed(&[an_order("c-0001-1", "OPEN", "0")], None);
    let script =
        vec![time(), first(), cancel(false, "UNKNOWN_CANCEL_ORDER"), shown("FILLED", "0.5")];
    let vendor = Vendor::start(script).await;
    let reference = client_ref("c-0001-1");
    let order = coinbase(&vendor.base_url()).cancel_order(ETH, &reference).await.unwrap();
    assert_eq!(order.state, OrderState::Filled);
    let asked = vendor.asked();
    assert!(asked[2].starts_with("POST /api/v3/brokerage/orders/batch_cancel HTTP"));
    assert!(asked[2].ends_with(&json!({"order_ids": [ID]}).to_string()), "{}", asked[2]);

    let script = vec![time(), first(), cancel(false, "COMMANDER_REJECTED"), shown("OPEN", "0")];
    let vendor = Vendor::start(script).await;
    let refused = coinbase(&vendor.base_url()).cancel_order(ETH, &reference).await;
    assert!(matches!(refused, Err(CallError::Rejected { .. })), "{refused:?}");

    // Wished twice, or not readable afterwards: it stays open until it is seen to be over.
    for reason in ["DUPLICATE_CANCEL_REQUEST", ""] {
        let script = vec![time(), first(), cancel(reason.is_empty(), reason), Say::HangUp];
        let vendor = Vendor::start(script).await;
        let order = coinbase(&vendor.base_url()).cancel_order(ETH, &reference).await.unwrap();
        assert_eq!(order.state, OrderState::Open);
    }
    for lost in [Say::Hang, ok("{}"), ok(json!({"results": []}).to_string())] {
        let vendor = Vendor::start(vec![time(), first(), lost]).await;
        let lost = coinbase(&vendor.base_url()).cancel_order(ETH, &reference).await;
        assert!(lost.unwrap_err().may_have_happened());
    }
}

fn a_fill(n: u32, size: &str) -> Value {
    json!({"entry_id": format!("e-{n}"), "trade_id": format!("t-{n}"), "order_id": ID,
        "trade_time": "2026-01-05T10:00:00Z", "trade_type": "FILL", "price": "3000.1",
        "size": size, "commission": "1", "product_id": "ETH-USDT", "side": "SELL"})
}

// Executions that do not yet cover the order are no answer: booking them would lose the rest.
#[tokio::test]
async fn lagging_executions_are_refused_and_pages_are_put_together() {
    let page =
        |fills: &[Value], cursor: &str| ok(json!({"fills": fills, "cursor": cursor}).to_string());
    let mut other = a_fill(9, "0.3");
    other["order_id"] = "b1b2c3d4-0000-4890-abcd-ef1234567890".into();
    let script = vec![
        time(),
        listed(&[an_order("c-0001-1", "FILLED", "0.5")], None),
        page(&[a_fill(1, "0.2"), other], ""),
        page(&[a_fill(1, "0.2")], "more"),
        page(&[a_fill(2, "0.3")], "the-end"),
        page(&[], "the-end"),
    ];
    let vendor = Vendor::start(script).await;
    let venue = coinbase(&vendor.base_url());
    let order = venue.find_order(ETH, &client_ref("c-0001-1")).await.unwrap().unwrap();
    assert!(matches!(venue.fills(&order).await, Err(CallError::NotSent(_))));
    let fills = venue.fills(&order).await.unwrap();
    assert_eq!(fills.iter().map(|f| f.trade_id.as_str()).collect::<Vec<_>>(), ["t-1", "t-2"]);
    assert!(vendor.asked()[2].contains(&format!("fills?order_ids={ID}&limit=250 ")));
    let mut foreign = order;
    foreign.venue_order_id = "x&order_ids=y".to_owned();
    assert!(matches!(venue.fills(&foreign).await, Err(CallError::NotSent(_))));
}

fn a_send() -> NewWithdrawal {
    NewWithdrawal {
        client_ref: client_ref("w-0001-1"),
        network: NetworkId::new("ethereum").unwrap(),
        amount: Amount::try_new(250_000_000_000_000_000, Asset::Eth).unwrap(),
        to: "0x788cabe9236ce061e5a892e1a59395a81fc8d62c".to_owned(),
        stamp: DateTime::from_timestamp_millis(NOW_MS).unwrap(),
    }
}

fn wallets() -> Say {
    let account = json!({"id": "2bbf394c-193b", "type": "wallet", "currency": {"code": "ETH"}});
    ok(json!({"pagination": {"next_starting_after": null}, "data": [account]}).to_string())
}

#[tokio::test]
async fn a_withdrawal_is_asked_for_once_and_a_lost_answer_is_unknown() {
    let sent = json!({"data": {"id": "57ffb4ae", "type": "send", "status": "pending",
        "amount": {"amount": "-0.25", "currency": "ETH"}, "created_at": "2026-01-05T10:00:00Z",
        "network": {"transaction_fee": {"amount": "0.001", "currency": "ETH"}}}});
    let ask = async |answer: Say| {
        let vendor = Vendor::start(vec![time(), wallets(), answer]).await;
        let result = coinbase(&vendor.base_url()).withdraw(&a_send()).await;
        (result, vendor.asked())
    };
    let (result, asked) = ask(Say::Status("201 Created", sent.to_string())).await;
    let told = result.unwrap();
    assert_eq!((told.net.minor(), told.fee.minor()), (249 * 10_i128.pow(15), 10_i128.pow(15)));
    assert!(asked[2].starts_with("POST /v2/accounts/2bbf394c-193b/transactions HTTP"));
    let body: Value = serde_json::from_str(asked[2].split("\r\n\r\n").nth(1).unwrap()).unwrap();
    assert_eq!(body["idem"].as_str().unwrap().len(), 36);
    let rest = ["type", "to", "amount", "currency", "network"].map(|key| body[key].clone());
    let to = "0x788cabe9236ce061e5a892e1a59395a81fc8d62c";
    assert_eq!(rest, ["send", to, "0.249", "ETH", "ethereum"].map(Value::from));
    let another = sent.to_string().replace("\"status\"", "\"idem\":\"x\",\"status\"");
    let table = [
        Say::Hang,
        Say::HangUp,
        Say::Status("500 Internal Server Error", String::new()),
        Say::Status("400 Bad Request", "<html>".into()),
        Say::Status(
            "400 Bad Request",
            json!({"errors": [{"id": "new", "message": ""}]}).to_string(),
        ),
        Say::Status("201 Created", "{}".into()),
        Say::Status("201 Created", another),
        Say::Status("201 Created", sent.to_string().replace("\"0.001\"", "\"0.3\"")),
    ];
    for answer in table {
        let (result, asked) = ask(answer.clone()).await;
        assert!(result.unwrap_err().may_have_happened(), "{answer:?}");
        assert_eq!(asked.len(), 3, "sent once: {answer:?}");
    }
    for (status, id) in
        [("400 Bad Request", "validation_error"), ("402 Payment", "two_factor_required")]
    {
        let body = json!({"errors": [{"id": id, "message": "no"}]}).to_string();
        let (result, _) = ask(Say::Status(status, body)).await;
        assert!(matches!(result, Err(CallError::Rejected { .. })), "{id}");
    }
    let unnamed = NewWithdrawal { network: NetworkId::new("base").unwrap(), ..a_send() };
    let refused = coinbase("http://127.0.0.1:1").withdraw(&unnamed).await;
    assert!(matches!(refused, Err(CallError::Rejected { .. })), "no fee is named for it");
}

// Without a key it is what it always was: a source of rates.
#[tokio::test]
async fn without_a_key_there_is_nothing_to_sell_with() {
    let json = json!({"kind": "coinbase", "base_url": "https://api.coinbase.com"});
    let config = serde_json::from_value(json).unwrap();
    let connector = exchanges::registry::connect(&config, clock()).unwrap();
    assert!(connector.rates.is_some());
    assert!(connector.exchange.is_none() && connector.custody.is_none());
}

// Anybody can send anything, again and again: what came in between is still told, each once.
#[tokio::test]
async fn a_busy_wallet_is_read_page_by_page() {
    let world = World::start().await;
    let since = world.now();
    for n in 0..2_300 {
        let tx = format!("0x{n:064x}");
        let amount = Decimal::new(1, 3);
        assert!(world.running.coinbase.deposit_on("ETH", amount, &tx, Some("base"), "credited"));
        world.clock.advance(TimeDelta::seconds(20));
    }
    let custody = world.custody("coinbase");
    let count = async |since| {
        let told = custody.deposits(Asset::Eth, since).await.unwrap().unwrap();
        let ids: BTreeSet<_> = told.iter().map(|deposit| deposit.tx_id.clone()).collect();
        (told.len(), ids.len())
    };
    assert_eq!(count(since - TimeDelta::days(100)).await, (2_300, 2_300), "each once");
    let later = since + TimeDelta::seconds(20 * 2_000);
    assert_eq!(count(later).await, (300, 300), "and no further back than asked");
}

// The venue's published pace is kept by itself: thirty private calls a second, ten public ones.
#[tokio::test]
async fn coinbase_is_not_asked_faster_than_it_allows() {
    let world = World::start().await;
    let settings = world.running.coinbase.settings();
    let limited = simulators::coinbase::Settings { limits: true, ..settings };
    assert!(world.running.coinbase.set_settings(limited));
    let said = world.running.first_line()["coinbase"].clone();
    let json = json!({"base_url": said["base_url"], "api_key": said["api_key"],
        "private_key": said["secret"]});
    let clock = Arc::new(world.clock.clone());
    let venue = Coinbase::try_new(&serde_json::from_value(json).unwrap(), clock).unwrap();
    for n in 0..30 {
        assert!(venue.holdings().await.is_ok(), "{n}");
    }
    // Our pace runs on real time, the simulator's counting on a clock that stands still.
    let refused = venue.holdings().await;
    assert_eq!(refused, Err(CallError::RateLimited { retry_after_s: 1 }));
    world.pass(1);
    assert!(venue.holdings().await.is_ok());
}

// Taken and not yet there, gone wrong afterwards, or under a word nobody knows: open until the
// venue says that it is over.
#[tokio::test]
async fn coinbase_orders_are_open_until_they_are_said_to_be_over() {
    let world = World::start().await;
    let venue = world.venue("coinbase");
    let left_over = |name: &'static str| {
        let venue = Arc::clone(&venue);
        let world = &world;
        async move {
            let order = order(venue.as_ref(), Asset::Eth, name, 5_000, 90).await;
            world.fault("coinbase", "place_order", name);
            let placed = venue.place_order(&order).await.unwrap();
            let is_waiting = placed.state == OrderState::Open;
            world.pass(30);
            let found = venue.find_order(order.pair, &order.client_ref).await.unwrap().unwrap();
            (is_waiting, found.state, venue.fills(&found).await.unwrap().len())
        }
    };
    let (is_waiting, state, fills) = left_over("slow_accept").await;
    assert!(is_waiting && state == OrderState::Filled && fills > 0, "{state:?} {fills}");
    assert_eq!(left_over("fails_later").await, (true, OrderState::Closed, 0));
    let order = order(venue.as_ref(), Asset::Eth, "word", 5_000, 110).await;
    venue.place_order(&order).await.unwrap();
    world.fault("coinbase", "get_order", "unknown_status");
    let found = venue.find_order(order.pair, &order.client_ref).await.unwrap().unwrap();
    assert_eq!(found.state, OrderState::Open);
    assert!(world.running.world.faults.waiting().is_empty(), "it struck");
}
