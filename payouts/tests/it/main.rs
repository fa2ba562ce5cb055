//! The rail's connector over real sockets: against a server that misbehaves, and against the
//! simulator.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "tests"
)]

mod conformance;
mod failures;
mod faults;
mod vendor;
mod world;
