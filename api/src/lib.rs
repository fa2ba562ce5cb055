//! HTTP and JSON for merchants: what they may ask, and in which words they are refused.
//!
//! Invariants: nothing a client sends becomes a 5xx or reaches the database unbounded; a request
//! once begun runs to its end whatever the client does; an effect and its stored answer share a
//! commit. This room calls `settlement` and `identity` and never the outside world. Incoming
//! webhooks are stored unread: what they mean is a worker's business.

mod auth;
mod containment;
mod database;
mod extract;
mod idempotency;
mod openapi;
mod problem;
mod rate_limit;
mod routes;
mod serve;
mod settings;
mod state;
mod text;

pub use openapi::openapi;
pub use serve::serve;
pub use settings::{ApiSettings, WebhookDoor};
pub use state::{ApiState, router};
