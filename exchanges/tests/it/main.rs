//! The connectors over real sockets: against servers that misbehave, and against the simulators.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "tests"
)]

mod binance_failures;
mod coinbase_failures;
mod conformance;
mod failures;
mod faults;
mod many_deposits;
mod other_answers;
mod recorded;
mod streams;
mod vendor;
mod world;
