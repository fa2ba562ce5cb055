//! The adapter against a real local node (anvil), and against nodes that lie or are broken.
//!
//! Needs the environment variable `CHUKTA_ANVIL`; `make test` sets it.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    clippy::as_conversions,
    reason = "tests"
)]

mod bent;
mod broken;
mod carrier;
mod carrier_bump;
mod carrier_refused;
mod carrier_send;
mod carrier_stuck;
mod conformance;
mod cost;
mod derive;
mod examine;
mod failover;
mod fakes;
mod fakes_shapes;
mod fakes_shown;
mod fakes_tokens;
mod head;
mod identity;
mod locate;
mod native_logs;
mod networks;
mod received;
mod received_tokens;
mod settings;
mod witnessed;
mod world;

use chains_conformance::proxy;
