//! Jobs against a real chain node, a real database and the simulators.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "tests"
)]

mod disputed;
mod order_news;
mod policy;
mod selling;
mod treasury;
