//! Ethereum and its kin: the only room that knows alloy.
//!
//! Invariants: every read names its block by hash, so a reorganisation cannot mix two branches in
//! one answer; an answer that is short, late, large or of another block is an error, never "nothing
//! arrived"; the number of calls per block does not depend on how many addresses are watched.
//! What is moved is decided here and signed elsewhere (`carrier`).
//! Private keys are not here: the payers of local nodes are another crate, `chains-evm-sandbox`.
//! Policy (how many confirmations, what is payable) is deliberately elsewhere: `settlement`.

mod carrier;
mod chain;
mod coins;
mod config;
mod derive;
mod held;
mod locate;
mod logs;
mod news;
mod node;
mod receipts;
mod rpc;
mod scan;
mod step;
mod tokens;
mod traces;
mod verify;
mod wire;
mod witness;

/// What whoever makes transactions on local nodes shares with us: the wire, and how a draft becomes
/// a call.
pub mod raw {
    pub use crate::{
        carrier::{Call, Fees},
        rpc::{Limits, client},
        wire::{address_of, hash_of, text_of_address, text_of_hash},
    };
}

pub use chain::EvmChain;
pub use config::{EvmConfig, FeeConfig, TokenConfig, TraceMode};
