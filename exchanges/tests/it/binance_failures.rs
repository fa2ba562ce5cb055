//! Every way an answer of Binance can fail to arrive, and what its connector makes of it: a placed
//! order whose answer is lost is `Unknown`, a refusal is `Rejected`, and a read is never `Unknown`.

use std::sync::Arc;

use exchanges::{
    ClientRef, Custody as _, Exchange, NewOrder, OrderKind, OrderState, Pair, binance::Binance,
    custody::NewWithdrawal,
};
use primitives::{Amount, Asset, CallError, CallResult, ManualClock, NetworkId};
use rust_decimal::Decimal;

use crate::vendor::{Say, Vendor, http, ok};

const NOW_MS: i64 = 1_767_607_200_000;
const ETH_USDT: Pair = Pair { base: Asset::Eth, quote: Asset::Usdt };

fn clock() -> ManualClock {
    ManualClock::new(chrono::DateTime::from_timestamp_millis(NOW_MS).unwrap())
}

fn binance_by(base_url: &str, clock: &ManualClock) -> Binance {
    let json = serde_json::json!({
        "base_url": base_url, "api_key": "key", "secret": "s3cret", "paced": false,
        "http": http(400_000),
    });
    let config = serde_json::from_value(json).unwrap();
    Binance::try_new(&config, Arc::new(clock.clone())).unwrap()
}

fn binance(base_url: &str) -> Binance {
    binance_by(base_url, &clock())
}

fn order() -> NewOrder {
    NewOrder {
        client_ref: ClientRef::new("c-0001-1").unwrap(),
        pair: ETH_USDT,
        kind: OrderKind::Limit,
        quantity: Decimal::new(500, 3),
        price: Decimal::new(30_000, 1),
        stamp: chrono::DateTime::from_timestamp_millis(NOW_MS).unwrap(),
    }
}

fn time() -> Say {
    ok(format!("{{\"serverTime\":{NOW_MS}}}"))
}

fn refusal(status: &'static str, code: i64, message: &str) -> Say {
    Say::Status(status, format!("{{\"code\":{code},\"msg\":\"{message}\"}}"))
}

const BAD: &str = "400 Bad Request";
const PLACED: &str = r#"{"symbol":"ETHUSDT","orderId":28,"orderListId":-1,
    "clientOrderId":"c-0001-1","transactTime":1767607200000,"price":"3000.00000000",
    "origQty":"0.50000000","executedQty":"0.00000000","cummulativeQuoteQty":"0.00000000",
    "status":"NEW","timeInForce":"GTC","type":"LIMIT","side":"SELL","fills":[]}"#;

fn filled() -> String {
    let filled = PLACED.replace("\"executedQty\":\"0.0", "\"executedQty\":\"0.5");
    filled.replace("\"NEW\"", "\"FILLED\"")
}

async fn place(answer: Say) -> (CallResult<exchanges::Order>, Vec<String>) {
    let vendor = Vendor::start(vec![time(), answer]).await;
    let result = binance(&vendor.base_url()).place_order(&order()).await;
    (result, vendor.asked())
}

#[tokio::test]
async fn an_order_is_sent_once_signed_and_without_exponents() {
    let table = [
        (OrderKind::Limit, "type=LIMIT&timeInForce=GTC&price=3000&"),
        (OrderKind::ImmediateOrCancel, "type=LIMIT&timeInForce=IOC&price=3000&"),
        (OrderKind::Market, "type=MARKET&"),
    ];
    for (kind, terms) in table {
        let vendor = Vendor::start(vec![time(), ok(PLACED)]).await;
        let order = NewOrder { kind, ..order() };
        let placed = binance(&vendor.base_url()).place_order(&order).await;
        assert_eq!(placed.unwrap().venue_order_id, "28");
        let asked = vendor.asked();
        assert_eq!(asked.len(), 2);
        assert!(asked[1].starts_with("POST /api/v3/order HTTP/1.1\r\n"), "{}", asked[1]);
        assert!(asked[1].contains("x-mbx-apikey: key\r\n"));
        let body = asked[1].split("\r\n\r\n").nth(1).unwrap();
        let expected = format!(
            "symbol=ETHUSDT&side=SELL&{terms}quantity=0.5&newClientOrderId=c-0001-1\
             &newOrderRespType=FULL&recvWindow=5000&timestamp=1767607200000&signature="
        );
        assert!(body.starts_with(&expected), "{body}");
    }
}

#[tokio::test]
async fn a_lost_answer_to_an_order_is_unknown() {
    let unknown = |status, code| refusal(status, code, "Execution status unknown.");
    let table = [
        Say::Hang,
        Say::HangUp,
        Say::Raw(b"\x00 garbage"),
        Say::Raw(b"HTTP/1.1 200 OK\r\ncontent-length: 500\r\n\r\n{\"orderId\":28,"),
        unknown("500 Internal Server Error", -1006),
        Say::Status("502 Bad Gateway", "<html>".into()),
        unknown("503 Service Unavailable", -1008),
        unknown("504 Gateway Timeout", -1007),
        unknown("408 Request Timeout", -1007),
        unknown(BAD, -1007),
        unknown(BAD, -1006),
        unknown(BAD, -1000),
        unknown(BAD, -1001),
        unknown(BAD, -1008),
        unknown(BAD, -31_337),
        refusal(BAD, -2010, "Duplicate order sent."),
        Say::Status("403 Forbidden", "<html>blocked</html>".into()),
        Say::Status("409 Conflict", "{}".into()),
        ok("{}"),
        ok("<html>"),
        ok("[]"),
        ok(r#"{"symbol":"ETHUSDT","orderId":28,"clientOrderId":"c-0001-1","transactTime":1}"#),
        ok(PLACED.replace("\"orderId\":28,", "")),
        ok(PLACED.replace("c-0001-1", "c-0001-2")),
        ok(PLACED.replace("ETHUSDT", "BTCUSDT")),
        ok(PLACED.replace("SELL", "BUY")),
        ok(PLACED.replace("\"origQty\":\"0.5", "\"origQty\":\"5.0")),
        ok("x".repeat(500_000)),
    ];
    for answer in table {
        let (result, asked) = place(answer.clone()).await;
        let error = result.unwrap_err();
        assert!(error.may_have_happened(), "{answer:?}: {error}");
        assert_eq!(asked.len(), 2, "sent once: {answer:?}");
        assert!(!error.to_string().contains("s3cret"));
    }
}

#[tokio::test]
async fn a_refusal_is_told_in_the_venues_words() {
    let cases = [
        (-2010, "Account has insufficient balance for requested action."),
        (-2010, "Market is closed."),
        (-1013, "Filter failure: NOTIONAL"),
        (-1111, "Parameter 'quantity' has too much precision."),
        (-1121, "Invalid symbol."),
        (-1102, "Mandatory parameter 'side' was not sent."),
        (-1220, "Symbol not in the asked status."),
    ];
    for (code, message) in cases {
        let (result, _) = place(refusal(BAD, code, message)).await;
        let expected = CallError::Rejected { code: code.to_string(), reason: message.into() };
        assert_eq!(result.unwrap_err(), expected);
    }
    let nothing = [
        NewOrder { quantity: Decimal::ZERO, ..order() },
        NewOrder { price: Decimal::ZERO, ..order() },
        NewOrder { pair: Pair { base: Asset::Eth, quote: Asset::Inr }, ..order() },
        NewOrder { pair: Pair { base: Asset::Usdt, quote: Asset::Usdt }, ..order() },
    ];
    for order in nothing {
        let result = binance("http://127.0.0.1:1").place_order(&order).await;
        assert!(matches!(result, Err(CallError::Rejected { .. })), "{result:?}");
    }
}

// Our key, its rights or our address: the venue took nothing, and the same order may go later.
#[tokio::test]
async fn a_closed_account_is_not_sent() {
    for (status, code) in [
        ("401 Unauthorized", -2014),
        ("401 Unauthorized", -2015),
        (BAD, -1022),
        (BAD, -1002),
        ("403 Forbidden", -1),
    ] {
        let (result, asked) = place(refusal(status, code, "no")).await;
        let error = result.unwrap_err();
        assert!(matches!(error, CallError::NotSent(_)), "{status} {code}: {error}");
        assert!(exchanges::is_access_refusal(&error), "{error}");
        assert_eq!(asked.len(), 2, "sent once");
    }
    let json = r#"{"base_url":"http://127.0.0.1:1"}"#;
    let keyless = Binance::try_new(&serde_json::from_str(json).unwrap(), Arc::new(clock()));
    let refused = keyless.unwrap().holdings().await.unwrap_err();
    assert!(exchanges::is_access_refusal(&refused), "{refused}");
}

// 429 and 418: nothing is sent before the time the venue named is over.
#[tokio::test]
async fn a_pause_is_kept_to_its_end() {
    let table = [("429 Too Many Requests", 7), ("418 I'm a teapot", 300)];
    for (status, seconds) in table {
        let headers = if seconds == 7 { "retry-after: 7\r\n" } else { "retry-after: 300\r\n" };
        let body = r#"{"code":-1003,"msg":"Too much request weight used."}"#.to_owned();
        let script = vec![time(), Say::Headed(status, headers, body), ok(PLACED)];
        let vendor = Vendor::start(script).await;
        let clock = clock();
        let venue = binance_by(&vendor.base_url(), &clock);
        let told = venue.place_order(&order()).await;
        assert_eq!(told, Err(CallError::RateLimited { retry_after_s: seconds }), "{status}");
        clock.advance(chrono::TimeDelta::seconds(i64::try_from(seconds).unwrap() - 1));
        let held = venue.place_order(&order()).await;
        assert_eq!(held, Err(CallError::RateLimited { retry_after_s: 1 }), "{status}");
        assert_eq!(vendor.asked().len(), 2, "nothing was sent");
        clock.advance(chrono::TimeDelta::seconds(1));
        venue.place_order(&order()).await.unwrap();
    }
}

// The same codes without their status, and the windows the headers tell of.
#[tokio::test]
async fn a_used_up_window_is_left_alone() {
    let too_many = "Too many new orders; current limit is 50 orders per 10 SECOND.";
    for (code, message, seconds) in [(-1003, "Too many requests.", 60), (-1015, too_many, 10)] {
        let vendor = Vendor::start(vec![time(), refusal(BAD, code, message)]).await;
        let venue = binance(&vendor.base_url());
        for _ in 0..2 {
            let told = venue.place_order(&order()).await;
            assert_eq!(told, Err(CallError::RateLimited { retry_after_s: seconds }), "{code}");
        }
        assert_eq!(vendor.asked().len(), 2, "sent once");
    }

    let weight = "x-mbx-used-weight-1m: 5990\r\n";
    let vendor = Vendor::start(vec![time(), Say::Headed("200 OK", weight, PLACED.into())]).await;
    let clock = clock();
    let venue = binance_by(&vendor.base_url(), &clock);
    // The venue's clock counts, and it says that the minute has just begun.
    clock.advance(chrono::TimeDelta::seconds(3));
    venue
        .place_order(&NewOrder { stamp: primitives::Clock::now(&clock), ..order() })
        .await
        .unwrap();
    let held = venue.holdings().await;
    assert_eq!(held, Err(CallError::RateLimited { retry_after_s: 60 }), "20 do not fit any more");
    assert_eq!(vendor.asked().len(), 2);

    let counts = "x-mbx-order-count-10s: 3\r\nx-mbx-order-count-1d: 160000\r\n";
    let vendor = Vendor::start(vec![time(), Say::Headed("200 OK", counts, PLACED.into())]).await;
    let venue = binance(&vendor.base_url());
    venue.place_order(&order()).await.unwrap();
    let held = venue.place_order(&order()).await;
    let until_midnight = 86_400 - (NOW_MS / 1_000).rem_euclid(86_400);
    let retry_after_s = u64::try_from(until_midnight).unwrap();
    assert_eq!(held, Err(CallError::RateLimited { retry_after_s }));
    assert_eq!(vendor.asked().len(), 2, "the day is full");
}

// A refused stamp proves that nothing happened. The clock is measured again; a read goes on by
// itself, an order is handed back.
#[tokio::test]
async fn a_refused_stamp_measures_the_clock_again() {
    let later = format!("{{\"serverTime\":{}}}", NOW_MS + 60_000);
    let stale = || refusal(BAD, -1021, "Timestamp for this request is outside of the recvWindow.");
    let vendor = Vendor::start(vec![time(), stale(), ok(later.clone()), ok(PLACED)]).await;
    let venue = binance(&vendor.base_url());
    let first = venue.place_order(&order()).await;
    assert!(matches!(first, Err(CallError::NotSent(_))), "{first:?}");
    venue.place_order(&order()).await.unwrap();
    assert!(vendor.asked()[3].contains("timestamp=1767607260000"));

    let vendor = Vendor::start(vec![time(), stale(), ok(later), ok(PLACED)]).await;
    let found = binance(&vendor.base_url()).find_order(ETH_USDT, &order().client_ref).await;
    assert_eq!(found.unwrap().unwrap().venue_order_id, "28");
    let vendor = Vendor::start(vec![time(), stale(), time(), stale()]).await;
    let given_up = binance(&vendor.base_url()).find_order(ETH_USDT, &order().client_ref).await;
    assert!(matches!(given_up, Err(CallError::NotSent(_))), "{given_up:?}");
}

#[tokio::test]
async fn a_read_is_never_unknown() {
    let table = [
        Say::Hang,
        Say::HangUp,
        Say::Status("502 Bad Gateway", "<html>".into()),
        refusal("500 Internal Server Error", -1006, "?"),
        refusal(BAD, -1007, "?"),
        ok("{"),
        ok("{\"orderId\":28}"),
        ok("x".repeat(500_000)),
    ];
    for answer in table {
        let vendor = Vendor::start(vec![time(), answer.clone()]).await;
        let result = binance(&vendor.base_url()).find_order(ETH_USDT, &order().client_ref).await;
        assert!(matches!(result, Err(CallError::NotSent(_))), "{answer:?}: {result:?}");
    }
    let absent = refusal(BAD, -2013, "Order does not exist.");
    let vendor = Vendor::start(vec![time(), absent]).await;
    let found = binance(&vendor.base_url()).find_order(ETH_USDT, &order().client_ref).await;
    assert_eq!(found, Ok(None));
    let archived = refusal(BAD, -2026, "Order was archived.");
    let vendor = Vendor::start(vec![time(), archived]).await;
    let found = binance(&vendor.base_url()).find_order(ETH_USDT, &order().client_ref).await;
    assert!(matches!(found, Err(CallError::Rejected { .. })), "not the same as absent: {found:?}");
}

// "Unknown order sent." also means closed: look before believing.
#[tokio::test]
async fn a_cancel_that_comes_too_late_tells_the_fill() {
    let unknown_order = || refusal(BAD, -2011, "Unknown order sent.");
    let vendor = Vendor::start(vec![time(), unknown_order(), ok(filled())]).await;
    let client_ref = order().client_ref;
    let told = binance(&vendor.base_url()).cancel_order(ETH_USDT, &client_ref).await.unwrap();
    assert_eq!(told.state, OrderState::Filled);
    let asked = vendor.asked();
    let delete = "DELETE /api/v3/order?symbol=ETHUSDT&origClientOrderId=c-0001-1&";
    assert!(asked[1].starts_with(delete), "{}", asked[1]);

    let absent = refusal(BAD, -2013, "Order does not exist.");
    for (answer, rest) in [(absent, "no_such_order"), (ok(PLACED), "-2011")] {
        let vendor = Vendor::start(vec![time(), unknown_order(), answer]).await;
        let refused = binance(&vendor.base_url()).cancel_order(ETH_USDT, &client_ref).await;
        assert!(matches!(refused, Err(CallError::Rejected { code, .. }) if code == rest));
    }
    let own = PLACED.replace("\"clientOrderId\":\"c-0001-1\"", "\"clientOrderId\":\"their-own\"");
    let own = own.replace('{', "{\"origClientOrderId\":\"c-0001-1\",").replace("NEW", "CANCELED");
    let vendor = Vendor::start(vec![time(), ok(own)]).await;
    let told = binance(&vendor.base_url()).cancel_order(ETH_USDT, &client_ref).await.unwrap();
    assert_eq!(told.state, OrderState::Closed);
    let vendor = Vendor::start(vec![time(), Say::Hang]).await;
    let lost = binance(&vendor.base_url()).cancel_order(ETH_USDT, &client_ref).await;
    assert!(lost.unwrap_err().may_have_happened());
}

fn trade(id: u32, quantity: &str) -> String {
    let quantity: Decimal = quantity.parse().unwrap();
    let value = quantity * Decimal::new(3_000, 0);
    format!(
        r#"{{"symbol":"ETHUSDT","id":{id},"orderId":28,"price":"3000","qty":"{quantity}",
        "quoteQty":"{value}","commission":"0.00003","commissionAsset":"USDT","time":{NOW_MS},
        "isBuyer":false,"isMaker":false}}"#
    )
}

// Executions that do not yet cover the order are no answer: booking them would lose the rest.
#[tokio::test]
async fn lagging_executions_are_refused() {
    let half = format!("[{}]", trade(1, "0.2"));
    let whole = format!("[{},{}]", trade(2, "0.3"), trade(1, "0.2"));
    let vendor = Vendor::start(vec![time(), ok(filled()), ok(half), ok(whole)]).await;
    let venue = binance(&vendor.base_url());
    let order = venue.find_order(ETH_USDT, &order().client_ref).await.unwrap().unwrap();
    assert!(matches!(venue.fills(&order).await, Err(CallError::NotSent(_))));
    let fills = venue.fills(&order).await.unwrap();
    assert_eq!(fills.iter().map(|f| f.trade_id.as_str()).collect::<Vec<_>>(), ["1", "2"]);
}

// A full page may hide executions: those of an order are walked, those since a time are refused.
#[tokio::test]
async fn a_full_page_is_not_believed() {
    let page = |ids: std::ops::Range<u32>| {
        let trades: Vec<String> = ids.map(|id| trade(id, "0.0004")).collect();
        ok(format!("[{}]", trades.join(",")))
    };
    let script = vec![time(), ok(filled()), page(251..1_251), page(1..1_001), page(1_001..1_251)];
    let vendor = Vendor::start(script).await;
    let venue = binance(&vendor.base_url());
    let order = venue.find_order(ETH_USDT, &order().client_ref).await.unwrap().unwrap();
    assert_eq!(venue.fills(&order).await.unwrap().len(), 1_250);
    let asked = vendor.asked();
    assert!(asked[3].contains("&orderId=28&limit=1000&fromId=0&"), "{}", asked[3]);
    assert!(asked[4].contains("&fromId=1001&"), "{}", asked[4]);

    let since = chrono::DateTime::from_timestamp_millis(NOW_MS - 30 * 3_600_000).unwrap();
    let vendor = Vendor::start(vec![time(), time(), page(0..1), page(1..2)]).await;
    assert_eq!(binance(&vendor.base_url()).fills_since(ETH_USDT, since).await.unwrap().len(), 2);
    let asked = vendor.asked();
    assert!(asked[2].contains("startTime=1767499200000&endTime=1767585600000&"), "{}", asked[2]);
    assert!(asked[3].contains("startTime=1767585600001&endTime=1767607201000&"), "{}", asked[3]);
    let vendor = Vendor::start(vec![time(), time(), page(0..1_000)]).await;
    let hidden = binance(&vendor.base_url()).fills_since(ETH_USDT, since).await;
    assert!(matches!(hidden, Err(CallError::NotSent(_))), "{hidden:?}");
    let long_ago = chrono::DateTime::from_timestamp_millis(NOW_MS - 90 * 86_400_000).unwrap();
    let vendor = Vendor::start(vec![time()]).await;
    let too_long = binance(&vendor.base_url()).fills_since(ETH_USDT, long_ago).await;
    assert!(matches!(too_long, Err(CallError::NotSent(_))), "{too_long:?}");
}

// Kept for a while; read again after a refusal that says they are not true any more.
#[tokio::test]
async fn rules_are_kept_until_they_are_old_or_wrong() {
    let info = include_str!("../../src/binance/fixtures/exchange_info.three.json");
    let filter = refusal(BAD, -1013, "Filter failure: LOT_SIZE");
    let vendor =
        Vendor::start(vec![ok(info), time(), filter, ok(info), ok(info), ok(PLACED)]).await;
    let clock = clock();
    let venue = binance_by(&vendor.base_url(), &clock);
    venue.rules(ETH_USDT).await.unwrap();
    venue.rules(ETH_USDT).await.unwrap();
    assert_eq!(vendor.asked().len(), 1);
    assert!(vendor.asked()[0].starts_with("GET /api/v3/exchangeInfo?symbol=ETHUSDT "));
    assert!(matches!(venue.place_order(&order()).await, Err(CallError::Rejected { .. })));
    venue.rules(ETH_USDT).await.unwrap();
    assert_eq!(vendor.asked().len(), 4, "read again");
    clock.advance(chrono::TimeDelta::minutes(11));
    venue.rules(ETH_USDT).await.unwrap();
    assert_eq!(vendor.asked().len(), 5, "old");
}

#[tokio::test]
async fn an_unknown_commission_is_the_configured_one() {
    let refused = refusal(BAD, -1121, "Invalid symbol.");
    let told = include_str!("../../src/binance/fixtures/commission.some.json");
    for (answer, bps) in [(refused, 10), (ok(told), 11)] {
        let vendor = Vendor::start(vec![time(), answer]).await;
        let venue = binance(&vendor.base_url());
        for _ in 0..2 {
            assert_eq!(venue.levies(ETH_USDT).await.unwrap().fee.get(), bps);
        }
        assert_eq!(vendor.asked().len(), 2, "kept");
    }
    let vendor = Vendor::start(vec![time(), Say::HangUp]).await;
    let weather = binance(&vendor.base_url()).levies(ETH_USDT).await;
    assert!(matches!(weather, Err(CallError::NotSent(_))), "{weather:?}");
}

fn withdrawal() -> NewWithdrawal {
    NewWithdrawal {
        client_ref: ClientRef::new("w-0001-1").unwrap(),
        network: NetworkId::new("ethereum").unwrap(),
        amount: Amount::try_new(250_000_000_000_000_000, Asset::Eth).unwrap(),
        to: "0x788cabe9236ce061e5a892e1a59395a81fc8d62c".to_owned(),
        stamp: order().stamp,
    }
}

const COINS: &str = include_str!("../../src/binance/fixtures/coins.some.json");
const NIL: &str = r#"{"questionnaireCountryCode":"NIL"}"#;

#[tokio::test]
async fn a_withdrawal_is_asked_for_once_and_its_lost_answer_is_unknown() {
    let vendor = Vendor::start(vec![time(), ok(COINS), ok(NIL), ok(r#"{"id":"b6ae22b3"}"#)]).await;
    let asked_for = binance(&vendor.base_url()).withdraw(&withdrawal()).await.unwrap();
    assert_eq!(asked_for.net.minor(), 249_040_000_000_000_000);
    let asked = vendor.asked();
    assert!(asked[3].starts_with("POST /sapi/v1/capital/withdraw/apply HTTP/1.1"), "{}", asked[3]);
    let body = asked[3].split("\r\n\r\n").nth(1).unwrap();
    let expected = "coin=ETH&network=ETH&address=0x788cabe9236ce061e5a892e1a59395a81fc8d62c\
        &amount=0.25&withdrawOrderId=w-0001-1&recvWindow=5000&timestamp=1767607200000&signature=";
    assert!(body.starts_with(expected), "{body}");
    let table = [
        Say::Hang,
        Say::HangUp,
        Say::Status("502 Bad Gateway", "<html>".into()),
        refusal(BAD, -1007, "?"),
        refusal(BAD, -4104, "withdrawOrderId already exists."),
        ok("{}"),
        ok(r#"{"id":""}"#),
        ok("[]"),
    ];
    for answer in table {
        let vendor = Vendor::start(vec![time(), ok(COINS), ok(NIL), answer.clone()]).await;
        let lost = binance(&vendor.base_url()).withdraw(&withdrawal()).await;
        assert!(lost.as_ref().is_err_and(CallError::may_have_happened), "{answer:?}: {lost:?}");
        assert_eq!(vendor.asked().len(), 4, "asked once");
    }
    let vendor =
        Vendor::start(vec![time(), ok(COINS), ok(NIL), refusal(BAD, -4026, "Insufficient")]).await;
    let refused = binance(&vendor.base_url()).withdraw(&withdrawal()).await;
    assert!(matches!(refused, Err(CallError::Rejected { .. })), "{refused:?}");
}

#[tokio::test]
async fn a_withdrawal_that_cannot_be_is_not_asked_for() {
    let elsewhere = |name: &str| NetworkId::new(name).unwrap();
    let amount = |minor| Amount::try_new(minor, Asset::Eth).unwrap();
    let table = [
        (NewWithdrawal { network: elsewhere("base"), ..withdrawal() }, "withdrawals_closed"),
        (NewWithdrawal { network: elsewhere("solana"), ..withdrawal() }, "no_network"),
        (NewWithdrawal { network: elsewhere("fantasy"), ..withdrawal() }, "no_network"),
        (NewWithdrawal { amount: amount(1_900_000_000_000_000), ..withdrawal() }, "too_little"),
        (NewWithdrawal { amount: amount(-1), ..withdrawal() }, "too_little"),
    ];
    for (new, expected) in table {
        let vendor = Vendor::start(vec![time(), ok(COINS)]).await;
        match binance(&vendor.base_url()).withdraw(&new).await {
            Err(CallError::Rejected { code, .. }) => assert_eq!(code, expected),
            other => panic!("{expected}: {other:?}"),
        }
        assert!(vendor.asked().iter().all(|asked| !asked.starts_with("POST")), "{expected}");
    }
    let india = ok(r#"{"questionnaireCountryCode":"IN"}"#);
    let vendor = Vendor::start(vec![time(), ok(COINS), india]).await;
    let refused = binance(&vendor.base_url()).withdraw(&withdrawal()).await;
    assert!(matches!(refused, Err(CallError::Rejected { code, .. }) if code == "travel_rule"));
    // Who cannot be asked whether answers are wanted is not sent to without them.
    let vendor = Vendor::start(vec![time(), ok(COINS), Say::HangUp]).await;
    let weather = binance(&vendor.base_url()).withdraw(&withdrawal()).await;
    assert!(matches!(weather, Err(CallError::NotSent(_))), "{weather:?}");
}

#[tokio::test]
async fn one_reference_is_one_withdrawal() {
    let line = |id: &str, reference: &str| {
        format!(
            r#"{{"id":"{id}","amount":"0.249","transactionFee":"0.001","coin":"ETH","status":4,
            "txId":"","network":"ETH","withdrawOrderId":"{reference}"}}"#
        )
    };
    let find = async |body: String| {
        let vendor = Vendor::start(vec![time(), ok(body)]).await;
        let found =
            binance(&vendor.base_url()).find_withdrawal(Asset::Eth, &withdrawal().client_ref).await;
        found.map(|found| found.map(|withdrawal| withdrawal.venue_id))
    };
    assert_eq!(find("[]".to_owned()).await, Ok(None));
    let other = line("b", "w-0002-1");
    let ours = line("a", "w-0001-1");
    assert_eq!(find(format!("[{other},{ours}]")).await, Ok(Some("a".to_owned())));
    let twice = find(format!("[{ours},{}]", line("c", "w-0001-1"))).await;
    assert!(matches!(twice, Err(CallError::NotSent(_))), "{twice:?}");
}
