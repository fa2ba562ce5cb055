//! Bitcoin against a real bitcoind on regtest, one per test.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    clippy::as_conversions,
    reason = "tests"
)]

mod conformance;
mod faults;
mod mempool;
mod received;
mod world;
