//! Follow a network block by block and record what each one brought.
//!
//! A reconciler without input: it reads where the cursor stands and goes on from there. Blocks are
//! read by hash, recorded in one transaction each, and the cursor moves by compare-and-set in the
//! same transaction. A parent that is not ours means a reorganisation: back to the fork, unwind,
//! go on. A node that cannot be read says nothing about deposits.

use chains::{Arrived, BlockFacts, BlockRef, Chain, ReadError, Step};
use chrono::TimeDelta;
use primitives::NetworkId;
use queue::{Lease, Outcome};
use serde_json::json;
use settlement::{
    NetworkSettings, case,
    deposit::{
        self, Seen, SeenToken,
        cursor::{self, Cursor, FollowedBlock},
    },
    jobs::ScanChain,
};

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
            Ok(ctx.again_in(NODE_PAUSE_S))
        }
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
        let asked_at = self.ctx.now();
        let head = chain.head().await?.latest;
        let Some(mut at) = self.cursor().await? else {
            self.start(&head).await?;
            return Ok(self.soon());
        };
        for _ in 0..self.settings.batch_blocks {
            let next = match chain.step(&self.held_block(&at)?).await? {
                Step::Next(next) => next,
                Step::AtTip => {
                    self.stood_at_head(&at, asked_at).await?;
                    return Ok(self.soon());
                }
                // The node is behind us: its silence is no news.
                Step::Behind => return Ok(self.soon()),
                Step::Left => return self.rewind(chain, &at).await,
            };
            match self.record(chain, &at, &next).await? {
                Some(moved) => at = moved,
                None => return Ok(self.soon()),
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

    fn soon(&self) -> Outcome {
        let pause = i64::try_from(self.settings.poll_ms).unwrap_or(1_000);
        Outcome::Again(self.ctx.now() + TimeDelta::milliseconds(pause))
    }

    async fn cursor(&self) -> Result<Option<Cursor>, Trouble> {
        let mut conn = self.ctx.conn().await?;
        Ok(cursor::get(&mut conn, self.network).await?)
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

    /// One block: read, then record everything it brought together with the cursor's step.
    async fn record(
        &self,
        chain: &dyn Chain,
        at: &Cursor,
        next: &BlockRef,
    ) -> Result<Option<Cursor>, Trouble> {
        let watch = {
            let mut conn = self.ctx.conn().await?;
            self.ctx.watch_set(&mut conn, self.network).await?
        };
        let facts = chain.read_block(next, &watch).await?;
        let to = followed(&facts.block)?;
        if facts.block.hash != next.hash || facts.block.parent_hash != at.hash {
            return Err(Trouble::Node(ReadError::Untrusted(
                "the block read is another one".into(),
            )));
        }
        let mut tx = self.ctx.begin(self.lease).await?;
        if !cursor::advance_in(&mut tx, &self.ctx.base, self.network, at, &to).await? {
            return Ok(None); // Somebody else moved on; dropping the transaction undoes it all.
        }
        self.record_sightings(&mut tx, &facts, to.height).await?;
        tx.commit().await?;
        Ok(Some(Cursor { height: to.height, hash: to.hash, epoch: at.epoch }))
    }

    async fn record_sightings(
        &self,
        conn: &mut sqlx::PgConnection,
        facts: &BlockFacts,
        height: i64,
    ) -> Result<(), Trouble> {
        for sighting in &facts.sightings {
            let network = self.network.clone();
            let (tx_id, ordinal) = (sighting.tx_id.clone(), i64::from(sighting.ordinal));
            let address = sighting.to.clone();
            match &sighting.arrived {
                Arrived::Known(amount) => {
                    let seen = Seen {
                        network,
                        tx_id,
                        ordinal,
                        address,
                        amount: *amount,
                        block_hash: facts.block.hash.clone(),
                        height,
                        block_time: facts.block.time,
                    };
                    deposit::seen_in(conn, &self.ctx.base, &seen).await?;
                }
                Arrived::UnknownToken { contract, minor } => {
                    let (contract, claimed) = (contract.clone(), minor.clone());
                    let seen = SeenToken { network, tx_id, ordinal, address, contract, claimed };
                    deposit::unknown_token_in(conn, &self.ctx.base, &seen).await?;
                }
            }
        }
        Ok(())
    }

    /// Back to the last block that both we and the node follow; everything above is unwound.
    async fn rewind(&self, chain: &dyn Chain, at: &Cursor) -> Result<Outcome, Trouble> {
        let limit = i64::try_from(self.settings.reorg_limit).unwrap_or(0);
        for depth in 1..=limit {
            let height = at.height.saturating_sub(depth);
            let ours = {
                let mut conn = self.ctx.conn().await?;
                cursor::followed_at(&mut conn, self.network, height).await?
            };
            let Some(ours) = ours else { break };
            let theirs = chain.block_at(u64::try_from(height).unwrap_or(0)).await?;
            if theirs.is_some_and(|block| block.hash == ours.hash) {
                self.unwind(at, &ours).await?;
                return Ok(Outcome::Again(self.ctx.now()));
            }
        }
        self.call_a_person(at).await?;
        Ok(self.ctx.again_in(30))
    }

    async fn unwind(&self, at: &Cursor, fork: &FollowedBlock) -> Result<(), Trouble> {
        let (ctx, network) = (self.ctx, self.network);
        let mut tx = ctx.begin(self.lease).await?;
        if !cursor::rewind_in(&mut tx, network, at, fork).await? {
            return Ok(());
        }
        for gone in deposit::seen_above_in(&mut tx, network, fork.height).await? {
            deposit::gone_in(&mut tx, &ctx.base, gone.id).await?;
        }
        tx.commit().await?;
        tracing::warn!(%network, from = at.height, to = fork.height, "reorganisation unwound");
        Ok(())
    }

    async fn call_a_person(&self, at: &Cursor) -> Result<(), Trouble> {
        let mut tx = self.ctx.begin(self.lease).await?;
        let new = case::NewCase {
            kind: "deep_reorg",
            subject: &format!("{}:{}", self.network, at.hash),
            payment: None,
            amount: None,
            detail: json!({ "height": at.height, "limit": self.settings.reorg_limit }),
        };
        case::open_in(&mut tx, &self.ctx.base, new).await?;
        tx.commit().await?;
        Ok(())
    }
}

fn followed(block: &BlockRef) -> Result<FollowedBlock, Trouble> {
    let height = i64::try_from(block.height)
        .map_err(|_| ReadError::Untrusted("a height beyond all blocks".into()))?;
    let (hash, parent_hash) = (block.hash.clone(), block.parent_hash.clone());
    Ok(FollowedBlock { height, hash, parent_hash })
}
