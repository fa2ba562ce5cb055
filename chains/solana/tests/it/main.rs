//! Solana against a local runtime, one per test.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    clippy::as_conversions,
    reason = "tests"
)]

mod bent;
mod carrier;
mod carrier_again;
mod carrier_bent;
mod conformance;
mod executed_fakes;
mod fakes;
mod faults;
mod outgoing;
mod received;
mod received_ways;
mod retired;
mod witnessed;
mod world;

use chains_conformance::proxy;
