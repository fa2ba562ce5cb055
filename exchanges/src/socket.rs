//! One WebSocket connection to a venue: opened with growing pauses, bounded in size and age, and
//! read with the time at which each message came.
//!
//! Invariant: a message is never younger than it is told. What waited while nobody read is stamped
//! with the moment the line was last seen empty, and a line that was left alone for longer than
//! that is worth is thrown away, with everything in it.

use std::{fmt, time::Duration};

use chrono::{DateTime, Utc};
use futures::{FutureExt as _, SinkExt as _, StreamExt as _};
use outbound::{BaseUrl, BaseUrlError, install_crypto};
use primitives::Clock;
use serde::{Deserialize, Deserializer, de::Error as _};
use tokio::{
    net::TcpStream,
    task::unconstrained,
    time::{Instant, timeout},
};
use tokio_tungstenite::{
    MaybeTlsStream, WebSocketStream, connect_async_with_config,
    tungstenite::{Message, Utf8Bytes, protocol::WebSocketConfig},
};

const MESSAGE_BYTES_MAX: usize = 256 * 1024;
const MESSAGES_AT_ONCE: usize = 2_000;
const CONNECT_MAX: Duration = Duration::from_secs(5);
/// The longest the line may be left unread before what is in it is too old to be stamped.
const UNREAD_MAX: Duration = Duration::from_secs(2);
const SLICE: Duration = Duration::from_millis(500);
/// Venues ping every twenty seconds; this long without a sign the line is dead.
const SILENCE_MAX: Duration = Duration::from_secs(90);
/// Venues cut a connection after a day; we leave before.
const LIFE_MAX: Duration = Duration::from_secs(23 * 60 * 60);
const FIRST_PAUSE: Duration = Duration::from_millis(500);
const LONGEST_PAUSE: Duration = Duration::from_secs(60);

/// `wss://stream.example.com:9443`, without a path; plain `ws` only inside our own network.
#[derive(Clone, PartialEq, Eq)]
pub struct WsUrl(String);

impl WsUrl {
    /// # Errors
    /// As for [`BaseUrl`].
    pub fn parse(text: &str) -> Result<Self, BaseUrlError> {
        let http = match text.split_once("://") {
            Some(("wss", rest)) => format!("https://{rest}"),
            Some(("ws", rest)) => format!("http://{rest}"),
            _ => return Err(BaseUrlError::Malformed),
        };
        BaseUrl::parse(&http)?;
        Ok(Self(text.trim_end_matches('/').to_owned()))
    }

    /// The whole address of a path that begins with `/`.
    pub(crate) fn at(&self, path: &str) -> String {
        format!("{}{path}", self.0)
    }
}

impl fmt::Debug for WsUrl {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl<'de> Deserialize<'de> for WsUrl {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        Self::parse(&String::deserialize(deserializer)?).map_err(D::Error::custom)
    }
}

/// A text that came, and when at the latest it was said.
#[derive(Debug, Clone)]
pub(crate) struct Heard {
    pub(crate) text: Utf8Bytes,
    pub(crate) at: DateTime<Utc>,
}

/// Why the line is gone. Short, fixed, without anything the vendor said.
pub(crate) type Lost = &'static str;

const OLD: Lost = "is a day old";
const UNREAD: Lost = "was left unread";

/// Whether the line was left by us, and another may be opened at once.
pub(crate) fn is_our_own(lost: Lost) -> bool {
    [OLD, UNREAD].contains(&lost)
}

#[derive(Debug)]
pub(crate) struct Line {
    socket: WebSocketStream<MaybeTlsStream<TcpStream>>,
    opened: Instant,
    last_sign: Instant,
    /// When the line was last seen empty, on the machine's clock and on the given one.
    empty: Instant,
    empty_at: DateTime<Utc>,
}

impl Line {
    pub(crate) async fn open(
        url: &str,
        clock: &dyn Clock,
        at_most: Duration,
    ) -> Result<Self, Lost> {
        install_crypto();
        let config = WebSocketConfig::default()
            .max_message_size(Some(MESSAGE_BYTES_MAX))
            .max_frame_size(Some(MESSAGE_BYTES_MAX));
        let opening = connect_async_with_config(url, Some(config), true);
        match timeout(at_most.min(CONNECT_MAX), opening).await {
            Ok(Ok((socket, _))) => {
                let now = Instant::now();
                let empty_at = clock.now();
                Ok(Self { socket, opened: now, last_sign: now, empty: now, empty_at })
            }
            Ok(Err(_)) => Err("could not be opened"),
            Err(_) => Err("took too long to open"),
        }
    }

    pub(crate) async fn say(&mut self, text: String) -> Result<(), Lost> {
        match timeout(CONNECT_MAX, self.socket.send(Message::text(text))).await {
            Ok(Ok(())) => Ok(()),
            _ => Err("could not be written to"),
        }
    }

    /// Waits for the first message, at most so long, and takes what else is there.
    pub(crate) async fn hear(
        &mut self,
        clock: &dyn Clock,
        at_most: Duration,
    ) -> Result<Vec<Heard>, Lost> {
        if self.opened.elapsed() > LIFE_MAX {
            return Err(OLD);
        }
        if self.empty.elapsed() > UNREAD_MAX {
            return Err(UNREAD);
        }
        let mut heard = Vec::new();
        self.take_waiting(self.empty_at, &mut heard)?;
        let started = Instant::now();
        while heard.is_empty() {
            let left = at_most.saturating_sub(started.elapsed());
            if left.is_zero() {
                break;
            }
            let looked = Instant::now();
            let next = timeout(left.min(SLICE), self.socket.next()).await;
            // Held for longer than we asked: nobody knows when this was said.
            if looked.elapsed() > UNREAD_MAX {
                return Err(UNREAD);
            }
            match next {
                Ok(message) => {
                    let at = clock.now();
                    self.sort(message, at, &mut heard)?;
                    self.take_waiting(at, &mut heard)?;
                }
                Err(_) if self.last_sign.elapsed() > SILENCE_MAX => return Err("fell silent"),
                Err(_) => {}
            }
            self.seen_empty(clock);
        }
        if heard.len() < MESSAGES_AT_ONCE {
            self.seen_empty(clock);
        }
        Ok(heard)
    }

    fn seen_empty(&mut self, clock: &dyn Clock) {
        self.empty = Instant::now();
        self.empty_at = clock.now();
    }

    fn take_waiting(&mut self, at: DateTime<Utc>, heard: &mut Vec<Heard>) -> Result<(), Lost> {
        while heard.len() < MESSAGES_AT_ONCE {
            // Unconstrained: only a line that is really empty may be taken for empty.
            match unconstrained(self.socket.next()).now_or_never() {
                Some(message) => self.sort(message, at, heard)?,
                None => break,
            }
        }
        Ok(())
    }

    fn sort<E>(
        &mut self,
        message: Option<Result<Message, E>>,
        at: DateTime<Utc>,
        heard: &mut Vec<Heard>,
    ) -> Result<(), Lost> {
        match message {
            Some(Ok(message)) => {
                self.last_sign = Instant::now();
                if let Message::Text(text) = message {
                    heard.push(Heard { text, at });
                } else if matches!(message, Message::Close(_)) {
                    return Err("was closed");
                }
                Ok(())
            }
            Some(Err(_)) => Err("broke"),
            None => Err("was closed"),
        }
    }
}

/// When the next opening may be tried.
#[derive(Debug, Default)]
pub(crate) struct Patience {
    failures: u32,
    not_before: Option<Instant>,
}

impl Patience {
    /// How long to wait still; zero when it may be tried.
    pub(crate) fn left(&self) -> Duration {
        let now = Instant::now();
        self.not_before.map_or(Duration::ZERO, |at| at.saturating_duration_since(now))
    }

    pub(crate) fn failed(&mut self) {
        let doubled = FIRST_PAUSE.saturating_mul(2_u32.saturating_pow(self.failures.min(10)));
        self.failures = self.failures.saturating_add(1);
        self.not_before = Instant::now().checked_add(doubled.min(LONGEST_PAUSE));
    }

    pub(crate) fn went_well(&mut self) {
        *self = Self::default();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn takes_web_sockets_only_and_plain_ones_only_at_home() {
        for good in ["wss://stream.binance.com:9443", "ws://127.0.0.1:1", "ws://sim:9/"] {
            assert!(WsUrl::parse(good).is_ok(), "{good}");
        }
        for bad in ["https://a.com", "ws://stream.binance.com", "wss://a.com/ws", "wss://k:s@a.com"]
        {
            assert!(WsUrl::parse(bad).is_err(), "{bad}");
        }
        assert_eq!(WsUrl::parse("ws://sim:9/").unwrap().at("/ws"), "ws://sim:9/ws");
    }

    #[test]
    fn pauses_grow_and_end() {
        let mut patience = Patience::default();
        assert!(patience.left().is_zero());
        let mut before = Duration::ZERO;
        for seconds_max in [1, 1, 2, 4, 8, 16, 32, 60, 60, 60] {
            patience.failed();
            let left = patience.left();
            assert!(left <= Duration::from_secs(seconds_max), "{left:?}");
            assert!(left.saturating_add(Duration::from_secs(1)) > before, "{left:?}");
            before = left;
        }
        patience.went_well();
        assert!(patience.left().is_zero());
        patience.failed();
        assert!(patience.left() <= FIRST_PAUSE);
    }
}
