//! Proofs of the ledger against a real PostgreSQL: what the database refuses, what the doors do,
//! and what survives concurrency, crashes and tampering. Each module opens with what it shows.
//! The product's postings are deliberately elsewhere; `scenario.rs` only proves they have a place.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "tests"
)]

mod accounts;
mod as_of;
mod attacks;
mod book;
mod chart;
mod concurrency;
mod crash;
mod doors;
mod holds;
mod pool;
mod properties;
mod scenario;
mod seals;
