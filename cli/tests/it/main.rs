//! The real binary, from outside: what it prints, and how it ends.
//!
//! Invariant: every process started here ends here. Needs the private PostgreSQL, Redis and anvil
//! that `make test` starts.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    clippy::disallowed_methods,
    reason = "tests"
)]

mod binary;
mod compose;
mod everybodys_money;
mod settings;
mod simulate;
mod venues;
