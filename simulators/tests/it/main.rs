//! The simulators from outside: each vendor's rules, faults, books and control.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "tests fail by panicking"
)]

mod binance;
mod binance_behind;
mod binance_wallet;
mod books;
mod chain_bitcoin;
mod chain_coinbase;
mod chain_evm;
mod chain_nodes;
mod chain_solana;
mod chain_withdrawals;
mod coinbase;
mod coinbase_auth;
mod coinbase_bench;
mod coinbase_faults;
mod coinbase_lists;
mod coinbase_orders;
mod coinbase_wallet;
mod coingecko;
mod faults;
mod merchant;
mod razorpayx_accounts;
mod razorpayx_bench;
mod razorpayx_payouts;
mod razorpayx_states;
mod razorpayx_webhooks;
mod signatures;
mod socket_bench;
mod sockets;
mod streams;
mod venue_bench;
mod wazirx;
mod wazirx_wallet;
mod world;
