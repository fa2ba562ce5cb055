//! What the merchant received, and what it will answer next.
//!
//! Invariant: append-only; the order is the order of arrival. Planned replies are used up one per
//! request, those of the path before those for any path.

use std::collections::{BTreeMap, HashSet, VecDeque};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use chrono::{DateTime, Utc};
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

use crate::World;
use crate::journal::NewEntry;

use super::NAME;
use super::verify::{Verdict, verify};

/// The longest the merchant keeps a sender waiting.
const DELAY_MAX: Duration = Duration::from_secs(120);

/// What to answer, how slowly, how often.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Reply {
    /// Only on this path; any path otherwise.
    #[serde(default)]
    path: Option<String>,
    #[serde(default = "ok")]
    pub(super) status: u16,
    #[serde(default = "once")]
    times: u32,
    #[serde(default)]
    delay_ms: u64,
    /// The target of a redirect.
    #[serde(default)]
    pub(super) location: Option<String>,
}

const fn ok() -> u16 {
    200
}

const fn once() -> u32 {
    1
}

#[derive(Debug)]
struct Received {
    at: DateTime<Utc>,
    path: String,
    headers: BTreeMap<String, String>,
    body: Vec<u8>,
    verdict: Verdict,
    /// The message id came before.
    repeated: bool,
    answered: u16,
}

/// The merchant's side of webhooks.
#[derive(Debug)]
pub struct Inbox {
    world: Arc<World>,
    state: Mutex<State>,
}

#[derive(Debug, Default)]
struct State {
    received: Vec<Received>,
    seen: HashSet<(String, String)>,
    secrets: BTreeMap<String, Vec<String>>,
    replies: VecDeque<Reply>,
}

/// Paths with and without their leading slash are the same.
fn normal(path: &str) -> String {
    format!("/{}", path.trim_start_matches('/'))
}

impl State {
    fn next_reply(&self, path: &str) -> Option<usize> {
        let own = |reply: &Reply| reply.path.as_deref() == Some(path);
        let any = |reply: &Reply| reply.path.is_none();
        self.replies.iter().position(own).or_else(|| self.replies.iter().position(any))
    }

    fn take_reply(&mut self, path: &str) -> Reply {
        let usual = Reply { path: None, status: 200, times: 1, delay_ms: 0, location: None };
        let Some(place) = self.next_reply(path) else {
            return usual;
        };
        let Some(reply) = self.replies.get_mut(place) else {
            return usual;
        };
        reply.times = reply.times.saturating_sub(1);
        let taken = reply.clone();
        if taken.times == 0 {
            self.replies.remove(place);
        }
        taken
    }
}

impl Inbox {
    pub(super) fn new(world: Arc<World>) -> Self {
        Self { world, state: Mutex::default() }
    }

    pub(super) const fn world(&self) -> &Arc<World> {
        &self.world
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub(super) fn delay_of_next(&self, path: &str) -> Duration {
        let state = self.state();
        let reply = state.next_reply(path).and_then(|place| state.replies.get(place));
        reply.map_or(Duration::ZERO, |reply| Duration::from_millis(reply.delay_ms).min(DELAY_MAX))
    }

    pub(super) fn keep(&self, path: &str, headers: BTreeMap<String, String>, body: &[u8]) -> Reply {
        let now = self.world.now();
        let mut state = self.state();
        let none = Vec::new();
        let verdict = verify(state.secrets.get(path).unwrap_or(&none), &headers, body, now);
        let message = headers.get("webhook-id").cloned();
        let repeated =
            message.clone().is_some_and(|message| !state.seen.insert((path.to_owned(), message)));
        let reply = state.take_reply(path);
        let entry = NewEntry {
            at: now,
            kind: "webhook_received",
            reference: message.unwrap_or_default(),
            movements: Vec::new(),
            detail: json!({"path": path, "verified": verdict.verified, "answered": reply.status}),
        };
        self.world.journal.append(NAME, entry);
        state.received.push(Received {
            at: now,
            path: path.to_owned(),
            headers,
            body: body.to_vec(),
            verdict,
            repeated,
            answered: reply.status,
        });
        reply
    }

    /// A further secret for the path; with `replace`, the only one.
    pub(super) fn add_secret(&self, path: &str, secret: String, replace: bool) {
        let mut state = self.state();
        let secrets = state.secrets.entry(normal(path)).or_default();
        if replace {
            secrets.clear();
        }
        secrets.push(secret);
    }

    pub(super) fn plan(&self, mut replies: Vec<Reply>, clear: bool) {
        for reply in &mut replies {
            reply.path = reply.path.as_deref().map(normal);
        }
        let mut state = self.state();
        if clear {
            state.replies.clear();
        }
        state.replies.extend(replies.into_iter().filter(|reply| reply.times > 0));
    }

    pub(super) fn planned(&self) -> Vec<Reply> {
        self.state().replies.iter().cloned().collect()
    }

    /// How many requests have arrived.
    #[must_use]
    pub fn count(&self) -> usize {
        self.state().received.len()
    }

    /// What was received after the given sequence number, as `GET /merchant/received` shows it.
    #[must_use]
    pub fn received(&self, after: usize, path: Option<&str>) -> Value {
        let path = path.map(normal);
        let state = self.state();
        let rows = state.received.iter().enumerate().skip(after);
        let wanted = rows.filter(|(_, row)| path.as_ref().is_none_or(|path| row.path == *path));
        let received: Vec<Value> = wanted
            .map(|(place, row)| {
                let text = std::str::from_utf8(&row.body).ok();
                json!({
                    "sequence": place.saturating_add(1),
                    "at": row.at,
                    "path": row.path,
                    "headers": row.headers,
                    "body": text,
                    "body_base64": text.is_none().then(|| STANDARD.encode(&row.body)),
                    "json": serde_json::from_slice::<Value>(&row.body).ok(),
                    "verified": row.verdict.verified,
                    "verified_with": row.verdict.secret,
                    "problem": row.verdict.problem,
                    "repeated": row.repeated,
                    "answered": row.answered,
                })
            })
            .collect();
        json!({"count": received.len(), "received": received})
    }
}
