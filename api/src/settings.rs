//! The limits of this room. Every field has a default; `config/default.toml` is the reference.

use serde::Deserialize;

/// One provider that may post to `/webhooks/{rail}`, and the header its signature comes in.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct WebhookDoor {
    pub rail: String,
    pub signature_header: String,
}

/// Bounds on what clients may do. A request beyond them is refused, never queued without end.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct ApiSettings {
    /// Per key: requests a second in the long run, and how many at once.
    pub key_rate_per_s: u32,
    pub key_burst: u32,
    /// Per rail, for incoming webhooks, which carry no key.
    pub webhook_rate_per_s: u32,
    pub webhook_burst: u32,
    /// Requests being answered at the same time, by the whole process.
    pub in_flight_max: usize,
    /// Event streams open at the same time, by the whole process.
    pub streams_max: usize,
    /// How often an event stream looks for news.
    pub stream_poll_ms: u64,
    pub body_timeout_ms: u64,
    pub handler_timeout_ms: u64,
    /// How long a request waits for a database connection before it is told to come back.
    pub database_wait_ms: u64,
    /// How long a graceful stop waits for what was begun.
    pub drain_timeout_ms: u64,
    pub webhook_doors: Vec<WebhookDoor>,
}

impl Default for ApiSettings {
    fn default() -> Self {
        Self {
            key_rate_per_s: 200,
            key_burst: 400,
            webhook_rate_per_s: 200,
            webhook_burst: 1000,
            in_flight_max: 512,
            streams_max: 256,
            stream_poll_ms: 500,
            body_timeout_ms: 10_000,
            handler_timeout_ms: 15_000,
            database_wait_ms: 900,
            drain_timeout_ms: 20_000,
            webhook_doors: vec![WebhookDoor {
                rail: "razorpayx".to_owned(),
                signature_header: "x-razorpay-signature".to_owned(),
            }],
        }
    }
}
