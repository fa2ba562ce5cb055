//! The account's own news over the WebSocket API: `userDataStream.subscribe.signature`, with
//! either kind of key.
//!
//! Invariant: news are hints. Whoever hears of an order asks for it; a line that is lost, refused
//! or silent costs nothing but speed, because polling goes on. The whole events are not read: what
//! they say of amounts is never used.

use std::{sync::Arc, time::Duration};

use async_trait::async_trait;
use primitives::Asset;
use serde::Deserialize;
use tokio::{
    sync::Mutex,
    time::{Instant, timeout},
};

use super::{Binance, NAME};
use crate::{
    OrderNews,
    listening::{Door, Listener, listen},
    socket::{Heard, Line, Lost, WsUrl},
    streams::News,
};

const ANSWER_MAX: Duration = Duration::from_secs(5);
const REFERENCE_MAX: usize = 64;

/// The stream of news.
#[derive(Debug)]
pub struct BinanceNews {
    venue: Arc<Binance>,
    address: String,
    door: Mutex<Door>,
}

#[derive(Deserialize)]
struct Push {
    id: Option<String>,
    status: Option<u16>,
    event: Option<Event>,
    e: Option<String>,
}

/// `c` is the client id, on a cancellation a new one beside the original `C`.
#[derive(Deserialize)]
struct Event {
    e: Option<String>,
    c: Option<String>,
    #[serde(rename = "C")]
    original: Option<String>,
    /// `balanceUpdate`: the asset.
    a: Option<String>,
    /// `outboundAccountPosition`: the assets.
    #[serde(rename = "B", default)]
    balances: Vec<Position>,
}

#[derive(Deserialize)]
struct Position {
    a: String,
}

impl BinanceNews {
    pub(crate) fn new(venue: Arc<Binance>, url: &WsUrl) -> Self {
        Self { venue, address: url.at("/ws-api/v3"), door: Mutex::default() }
    }

    /// Opens a line and subscribes; what else was said meanwhile is covered by `Gap`.
    async fn open(&self, at_most: Duration) -> Result<Line, Lost> {
        let params =
            self.venue.caller.subscription().await.map_err(|_| "could not be signed for")?;
        let clock = self.venue.caller.clock();
        let mut line = Line::open(&self.address, clock, at_most).await?;
        let request = serde_json::json!({
            "id": "news",
            "method": "userDataStream.subscribe.signature",
            "params": params,
        });
        line.say(request.to_string()).await?;
        let asked = Instant::now();
        while asked.elapsed() < ANSWER_MAX {
            let left = ANSWER_MAX.saturating_sub(asked.elapsed());
            for Heard { text, .. } in line.hear(clock, left).await? {
                let push: Push =
                    serde_json::from_str(&text).map_err(|_| "spoke another language")?;
                match (push.id.as_deref(), push.status) {
                    (Some("news"), Some(200)) => return Ok(line),
                    (Some("news"), _) => return Err("was refused"),
                    _ => {}
                }
            }
        }
        Err("was not answered")
    }
}

impl Listener for BinanceNews {
    type Told = News;

    const VENDOR: &'static str = NAME;
    const WHAT: &'static str = "news stream";

    fn door(&self) -> &Mutex<Door> {
        &self.door
    }

    async fn heard(&self, door: &mut Door, at_most: Duration) -> Result<Vec<News>, Lost> {
        let Some(mut line) = door.line.take() else {
            let opened = timeout(at_most, self.open(at_most)).await;
            door.line = Some(opened.map_err(|_| "took too long to open")??);
            tracing::debug!(vendor = NAME, "news stream opened");
            door.patience.went_well();
            return Ok(vec![News::Gap]);
        };
        let heard = line.hear(self.venue.caller.clock(), at_most).await?;
        let mut news = Vec::new();
        for Heard { text, .. } in &heard {
            news.extend(told(text)?);
        }
        door.line = Some(line);
        Ok(news)
    }
}

/// What one message tells; an error where it says that the stream ends.
fn told(text: &str) -> Result<Vec<News>, Lost> {
    let push: Push = serde_json::from_str(text).map_err(|_| "spoke another language")?;
    let Some(event) = push.event else {
        let shutdown = push.e.as_deref() == Some("serverShutdown");
        return if shutdown { Err("is being shut down") } else { Ok(Vec::new()) };
    };
    let known = |code: &str| code.parse::<Asset>().ok().map(|asset| News::Balance { asset });
    Ok(match event.e.as_deref() {
        Some("executionReport") => {
            let original = event.original.filter(|original| !original.is_empty());
            let named = original.or(event.c).filter(|name| name.len() <= REFERENCE_MAX);
            named.map(|client_ref| News::Order { client_ref }).into_iter().collect()
        }
        Some("balanceUpdate") => event.a.as_deref().and_then(known).into_iter().collect(),
        Some("outboundAccountPosition") => {
            event.balances.iter().filter_map(|position| known(&position.a)).collect()
        }
        Some("eventStreamTerminated") => return Err("was ended"),
        Some("serverShutdown") => return Err("is being shut down"),
        _ => Vec::new(),
    })
}

#[async_trait]
impl OrderNews for BinanceNews {
    fn venue(&self) -> &'static str {
        NAME
    }

    async fn wait(&self, at_most: Duration) -> Vec<News> {
        listen(self, at_most).await
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn events_become_hints_and_endings_end() {
        let of = |event: &str| told(&format!(r#"{{"subscriptionId":0,"event":{event}}}"#));
        let order = |name: &str| Ok(vec![News::Order { client_ref: name.to_owned() }]);
        let report = include_str!("fixtures/event.execution_report.json");
        assert_eq!(told(report), order("c-0001-1"));
        let cancelled = r#"{"e":"executionReport","c":"their-own","C":"c-0001-1","X":"CANCELED"}"#;
        assert_eq!(of(cancelled), order("c-0001-1"));
        let usdt = News::Balance { asset: Asset::Usdt };
        assert_eq!(of(r#"{"e":"balanceUpdate","a":"USDT","d":"1.0"}"#), Ok(vec![usdt.clone()]));
        let both = r#"{"e":"outboundAccountPosition","B":[{"a":"USDT"},{"a":"DOGE"},{"a":"BNB"}]}"#;
        assert_eq!(of(both), Ok(vec![usdt, News::Balance { asset: Asset::Bnb }]));
        assert_eq!(of(r#"{"e":"listStatus"}"#), Ok(Vec::new()));
        assert_eq!(told(r#"{"id":"x","status":200,"result":{}}"#), Ok(Vec::new()));
        assert!(of(r#"{"e":"eventStreamTerminated","E":1}"#).is_err());
        assert!(told(r#"{"e":"serverShutdown"}"#).is_err());
        assert!(told("garbage").is_err());
    }
}
