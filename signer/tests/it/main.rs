//! The signer as its clients see it: every refusal, every limit, and what a restart remembers.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    clippy::as_conversions,
    unreachable_pub,
    reason = "tests"
)]

mod bitcoin_tx;
mod command;
mod evm;
mod flood;
mod hostile;
mod limits;
mod list;
mod log;
mod settings;
mod socket;
mod solana;
mod world;
