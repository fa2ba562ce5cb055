//! Binance: fills, fees, client ids, filters, expiry, counters.

use rust_decimal::Decimal;
use serde_json::Value;
use simulators::binance::Settings;

use crate::venue_bench::{Venues, dec, number};

const ORDER: &str = "/api/v3/order";
const GTC: &str = "&timeInForce=GTC";

fn venues() -> Venues {
    let venues = Venues::new();
    venues.pin("BTCUSDT", "100000");
    venues
}

async fn find(venues: &Venues, client_id: &str) -> Value {
    let params = format!("symbol=BTCUSDT&origClientOrderId={client_id}");
    venues.binance("GET", ORDER, &params).await.body
}

#[tokio::test]
async fn a_sale_pays_commission_in_what_it_receives() {
    let venues = venues();
    let sold = venues.binance_order("SELL 0.5 BTCUSDT 99000", GTC).await.ok();
    assert_eq!((&sold["status"], &sold["executedQty"]), (&"FILLED".into(), &"0.50000000".into()));
    let fills = sold["fills"].as_array().unwrap();
    let mut gained = Decimal::ZERO;
    for fill in fills {
        assert_eq!(fill["commissionAsset"], "USDT");
        let quote = number(fill, "price") * number(fill, "qty");
        assert_eq!(number(fill, "commission"), (quote * dec("0.001")).trunc_with_scale(8));
        gained += quote - number(fill, "commission");
    }
    assert_eq!(venues.binance.balance("USDT").free, dec("2000000") + gained);
    let trades = venues.binance("GET", "/api/v3/myTrades", "symbol=BTCUSDT").await.ok();
    assert_eq!(trades.as_array().unwrap().len(), fills.len());
    let bought = "symbol=BTCUSDT&side=BUY&type=MARKET&quoteOrderQty=1000";
    let bought = venues.binance("POST", ORDER, bought).await.ok();
    assert_eq!(bought["status"], "FILLED", "{bought}");
    assert_eq!(bought["fills"][0]["commissionAsset"], "BTC");
    assert_eq!(bought["origQuoteOrderQty"], "1000.00000000");
    let spent = number(&bought, "cummulativeQuoteQty");
    assert!(spent <= dec("1000") && spent > dec("998"), "{spent}");
    venues.assert_books_balance();
}

// The trap: the id has to differ from open orders only, so a resend after the fill sells twice.
#[tokio::test]
async fn client_ids_are_unique_among_open_orders_only() {
    let venues = venues();
    let more = format!("{GTC}&newClientOrderId=once");
    venues.binance_order("SELL 0.1 BTCUSDT 120000", &more).await.ok();
    let twin = venues.binance_order("SELL 0.1 BTCUSDT 120000", &more).await;
    assert_eq!(twin.refusal(), (400, -2010));
    assert_eq!(twin.body["msg"], "Duplicate order sent.");
    let cancel = "symbol=BTCUSDT&origClientOrderId=once";
    let cancelled = venues.binance("DELETE", ORDER, cancel).await.ok();
    assert_eq!(cancelled["origClientOrderId"], "once");
    assert_ne!(cancelled["clientOrderId"], "once", "a cancellation has an id of its own");
    assert_eq!(cancelled["status"], "CANCELED");
    for _ in 0..2 {
        venues.binance_order("SELL 0.1 BTCUSDT 99000", &more).await.ok();
    }
    assert_eq!(venues.binance.balance("BTC").free, dec("4.8"), "sold twice under one id");
    let gone = venues.binance("DELETE", ORDER, cancel).await;
    assert_eq!(
        (gone.refusal(), gone.body["msg"].as_str()),
        ((400, -2011), Some("Unknown order sent."))
    );
    venues.assert_books_balance();
}

#[tokio::test]
async fn immediate_orders_expire_with_what_they_got() {
    let venues = venues();
    venues.world.prices.set_liquidity("binance", "BTCUSDT", dec("0.01")).unwrap();
    let ioc = venues.binance_order("SELL 1 BTCUSDT 99000", "&timeInForce=IOC").await.ok();
    assert_eq!(ioc["status"], "EXPIRED");
    assert_eq!(ioc["expiryReason"], "UNFILLED_IOC_QUANTITY_EXPIRED");
    assert!(number(&ioc, "executedQty") > Decimal::ZERO, "{ioc}");
    let fok = venues.binance_order("SELL 1 BTCUSDT 99000", "&timeInForce=FOK").await.ok();
    assert_eq!((&fok["status"], &fok["executedQty"]), (&"EXPIRED".into(), &"0.00000000".into()));
    let market = "symbol=BTCUSDT&side=SELL&type=MARKET&quantity=1";
    let market = venues.binance("POST", ORDER, market).await.ok();
    assert_eq!(market["expiryReason"], "INSUFFICIENT_LIQUIDITY");
    let gtc = venues.binance_order("SELL 1 BTCUSDT 99000", GTC).await.ok();
    assert_eq!(gtc["status"], "PARTIALLY_FILLED");
    assert_eq!(venues.binance.balance("BTC").locked, Decimal::ONE - number(&gtc, "executedQty"));
    venues.assert_books_balance();
}

#[tokio::test]
async fn a_maker_order_never_takes() {
    let venues = venues();
    let place = async |price: &str| {
        let params =
            format!("symbol=BTCUSDT&side=SELL&type=LIMIT_MAKER&quantity=0.1&price={price}");
        venues.binance("POST", ORDER, &params).await
    };
    let crossing = place("99000").await;
    assert_eq!(crossing.refusal(), (400, -2010));
    assert_eq!(crossing.body["msg"], "Order would immediately match and take.");
    let resting = place("110000").await.ok();
    assert!(resting.get("status").is_none(), "ACK is its default reply: {resting}");
    venues.pin("BTCUSDT", "111000");
    venues.binance.match_resting();
    let trades = venues.binance("GET", "/api/v3/myTrades", "symbol=BTCUSDT").await.ok();
    assert_eq!(
        (&trades[0]["isMaker"], &trades[0]["price"]),
        (&true.into(), &"110000.00000000".into())
    );
}

#[tokio::test]
async fn filters_and_parameters_refuse_with_exact_texts() {
    let venues = venues();
    let long_id = format!("{GTC}&newClientOrderId=0123456789012345678901234567890123456");
    let cases = [
        ("SELL 0.000001 BTCUSDT 100000", GTC, -1013, "Filter failure: LOT_SIZE"),
        ("SELL 0.00001 BTCUSDT 100000", GTC, -1013, "Filter failure: NOTIONAL"),
        ("SELL 0.1 BTCUSDT 100000.001", GTC, -1013, "Filter failure: PRICE_FILTER"),
        ("SELL 0.1 BTCUSDT 600000", GTC, -1013, "Filter failure: PERCENT_PRICE_BY_SIDE"),
        (
            "SELL 0.123456789 BTCUSDT 100000",
            GTC,
            -1111,
            "Parameter 'quantity' has too much precision.",
        ),
        ("SELL 0.1 XXXUSDT 100000", GTC, -1121, "Invalid symbol."),
        ("HOLD 0.1 BTCUSDT 100000", GTC, -1117, "Invalid side."),
        (
            "SELL 0.1 BTCUSDT 100000",
            "",
            -1102,
            "Mandatory parameter 'timeInForce' was not sent, was empty/null, or malformed.",
        ),
        (
            "SELL 0.1 BTCUSDT 100000",
            &long_id,
            -1100,
            "Illegal characters found in parameter 'newClientOrderId'; legal range is \
             '^[a-zA-Z0-9-_]{1,36}$'.",
        ),
        (
            "SELL 7 BTCUSDT 100000",
            GTC,
            -2010,
            "Account has insufficient balance for requested action.",
        ),
    ];
    for (order, more, code, text) in cases {
        let refused = venues.binance_order(order, more).await;
        assert_eq!(refused.refusal(), (400, code), "{order}: {}", refused.body);
        assert_eq!(refused.body["msg"], text, "{order}");
    }
}

#[tokio::test]
async fn an_order_is_selected_by_one_of_its_ids() {
    let venues = venues();
    let neither = venues.binance("GET", ORDER, "symbol=BTCUSDT").await;
    let text = "Param 'origClientOrderId' or 'orderId' must be sent, but both were empty/null!";
    assert_eq!(neither.body["msg"], text);
    let missing = venues.binance("GET", ORDER, "symbol=BTCUSDT&orderId=1").await;
    assert_eq!(
        (missing.refusal().1, missing.body["msg"].as_str()),
        (-2013, Some("Order does not exist."))
    );
    let sold = venues.binance_order("SELL 0.1 BTCUSDT 99000", GTC).await.ok();
    let both = format!("symbol=BTCUSDT&orderId={}&origClientOrderId=other", sold["orderId"]);
    assert_eq!(venues.binance("GET", ORDER, &both).await.refusal(), (400, -2039));
    assert_eq!(venues.world.journal.entries("binance", 5, 100)[0].kind, "order_accepted");
}

// -2013 right after placing is replication lag, not absence.
#[tokio::test]
async fn a_query_can_lag_behind_the_engine() {
    let venues = venues();
    venues.fault("binance", "place_order", "query_lag", None);
    let more = format!("{GTC}&newClientOrderId=lagging");
    venues.binance_order("SELL 0.1 BTCUSDT 99000", &more).await.ok();
    assert_eq!(find(&venues, "lagging").await["code"], -2013);
    let trades = venues.binance("GET", "/api/v3/myTrades", "symbol=BTCUSDT").await.ok();
    assert_eq!(trades, serde_json::json!([]));
    venues.pass(1);
    assert_eq!(find(&venues, "lagging").await["status"], "FILLED");
}

#[tokio::test]
async fn a_cancellation_can_lose_the_race() {
    let venues = venues();
    let more = format!("{GTC}&newClientOrderId=race");
    venues.binance_order("SELL 0.1 BTCUSDT 120000", &more).await.ok();
    venues.fault("binance", "cancel_order", "late_fill", None);
    let cancel = "symbol=BTCUSDT&origClientOrderId=race";
    assert_eq!(venues.binance("DELETE", ORDER, cancel).await.refusal(), (400, -2011));
    assert_eq!(find(&venues, "race").await["status"], "FILLED");
    venues.binance_order("SELL 0.1 BTCUSDT 120000", &more).await.ok();
    venues.fault("binance", "cancel_order", "late_fill", Some("5000"));
    let cancelled = venues.binance("DELETE", ORDER, cancel).await.ok();
    let got = (&cancelled["status"], &cancelled["executedQty"]);
    assert_eq!(got, (&"CANCELED".into(), &"0.05000000".into()));
    venues.assert_books_balance();
}

#[tokio::test]
async fn weights_and_orders_are_counted_and_enforced() {
    let venues = venues();
    // The windows follow the clock: start at the beginning of a minute.
    venues.pass(60_000 - venues.timestamp().rem_euclid(60_000));
    let get = async |uri: &str| venues.raw_binance("GET", uri, "", None).await;
    let first = get("/api/v3/depth?symbol=BTCUSDT&limit=5000").await;
    assert_eq!(first.header("x-mbx-used-weight-1m"), Some("250"));
    let placed = venues.binance_order("SELL 0.1 BTCUSDT 120000", GTC).await;
    assert_eq!(placed.header("x-mbx-used-weight-1m"), Some("250"), "success weighs nothing");
    assert_eq!(placed.header("x-mbx-order-count-10s"), Some("1"));
    let filled = venues.binance_order("SELL 0.1 BTCUSDT 99000", GTC).await;
    assert_eq!(filled.header("x-mbx-order-count-10s"), Some("1"), "a fill lowers the count");
    for _ in 0..23 {
        get("/api/v3/depth?symbol=BTCUSDT&limit=5000").await.ok();
    }
    let refused = get("/api/v3/ping").await;
    assert_eq!(refused.refusal(), (429, -1003));
    assert_eq!(refused.header("retry-after"), Some("60"));
    for _ in 0..25 {
        get("/api/v3/ping").await;
    }
    assert_eq!(get("/api/v3/ping").await.status.as_u16(), 418);
    venues.pass(60_000);
    assert_eq!(get("/api/v3/ping").await.status.as_u16(), 418, "a ban outlasts the window");
    venues.pass(61_000);
    get("/api/v3/ping").await.ok();
    for _ in 0..100 {
        venues.binance_order("SELL 0.001 BTCUSDT 120000", GTC).await;
    }
    let many = venues.binance_order("SELL 0.001 BTCUSDT 120000", GTC).await;
    assert_eq!(many.refusal(), (429, -1015));
    let text = "Too many new orders; current limit is 100 orders per 10 SECOND.";
    assert_eq!(many.body["msg"], text);
    venues.binance.set_settings(Settings { limits: false, ..venues.binance.settings() });
    venues.binance_order("SELL 0.001 BTCUSDT 120000", GTC).await.ok();
}

#[tokio::test]
async fn public_data_has_the_vendors_shape() {
    let venues = venues();
    let get = async |uri: &str| venues.raw_binance("GET", uri, "", None).await;
    let list = "/api/v3/ticker/bookTicker?symbols=%5B%22BTCUSDT%22%2C%22ETHUSDT%22%5D";
    assert_eq!(get(list).await.ok().as_array().unwrap().len(), 2);
    assert_eq!(get("/api/v3/ticker/price?symbol=BTCUSDT").await.ok()["price"], "100000.00000000");
    let both = "/api/v3/ticker/price?symbol=BTCUSDT&symbols=%5B%22BTCUSDT%22%5D";
    assert_eq!(get(both).await.refusal(), (400, -1128));
    assert_eq!(get("/api/v3/exchangeInfo?symbols=x").await.refusal(), (400, -1100));
    assert_eq!(get("/api/v3/depth?symbol=btcusdt").await.refusal(), (400, -1100));
    assert_eq!(get("/api/v3/depth").await.refusal(), (400, -1102));
    assert_eq!(get("/api/v3/nothing").await.status.as_u16(), 404);
    let key = venues.raw_binance("POST", "/api/v3/userDataStream", "", None).await;
    assert_eq!(key.status.as_u16(), 410, "listen keys are gone");
    let ticker = get("/api/v3/ticker/24hr?symbol=BTCUSDT").await.ok();
    assert!(number(&ticker, "bidPrice") < number(&ticker, "askPrice"));
    assert_eq!(ticker["closeTime"], venues.timestamp());
    assert_eq!(get("/sapi/v1/system/status").await.ok()["status"], 0);
}

// A venue whose clock is off refuses by its own clock, and says what it is.
#[tokio::test]
async fn the_venues_clock_may_be_another() {
    let venues = venues();
    let offset = |ms| {
        let settings = Settings { clock_offset_ms: ms, ..venues.binance.settings() };
        assert!(venues.binance.set_settings(settings));
    };
    offset(10_000);
    let time = venues.raw_binance("GET", "/api/v3/time", "", None).await.ok();
    assert_eq!(time["serverTime"], venues.timestamp() + 10_000);
    let late = venues.binance("GET", "/api/v3/account", "").await;
    assert_eq!(late.body["msg"], "Timestamp for this request is outside of the recvWindow.");
    venues.binance("GET", "/api/v3/account", "recvWindow=60000").await.ok();
    offset(-2_000);
    let early = venues.binance("GET", "/api/v3/account", "").await;
    let text = "Timestamp for this request was 1000ms ahead of the server's time.";
    assert_eq!(early.body["msg"], text);
    assert!(
        !venues.binance.set_settings(Settings { clock_offset_ms: i64::MIN, ..Settings::default() })
    );
}

#[tokio::test]
async fn a_symbol_can_stop_trading() {
    let venues = venues();
    let more = format!("{GTC}&newClientOrderId=before");
    venues.binance_order("SELL 0.1 BTCUSDT 120000", &more).await.ok();
    let symbol_status = [("BTCUSDT".to_owned(), "CANCEL_ONLY".to_owned())].into();
    let settings = Settings { symbol_status, ..venues.binance.settings() };
    assert!(venues.binance.set_settings(settings));
    let refused = venues.binance_order("SELL 0.1 BTCUSDT 99000", GTC).await;
    assert_eq!((refused.refusal().1, &refused.body["msg"]), (-2010, &"Market is closed.".into()));
    let get = async |params: &str| {
        venues.raw_binance("GET", &format!("/api/v3/exchangeInfo{params}"), "", None).await
    };
    assert_eq!(get("?symbol=BTCUSDT").await.ok()["symbols"][0]["status"], "CANCEL_ONLY");
    assert_eq!(get("?symbol=BTCUSDT&symbolStatus=TRADING").await.refusal(), (400, -1220));
    assert_eq!(get("?symbolStatus=TRADING").await.ok()["symbols"].as_array().unwrap().len(), 6);
    let named = "symbol=BTCUSDT&origClientOrderId=before";
    venues.binance("DELETE", ORDER, named).await.ok();
    let much = "symbol=USDCUSDT&side=SELL&type=MARKET&quantity=1000001";
    let refused = venues.binance("POST", ORDER, much).await;
    assert_eq!(refused.body["msg"], "Filter failure: MARKET_LOT_SIZE");
}
