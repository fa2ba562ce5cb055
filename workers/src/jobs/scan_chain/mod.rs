//! Follow a network block by block and record what each one brought.
//!
//! A reconciler without input: it reads where the cursor stands and goes on from there. Blocks are
//! read by hash, recorded in one transaction each, and the cursor moves by compare-and-set in the
//! same transaction, under the epoch of the leader. A branch that was left is unwound: `rewind`.
//! At the tip, what waits for a block is shown: `pending`; then the run waits for news. A node that
//! cannot be read says nothing about deposits.

mod block;
mod pending;
mod rewind;

use std::time::{Duration, Instant};

use chains::{BlockRef, Chain, ReadError, Step};
use chrono::TimeDelta;
use primitives::NetworkId;
use queue::{Lease, Outcome};
use settlement::{
    NetworkSettings,
    deposit::{
        cursor::{self, Cursor, FollowedBlock},
        leader,
    },
    jobs::ScanChain,
};

pub(crate) use block::record_in;

use crate::{Ctx, WorkError};

/// A node that fails is asked again after this long.
const NODE_PAUSE_S: i64 = 2;

pub(crate) async fn run(ctx: Ctx, job: ScanChain, lease: Lease) -> Result<Outcome, WorkError> {
    let settings = settlement_network(&ctx, &job.network)?;
    let scan = Scan { ctx: &ctx, lease: &lease, network: &job.network, settings: &settings };
    let chain = ctx.connectors.chain(&job.network)?;
    match scan.follow(chain).await {
        Ok(outcome) => Ok(outcome),
        Err(Trouble::Node(error)) => {
            tracing::warn!(network = %job.network, %error, "node unreadable");
            let mut tx = ctx.begin(&lease).await?;
            cursor::interrupted_in(&mut tx, &job.network).await?;
            tx.commit().await?;
            Ok(ctx.again_in(NODE_PAUSE_S))
        }
        // Two who book at once may wait for each other; the database sends one of them back.
        Err(Trouble::Work(error)) if error.is_deadlock() => Ok(Outcome::Again(ctx.now())),
        Err(Trouble::Work(error)) => Err(error),
    }
}

fn settlement_network(ctx: &Ctx, network: &NetworkId) -> Result<NetworkSettings, WorkError> {
    let known = ctx.base.settings.networks.get(network).cloned();
    known.ok_or_else(|| WorkError::NotConfigured(format!("network {network}")))
}

enum Trouble {
    Node(ReadError),
    Work(WorkError),
}

impl From<ReadError> for Trouble {
    fn from(error: ReadError) -> Self {
        Self::Node(error)
    }
}

impl<E: Into<WorkError>> From<E> for Trouble {
    fn from(error: E) -> Self {
        Self::Work(error.into())
    }
}

struct Scan<'a> {
    ctx: &'a Ctx,
    lease: &'a Lease,
    network: &'a NetworkId,
    settings: &'a NetworkSettings,
}

impl Scan<'_> {
    async fn follow(&self, chain: &dyn Chain) -> Result<Outcome, Trouble> {
        let Some(mut at) = self.lead().await? else {
            let first = self.first_block(chain).await?;
            self.start(&first).await?;
            return Ok(Outcome::Again(self.ctx.now()));
        };
        let until = Instant::now() + Duration::from_millis(self.settings.linger_ms);
        let mut blocks = self.settings.batch_blocks;
        while blocks > 0 {
            let asked_at = self.ctx.now();
            match chain.step(&self.held_block(&at)?).await? {
                Step::Next(next) => {
                    blocks = blocks.saturating_sub(1);
                    match self.record(chain, &at, &next).await? {
                        Some(moved) => at = moved,
                        None => return Ok(self.soon()),
                    }
                }
                Step::AtTip => {
                    self.stood_at_head(&at, asked_at).await?;
                    self.show_pending(chain).await?;
                    if Instant::now() >= until {
                        return Ok(self.soon());
                    }
                    let pause = Duration::from_millis(self.settings.poll_ms);
                    chain.wait_for_news(&self.held_block(&at)?, pause).await;
                }
                // The node is behind us: its silence is no news.
                Step::Behind => return Ok(self.soon()),
                Step::Left => return self.rewind(chain, &at).await,
            }
        }
        Ok(Outcome::Again(self.ctx.now()))
    }

    /// The block the cursor stands on, as a chain names it: height and hash are what counts.
    fn held_block(&self, at: &Cursor) -> Result<BlockRef, Trouble> {
        let height = u64::try_from(at.height)
            .map_err(|_| ReadError::Untrusted("a cursor below every block".into()))?;
        let (hash, parent_hash) = (at.hash.clone(), String::new());
        Ok(BlockRef { height, hash, parent_hash, time: self.ctx.now() })
    }

    /// Where a run has lingered, the next one begins at once; without, it comes at the next look.
    fn soon(&self) -> Outcome {
        let lingers = self.settings.linger_ms > 0;
        let pause = i64::try_from(self.settings.poll_ms).unwrap_or(1_000);
        let pause = if lingers { pause.min(200) } else { pause };
        Outcome::Again(self.ctx.now() + TimeDelta::milliseconds(pause))
    }

    /// Takes the lead, and reads where the network stands; `None` before the first block.
    async fn lead(&self) -> Result<Option<Cursor>, Trouble> {
        let mut tx = self.ctx.begin(self.lease).await?;
        let (base, holder) = (&self.ctx.base, self.ctx.holder());
        let epoch = leader::take_in(&mut tx, base, self.network, holder).await?;
        let cursor = cursor::get(&mut tx, self.network).await?;
        tx.commit().await?;
        Ok(cursor.map(|cursor| Cursor { leader: Some(epoch), ..cursor }))
    }

    /// Where a network is followed from: its last final block, or one as far below the tip as a
    /// reorganisation may reach. From the tip itself the first one would leave nothing in common.
    async fn first_block(&self, chain: &dyn Chain) -> Result<BlockRef, Trouble> {
        let head = chain.head().await?;
        let limit = self.settings.reorg_limit;
        let below = head.latest.height.saturating_sub(limit);
        let mut height = head.finalized.map_or(below, |last| last.max(below));
        loop {
            if let Some(block) = chain.block_at(height).await? {
                return Ok(block);
            }
            // A height without a block. Bounded: a network without any block is unreadable.
            height = height.checked_sub(1).ok_or_else(|| {
                ReadError::Unavailable("the network has no block to start from".to_owned())
            })?;
        }
    }

    async fn start(&self, head: &BlockRef) -> Result<(), Trouble> {
        let mut tx = self.ctx.begin(self.lease).await?;
        cursor::start_in(&mut tx, &self.ctx.base, self.network, &followed(head)?).await?;
        tx.commit().await?;
        Ok(())
    }

    async fn stood_at_head(
        &self,
        at: &Cursor,
        asked_at: chrono::DateTime<chrono::Utc>,
    ) -> Result<(), Trouble> {
        let mut tx = self.ctx.begin(self.lease).await?;
        cursor::at_head_in(&mut tx, self.network, at.height, asked_at).await?;
        tx.commit().await?;
        Ok(())
    }
}

pub(crate) fn followed(block: &BlockRef) -> Result<FollowedBlock, ReadError> {
    let height = i64::try_from(block.height)
        .map_err(|_| ReadError::Untrusted("a height beyond all blocks".into()))?;
    let (hash, parent_hash) = (block.hash.clone(), block.parent_hash.clone());
    Ok(FollowedBlock { height, hash, parent_hash, stamped_at: Some(block.time) })
}
