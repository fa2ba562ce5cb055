//! The client and the webhook sender against servers that misbehave in every way we know.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "tests"
)]

mod classification;
mod rude_server;
mod webhook;
