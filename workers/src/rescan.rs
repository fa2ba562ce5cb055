//! Reading blocks again that were followed before: what was missed is recorded, and nothing twice.
//!
//! Invariant: a block is read again only as the block we followed: below the cursor, by the hash we
//! hold; what is found goes through the same door as in the scan. Blocks from before we followed
//! the network are read as the node shows them.

use chains::{Chain, ReadError, WatchSet};
use primitives::NetworkId;
use settlement::deposit::{cursor, leader};

use crate::{Ctx, WorkError, jobs::scan_chain};

/// What a rescan did.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Rescanned {
    pub blocks: u64,
    /// Sightings in them.
    pub seen: usize,
    /// Of these, how many nobody had recorded.
    pub new: i64,
}

/// Reads the blocks of a network again from a height to the cursor.
///
/// # Errors
/// When the node cannot be read, is on another branch than we, or the database fails.
pub async fn rescan(ctx: &Ctx, network: &NetworkId, from: u64) -> Result<Rescanned, WorkError> {
    let chain = ctx.connectors.chain(network)?;
    let cursor = {
        let mut conn = ctx.conn().await?;
        cursor::get(&mut conn, network).await?
    };
    let unknown = || WorkError::NotConfigured(format!("network {network} was never followed"));
    let last = u64::try_from(cursor.ok_or_else(unknown)?.height).unwrap_or(0);
    let watch = {
        let mut conn = ctx.conn().await?;
        ctx.watch_set(&mut conn, network).await?
    };
    let mut done = Rescanned::default();
    for height in from..=last {
        if let Some((seen, new)) = again(ctx, chain, network, height, &watch).await? {
            done.blocks = done.blocks.saturating_add(1);
            done.seen = done.seen.saturating_add(seen);
            done.new = done.new.saturating_add(new);
        }
    }
    Ok(done)
}

/// `None` where the network has no block.
async fn again(
    ctx: &Ctx,
    chain: &dyn Chain,
    network: &NetworkId,
    height: u64,
    watch: &WatchSet,
) -> Result<Option<(usize, i64)>, WorkError> {
    let Some(theirs) = chain.block_at(height).await.map_err(unread)? else { return Ok(None) };
    let at = i64::try_from(height).unwrap_or(i64::MAX);
    let ours = {
        let mut conn = ctx.conn().await?;
        cursor::followed_at(&mut conn, network, at).await?
    };
    if ours.as_ref().is_some_and(|ours| ours.hash != theirs.hash) {
        let sentence = format!("the node holds another block than we at height {height}");
        return Err(WorkError::Nonsense(sentence));
    }
    let facts = chain.read_block(&theirs, watch).await.map_err(unread)?;
    if facts.sightings.is_empty() {
        return Ok(Some((0, 0)));
    }
    let mut tx = ctx.base.pool.begin().await?;
    // Nobody may leave the branch meanwhile.
    leader::pause_in(&mut tx, network).await?;
    let now = cursor::followed_at(&mut tx, network, at).await?;
    let stands = cursor::get(&mut tx, network).await?.is_some_and(|cursor| at <= cursor.height);
    if !stands || now.map(|block| block.hash) != ours.map(|block| block.hash) {
        let sentence = format!("the chain left the block at height {height} meanwhile");
        return Err(WorkError::Nonsense(sentence));
    }
    let before = count(&mut tx, network).await?;
    scan_chain::record_in(&mut tx, &ctx.base, network, &facts).await?;
    let new = count(&mut tx, network).await?.saturating_sub(before);
    tx.commit().await?;
    Ok(Some((facts.sightings.len(), new)))
}

async fn count(conn: &mut sqlx::PgConnection, network: &NetworkId) -> Result<i64, WorkError> {
    Ok(sqlx::query_scalar(
        "select (select count(*) from inclusions i join deposits d on d.id = i.deposit_id
                 where d.network = $1)
              + (select count(*) from unknown_tokens where network = $1)",
    )
    .bind(network.as_str())
    .fetch_one(conn)
    .await?)
}

fn unread(error: ReadError) -> WorkError {
    WorkError::Node(error.to_string())
}
