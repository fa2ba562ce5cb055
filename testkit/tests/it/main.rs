//! Stories of the whole fleet: one module per thing that happens to a payment, then every job run
//! twice and killed at every commit, then a seeded storm.

#![allow(
    clippy::unwrap_used,
    clippy::panic,
    clippy::indexing_slicing,
    clippy::float_arithmetic,
    reason = "tests"
)]

mod crash_at_every_beat;
mod every_job_twice;
mod signed_moves;
mod stories;
mod storm;
mod storm_orders;
mod storm_venues;
