//! Solana against a local runtime, one per test.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    clippy::as_conversions,
    reason = "tests"
)]

mod conformance;
mod fakes;
mod faults;
mod received;
mod world;
