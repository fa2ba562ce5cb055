//! Too much at once is refused with a time to come back, per key; others are not concerned.

use api::ApiSettings;
use identity::Scope;

use std::time::{Duration, Instant};

use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::TcpStream,
};

use crate::shop::{Ask, Reply, Shop, order};

/// Asks until it is refused. The burst passes, and no more than one for each second it took.
async fn until_refused(burst: u64, ask: impl AsyncFn(u64) -> Reply) -> (u64, Reply) {
    let since = Instant::now();
    for passed in 0..20 {
        let reply = ask(passed).await;
        if reply.status == 429 {
            let most = burst + since.elapsed().as_secs();
            assert!((burst..=most).contains(&passed), "{passed} passed, not {burst} to {most}");
            return (passed, reply);
        }
        assert_eq!(reply.status, 200);
    }
    panic!("twenty passed");
}

#[tokio::test]
async fn a_key_that_runs_away_is_slowed() {
    let limits = ApiSettings { key_rate_per_s: 1, key_burst: 3, ..ApiSettings::default() };
    let shop = Shop::open_with(limits).await;
    let ask = async |_| shop.ask(Ask::get("/v1/payments")).await;
    let (_, reply) = until_refused(3, ask).await;
    assert_eq!(reply.code(), "rate_limited");
    let wait: u32 = reply.headers["retry-after"].to_str().unwrap().parse().unwrap();
    assert!((1..=5).contains(&wait), "{wait}");
    let (_, other) = shop.merchant(&Scope::ALL).await;
    assert_eq!(shop.ask(Ask::get("/v1/payments").by(&other)).await.status, 200);
}

#[tokio::test]
async fn webhooks_are_bounded_per_rail() {
    let limits = ApiSettings { webhook_rate_per_s: 1, webhook_burst: 2, ..ApiSettings::default() };
    let shop = Shop::open_with(limits).await;
    let call = async |n: u64| {
        let ask = Ask::get("/webhooks/razorpayx").method(reqwest::Method::POST);
        shop.bare(ask.raw(n.to_string())).await
    };
    let (passed, _) = until_refused(2, call).await;
    assert_eq!(u64::try_from(shop.count("inbox").await).unwrap(), passed);
}

#[tokio::test]
async fn streams_are_bounded() {
    let shop = Shop::open_with(ApiSettings { streams_max: 1, ..ApiSettings::default() }).await;
    let id = shop.payment("a").await["id"].as_str().unwrap().to_owned();
    let url = format!("http://{}/v1/payments/{id}/events", shop.address);
    let open = shop.http.get(&url).bearer_auth(&shop.key).send().await.unwrap();
    assert_eq!(open.status(), 200);
    let refused = shop.ask(Ask::get(format!("/v1/payments/{id}/events"))).await;
    assert_eq!((refused.status, refused.code().as_str()), (429, "too_many_streams"));
    drop(open);
    let mut tries = 0;
    loop {
        let again = shop.http.get(&url).bearer_auth(&shop.key).send().await.unwrap();
        if again.status() == 200 {
            break;
        }
        tries += 1;
        assert!(tries < 200, "the place of a stream that ended is free again");
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
}

#[tokio::test]
async fn a_body_that_trickles_is_given_up() {
    let limits = ApiSettings { body_timeout_ms: 200, ..ApiSettings::default() };
    let shop = Shop::open_with(limits).await;
    let mut socket = TcpStream::connect(&shop.address).await.unwrap();
    let head = format!(
        "POST /v1/payments HTTP/1.1\r\nhost: x\r\nauthorization: Bearer {}\r\n\
         content-type: application/json\r\ncontent-length: 100\r\n\r\n{{\"a",
        shop.key
    );
    socket.write_all(head.as_bytes()).await.unwrap();
    let mut answer = String::new();
    let read = tokio::time::timeout(Duration::from_secs(5), socket.read_to_string(&mut answer));
    read.await.expect("the server does not wait for ever").unwrap();
    assert!(answer.starts_with("HTTP/1.1 408 "), "{answer}");
    assert!(answer.contains("body_timeout"), "{answer}");
}

#[tokio::test]
async fn too_many_at_once_are_told_to_come_back() {
    let shop = Shop::open_with(ApiSettings { in_flight_max: 0, ..ApiSettings::default() }).await;
    let reply = shop.ask(Ask::get("/v1/payments")).await;
    assert_eq!((reply.status, reply.code().as_str()), (503, "busy"));
    assert!(reply.headers.contains_key("retry-after"));
}

#[tokio::test]
async fn an_answer_that_takes_too_long_does_not_undo_the_work() {
    let limits = ApiSettings { handler_timeout_ms: 300, ..ApiSettings::default() };
    let shop = Shop::open_with(limits).await;
    let mut holder = shop.db.owner.begin().await.unwrap();
    sqlx::query("LOCK TABLE payments IN EXCLUSIVE MODE").execute(&mut *holder).await.unwrap();
    let ask = || Ask::post("/v1/payments", &order("slow")).idempotent("slow");
    let late = shop.ask(ask()).await;
    assert_eq!((late.status, late.code().as_str()), (503, "timeout"));
    holder.commit().await.unwrap();
    let since = Instant::now();
    while shop.count("idempotency_keys").await == 0 {
        assert!(since.elapsed() < Duration::from_secs(20), "the work goes on");
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
    // The short limit binds the replay as well: on a busy machine it takes some asking.
    let mut replay = shop.ask(ask()).await;
    while replay.status == 503 {
        assert!(since.elapsed() < Duration::from_secs(20), "no replay: {}", replay.text);
        replay = shop.ask(ask()).await;
    }
    assert_eq!((replay.status, replay.replayed()), (201, true));
    assert_eq!(shop.count("payments").await, 1);
}
