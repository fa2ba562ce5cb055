//! The market streams (`/ws/<stream>`, `/stream?streams=a/b`): best prices, small books, small
//! tickers, with subscriptions while the socket is open.
//!
//! Invariant: `bookTicker` speaks when the best prices or sizes changed, and only then, so that a
//! source that is frozen or missing is silent. What is shown comes from the price table through the
//! source's mode, as over REST.

use std::{
    collections::BTreeMap,
    sync::Arc,
    time::{Duration, Instant},
};

use axum::{
    extract::{Path, RawQuery, State as Shared, ws::WebSocketUpgrade},
    response::Response,
};
use chrono::{DateTime, Utc};
use serde_json::{Value, json};

use super::{
    Exchange, events,
    market::MARKETS,
    public,
    socket::{Protocol, accept},
};
use crate::venue::Market;

/// Streams one socket may listen to.
const STREAMS_MAX: usize = 1_024;

/// What a stream shows.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Feed {
    BookTicker,
    /// So many levels, so many milliseconds apart.
    Depth(usize, u64),
    MiniTicker,
}

impl Feed {
    fn read(name: &str) -> Option<Self> {
        let depth = |levels: &str, ms| match levels {
            "5" => Some(Self::Depth(5, ms)),
            "10" => Some(Self::Depth(10, ms)),
            "20" => Some(Self::Depth(20, ms)),
            _ => None,
        };
        match name {
            "bookTicker" => Some(Self::BookTicker),
            "miniTicker" => Some(Self::MiniTicker),
            other => {
                let levels = other.strip_prefix("depth")?;
                match levels.strip_suffix("@100ms") {
                    Some(levels) => depth(levels, 100),
                    None => depth(levels, 1_000),
                }
            }
        }
    }

    const fn pause(self) -> Duration {
        match self {
            Self::BookTicker => Duration::ZERO,
            Self::Depth(_, ms) => Duration::from_millis(ms),
            Self::MiniTicker => Duration::from_millis(1_000),
        }
    }
}

/// One stream that is listened to; a name the vendor does not know is silent.
#[derive(Debug)]
struct Stream {
    known: Option<(&'static Market, Feed)>,
    shown: Option<u64>,
    next: Instant,
}

impl Stream {
    fn open(name: &str) -> Self {
        let known = name.split_once('@').and_then(|(symbol, feed)| {
            let market = MARKETS.iter().find(|m| m.pair().to_ascii_lowercase() == symbol)?;
            Some((market, Feed::read(feed)?))
        });
        Self { known, shown: None, next: Instant::now() }
    }
}

pub(crate) async fn connect(
    Shared(exchange): Shared<Arc<Exchange>>,
    path: Option<Path<String>>,
    upgrade: WebSocketUpgrade,
) -> Response {
    let named = path.map(|Path(streams)| streams).unwrap_or_default();
    let listener = Listener::new(Arc::clone(&exchange), &named, false);
    accept(exchange, upgrade, move |_| listener).await
}

pub(crate) async fn connect_combined(
    Shared(exchange): Shared<Arc<Exchange>>,
    RawQuery(query): RawQuery,
    upgrade: WebSocketUpgrade,
) -> Response {
    let query = query.unwrap_or_default();
    let named = query.split('&').find_map(|pair| pair.strip_prefix("streams="));
    let named = named.unwrap_or_default().replace("%2F", "/").replace("%40", "@");
    let listener = Listener::new(Arc::clone(&exchange), &named, true);
    accept(exchange, upgrade, move |_| listener).await
}

#[derive(Debug)]
struct Listener {
    exchange: Arc<Exchange>,
    /// Whether events are wrapped with the name of their stream.
    combined: bool,
    streams: BTreeMap<String, Stream>,
}

fn refusal(id: &Value, code: u8, text: impl Into<String>) -> Value {
    json!({"error": {"code": code, "msg": text.into()}, "id": id})
}

impl Listener {
    fn new(exchange: Arc<Exchange>, named: &str, combined: bool) -> Self {
        let names = named.split('/').filter(|name| !name.is_empty()).take(STREAMS_MAX);
        let streams = names.map(|name| (name.to_owned(), Stream::open(name))).collect();
        Self { exchange, combined, streams }
    }

    fn answer(&mut self, text: &str) -> Value {
        let request = match serde_json::from_str::<Value>(text) {
            Ok(request) => request,
            Err(error) => {
                let text = format!(
                    "Invalid JSON: expected value at line {} column {}",
                    error.line(),
                    error.column()
                );
                return refusal(&Value::Null, 3, text);
            }
        };
        let id = request.get("id").cloned().unwrap_or(Value::Null);
        if !(id.is_null() || id.is_i64() || id.is_u64() || id.is_string()) {
            let text = "Invalid request: request ID must be an unsigned integer";
            return refusal(&Value::Null, 2, text);
        }
        let Some(method) = request.get("method").and_then(Value::as_str) else {
            return refusal(&id, 2, "Invalid request: missing field `method`");
        };
        let params = request.get("params").and_then(Value::as_array).cloned().unwrap_or_default();
        let outcome = self.perform(method, &params);
        match outcome {
            Ok(result) => json!({"result": result, "id": id}),
            Err((code, text)) => refusal(&id, code, text),
        }
    }

    fn perform(&mut self, method: &str, params: &[Value]) -> Result<Value, (u8, String)> {
        let names = || -> Result<Vec<String>, (u8, String)> {
            let name = |value: &Value| value.as_str().map(str::to_owned);
            let names: Option<Vec<String>> = params.iter().map(name).collect();
            names.ok_or_else(|| (2, "Invalid request: stream name must be a string".to_owned()))
        };
        match method {
            "SUBSCRIBE" => {
                let names = names()?;
                if self.streams.len().saturating_add(names.len()) > STREAMS_MAX {
                    return Err((2, "Invalid request: too many streams".to_owned()));
                }
                for name in names {
                    let stream = Stream::open(&name);
                    self.streams.entry(name).or_insert(stream);
                }
                Ok(Value::Null)
            }
            "UNSUBSCRIBE" => {
                for name in names()? {
                    self.streams.remove(&name);
                }
                Ok(Value::Null)
            }
            "LIST_SUBSCRIPTIONS" => Ok(json!(self.streams.keys().collect::<Vec<_>>())),
            "SET_PROPERTY" | "GET_PROPERTY" if params.first() != Some(&json!("combined")) => {
                Err((0, "Unknown property".to_owned()))
            }
            "GET_PROPERTY" => Ok(Value::Bool(self.combined)),
            "SET_PROPERTY" => match params.get(1).and_then(Value::as_bool) {
                Some(combined) => {
                    self.combined = combined;
                    Ok(Value::Null)
                }
                None => Err((1, "Invalid value type: expected Boolean".to_owned())),
            },
            other => Err((
                2,
                format!(
                    "Invalid request: unknown variant `{other}`, expected one of `SUBSCRIBE`, \
                     `UNSUBSCRIBE`, `LIST_SUBSCRIPTIONS`, `SET_PROPERTY`, `GET_PROPERTY`"
                ),
            )),
        }
    }
}

/// What a stream has to say now, if anything.
fn speak(exchange: &Exchange, stream: &mut Stream) -> Option<Value> {
    let (market, feed) = stream.known?;
    let now = Instant::now();
    if stream.next > now {
        return None;
    }
    let (top, at) = public::top(exchange, market)?;
    let clock = u64::try_from(exchange.world.now().timestamp_millis()).unwrap_or(0);
    let id = exchange.hub.update_id(&market.pair(), &top, clock);
    if feed == Feed::BookTicker && stream.shown == Some(id) {
        return None;
    }
    stream.shown = Some(id);
    stream.next = now.checked_add(feed.pause()).unwrap_or(now);
    let [bid, bid_size, ask, ask_size] = top;
    Some(match feed {
        Feed::BookTicker => json!({
            "u": id, "s": market.pair(), "b": bid, "B": bid_size, "a": ask, "A": ask_size,
        }),
        Feed::Depth(levels, _) => public::small_book(exchange, market, levels, id)?,
        Feed::MiniTicker => public::mini_ticker(exchange, market, at)?,
    })
}

impl Protocol for Listener {
    const MESSAGES: Option<usize> = Some(5);

    async fn hear(&mut self, text: &str) -> Vec<String> {
        vec![self.answer(text).to_string()]
    }

    /// The account is not told here.
    fn tell(&mut self, _: &Value) -> Vec<String> {
        Vec::new()
    }

    fn terminate(&mut self, _: DateTime<Utc>) -> Vec<String> {
        Vec::new()
    }

    fn shutdown(&self, now: DateTime<Utc>) -> String {
        events::shutdown(now).to_string()
    }

    fn tick(&mut self) -> Vec<String> {
        let (exchange, combined) = (&self.exchange, self.combined);
        let said = self.streams.iter_mut().filter_map(|(name, stream)| {
            let data = speak(exchange, stream)?;
            Some(if combined { json!({"stream": name, "data": data}) } else { data }.to_string())
        });
        said.collect()
    }
}
