//! Coinbase's trading API: lists and pages, accounts, products that are closed, random trading.

use primitives::Entropy;
use rust_decimal::Decimal;
use serde_json::{Value, json};
use simulators::coinbase::{Mode, Settings};

use crate::{
    coinbase_bench::{CANCEL, HISTORY, reasons, sum, value},
    venue_bench::{Venues, dec, number},
};

fn venues() -> Venues {
    let venues = Venues::new();
    venues.pin("BTCUSDT", "100000");
    venues.pin("USDTUSD", "1");
    venues
}

#[tokio::test]
async fn lists_have_filters_and_pages() {
    let venues = venues();
    for n in 0..5 {
        venues.cb_placed("sell 0.01 BTC-USDT limit_limit_gtc 99000", &format!("l-{n}")).await;
        venues.pass(1_000);
    }
    let open = venues.cb_placed("sell 1 ETH-USDT limit_limit_gtc 900000", "l-open").await;
    venues.pass(1_000);
    let bought = venues.cb_placed("buy 1 USDT-USDC limit_limit_gtc 1.5", "l-buy").await;
    let ids = |answer: &Value| -> Vec<String> {
        let orders = answer["orders"].as_array().unwrap();
        orders.iter().map(|order| order["client_order_id"].as_str().unwrap().to_owned()).collect()
    };
    let list = async |query: &str| venues.cb_get(&format!("{HISTORY}?{query}")).await.ok();
    assert_eq!(ids(&list("order_status=OPEN").await), ["l-open"]);
    assert_eq!(ids(&list("order_status=FILLED&order_side=BUY").await), ["l-buy"]);
    assert_eq!(ids(&list("order_status=OPEN&order_status=FILLED").await).len(), 7);
    assert_eq!(ids(&list("product_ids=ETH-USDT&product_ids=USDT-USDC").await), ["l-buy", "l-open"]);
    assert_eq!(ids(&list("product_id=ETH-USDT").await), ["l-open"]);
    assert_eq!(ids(&list(&format!("order_ids={open}&order_ids={bought}")).await).len(), 2);
    assert_eq!(ids(&list("order_types=MARKET").await).len(), 0);
    assert_eq!(ids(&list("product_type=FUTURE").await).len(), 0);
    let from = "start_date=2026-01-01T00:00:01Z&end_date=2026-01-01T00:00:03Z";
    assert_eq!(ids(&list(from).await), ["l-2", "l-1"]);
    let from = "start_date=2026-01-01T00%3A00%3A05Z";
    assert_eq!(ids(&list(from).await), ["l-buy", "l-open"]);
    let (mut seen, mut cursor) = (Vec::new(), String::new());
    loop {
        let page = list(&format!("limit=3&cursor={cursor}")).await;
        seen.extend(ids(&page));
        cursor = page["cursor"].as_str().unwrap().to_owned();
        assert_eq!(page["has_next"], !cursor.is_empty());
        if cursor.is_empty() {
            break;
        }
        // What comes in between moves nothing.
        venues.cb_placed("sell 0.01 BTC-USDT limit_limit_gtc 99000", &cursor).await;
    }
    assert_eq!(seen, ["l-buy", "l-open", "l-4", "l-3", "l-2", "l-1", "l-0"]);
    for wrong in ["limit=x", "cursor=x", "start_date=yesterday"] {
        assert_eq!(venues.cb_get(&format!("{HISTORY}?{wrong}")).await.status.as_u16(), 400);
    }
    let fills = venues.cb_fills("product_ids=USDT-USDC").await;
    assert_eq!(sum(&fills, |fill| number(fill, "size")), Decimal::ONE);
    let trade = fills[0]["trade_id"].as_str().unwrap();
    assert_eq!(venues.cb_fills(&format!("trade_ids={trade}")).await.len(), 1);
    assert_eq!(
        number(&fills[0], "commission"),
        (value(&fills[0]) * dec("0.00001")).trunc_with_scale(8)
    );
    let from = "start_sequence_timestamp=2026-01-01T00:00:06Z&product_ids=USDT-USDC";
    assert_eq!(venues.cb_fills(from).await.len(), fills.len());
    assert_eq!(venues.cb_fills("end_sequence_timestamp=2026-01-01T00:00:00Z").await.len(), 0);
    assert_eq!(venues.cb_fills("limit=2").await.len(), 2);
    let absent = venues.cb_get("/api/v3/brokerage/orders/historical/none").await;
    assert_eq!(absent.status.as_u16(), 404);
    assert_eq!(absent.body["message"], "order with this orderID was not found");
}

#[tokio::test]
async fn accounts_and_private_twins_of_public_calls() {
    let venues = venues();
    let page = venues.cb_get("/api/v3/brokerage/accounts?limit=4").await.ok();
    assert_eq!((&page["size"], &page["has_next"]), (&json!(4), &json!(true)));
    let rest =
        format!("/api/v3/brokerage/accounts?limit=4&cursor={}", page["cursor"].as_str().unwrap());
    let rest = venues.cb_get(&rest).await.ok();
    assert_eq!(
        (&rest["size"], &rest["has_next"], &rest["cursor"]),
        (&json!(2), &json!(false), &json!(""))
    );
    let uuid = page["accounts"][0]["uuid"].as_str().unwrap();
    let one = venues.cb_get(&format!("/api/v3/brokerage/accounts/{uuid}")).await.ok();
    assert_eq!(one["account"], page["accounts"][0]);
    assert_eq!(venues.cb_get("/api/v3/brokerage/accounts/none").await.status.as_u16(), 404);
    let two = "/api/v3/brokerage/best_bid_ask?product_ids=BTC-USDT&product_ids=ETH-USDT";
    let books = venues.cb_get(two).await.ok()["pricebooks"].clone();
    assert_eq!(books.as_array().unwrap().len(), 2);
    assert_eq!(books[0]["bids"].as_array().unwrap().len(), 1);
    let book = "/api/v3/brokerage/product_book?product_id=BTC-USDT&limit=5";
    let book = venues.cb_get(book).await.ok();
    assert_eq!(book["pricebook"]["asks"].as_array().unwrap().len(), 5);
    assert!(dec(book["spread_absolute"].as_str().unwrap()) > Decimal::ZERO);
    let ticker = venues.cb_get("/api/v3/brokerage/products/SOL-USDT/ticker").await.ok();
    assert!(number(&ticker, "best_bid") < number(&ticker, "best_ask"));
    let listed = venues.cb_get("/api/v3/brokerage/products?product_ids=BTC-USD").await.ok();
    assert_eq!(listed["products"][0]["alias_to"], json!(["BTC-USDC"]));
    let rights = venues.cb_get("/api/v3/brokerage/key_permissions").await.ok();
    assert_eq!((&rights["can_trade"], &rights["can_transfer"]), (&json!(true), &json!(true)));
    assert_eq!(
        venues.cb("POST", "/api/v3/brokerage/accounts", json!({})).await.status.as_u16(),
        404
    );
}

#[tokio::test]
async fn products_and_the_venue_can_be_closed() {
    let venues = venues();
    let set = |mode: Mode| {
        let product_mode = [("BTC-USDT".to_owned(), mode)].into();
        let settings = Settings { product_mode, ..venues.coinbase.settings() };
        assert!(venues.coinbase.set_settings(settings));
    };
    let preview = "PREVIEW_NOT_ALLOWED_BY_MARKET_STATE";
    let market = "sell 0.01 BTC-USDT market_market_ioc";
    let limit = "sell 0.01 BTC-USDT limit_limit_gtc 120000";
    for mode in [Mode::TradingDisabled, Mode::CancelOnly, Mode::ViewOnly] {
        set(mode);
        assert_eq!(reasons(venues.cb_order(limit, "x").await).1, preview, "{mode:?}");
    }
    set(Mode::LimitOnly);
    let product = venues.cb_get("/api/v3/brokerage/products/BTC-USDT").await.ok();
    assert_eq!((&product["limit_only"], &product["cancel_only"]), (&json!(true), &json!(false)));
    assert_eq!(reasons(venues.cb_order(market, "x").await).1, preview);
    venues.cb_placed(limit, "x").await;
    set(Mode::PostOnly);
    assert_eq!(reasons(venues.cb_order(limit, "y").await).1, preview);
    let settings = Settings { maintenance: true, ..Settings::default() };
    assert!(venues.coinbase.set_settings(settings));
    assert_eq!(reasons(venues.cb_order(limit, "y").await).0, "ORDER_ENTRY_DISABLED");
}

async fn random_step(venues: &Venues, dice: &Entropy, open: &mut Vec<String>, turn: usize) {
    let side = if dice.below(2) == 0 { "sell" } else { "buy" };
    let quantity = dec("0.0001") * Decimal::from(dice.below(3_000) + 1);
    let price = 96_000 + dice.below(8_000);
    let kind = ["limit_limit_gtc", "sor_limit_ioc", "limit_limit_fok"]
        [usize::try_from(dice.below(3)).unwrap()];
    match dice.below(8) {
        0..=3 => {
            let order = format!("{side} {quantity} BTC-USDT {kind} {price}");
            let body = venues.cb_order(&order, &format!("t-{turn}")).await.body;
            open.extend(body["order_id"].as_str().map(str::to_owned));
        }
        4 => {
            let ids: Vec<&str> = open.iter().map(String::as_str).take(100).collect();
            if !ids.is_empty() {
                venues.cb("POST", CANCEL, json!({"order_ids": ids})).await;
            }
        }
        5 => {
            venues.pin("BTCUSDT", &price.to_string());
            venues.coinbase.match_resting();
        }
        6 => {
            let names =
                ["partial_fill", "no_fill", "slow_accept", "fails_later", "http_504_applied"];
            let name = names[usize::try_from(dice.below(5)).unwrap()];
            venues.fault("coinbase", "place_order", name, Some("4000"));
        }
        _ => {
            let trades = venues.coinbase.book()["trades"].clone();
            if let Some(trade) = trades.as_array().unwrap().last() {
                venues.coinbase.take_trade_back(trade["trade_id"].as_str().unwrap());
            }
            if let Some(id) = open.last() {
                venues.coinbase.fill_after_the_end(id, quantity);
            }
        }
    }
    venues.pass(i64::try_from(dice.below(400)).unwrap());
}

#[tokio::test]
async fn random_trading_keeps_the_books() {
    for seed in 0..6 {
        let venues = venues();
        assert!(venues.coinbase.set_settings(Settings { limits: false, ..Settings::default() }));
        let dice = Entropy::seeded(seed);
        let mut open = Vec::new();
        for turn in 0..150 {
            random_step(&venues, &dice, &mut open, turn).await;
        }
        venues.assert_books_balance();
        venues.world.faults.clear();
        venues.pass(10_000);
        // Also those whose answer was lost.
        let book = venues.coinbase.book();
        let all: Vec<&str> = book["orders"]
            .as_array()
            .unwrap()
            .iter()
            .map(|order| order["order_id"].as_str().unwrap())
            .collect();
        for ids in all.chunks(100) {
            venues.cb_cancel(ids).await;
        }
        venues.pass(10_000);
        for asset in ["BTC", "USDT"] {
            let locked = venues.coinbase.balance(asset).locked;
            assert_eq!(locked, Decimal::ZERO, "seed {seed}: {asset} stays locked");
        }
        venues.assert_books_balance();
    }
}
