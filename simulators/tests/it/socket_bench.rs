//! A WebSocket client against a running world: asks, and waits for events with a deadline.

use std::{sync::Arc, time::Duration};

use chrono::{DateTime, TimeDelta};
use futures::{SinkExt as _, StreamExt as _};
use primitives::{Clock as _, ManualClock};
use serde_json::{Value, json};
use simulators::{Options, Running, signature::hmac_hex};
use tokio::{
    net::TcpStream,
    time::{Instant, timeout, timeout_at},
};
use tokio_tungstenite::{
    MaybeTlsStream, WebSocketStream, connect_async,
    tungstenite::{Message, protocol::CloseFrame},
};

use crate::venue_bench::ed25519;

const PATIENCE: Duration = Duration::from_secs(20);

/// All servers, on a clock that stands still.
pub(crate) struct Bench {
    pub(crate) clock: ManualClock,
    pub(crate) sims: Running,
}

impl Bench {
    pub(crate) async fn new() -> Self {
        let clock = ManualClock::new(DateTime::from_timestamp(1_767_225_600, 0).unwrap());
        let options = Options { limits: false, ..Options::new(Arc::new(clock.clone())) };
        let sims = simulators::start(options).await.unwrap();
        sims.world.prices.pin("BTCUSDT", "100000".parse().unwrap()).unwrap();
        Self { clock, sims }
    }

    pub(crate) fn now(&self) -> i64 {
        self.clock.now().timestamp_millis()
    }

    pub(crate) fn pass(&self, ms: i64) {
        self.clock.advance(TimeDelta::milliseconds(ms));
    }

    pub(crate) fn pin(&self, pair: &str, price: &str) {
        self.sims.world.prices.pin(pair, price.parse().unwrap()).unwrap();
    }

    pub(crate) async fn socket(&self, path: &str) -> Socket {
        let url = format!("ws://{}{path}", self.sims.addresses.binance);
        Socket { stream: connect_async(url).await.unwrap().0, next: 0 }
    }

    pub(crate) async fn api(&self) -> Socket {
        self.socket("/ws-api/v3").await
    }

    /// Parameters with key, time and signature, HMAC over the sorted names.
    pub(crate) fn hmac(&self, params: Value) -> Value {
        let keys = self.sims.binance.credentials();
        self.signed(params, &keys.api_key, |text| hmac_hex(keys.secret.expose(), text))
    }

    pub(crate) fn ed25519(&self, params: Value) -> Value {
        let keys = self.sims.binance.ed25519();
        self.signed(params, &keys.api_key, |text| ed25519(keys, text))
    }

    fn signed(&self, mut params: Value, key: &str, sign: impl Fn(&str) -> String) -> Value {
        params["apiKey"] = json!(key);
        params["timestamp"] = json!(self.now());
        let mut pairs: Vec<(String, String)> = Vec::new();
        for (name, value) in params.as_object().unwrap() {
            let text = value.as_str().map_or_else(|| value.to_string(), str::to_owned);
            pairs.push((name.clone(), text));
        }
        pairs.sort();
        let pairs: Vec<String> =
            pairs.iter().map(|(name, value)| format!("{name}={value}")).collect();
        params["signature"] = json!(sign(&pairs.join("&")));
        params
    }

    /// A call to the control server.
    pub(crate) async fn control(&self, path: &str, body: Value) -> Value {
        let url = format!("http://{}{path}", self.sims.addresses.control);
        crate::chain_nodes::http().post(url).json(&body).send().await.unwrap().json().await.unwrap()
    }
}

pub(crate) struct Socket {
    stream: WebSocketStream<MaybeTlsStream<TcpStream>>,
    next: u64,
}

/// How a socket ended.
#[derive(Debug)]
pub(crate) enum Ended {
    Close(Option<CloseFrame>),
    Broken,
}

impl Socket {
    pub(crate) async fn say(&mut self, text: impl ToString) {
        self.stream.send(Message::text(text.to_string())).await.unwrap();
    }

    /// Says it all in one breath.
    pub(crate) async fn say_all(&mut self, texts: impl IntoIterator<Item = Value>) {
        for text in texts {
            self.stream.feed(Message::text(text.to_string())).await.unwrap();
        }
        self.stream.flush().await.unwrap();
    }

    /// The next text.
    pub(crate) async fn hear(&mut self) -> Value {
        loop {
            match timeout(PATIENCE, self.stream.next()).await.expect("nothing was said in time") {
                Some(Ok(Message::Text(text))) => return serde_json::from_str(&text).unwrap(),
                Some(Ok(Message::Ping(_) | Message::Pong(_))) => {}
                other => panic!("the socket ended: {other:?}"),
            }
        }
    }

    /// Waits for a ping.
    pub(crate) async fn ping(&mut self) {
        loop {
            match timeout(PATIENCE, self.stream.next()).await.expect("no ping in time") {
                Some(Ok(Message::Ping(_))) => return,
                Some(Ok(_)) => {}
                other => panic!("the socket ended: {other:?}"),
            }
        }
    }

    /// What comes within a short while, if anything.
    pub(crate) async fn overhears(&mut self, ms: u64) -> Option<Message> {
        timeout(Duration::from_millis(ms), self.stream.next()).await.ok()?.and_then(Result::ok)
    }

    /// True when nothing is told for a short while, and the socket lives. Pings are no news.
    pub(crate) async fn is_quiet(&mut self, ms: u64) -> bool {
        let until = Instant::now() + Duration::from_millis(ms);
        loop {
            match timeout_at(until, self.stream.next()).await {
                Err(_) => return true,
                Ok(Some(Ok(Message::Ping(_) | Message::Pong(_)))) => {}
                Ok(_) => return false,
            }
        }
    }

    pub(crate) async fn end(&mut self) -> Ended {
        loop {
            match timeout(PATIENCE, self.stream.next()).await.expect("it did not end in time") {
                Some(Ok(Message::Close(frame))) => return Ended::Close(frame),
                Some(Ok(_)) => {}
                Some(Err(_)) | None => return Ended::Broken,
            }
        }
    }

    /// Sends a request and waits for its answer; events in between are dropped.
    pub(crate) async fn ask(&mut self, method: &str, params: Value) -> Value {
        self.next += 1;
        let id = self.next;
        self.say(json!({"id": id, "method": method, "params": params})).await;
        loop {
            let heard = self.hear().await;
            if heard["id"] == id {
                return heard;
            }
        }
    }

    /// The next event of the account with this name.
    pub(crate) async fn event(&mut self, name: &str) -> Value {
        loop {
            let heard = self.hear().await;
            if heard["event"]["e"] == name {
                return heard;
            }
        }
    }
}
