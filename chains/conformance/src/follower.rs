//! The smallest follower: blocks by their parents, back to the fork when a branch is left.
//!
//! Invariant: what it holds is what the canonical branch brought, however the chain got there. The
//! product's own follower keeps the same in the database: `workers`.

use std::{collections::BTreeMap, time::Duration};

use anyhow::{Context as _, bail, ensure};
use chains::{Arrived, BlockRef, Chain, Sighting, Step, WatchSet};
use primitives::Amount;
use tokio::time::{Instant, sleep};

const PATIENCE: Duration = Duration::from_secs(20);
const BREATH: Duration = Duration::from_millis(20);

/// A follower that starts at the tip.
pub struct Follower<'a> {
    chain: &'a dyn Chain,
    watch: WatchSet,
    blocks: Vec<BlockRef>,
    found: BTreeMap<(String, u32), Found>,
    /// How often a branch was left.
    pub rewinds: u32,
}

/// A sighting and the block it is in.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Found {
    pub block: BlockRef,
    pub sighting: Sighting,
}

impl Found {
    /// # Errors
    /// When it is a token nobody lists.
    pub fn amount(&self) -> anyhow::Result<Amount> {
        match &self.sighting.arrived {
            Arrived::Known(amount) => Ok(*amount),
            Arrived::UnknownToken { .. } => bail!("not money: {:?}", self.sighting),
        }
    }
}

impl<'a> Follower<'a> {
    /// # Errors
    /// When the node cannot be read.
    pub async fn at_tip(chain: &'a dyn Chain, addresses: &[String]) -> anyhow::Result<Self> {
        let watch = addresses.iter().cloned().collect();
        let blocks = vec![chain.head().await?.latest];
        Ok(Self { chain, watch, blocks, found: BTreeMap::new(), rewinds: 0 })
    }

    /// The last block followed.
    ///
    /// # Errors
    /// Never after a start.
    pub fn tip(&self) -> anyhow::Result<&BlockRef> {
        self.blocks.last().context("no block")
    }

    /// How many blocks, from the tip, must go for this one to go. Heights may have gaps.
    ///
    /// # Errors
    /// When the block is not followed.
    pub fn depth_of(&self, block: &BlockRef) -> anyhow::Result<u32> {
        let above = self.blocks.iter().rev().position(|held| held.hash == block.hash);
        Ok(u32::try_from(above.context("a block nobody follows")?)?.saturating_add(1))
    }

    /// What the canonical branch brought so far, in order of id and ordinal.
    #[must_use]
    pub fn found(&self) -> Vec<Found> {
        self.found.values().cloned().collect()
    }

    /// Follows to the tip.
    ///
    /// # Errors
    /// When the node cannot be read or breaks the rules of a chain.
    pub async fn follow(&mut self) -> anyhow::Result<()> {
        let deadline = Instant::now() + PATIENCE;
        loop {
            ensure!(Instant::now() < deadline, "the tip is never reached");
            let at = self.tip()?.clone();
            match self.chain.step(&at).await? {
                Step::Next(next) => self.take(&at, next).await?,
                Step::AtTip => return Ok(()),
                Step::Left => self.rewind().await?,
                Step::Behind => sleep(BREATH).await,
            }
        }
    }

    /// Follows until `done` says so.
    ///
    /// # Errors
    /// As [`Follower::follow`], and when it takes too long.
    pub async fn until(&mut self, done: impl Fn(&[Found]) -> bool) -> anyhow::Result<()> {
        let deadline = Instant::now() + PATIENCE;
        loop {
            self.follow().await?;
            let found = self.found();
            if done(&found) {
                return Ok(());
            }
            ensure!(Instant::now() < deadline, "it never came to this; found {found:?}");
            sleep(BREATH).await;
        }
    }

    async fn take(&mut self, at: &BlockRef, next: BlockRef) -> anyhow::Result<()> {
        ensure!(next.parent_hash == at.hash, "a child of another block: {next:?} after {at:?}");
        ensure!(next.height > at.height, "heights do not rise: {next:?} after {at:?}");
        let facts = self.chain.read_block(&next, &self.watch).await?;
        ensure!(facts.block.hash == next.hash, "another block than asked for");
        for sighting in facts.sightings {
            let key = (sighting.tx_id.clone(), sighting.ordinal);
            let found = Found { block: next.clone(), sighting };
            let before = self.found.insert(key, found);
            ensure!(before.is_none(), "one deposit in two blocks of one branch: {before:?}");
        }
        self.blocks.push(next);
        Ok(())
    }

    async fn rewind(&mut self) -> anyhow::Result<()> {
        self.rewinds = self.rewinds.saturating_add(1);
        while let Some(ours) = self.blocks.last() {
            let theirs = self.chain.block_at(ours.height).await?;
            if theirs.is_some_and(|theirs| theirs.hash == ours.hash) {
                return Ok(());
            }
            let gone = ours.hash.clone();
            self.found.retain(|_, found| found.block.hash != gone);
            self.blocks.pop();
        }
        bail!("the branches share no block we hold")
    }
}
