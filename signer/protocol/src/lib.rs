//! What may be asked of the signer, and how: typed intents over a local socket.
//!
//! Invariants: an intent says in plain fields what its transaction does, and the signer checks that
//! the transaction does that and nothing else. The same intent is answered with the same signed
//! transaction; another one under its id is refused. No key and no cryptography is here.

mod client;
mod wire;

use async_trait::async_trait;
use chains::carrier::{SignedTx, Unsigned};
use chrono::{DateTime, Utc};
use primitives::{Amount, NetworkId};
use serde::{Deserialize, Serialize};
use uuid::Uuid;

pub use client::SocketSigner;
pub use wire::{Answer, MAX_LINE, Outcome};

/// What a movement is for. Each has its own list of allowed destinations.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Purpose {
    /// Deposits to a venue's deposit address.
    FundVenue,
    /// Deposits to cold storage.
    ToCold,
    /// From the gas station to one of our own deposit addresses.
    Gas,
}

/// One movement to be signed.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Intent {
    /// Of the attempt: the same id is the same transaction for ever.
    pub id: Uuid,
    pub purpose: Purpose,
    pub network: NetworkId,
    pub to: String,
    /// What reaches `to`.
    pub amount: Amount,
    /// The most the network may take, in its own coin.
    pub fee_max: Amount,
    /// For `gas`: which of our deposit addresses `to` is, by its index. Evidence for the signer,
    /// and no part of what the id stands for: the address is.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub to_index: Option<u32>,
    pub unsigned: Unsigned,
}

/// Why there is no signature.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum SignError {
    /// The signer read the intent and will not sign it. `code` is stable: `not_allowed`,
    /// `over_limit`, `does_not_match`, `fee_too_high`, `id_reused`, `unknown_key`, `malformed`.
    #[error("refused: {code}: {reason}")]
    Refused { code: String, reason: String },
    /// Nothing was decided, and the same intent may pass from `at` on: its destination is new in
    /// the signer's list and waits.
    #[error("not before {at}: {reason}")]
    NotBefore { at: DateTime<Utc>, reason: String },
    /// No answer that can be read. The intent may have been signed and counted: ask again with the
    /// same one.
    #[error("no answer: {0}")]
    Unavailable(String),
}

/// Somebody who holds keys: a process of its own, or a machine made for it.
#[async_trait]
pub trait Signer: Send + Sync {
    async fn sign(&self, intent: &Intent) -> Result<SignedTx, SignError>;
}
