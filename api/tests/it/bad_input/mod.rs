//! Everything a client can get wrong: each vector is refused with a 4xx and its stable code, and
//! not one row of the database is different afterwards.

mod bodies;
mod places;

use serde_json::{Value, json};

use crate::shop::{Ask, Shop, order};

/// One way to be wrong, the status and the code it must get.
pub(crate) struct Vector {
    pub(crate) name: String,
    pub(crate) ask: Ask,
    pub(crate) status: u16,
    pub(crate) code: &'static str,
}

pub(crate) fn vector(name: &str, status: u16, code: &'static str, ask: Ask) -> Vector {
    Vector { name: name.to_owned(), ask, status, code }
}

/// A good order with one member replaced (`a.b` reaches inside).
pub(crate) fn with(path: &str, value: Value) -> Value {
    let mut order = order("bad");
    let pointer = format!("/{}", path.replace('.', "/"));
    match order.pointer_mut(&pointer) {
        Some(member) => *member = value,
        None => order[path] = value,
    }
    order
}

pub(crate) fn pay(body: &Value) -> Ask {
    Ask::post("/v1/payments", body)
}

#[tokio::test]
async fn every_mistake_has_a_code_and_changes_nothing() {
    let shop = Shop::open().await;
    let payment = shop.payment("good").await["id"].as_str().unwrap().to_owned();
    let groups = bodies::all().into_iter().chain(places::all(&payment));
    let before = shop.everything().await;
    let mut count = 0;
    for vector in groups {
        let Vector { name, ask, status, code } = vector;
        let reply = shop.ask(ask).await;
        assert_eq!((reply.status, reply.code().as_str()), (status, code), "{name}: {}", reply.text);
        let document = reply.json();
        assert_eq!(document["status"], status, "{name}");
        assert_eq!(document["type"], format!("urn:chukta:problem:{code}"), "{name}");
        assert!(reply.text.len() < 1000, "{name}");
        count += 1;
    }
    assert!(count >= 120, "{count} vectors");
    assert_eq!(shop.everything().await, before);
}

#[tokio::test]
async fn what_the_state_forbids_has_a_code_and_changes_nothing() {
    let shop = Shop::open().await;
    let made = shop.payment("once").await;
    let path = format!("/v1/payments/{}", made["id"].as_str().unwrap());
    let cancelled = shop.ask(Ask::post(format!("{path}/cancel"), &json!({}))).await;
    assert_eq!(cancelled.status, 200, "{}", cancelled.text);
    let late = shop.payment("late").await;
    let late = format!("/v1/payments/{}/quotes", late["id"].as_str().unwrap());

    let eth = json!({ "network": "anvil", "asset": "ETH" });
    let before = shop.everything().await;
    let reused = shop.ask(Ask::post("/v1/payments", &order("once"))).await;
    assert_eq!((reused.status, reused.code().as_str()), (409, "reference_reused"));
    let quote = shop.ask(Ask::post(format!("{path}/quotes"), &eth)).await;
    assert_eq!((quote.status, quote.code().as_str()), (409, "payment_not_payable"));

    shop.price(crate::shop::noon() + chrono::TimeDelta::hours(2)).await;
    let rated = shop.everything().await;
    let expired = shop.ask(Ask::post(late, &eth)).await;
    assert_eq!((expired.status, expired.code().as_str()), (409, "payment_expired"));
    assert_eq!(shop.everything().await, rated);
    assert_ne!(rated["public.rate_ticks"], before["public.rate_ticks"], "only the rate is new");
    assert_eq!(rated["public.payments"], before["public.payments"]);
}

#[tokio::test]
async fn the_same_reference_at_once_is_one_payment() {
    let shop = Shop::open().await;
    let body = order("same");
    let asks = (0..12).map(|_| shop.ask(Ask::post("/v1/payments", &body)));
    let replies = futures::future::join_all(asks).await;
    let made = replies.iter().filter(|reply| reply.status == 201).count();
    let refused = replies.iter().filter(|reply| reply.status == 409).count();
    assert_eq!((made, refused), (1, 11));
    assert_eq!(shop.count("payments").await, 1);
}
