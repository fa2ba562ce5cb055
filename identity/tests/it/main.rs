//! Keys against a real database, as the application's own role: what opens, what does not, what
//! is stored, and what the role may not do.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "tests")]

mod keys;
