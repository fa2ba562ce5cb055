//! Pages are newest first, complete, without repetition, and stay so while payments are made.

use std::collections::BTreeSet;

use chrono::TimeDelta;
use serde_json::Value;

use crate::shop::{Ask, Shop};

fn ids(page: &Value) -> Vec<String> {
    let data = page["data"].as_array().unwrap();
    data.iter().map(|payment| payment["id"].as_str().unwrap().to_owned()).collect()
}

#[tokio::test]
async fn pages_follow_each_other() {
    let shop = Shop::open().await;
    let mut made = Vec::new();
    for n in 0..7 {
        shop.clock.advance(TimeDelta::seconds(1));
        made.push(shop.payment(&format!("order-{n}")).await["id"].as_str().unwrap().to_owned());
    }
    made.reverse();
    let mut seen = Vec::new();
    let mut path = "/v1/payments?limit=3".to_owned();
    loop {
        let page = shop.ask(Ask::get(path.as_str())).await.json();
        seen.extend(ids(&page));
        let Some(next) = page["next"].as_str() else {
            break;
        };
        // A payment made between two pages moves nothing.
        shop.clock.advance(TimeDelta::seconds(1));
        shop.payment(&format!("between-{}", seen.len())).await;
        path = format!("/v1/payments?limit=3&after={next}");
    }
    assert_eq!(seen, made);
    let all = shop.ask(Ask::get("/v1/payments?limit=100")).await.json();
    assert_eq!(ids(&all).into_iter().collect::<BTreeSet<_>>().len(), 9);
    assert_eq!(all["next"], Value::Null);
}

#[tokio::test]
async fn a_state_filters() {
    let shop = Shop::open().await;
    let first = shop.payment("a").await["id"].as_str().unwrap().to_owned();
    shop.payment("b").await;
    let cancel = format!("/v1/payments/{first}/cancel");
    let ended = shop.ask(Ask::get(cancel).method(reqwest::Method::POST)).await;
    assert_eq!(ended.status, 200, "{}", ended.text);
    let cancelled = shop.ask(Ask::get("/v1/payments?state=cancelled")).await.json();
    assert_eq!(ids(&cancelled), [first.as_str()]);
    let open = shop.ask(Ask::get("/v1/payments?state=awaiting_deposit")).await.json();
    assert_eq!(ids(&open).len(), 1);
    let shown = shop.ask(Ask::get(format!("/v1/payments/{first}"))).await.json();
    assert_eq!(shown, cancelled["data"][0]);
}
