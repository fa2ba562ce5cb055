//! Bitcoin against a real bitcoind on regtest, one per test.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    clippy::as_conversions,
    reason = "tests"
)]

mod carrier;
mod carrier_bump;
mod carrier_faults;
mod carrier_send;
mod conformance;
mod faults;
mod mempool;
mod moving;
mod proxy;
mod received;
mod witnessed;
mod world;
