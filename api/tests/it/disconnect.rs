//! A client that hangs up at any byte leaves no half-done state and no session inside a
//! transaction; what had arrived whole is done whole. A stop lets what was begun end.

use std::time::{Duration, Instant};

use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::TcpStream,
};

use crate::shop::{Ask, Shop, order};

fn request(shop: &Shop, reference: &str, idempotency_key: &str) -> String {
    let body = order(reference).to_string();
    format!(
        "POST /v1/payments HTTP/1.1\r\nhost: x\r\nauthorization: Bearer {}\r\n\
         idempotency-key: {idempotency_key}\r\ncontent-type: application/json\r\n\
         content-length: {}\r\n\r\n{body}",
        shop.key,
        body.len()
    )
}

/// How many commands wait for a lock.
async fn waiting(shop: &Shop) -> i64 {
    sqlx::query_scalar(
        "SELECT count(*) FROM pg_stat_activity WHERE datname = current_database() \
         AND usename = 'chukta_app' AND wait_event_type = 'Lock'",
    )
    .fetch_one(&shop.db.owner)
    .await
    .unwrap()
}

async fn open_transactions(shop: &Shop) -> i64 {
    sqlx::query_scalar(
        "SELECT count(*) FROM pg_stat_activity WHERE datname = current_database() \
         AND usename = 'chukta_app' AND state LIKE 'idle in transaction%'",
    )
    .fetch_one(&shop.db.owner)
    .await
    .unwrap()
}

#[tokio::test]
async fn hanging_up_at_any_byte_leaves_nothing_half_done() {
    let shop = Shop::open().await;
    let whole = request(&shop, "cut", "cut");
    for end in (0..whole.len()).step_by(37) {
        let mut socket = TcpStream::connect(&shop.address).await.unwrap();
        socket.write_all(&whole.as_bytes()[..end]).await.unwrap();
        drop(socket);
    }
    assert_eq!(shop.count("payments").await, 0, "an incomplete request does nothing");

    for n in 0..30 {
        let text = request(&shop, &format!("gone-{n}"), &format!("gone-{n}"));
        let mut socket = TcpStream::connect(&shop.address).await.unwrap();
        socket.write_all(text.as_bytes()).await.unwrap();
        // Closed while the command runs, at various moments of it.
        tokio::time::sleep(Duration::from_micros(n * 400)).await;
        drop(socket);
    }
    let since = Instant::now();
    while open_transactions(&shop).await > 0 {
        // Below the 5 s after which the database itself would end such a session, and hide it.
        assert!(since.elapsed() < Duration::from_secs(4), "a session is left in a transaction");
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
    // Each is there whole or not at all: asking again with the same key gives one payment each.
    for n in 0..30 {
        let name = format!("gone-{n}");
        let reply = shop.ask(Ask::post("/v1/payments", &order(&name)).idempotent(&name)).await;
        assert_eq!(reply.status, 201, "{}", reply.text);
    }
    assert_eq!(shop.count("payments").await, 30);
    assert_eq!(shop.count("idempotency_keys").await, 30);
    let told: i64 =
        sqlx::query_scalar("SELECT count(*) FROM payment_events WHERE kind = 'payment.created'")
            .fetch_one(&shop.db.owner)
            .await
            .unwrap();
    assert_eq!(told, 30);
}

#[tokio::test]
async fn a_request_runs_on_when_its_client_is_gone() {
    let shop = Shop::open().await;
    // The command waits for a lock somebody holds; its client gives up meanwhile.
    let mut holder = shop.db.owner.begin().await.unwrap();
    sqlx::query("LOCK TABLE payments IN EXCLUSIVE MODE").execute(&mut *holder).await.unwrap();
    let mut socket = TcpStream::connect(&shop.address).await.unwrap();
    socket.write_all(request(&shop, "slow", "slow").as_bytes()).await.unwrap();
    while waiting(&shop).await == 0 {
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
    drop(socket);
    tokio::time::sleep(Duration::from_millis(100)).await;
    assert_eq!(waiting(&shop).await, 1, "the command is still there");
    holder.commit().await.unwrap();
    let since = Instant::now();
    while shop.count("payments").await == 0 {
        assert!(since.elapsed() < Duration::from_secs(20), "and ends by itself");
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
    let replay = shop.ask(Ask::post("/v1/payments", &order("slow")).idempotent("slow")).await;
    assert!(replay.replayed());
}

#[tokio::test]
async fn a_stop_lets_what_was_begun_end() {
    let mut shop = Shop::open().await;
    let mut holder = shop.db.owner.begin().await.unwrap();
    sqlx::query("LOCK TABLE payments IN EXCLUSIVE MODE").execute(&mut *holder).await.unwrap();
    let mut socket = TcpStream::connect(&shop.address).await.unwrap();
    socket.write_all(request(&shop, "last", "last").as_bytes()).await.unwrap();
    while waiting(&shop).await == 0 {
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
    shop.stop.send(true).unwrap();
    tokio::time::sleep(Duration::from_millis(100)).await;
    holder.commit().await.unwrap();
    let mut answer = String::new();
    socket.read_to_string(&mut answer).await.unwrap();
    assert!(answer.starts_with("HTTP/1.1 201 "), "{answer}");
    // Less than the 20 s a server gives to work that does not end.
    let ended = tokio::time::timeout(Duration::from_secs(15), &mut shop.served).await;
    ended.expect("the server ends").unwrap().unwrap();
    assert_eq!(shop.count("payments").await, 1);
}

#[tokio::test]
async fn nonsense_on_the_wire_is_refused_and_forgotten() {
    let shop = Shop::open().await;
    let before = shop.everything().await;
    let auth = format!("authorization: Bearer {}", shop.key);
    let chunked = "transfer-encoding: chunked";
    let json = "content-type: application/json";
    let nonsense = [
        "\r\n\r\n".to_owned(),
        "GET\r\n\r\n".to_owned(),
        "GET /v1/payments HTTP/9.9\r\n\r\n".to_owned(),
        "\u{16}\u{3}\u{1}\u{2}\u{0}".to_owned(),
        "PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n".to_owned(),
        format!("GET /v1/payments HTTP/1.1\r\nhost: x\r\n{auth}\r\nbad header\r\n\r\n"),
        format!("POST /v1/payments HTTP/1.1\r\nhost: x\r\n{auth}\r\ncontent-length: -1\r\n\r\n"),
        format!(
            "POST /v1/payments HTTP/1.1\r\nhost: x\r\n{auth}\r\n{json}\r\n{chunked}\r\n\r\nzz\r\n"
        ),
        format!("GET /{} HTTP/1.1\r\nhost: x\r\n\r\n", "a".repeat(100_000)),
        format!("GET / HTTP/1.1\r\nhost: x\r\n{}\r\n", "a: b\r\n".repeat(200)),
    ];
    for text in nonsense {
        let mut socket = TcpStream::connect(&shop.address).await.unwrap();
        // The server may close before all of it is written.
        let _ = socket.write_all(text.as_bytes()).await;
        let _ = socket.shutdown().await;
        let mut answer = Vec::new();
        let read = tokio::time::timeout(Duration::from_secs(5), socket.read_to_end(&mut answer));
        let _ = read.await.expect("an answer or an end");
        let answer = String::from_utf8_lossy(&answer);
        let start: String = text.chars().take(40).collect();
        assert!(answer.is_empty() || answer.starts_with("HTTP/1.1 4"), "{start:?}: {answer}");
    }
    assert_eq!(shop.everything().await, before);
    assert_eq!(shop.bare(Ask::get("/health/live")).await.status, 200);
}
