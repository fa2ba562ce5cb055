//! What a blockchain network can be asked, in our words.
//!
//! Invariants: reading decides nothing (policy lives in `settlement`); blocks are read by hash, so
//! one page of facts is self-consistent; a node that is down answers an error, never "nothing".
//! Keys and signing are deliberately not here: a process that reads chains cannot spend. Moving
//! money on local nodes is a sandbox's business: `sandbox.rs`.

pub mod bip21;
mod block;
pub mod carrier;
pub mod nodes;
pub mod sandbox;
pub mod settings;
pub mod solana_pay;
mod tx;
pub mod uri;
mod watch;
mod witness;
mod witnessed;

use std::time::Duration;

use async_trait::async_trait;
use primitives::{Amount, Asset, NetworkId};

pub use block::{BlockFacts, BlockRef, Head, Step};
pub use tx::{Arrived, Outgoing, Sighting, TxPlace};
pub use uri::{Eip681, UriError, eip681, parse_eip681};
pub use watch::{DepositAddress, WatchSet};
pub use witness::{NodeReport, Says, Witness};

/// Why a node could not be read. None of these says anything about deposits.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum ReadError {
    /// No usable answer: down, slow, rate limited, or garbage. Ask again later.
    #[error("node unavailable: {0}")]
    Unavailable(String),
    /// The node does not know this block (pruned, or reorganised away).
    #[error("block not known to the node")]
    UnknownBlock,
    /// The node is not the network we were configured for, or breaks its own rules.
    #[error("node is not to be trusted: {0}")]
    Untrusted(String),
}

/// The read side of one network.
#[async_trait]
pub trait Chain: Send + Sync {
    fn network(&self) -> &NetworkId;

    /// The assets this network can deliver.
    fn assets(&self) -> Vec<Asset>;

    /// The current tip. Costs O(1) calls.
    async fn head(&self) -> Result<Head, ReadError>;

    /// The canonical block at a height, `None` above the tip or where a network skips heights.
    async fn block_at(&self, height: u64) -> Result<Option<BlockRef>, ReadError>;

    /// The header with this hash, canonical or not, while the node still has it.
    async fn block(&self, hash: &str) -> Result<BlockRef, ReadError>;

    /// What follows a block we hold. The adapter has checked that the child names our block as its
    /// parent; the child's `parent_hash` is our block's hash.
    async fn step(&self, from: &BlockRef) -> Result<Step, ReadError>;

    /// What a block brought to watched addresses. The number of calls does not depend on the number
    /// of watched addresses.
    async fn read_block(&self, block: &BlockRef, watch: &WatchSet)
    -> Result<BlockFacts, ReadError>;

    /// Value on its way to watched addresses that no block holds yet: a complete picture of now.
    /// `None` where the network, or the node, shows nothing before a block. Costs O(1) calls plus
    /// one per transaction not seen before.
    async fn pending(&self, watch: &WatchSet) -> Result<Option<Vec<Sighting>>, ReadError> {
        let _ = watch;
        Ok(None)
    }

    /// Where a transaction is now. `spends` is what its sighting named: with it, a replacement can
    /// be told from an absence.
    async fn locate(&self, tx_id: &str, spends: &[String]) -> Result<TxPlace, ReadError>;

    /// What a transaction in a block brought to an address, of any kind this network has. Nothing
    /// when it is in no block, failed, or paid somebody else; on Solana also when our wallet did
    /// not sign it. One per output or log where the network tells them apart.
    async fn outgoing(
        &self,
        tx_id: &str,
        to: &str,
        asset: Asset,
    ) -> Result<Vec<Outgoing>, ReadError>;

    /// What every configured node says of a block we hold. Asks all of them, never fails over: a
    /// node that cannot be read is a witness that says nothing.
    async fn witnesses(&self, block: &BlockRef) -> Vec<Witness>;

    /// Returns when there may be news beyond `known`, and at the latest after `at_most`: by
    /// subscription where a node offers one. A hint only; the scan reads either way.
    async fn wait_for_news(&self, known: &BlockRef, at_most: Duration);

    /// What is wrong with each configured node, for `chukta doctor`.
    async fn examine(&self) -> Vec<NodeReport>;

    /// What these deposit addresses hold together at the tip, by as few calls as the node allows.
    async fn held(&self, addresses: &[String], asset: Asset) -> Result<Amount, ReadError>;

    /// Calls sent to nodes since the start, for the figure "calls per block".
    fn calls(&self) -> u64;

    /// The address in this network's canonical text form; `None` when it is not of this network.
    fn canonical(&self, address: &str) -> Option<String>;

    /// The deposit address at `index`, from public key material only.
    ///
    /// # Errors
    /// A sentence when the index cannot be derived.
    fn derive(&self, index: u32) -> Result<DepositAddress, String>;

    /// How a payment URI of an asset is written here, with the placeholders `{address}`, `{minor}`
    /// (whole base units) and `{units}` (decimal): quotes are made by processes without a chain.
    ///
    /// # Errors
    /// `UriError::UnknownAsset` when the asset does not exist on this network.
    fn payment_uri_template(&self, asset: Asset) -> Result<String, UriError>;

    /// What a wallet scans to pay `payable` to `address`.
    ///
    /// # Errors
    /// `UriError` when the asset does not exist on this network or the address is not of it.
    fn payment_uri(&self, address: &str, payable: Amount) -> Result<String, UriError>;
}
