//! Back from a branch the chain has left.
//!
//! Invariant: the fork is the newest block that both we and the node hold by hash, found among our
//! own blocks: heights may have gaps. All deposits above it are unwound in the transaction that
//! moves the cursor. Deeper than the limit a person decides; nothing is repaired by guess.

use chains::{Chain, Says, Step};
use queue::Outcome;
use serde_json::json;
use settlement::{
    case,
    deposit::{
        self,
        cursor::{self, Cursor, FollowedBlock},
        leader,
    },
    payment,
};

use super::{Scan, Trouble};

/// A network whose branches share nothing within the limit is looked at again after this long.
const STOPPED_S: i64 = 30;
/// While nodes disagree, they are asked again after this long.
const DISPUTED_S: i64 = 2;

impl Scan<'_> {
    pub(super) async fn rewind(&self, chain: &dyn Chain, at: &Cursor) -> Result<Outcome, Trouble> {
        if self.is_disputed(chain, at).await? {
            return Ok(self.ctx.again_in(DISPUTED_S));
        }
        let limit = i64::try_from(self.settings.reorg_limit).unwrap_or(0);
        let ours = {
            let mut conn = self.ctx.conn().await?;
            let most = limit.saturating_add(1);
            cursor::followed_down_from(&mut conn, self.network, at.height, most).await?
        };
        for block in ours {
            let theirs = chain.block_at(u64::try_from(block.height).unwrap_or(0)).await?;
            let Some(theirs) = theirs.filter(|theirs| theirs.hash == block.hash) else { continue };
            // A node that merely lags shows the fork as its tip: only another block on top of it is
            // a branch.
            if matches!(chain.step(&theirs).await?, Step::Next(_)) {
                self.unwind(at, &block).await?;
                return Ok(Outcome::Again(self.ctx.now()));
            }
            return Ok(self.soon());
        }
        self.call_a_person(at).await?;
        Ok(self.ctx.again_in(STOPPED_S))
    }

    /// True when a node still holds the block that the followed one has left: one node's word
    /// undoes nothing. In a true reorganisation the others follow within seconds.
    async fn is_disputed(&self, chain: &dyn Chain, at: &Cursor) -> Result<bool, Trouble> {
        let held = self.held_block(at)?;
        let witnesses = chain.witnesses(&held).await;
        let ours: Vec<&str> =
            witnesses.iter().filter(|w| w.says == Says::Same).map(|w| w.node.as_str()).collect();
        if ours.is_empty() {
            return Ok(false);
        }
        tracing::warn!(network = %self.network, height = at.height, ?ours, "nodes disagree");
        let mut tx = self.ctx.begin(self.lease).await?;
        let new = case::NewCase {
            kind: "nodes_disagree",
            subject: &format!("{}:{}", self.network, at.hash),
            payment: None,
            amount: None,
            detail: json!({ "height": at.height, "hold_our_block": ours }),
        };
        case::open_in(&mut tx, &self.ctx.base, new).await?;
        tx.commit().await?;
        Ok(true)
    }

    async fn unwind(&self, at: &Cursor, fork: &FollowedBlock) -> Result<(), Trouble> {
        let (ctx, network) = (self.ctx, self.network);
        let mut tx = ctx.begin(self.lease).await?;
        if let Some(epoch) = at.leader
            && !leader::holds_in(&mut tx, network, epoch).await?
        {
            return Ok(());
        }
        if !cursor::rewind_in(&mut tx, network, at, fork).await? {
            return Ok(());
        }
        let gone = deposit::seen_above_in(&mut tx, network, fork.height).await?;
        payment::lock_all_in(&mut tx, gone.iter().filter_map(|deposit| deposit.payment)).await?;
        for gone in gone {
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
