//! What the WebSocket API and the market streams have in common: one loop per open socket.
//!
//! Invariant: a socket is pinged every `ping_ms` and ends when three pings' time passes without an
//! answer, when it is `socket_life_ms` old, when it cannot keep up, or by the hand of a test. These
//! times are the machine's; everything said on a socket carries the world's.

use std::{
    collections::VecDeque,
    future::Future,
    sync::Arc,
    time::{Duration, Instant},
};

use axum::{
    extract::ws::{CloseFrame, Message, WebSocket, WebSocketUpgrade},
    http::StatusCode,
    response::{IntoResponse, Response},
};
use chrono::{DateTime, Utc};
use serde_json::Value;
use tokio::{
    sync::{broadcast, mpsc},
    time::{MissedTickBehavior, interval, timeout},
};

use super::{
    Exchange, NAME,
    hub::{Act, Deed, Note},
    wire::DIALECT,
};
use crate::serving::faults;

/// How often prices are looked at.
const LOOK: Duration = Duration::from_millis(250);
/// A client that takes nothing for this long is gone.
const SEND_LIMIT: Duration = Duration::from_secs(10);
const MESSAGE_LIMIT: usize = 64 * 1024;
/// Answers that may wait for their turn.
const REPLIES: usize = 1_024;

/// Something said to a client, or the end.
#[derive(Debug)]
pub(crate) enum Say {
    Text(String),
    Break,
}

/// One of the two dialects spoken on sockets.
pub(crate) trait Protocol: Send {
    /// Client messages a second, where the vendor counts them.
    const MESSAGES: Option<usize>;

    fn hear(&mut self, text: &str) -> impl Future<Output = Vec<String>> + Send;

    /// An event of the account.
    fn tell(&mut self, event: &Value) -> Vec<String>;

    /// The end of every user-data subscription.
    fn terminate(&mut self, now: DateTime<Utc>) -> Vec<String>;

    fn shutdown(&self, now: DateTime<Utc>) -> String;

    /// What the time brings: prices that moved.
    fn tick(&mut self) -> Vec<String>;
}

/// Accepts the connection, or answers what a fault or the vendor's limit makes of it.
pub(crate) async fn accept<P, F>(
    exchange: Arc<Exchange>,
    upgrade: WebSocketUpgrade,
    protocol: F,
) -> Response
where
    P: Protocol + 'static,
    F: FnOnce(mpsc::Sender<Say>) -> P + Send + 'static,
{
    let world = Arc::clone(&exchange.world);
    let fine = || StatusCode::ACCEPTED.into_response();
    let answer = faults::respond(&world, DIALECT, "connect", fine).await;
    if answer.status() != StatusCode::ACCEPTED {
        return answer;
    }
    let now = world.now();
    let refused = {
        let mut state = exchange.state();
        let enforced = state.settings.limits;
        state.limits.connect(enforced, now).err()
    };
    if let Some(refusal) = refused {
        return refusal.into_response();
    }
    upgrade.max_message_size(MESSAGE_LIMIT).on_upgrade(move |socket| async move {
        let (sender, replies) = mpsc::channel(REPLIES);
        // One sender stays here, so that the queue never ends before the socket does.
        let protocol = protocol(sender.clone());
        Line::new(socket, exchange, replies, protocol).serve().await;
        drop(sender);
    })
}

struct Line<P> {
    socket: WebSocket,
    exchange: Arc<Exchange>,
    notes: broadcast::Receiver<Note>,
    replies: mpsc::Receiver<Say>,
    protocol: P,
    opened: Instant,
    ping_every: Duration,
    life: Duration,
    pinged: Instant,
    /// Since when an answer to a ping is missing.
    unanswered: Option<Instant>,
    silent_until: Option<Instant>,
    ends_at: Option<Instant>,
    messages: VecDeque<Instant>,
}

/// How a socket ends.
enum End {
    /// With a close frame.
    Close(u16, &'static str),
    /// Without a word.
    Break,
}

enum Step {
    Frame(Option<Result<Message, axum::Error>>),
    Note(Result<Note, broadcast::error::RecvError>),
    Reply(Option<Say>),
    Tick,
}

impl<P: Protocol> Line<P> {
    fn new(
        socket: WebSocket,
        exchange: Arc<Exchange>,
        replies: mpsc::Receiver<Say>,
        protocol: P,
    ) -> Self {
        let (notes, settings) = {
            let state = exchange.state();
            (state.notes.subscribe(), state.settings.clone())
        };
        let now = Instant::now();
        Self {
            socket,
            exchange,
            notes,
            replies,
            protocol,
            opened: now,
            ping_every: Duration::from_millis(settings.ping_ms),
            life: Duration::from_millis(settings.socket_life_ms),
            pinged: now,
            unanswered: None,
            silent_until: None,
            ends_at: None,
            messages: VecDeque::new(),
        }
    }

    async fn serve(mut self) {
        self.exchange.hub.opened();
        let mut looks = interval(LOOK);
        looks.set_missed_tick_behavior(MissedTickBehavior::Delay);
        let end = loop {
            // A silent socket does not even read: nothing would answer a ping.
            let awake = self.silent_until.is_none();
            let step = tokio::select! {
                // What a test does comes before what it says afterwards.
                biased;
                note = self.notes.recv() => Step::Note(note),
                _ = looks.tick() => Step::Tick,
                reply = self.replies.recv() => Step::Reply(reply),
                frame = self.socket.recv(), if awake => Step::Frame(frame),
            };
            if let Err(end) = self.take(step).await {
                break end;
            }
        };
        if let End::Close(code, reason) = end {
            let frame = CloseFrame { code, reason: reason.into() };
            // Whoever is gone needs no farewell.
            let _ = timeout(SEND_LIMIT, self.socket.send(Message::Close(Some(frame)))).await;
        }
        self.exchange.hub.closed();
    }

    async fn take(&mut self, step: Step) -> Result<(), End> {
        match step {
            Step::Frame(Some(Ok(message))) => self.hear(message).await,
            Step::Frame(_) | Step::Reply(None | Some(Say::Break)) => Err(End::Break),
            Step::Reply(Some(Say::Text(text))) => self.say(vec![text]).await,
            Step::Note(Ok(Note::User(event))) => {
                let said = self.protocol.tell(&event);
                self.say(said).await
            }
            Step::Note(Ok(Note::Act(act))) => self.act(act).await,
            // It fell too far behind, or the exchange is gone.
            Step::Note(Err(_)) => Err(End::Break),
            Step::Tick => self.tick().await,
        }
    }

    async fn hear(&mut self, message: Message) -> Result<(), End> {
        self.count()?;
        match message {
            Message::Text(text) => {
                let said = self.protocol.hear(text.as_str()).await;
                self.say(said).await
            }
            Message::Pong(_) => {
                self.unanswered = None;
                Ok(())
            }
            Message::Ping(_) => Ok(()),
            Message::Binary(_) => Err(End::Close(1003, "Unsupported data")),
            Message::Close(_) => Err(End::Break),
        }
    }

    /// Who sends more than the vendor takes is cut off.
    fn count(&mut self) -> Result<(), End> {
        let Some(most) = P::MESSAGES else { return Ok(()) };
        let now = Instant::now();
        self.messages.retain(|at| now.duration_since(*at) < Duration::from_secs(1));
        self.messages.push_back(now);
        let enforced = self.exchange.state().settings.limits;
        if enforced && self.messages.len() > most {
            return Err(End::Close(1008, "Too many requests"));
        }
        Ok(())
    }

    async fn act(&mut self, act: Act) -> Result<(), End> {
        let now = self.exchange.world.now();
        match act.deed {
            Deed::Shutdown => {
                self.ends_at = act.delay.and_then(|delay| Instant::now().checked_add(delay));
                let said = self.protocol.shutdown(now);
                self.say(vec![said]).await
            }
            Deed::Close => Err(End::Close(1001, "Connection is over")),
            Deed::Break => Err(End::Break),
            Deed::Terminate => {
                let said = self.protocol.terminate(now);
                self.say(said).await
            }
            Deed::Silence => {
                let delay = act.delay.unwrap_or(Duration::from_secs(60));
                self.silent_until = Instant::now().checked_add(delay);
                Ok(())
            }
        }
    }

    async fn tick(&mut self) -> Result<(), End> {
        // Nobody may be asking anything: what is due happens all the same.
        self.exchange.world.run_due();
        let now = Instant::now();
        if self.silent_until.is_some_and(|until| until > now) {
            return Ok(());
        }
        self.silent_until = None;
        if self.ends_at.is_some_and(|end| end <= now) || now - self.opened >= self.life {
            return Err(End::Close(1001, "Connection is over"));
        }
        let patience = self.ping_every.saturating_mul(3);
        if self.unanswered.is_some_and(|since| now.duration_since(since) > patience) {
            return Err(End::Close(1008, "Pong timeout"));
        }
        if now.duration_since(self.pinged) >= self.ping_every {
            self.pinged = now;
            self.unanswered.get_or_insert(now);
            let payload = self.exchange.world.now().timestamp_millis().to_string();
            self.send(Message::Ping(payload.into_bytes().into())).await?;
        }
        let said = self.protocol.tick();
        self.say(said).await
    }

    async fn say(&mut self, texts: Vec<String>) -> Result<(), End> {
        if self.silent_until.is_some() {
            // It is lost, as on a dead line.
            return Ok(());
        }
        for text in texts {
            self.send(Message::Text(text.into())).await?;
        }
        Ok(())
    }

    async fn send(&mut self, message: Message) -> Result<(), End> {
        match timeout(SEND_LIMIT, self.socket.send(message)).await {
            Ok(Ok(())) => Ok(()),
            Ok(Err(_)) | Err(_) => {
                tracing::debug!(simulator = NAME, "a socket took nothing more");
                Err(End::Break)
            }
        }
    }
}
