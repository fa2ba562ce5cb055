//! The proofs of the queue, against a real PostgreSQL and real processes.
//!
//! Each test has its own database and works as the application's role. Tests of the clockwork
//! drain on a manual clock; tests of the engine's loop run the real runner with a lease of three
//! seconds.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::disallowed_methods,
    clippy::as_conversions,
    clippy::indexing_slicing,
    unreachable_pub,
    reason = "tests"
)]

mod admin;
mod enqueue;
mod live;
mod outcomes;
mod pins;
mod processes;
mod support;
mod ticks;
