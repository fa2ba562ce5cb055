//! One block: read, then recorded together with the cursor's step.
//!
//! Invariant: everything a block brought and the step past it commit together, or nothing does; and
//! only under the epoch of the leader.

use chains::{Arrived, BlockFacts, BlockRef, Chain, ReadError};
use primitives::NetworkId;
use settlement::{
    Base,
    deposit::{
        self, Seen, SeenToken,
        cursor::{self, Cursor},
        leader,
    },
    payment,
};
use sqlx::PgConnection;

use super::{Scan, Trouble, followed};
use crate::WorkError;

impl Scan<'_> {
    /// `None` when somebody else moved on meanwhile.
    pub(super) async fn record(
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
        if let Some(epoch) = at.leader
            && !leader::holds_in(&mut tx, self.network, epoch).await?
        {
            return Ok(None);
        }
        if !cursor::advance_in(&mut tx, &self.ctx.base, self.network, at, &to).await? {
            return Ok(None); // Dropping the transaction undoes it all.
        }
        record_in(&mut tx, &self.ctx.base, self.network, &facts).await?;
        tx.commit().await?;
        Ok(Some(Cursor { height: to.height, hash: to.hash, ..at.clone() }))
    }
}

/// Records every sighting of a block. Twice is once.
///
/// # Errors
/// Of the database, the books, or of states that contradict each other.
pub(crate) async fn record_in(
    conn: &mut PgConnection,
    base: &Base,
    network: &NetworkId,
    facts: &BlockFacts,
) -> Result<(), WorkError> {
    // A block names payments in its own order; locks are taken in ours.
    let to: Vec<String> = facts.sightings.iter().map(|s| s.to.clone()).collect();
    payment::lock_owners_in(conn, network, &to).await?;
    let height = i64::try_from(facts.block.height)
        .map_err(|_| settlement::Error::Inconsistent("a height beyond all blocks".to_owned()))?;
    for sighting in &facts.sightings {
        let network = network.clone();
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
                deposit::seen_in(conn, base, &seen).await?;
            }
            Arrived::UnknownToken { contract, minor } => {
                let (contract, claimed) = (contract.clone(), minor.clone());
                let seen = SeenToken { network, tx_id, ordinal, address, contract, claimed };
                deposit::unknown_token_in(conn, base, &seen).await?;
            }
        }
    }
    Ok(())
}
