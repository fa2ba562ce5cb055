//! The product's rules on a real PostgreSQL, without nodes, venues and rails: what they would say
//! is said here.
//!
//! Every test owns its database; the one it is cloned from is started by `make test`.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "tests"
)]

mod after_the_end;
mod attribute;
mod dust;
mod expiry;
mod exposure;
mod frozen;
mod late;
mod lock_order;
mod overtaken;
mod payout_net;
mod places;
mod policy_versions;
mod profit;
mod quotes;
mod rates;
mod rates_fresh;
mod rates_history;
mod refund;
mod retry;
mod routes;
mod sales;
mod seen_again;
mod shares;
mod short;
mod small;
mod surplus;
mod sweep;
mod topup;
mod treasury;
mod turns;
mod unknown_sender;
mod venue_freeze;
mod world;
mod wrong_asset;
