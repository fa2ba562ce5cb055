//! Coinbase's public rates and products, and sources that lie.

use rust_decimal::Decimal;
use serde_json::Value;
use simulators::prices::{Mode, ModeRequest};

use crate::venue_bench::{Venues, dec};

fn lie(venues: &Venues, source: &str, mode: Mode, value: Option<i32>) {
    let request = ModeRequest { source: source.into(), mode, pair: None, value };
    venues.world.prices.set_mode(&request, venues.world.now()).unwrap();
}

async fn inr(venues: &Venues) -> Value {
    venues.coinbase("/v2/exchange-rates?currency=BTC").await.ok()["data"]["rates"]["INR"].clone()
}

#[tokio::test]
async fn rates_and_prices_are_decimal_strings() {
    let venues = Venues::new();
    venues.pin("BTCINR", "9200000");
    assert_eq!(inr(&venues).await, "9200000");
    let data = |answer: Value| answer["data"].clone();
    let spot = data(venues.coinbase("/v2/prices/BTC-INR/spot").await.ok());
    assert_eq!((&spot["amount"], &spot["currency"]), (&"9200000".into(), &"INR".into()));
    let buy = data(venues.coinbase("/v2/prices/BTC-INR/buy").await.ok());
    assert_eq!(buy["amount"], "9292000", "about one percent of fee");
    let small = venues.coinbase("/v2/exchange-rates?currency=INR").await.ok();
    let rate = small["data"]["rates"]["BTC"].as_str().unwrap();
    assert!(rate.starts_with("0.0000001") && !rate.contains(['e', 'E']), "{rate}");
    assert_eq!(venues.coinbase("/v2/exchange-rates?currency=XYZ").await.status.as_u16(), 404);
    assert_eq!(venues.coinbase("/v2/prices/BTC-XYZ/spot").await.status.as_u16(), 404);
}

#[tokio::test]
async fn the_other_two_dialects_have_dollars_and_coins_for_them() {
    let venues = Venues::new();
    let ticker = venues.coinbase("/products/BTC-USD/ticker").await.ok();
    let (bid, ask) = (ticker["bid"].as_str().unwrap(), ticker["ask"].as_str().unwrap());
    assert!(dec(bid) < dec(ask));
    let book = venues.coinbase("/products/BTC-USD/book?level=2").await.ok();
    assert_eq!(book["bids"].as_array().unwrap().len(), 50);
    assert_eq!(venues.coinbase("/products/BTC-INR/ticker").await.status.as_u16(), 404);
    venues.pass(1_000);
    let all = venues.coinbase("/api/v3/brokerage/market/products").await.ok();
    let ids: Vec<&str> = all["products"]
        .as_array()
        .unwrap()
        .iter()
        .map(|p| p["product_id"].as_str().unwrap())
        .collect();
    let wanted =
        ["BTC-USD", "BTC-USDT", "ETH-USDT", "SOL-USDT", "USDT-USD", "USDT-USDC", "BTC-USDC"];
    assert!(wanted.iter().all(|id| ids.contains(id)), "{ids:?}");
    let none = venues.coinbase("/api/v3/brokerage/market/products?product_type=FUTURE").await.ok();
    assert_eq!(none["num_products"], 0);
    let listed = venues.coinbase("/api/v3/brokerage/market/products/BTC-USD").await.ok();
    assert_eq!(listed["product_id"], "BTC-USD");
    let product_book = "/api/v3/brokerage/market/product_book?product_id=ETH-USD";
    assert!(venues.coinbase(product_book).await.ok()["pricebook"]["bids"][0]["price"].is_string());
    venues.coinbase("/products/BTC-USD/stats").await.ok();
    venues.coinbase("/api/v3/brokerage/time").await.ok();
    assert_eq!(venues.coinbase("/v2/time").await.ok()["data"]["epoch"], venues.timestamp() / 1000);
}

// Three venues stay close to each other for every pair, at every moment, and nothing repeats a
// different price for the same seed and time.
#[test]
fn venues_agree_within_three_tenths_of_a_percent() {
    let venues = Venues::new();
    for _ in 0..200 {
        for pair in ["BTCINR", "ETHINR", "SOLINR", "USDTINR", "USDCINR", "BTCUSDT"] {
            let mids: Vec<Decimal> = ["wazirx", "binance", "coinbase"]
                .map(|source| venues.world.prices.mid(source, pair, venues.world.now()).unwrap())
                .to_vec();
            let (low, high) = (mids.iter().min().unwrap(), mids.iter().max().unwrap());
            assert!((high - low) / low < dec("0.003"), "{pair}: {mids:?}");
        }
        venues.pass(7_000);
    }
}

#[tokio::test]
async fn a_source_can_lie_in_every_named_way() {
    let venues = Venues::new();
    venues.pin("BTCINR", "9200000");
    lie(&venues, "coinbase", Mode::Scaled, Some(3));
    assert_eq!(inr(&venues).await, "9200000000");
    lie(&venues, "coinbase", Mode::Inverted, None);
    assert_eq!(inr(&venues).await, "0.000000108695652174");
    lie(&venues, "coinbase", Mode::Numbers, None);
    assert!(inr(&venues).await.is_number());
    lie(&venues, "coinbase", Mode::Missing, None);
    assert!(inr(&venues).await.is_null());
    assert_eq!(venues.coinbase("/v2/prices/BTC-INR/spot").await.status.as_u16(), 404);
    lie(&venues, "coinbase", Mode::Frozen, None);
    venues.pin("BTCINR", "9000000");
    assert_eq!(inr(&venues).await, "9200000");
    lie(&venues, "coinbase", Mode::Normal, None);
    assert_eq!(inr(&venues).await, "9000000");
    lie(&venues, "wazirx", Mode::Stale, Some(120));
    let set_at = venues.timestamp();
    venues.pass(5_000);
    venues.pin("BTCINR", "8000000");
    let ticker = "/sapi/v1/ticker/24hr?symbol=btcinr";
    let stale = venues.raw_wazirx("GET", ticker, "", None).await.ok();
    assert_eq!(stale["lastPrice"], "9000000.0");
    assert_eq!(stale["at"], set_at - 120_000);
    lie(&venues, "wazirx", Mode::Crossed, None);
    let crossed = venues.raw_wazirx("GET", ticker, "", None).await.ok();
    let side = |name: &str| dec(crossed[name].as_str().unwrap());
    assert!(side("bidPrice") > side("askPrice"), "{crossed}");
    let sold = venues.wazirx_order("sell 0.1 btcinr 7900000", "").await.ok();
    assert_eq!(sold["status"], "done");
    assert!(dec(sold["avgPrice"].as_str().unwrap()) < dec("8000000"), "the engine does not lie");
}

#[tokio::test]
async fn too_many_calls_get_the_vendors_429() {
    let venues = Venues::new();
    for _ in 0..100 {
        venues.coinbase("/v2/time").await.ok();
    }
    venues.coinbase("/products/BTC-USD/ticker").await.ok();
    let refused = venues.coinbase("/v2/time").await;
    assert_eq!(refused.status.as_u16(), 429);
    assert_eq!(refused.body["errors"][0]["id"], "rate_limit_exceeded");
    assert!(refused.header("retry-after").is_some());
}
