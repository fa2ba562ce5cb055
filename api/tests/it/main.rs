//! The API against a real database, over real sockets, as the application's own role. Every answer
//! any test gets is checked against the OpenAPI document.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    clippy::as_conversions,
    reason = "tests"
)]

mod bad_input;
mod coverage;
mod disconnect;
mod document;
mod events;
mod health;
mod idempotency;
mod inbox;
mod keys;
mod limits;
mod listing;
mod quotes;
mod shop;
mod tenants;
mod webhook_endpoint;
