//! The simulators from outside: each vendor's rules, faults, books and control.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "tests fail by panicking"
)]

mod binance;
mod books;
mod coinbase;
mod faults;
mod merchant;
mod razorpayx_accounts;
mod razorpayx_bench;
mod razorpayx_payouts;
mod razorpayx_states;
mod razorpayx_webhooks;
mod signatures;
mod venue_bench;
mod wazirx;
mod world;
