//! CoinGecko: numbers, the key, the minute's cache, and a source that lies.

use simulators::prices::{Mode, ModeRequest};

use crate::venue_bench::{Answer, Venues};

const PRICE: &str = "/api/v3/simple/price?ids=bitcoin,tether&vs_currencies=inr,usd\
                     &include_last_updated_at=true";

async fn ask(venues: &Venues, uri: &str) -> Answer {
    let key = venues.coingecko.api_key().expose().to_owned();
    venues.coingecko(uri, Some(("x-cg-demo-api-key", &key))).await
}

fn lie(venues: &Venues, mode: Mode, value: Option<i32>) {
    let request = ModeRequest { source: "coingecko".into(), mode, pair: None, value };
    venues.world.prices.set_mode(&request, venues.world.now()).unwrap();
}

#[tokio::test]
async fn prices_are_numbers_with_the_sources_own_time() {
    let venues = Venues::new();
    venues.pin("BTCINR", "9200000");
    venues.pin("USDTINR", "88.5");
    let answer = ask(&venues, PRICE).await;
    let text = answer.text.clone().unwrap();
    assert!(text.contains("\"bitcoin\":{\"inr\":9200000,"), "{text}");
    assert!(text.contains("\"inr\":88.5,"), "{text}");
    assert_eq!(answer.ok()["bitcoin"]["last_updated_at"], venues.timestamp() / 1000);
    lie(&venues, Mode::Scaled, Some(-9));
    venues.pass(60_000);
    let text = ask(&venues, PRICE).await.text.unwrap();
    assert!(text.contains("8.85e-8"), "{text}");
    serde_json::from_str::<serde_json::Value>(&text).unwrap();
}

#[tokio::test]
async fn an_answer_is_kept_for_a_minute() {
    let venues = Venues::new();
    venues.pin("BTCINR", "9200000");
    let inr = async || ask(&venues, PRICE).await.ok()["bitcoin"]["inr"].clone();
    assert_eq!(inr().await, 9_200_000);
    venues.pin("BTCINR", "9300000");
    venues.pass(59_000);
    assert_eq!(inr().await, 9_200_000, "the old answer");
    venues.pass(1_000);
    assert_eq!(inr().await, 9_300_000);
    lie(&venues, Mode::Stale, Some(1_800));
    venues.pass(60_000);
    let stale = ask(&venues, PRICE).await.ok()["bitcoin"]["last_updated_at"].as_i64().unwrap();
    assert!(stale <= venues.timestamp() / 1000 - 1_800);
    lie(&venues, Mode::Missing, None);
    venues.pass(60_000);
    assert_eq!(inr().await, serde_json::Value::Null);
}

#[tokio::test]
async fn the_key_and_the_limit_are_the_vendors() {
    let venues = Venues::new();
    let missing = venues.coingecko(PRICE, None).await;
    assert_eq!(missing.status.as_u16(), 401);
    assert_eq!(missing.body["status"]["error_code"], 10_002);
    let wrong = venues.coingecko(PRICE, Some(("x-cg-demo-api-key", "CG-x"))).await;
    assert_eq!(wrong.status.as_u16(), 401);
    let pro = venues.coingecko(PRICE, Some(("x-cg-pro-api-key", "CG-x"))).await;
    assert_eq!((pro.status.as_u16(), &pro.body["status"]["error_code"]), (400, &10_011.into()));
    assert_eq!(ask(&venues, "/api/v3/simple/price?ids=bitcoin").await.status.as_u16(), 422);
    assert_eq!(ask(&venues, "/api/v3/coins/list").await.status.as_u16(), 404);
    for _ in 0..99 {
        ask(&venues, "/api/v3/ping").await.ok();
    }
    let slow = ask(&venues, "/api/v3/ping").await;
    assert_eq!((slow.status.as_u16(), &slow.body["status"]["error_code"]), (429, &429.into()));
    assert!(slow.header("retry-after").is_some());
    venues.pass(60_000);
    venues.fault("coingecko", "price", "http_503", None);
    assert_eq!(ask(&venues, PRICE).await.status.as_u16(), 503);
    ask(&venues, PRICE).await.ok();
}
