//! What a blockchain network can be asked, in our words.
//!
//! Invariants: reading decides nothing (policy lives in `settlement`); blocks are read by hash, so
//! one page of facts is self-consistent; a node that is down answers an error, never "nothing".
//! Keys and signing are deliberately not here: a process that reads chains cannot spend.

mod uri;

use std::collections::HashMap;

use async_trait::async_trait;
use chrono::{DateTime, Utc};
use primitives::{Amount, Asset, NetworkId};

pub use uri::{UriError, eip681};

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

/// One block, as named by its hash.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct BlockRef {
    pub height: u64,
    /// Lower-case hex with `0x` on EVM networks; the network's own text form elsewhere.
    pub hash: String,
    pub parent_hash: String,
    /// The miner's claim. Never used to decide finality.
    pub time: DateTime<Utc>,
}

/// The tip of a network and what the protocol itself calls safe and final.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Head {
    pub latest: BlockRef,
    pub safe: Option<u64>,
    pub finalized: Option<u64>,
}

/// What arrived: an asset from the allow-list, or something that only looks like money.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Arrived {
    Known(Amount),
    /// A token we do not list. `minor` is what its log claims; nothing may be booked from it.
    UnknownToken {
        contract: String,
        minor: String,
    },
}

/// Value that reached a watched address in one block.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Sighting {
    pub tx_id: String,
    /// Position within the transaction, independent of the block: on EVM 0 is the transaction's own
    /// value, 1 + n the n-th log of its receipt, 1 000 000 + n the n-th internal call with value.
    pub ordinal: u32,
    pub to: String,
    pub from: Option<String>,
    pub arrived: Arrived,
}

/// Everything of interest in one block.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct BlockFacts {
    pub block: BlockRef,
    pub sightings: Vec<Sighting>,
}

/// Where a transaction is now.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum TxPlace {
    Included {
        height: u64,
        block_hash: String,
        succeeded: bool,
    },
    Pending,
    /// The node knows nothing of it. Not proof that it will never come.
    Absent,
}

/// A deposit address and the path it was derived along.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct DepositAddress {
    pub address: String,
    pub path: String,
}

/// The addresses whose income matters, in the network's canonical text form.
#[derive(Debug, Clone, Default)]
pub struct WatchSet(HashMap<String, ()>);

impl WatchSet {
    pub fn insert(&mut self, address: String) {
        self.0.insert(address, ());
    }

    #[must_use]
    pub fn contains(&self, address: &str) -> bool {
        self.0.contains_key(address)
    }

    #[must_use]
    pub fn len(&self) -> usize {
        self.0.len()
    }

    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }
}

impl FromIterator<String> for WatchSet {
    fn from_iter<I: IntoIterator<Item = String>>(addresses: I) -> Self {
        Self(addresses.into_iter().map(|a| (a, ())).collect())
    }
}

/// The read side of one network.
#[async_trait]
pub trait Chain: Send + Sync {
    fn network(&self) -> &NetworkId;

    /// The assets this network can deliver.
    fn assets(&self) -> Vec<Asset>;

    /// The current tip. Costs O(1) calls.
    async fn head(&self) -> Result<Head, ReadError>;

    /// The canonical block at a height, `None` above the tip.
    async fn block_at(&self, height: u64) -> Result<Option<BlockRef>, ReadError>;

    /// The header with this hash, canonical or not, while the node still has it.
    async fn block(&self, hash: &str) -> Result<BlockRef, ReadError>;

    /// What the block with this hash brought to watched addresses. The number of calls does not
    /// depend on the number of watched addresses.
    async fn read_block(&self, hash: &str, watch: &WatchSet) -> Result<BlockFacts, ReadError>;

    /// Where a transaction is now, by its receipt.
    async fn locate(&self, tx_id: &str) -> Result<TxPlace, ReadError>;

    /// What an address holds at the tip.
    async fn balance(&self, address: &str, asset: Asset) -> Result<Amount, ReadError>;

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
