//! Stories of the whole fleet: one module per thing that happens to a payment, then every job run
//! twice and killed at every commit, then a seeded storm.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "tests"
)]

mod stories;
