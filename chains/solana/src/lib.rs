//! Solana: the only room that knows solana-client.
//!
//! Invariants: all payments come into one wallet, told apart by a reference key each payment's URI
//! carries; a payment is what the wallet's balances gained in a successful transaction, never what
//! an instruction says; a reference attributes value, it never makes any. Blocks are linked by
//! their parents' hashes, and skipped slots are no blocks. A block costs the same number of calls
//! however many references are open. What is moved is decided here and signed elsewhere
//! (`carrier`): the payers of local nodes are another crate, `chains-solana-sandbox`.

mod carrier;
mod chain;
mod config;
mod news;
mod node;
mod outgoing;
mod reference;
pub mod rpc;
mod scan;
mod step;
mod verify;
mod wire;

pub use carrier::message_bytes;
pub use chain::SolanaChain;
pub use config::{MintConfig, SolanaConfig};
pub use verify::TOKEN_PROGRAMS;
