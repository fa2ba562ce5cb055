//! A payer and a miner on a local node: what tests, the demo and the drawer of sandbox commands use
//! to make a chain do what chains do.
//!
//! Invariant: only ever implemented over local nodes with worthless coins. Nothing of the product
//! calls this: a process that settles payments holds no key.

use async_trait::async_trait;
use primitives::{Amount, Asset};

/// What becomes of the transactions of blocks that a reorganisation drops.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Keep {
    /// They are gone; nothing brings them back by itself.
    Nothing,
    /// They are in the new branch, in other blocks.
    Everything,
}

/// Why a local node did not do as told.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{0}")]
pub struct SandboxError(pub String);

/// The payer's wallet and the miner of one local network.
#[async_trait]
pub trait Sandbox: Send + Sync {
    /// Sends `amount` from the payer to a deposit address; answers the transaction's id. The
    /// transaction is in no block yet where the network has a place for that (Bitcoin); elsewhere
    /// it is in one.
    async fn pay(&self, to: &str, amount: Amount) -> Result<String, SandboxError>;

    /// Sends a token that calls itself like `asset` and is listed nowhere.
    ///
    /// # Errors
    /// A sentence where the network has no tokens.
    async fn pay_lookalike(&self, to: &str, amount: Amount) -> Result<String, SandboxError>;

    /// A payment that delivers `first` now and `second` when it is included again after a
    /// reorganisation, under the same id. `None` where an id fixes its amount.
    async fn pay_changeable(
        &self,
        to: &str,
        first: Amount,
        second: Amount,
    ) -> Result<Option<String>, SandboxError>;

    /// Puts what waits into blocks, and adds blocks until there are this many new ones.
    async fn mine(&self, blocks: u32) -> Result<(), SandboxError>;

    /// Replaces the last `depth` blocks by a longer branch.
    async fn reorg(&self, depth: u32, keep: Keep) -> Result<(), SandboxError>;

    /// Mines until everything so far is final by the network's own word or custom.
    async fn finalize(&self) -> Result<(), SandboxError>;

    /// What the payer can send.
    fn assets(&self) -> Vec<Asset>;
}
