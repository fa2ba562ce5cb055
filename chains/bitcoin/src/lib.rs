//! Bitcoin: the only room that speaks to bitcoind.
//!
//! Invariants: a block is read by its hash and counts only when its bytes hash to it; the number of
//! calls per block does not depend on how many addresses are watched (two while the chain moves,
//! one more to read); value in no block is shown and never counted. Nothing here can spend: the
//! payers of regtest are another crate, `chains-bitcoin-sandbox`. How deep is deep enough is
//! deliberately elsewhere: `settlement`.

mod carrier;
mod chain;
mod config;
mod derive;
mod locate;
mod mempool;
mod node;
pub mod rpc;
mod scan;
mod step;
mod verify;

pub use chain::BitcoinChain;
pub use config::{BitcoinConfig, BitcoinNetwork};
