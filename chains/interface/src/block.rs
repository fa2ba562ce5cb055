//! Blocks, and the step from one to the next.
//!
//! Invariant: a block is named by its hash; a height names a place, not a block. Heights rise along
//! a chain but may leave gaps: on Solana a height is a slot, and slots are skipped.

use chrono::{DateTime, Utc};

use crate::Sighting;

/// One block, as named by its hash.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct BlockRef {
    /// The slot on Solana.
    pub height: u64,
    /// The network's own text form: hex with `0x` on EVM, hex on Bitcoin, base58 on Solana.
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

/// What follows a block we hold.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Step {
    /// The canonical child.
    Next(BlockRef),
    /// Our block is the tip.
    AtTip,
    /// The canonical chain has left our block.
    Left,
    /// The node has not come to our block yet: its silence is no news.
    Behind,
}

/// Everything of interest in one block.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct BlockFacts {
    pub block: BlockRef,
    pub sightings: Vec<Sighting>,
}
