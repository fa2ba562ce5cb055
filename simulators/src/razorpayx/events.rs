//! A webhook as bytes: the envelope, the signature, the record of what became of it.
//!
//! Invariant: a delivery's body never changes after it was made, and each copy of an event carries
//! the same event id and the same bytes. Sending is in `courier.rs`.

use chrono::{DateTime, Utc};
use primitives::Secret;
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value, json};

use super::signature::sign;

/// Something that happened, not yet an envelope.
#[derive(Debug)]
pub(super) struct Event {
    pub(super) name: &'static str,
    /// The key under `payload`.
    pub(super) contains: &'static str,
    /// The payout it is about, if any; its events leave one after the other.
    pub(super) about: Option<String>,
    pub(super) payload: Value,
}

impl Event {
    pub(super) fn envelope(&self, account_id: &str, created_at: i64) -> String {
        let mut payload = Map::new();
        payload.insert(self.contains.to_owned(), json!({"entity": self.payload}));
        json!({
            "entity": "event",
            "account_id": account_id,
            "event": self.name,
            "contains": [self.contains],
            "payload": payload,
            "created_at": created_at,
        })
        .to_string()
    }
}

/// How webhooks misbehave, as control sets it.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub(super) struct Mode {
    /// How many further copies of every event are sent.
    pub duplicate: u32,
    /// Events are held for a moment and then sent newest first.
    pub reorder: bool,
    /// How long `reorder` holds them.
    pub reorder_ms: u32,
    /// How long every event waits before its first attempt.
    pub delay_ms: u32,
    /// Events are never sent.
    pub drop: bool,
    /// The reply to a payout request waits until its webhooks were delivered.
    pub before_reply: bool,
    pub signature: Signing,
    /// Milliseconds until the first retry; each further one waits twice as long.
    pub retry_ms: u32,
    pub attempts_max: u32,
    /// How long the target may take to answer.
    pub timeout_ms: u32,
}

impl Default for Mode {
    fn default() -> Self {
        Self {
            duplicate: 0,
            reorder: false,
            reorder_ms: 1_000,
            delay_ms: 0,
            drop: false,
            before_reply: false,
            signature: Signing::Valid,
            retry_ms: 500,
            attempts_max: 8,
            timeout_ms: 5_000,
        }
    }
}

/// What stands in `X-Razorpay-Signature`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(super) enum Signing {
    /// Made with the current secret.
    Valid,
    /// Made with the last of the configured secrets.
    Old,
    /// Made with a secret nobody has.
    Wrong,
    /// The header is not sent.
    Missing,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub(super) enum State {
    Waiting,
    InFlight,
    Delivered,
    /// Not sent, because control said so.
    Dropped,
    /// Not sent, because no target was set.
    NoTarget,
    GaveUp,
}

/// One attempt: a status, or what went wrong.
#[derive(Debug, Clone, Serialize)]
pub(super) struct Attempt {
    pub(super) at: DateTime<Utc>,
    pub(super) status: Option<u16>,
    pub(super) error: Option<String>,
}

/// One copy of one event on its way.
#[derive(Debug, Clone)]
pub(super) struct Delivery {
    pub(super) event_id: String,
    pub(super) event: &'static str,
    pub(super) about: Option<String>,
    pub(super) body: String,
    /// The secret at the time of the event: rotation does not re-sign what is on its way.
    pub(super) secret: Secret,
    pub(super) signing: Signing,
    pub(super) created_at: DateTime<Utc>,
    pub(super) state: State,
    pub(super) attempts: Vec<Attempt>,
}

impl Delivery {
    pub(super) fn signature(&self) -> Option<String> {
        match self.signing {
            Signing::Valid | Signing::Old => Some(sign(self.secret.expose(), self.body.as_bytes())),
            Signing::Wrong => Some(sign("a secret nobody has", self.body.as_bytes())),
            Signing::Missing => None,
        }
    }

    pub(super) fn to_json(&self, sequence: usize) -> Value {
        json!({
            "sequence": sequence,
            "event_id": self.event_id,
            "event": self.event,
            "about": self.about,
            "created_at": self.created_at,
            "state": self.state,
            "attempts": self.attempts,
            "signature": self.signature(),
            "body": self.body,
        })
    }
}
