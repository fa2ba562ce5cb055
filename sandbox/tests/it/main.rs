//! The sandbox's program, from outside: the demo's own drive with everything killed in turn, and
//! which program holds keys.
//!
//! Invariant: every process started here ends here. Needs what `make test` starts and installs.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::disallowed_methods,
    reason = "tests"
)]

mod drive;
mod keys;
