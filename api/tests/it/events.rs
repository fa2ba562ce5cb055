//! The event stream tells everything once, in order, resumes where a client left off, follows what
//! happens while it is open, and ends when the process stops.

use std::time::Duration;

use futures::StreamExt;
use reqwest::{Method, Response};

use crate::shop::{Ask, Shop};

struct Stream {
    response: std::pin::Pin<Box<dyn futures::Stream<Item = reqwest::Result<Vec<u8>>>>>,
    text: String,
}

/// One event as it came: its id and its type.
type Told = (u64, String);

impl Stream {
    async fn open(shop: &Shop, id: &str, last: Option<u64>) -> Self {
        let url = format!("http://{}/v1/payments/{id}/events", shop.address);
        let mut request = shop.http.get(url).bearer_auth(&shop.key);
        if let Some(last) = last {
            request = request.header("last-event-id", last.to_string());
        }
        let response: Response = request.send().await.unwrap();
        assert_eq!(response.status(), 200);
        assert_eq!(response.headers()["content-type"], "text/event-stream");
        assert_eq!(response.headers()["cache-control"], "no-store");
        let stream = response.bytes_stream().map(|chunk| chunk.map(|bytes| bytes.to_vec()));
        Self { response: Box::pin(stream), text: String::new() }
    }

    /// The next event, or `None` when the stream ends.
    async fn next(&mut self) -> Option<Told> {
        loop {
            if let Some((event, rest)) = self.text.split_once("\n\n") {
                let field = |name: &str| {
                    let line = event.lines().find_map(|line| line.strip_prefix(name));
                    line.map(|value| value.trim().to_owned())
                };
                let told = field("id:").zip(field("event:"));
                self.text = rest.to_owned();
                let Some((id, kind)) = told else { continue };
                return Some((id.parse().unwrap(), kind));
            }
            let chunk = tokio::time::timeout(Duration::from_secs(10), self.response.next());
            let chunk = chunk.await.expect("an event within ten seconds")?;
            self.text.push_str(std::str::from_utf8(&chunk.ok()?).unwrap());
        }
    }
}

#[tokio::test]
async fn a_client_that_comes_back_misses_nothing() {
    let shop = Shop::open().await;
    let id = shop.payment("a").await["id"].as_str().unwrap().to_owned();
    let mut stream = Stream::open(&shop, &id, None).await;
    let (first, kind) = stream.next().await.unwrap();
    assert_eq!(kind, "payment.created");
    // It happens while the stream is open.
    let cancel = Ask::get(format!("/v1/payments/{id}/cancel")).method(Method::POST);
    assert_eq!(shop.ask(cancel).await.status, 200);
    let (second, kind) = stream.next().await.unwrap();
    assert_eq!(kind, "payment.cancelled");
    assert!(second > first);
    drop(stream);

    let mut resumed = Stream::open(&shop, &id, Some(first)).await;
    assert_eq!(resumed.next().await.unwrap(), (second, kind.clone()));
    let mut whole = Stream::open(&shop, &id, Some(0)).await;
    assert_eq!(whole.next().await.unwrap().0, first);
    assert_eq!(whole.next().await.unwrap().0, second);
    // Another payment's events are not in it.
    shop.payment("b").await;
    let mut done = Stream::open(&shop, &id, Some(second)).await;
    let silent = tokio::time::timeout(Duration::from_millis(300), done.next()).await;
    assert!(silent.is_err(), "{silent:?}");
}

#[tokio::test]
async fn streams_end_with_the_process() {
    let mut shop = Shop::open().await;
    let id = shop.payment("a").await["id"].as_str().unwrap().to_owned();
    let mut stream = Stream::open(&shop, &id, None).await;
    assert!(stream.next().await.is_some());
    shop.stop.send(true).unwrap();
    assert_eq!(stream.next().await, None);
    let ended = tokio::time::timeout(Duration::from_secs(10), &mut shop.served).await;
    ended.expect("the server ends").unwrap().unwrap();
    assert!(tokio::net::TcpStream::connect(&shop.address).await.is_err());
}
