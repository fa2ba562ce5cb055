//! Walking a chain block by block, and back when a branch was replaced.
//!
//! Invariant: a block is taken only on top of the one read before it; a block that is no longer
//! there is unread with everything it brought that was not credited. Confirmations are the blocks
//! read since, the deposit's own among them.

use std::{
    collections::{BTreeSet, VecDeque},
    sync::{Arc, Mutex, PoisonError},
    time::Duration,
};

use anyhow::Context as _;

use super::{
    Block, Node, Progress, Watched,
    hot::{Hot, Unsent},
};
use crate::{World, venue::Found};

/// How many blocks back a branch can be replaced.
const MEMORY: usize = 1_000;
/// Blocks read before looking back again.
const STRIDE: usize = 50;

pub(super) struct Follower {
    world: Arc<World>,
    network: &'static str,
    node: Node,
    hot: Hot,
    /// The last height before the first block that is read.
    start: u64,
    seen: VecDeque<(u64, String)>,
    pending: Vec<(u64, Found)>,
}

impl Follower {
    pub(super) fn new(
        world: Arc<World>,
        network: &'static str,
        (node, hot): (Node, Hot),
        start: u64,
    ) -> Self {
        let (seen, pending) = (VecDeque::new(), Vec::new());
        Self { world, network, node, hot, start, seen, pending }
    }

    pub(super) async fn run(mut self, pause: Duration, progress: Arc<Mutex<Progress>>) {
        loop {
            self.world.run_due();
            let trouble = self.step().await.err().map(|error| format!("{error:#}"));
            if let Some(trouble) = &trouble {
                tracing::debug!(network = self.network, trouble, "a local chain was not read");
            }
            let (height, hash) = self.seen.back().cloned().unwrap_or((self.start, String::new()));
            let told = Progress {
                height,
                hash,
                pending: self.pending.len(),
                waiting: self.world.transit.waiting(self.network),
                hot_wallets: self.hot.addresses().clone(),
                trouble,
            };
            *progress.lock().unwrap_or_else(PoisonError::into_inner) = told;
            tokio::time::sleep(pause).await;
        }
    }

    async fn step(&mut self) -> anyhow::Result<()> {
        self.look_back().await?;
        let tip = self.node.tip().await?;
        // Venues do not come or go, but their addresses change when a chain is registered.
        let watched = self.watched();
        for _ in 0..STRIDE {
            let last = self.seen.back().map_or(self.start, |(height, _)| *height);
            let Some(next) = self.node.after(last).await?.filter(|next| *next <= tip) else {
                break;
            };
            let Some(block) = self.node.block(next, &watched).await? else { break };
            if self.seen.back().is_some_and(|(_, hash)| *hash != block.parent) {
                // Replaced while it was read: the next step looks back.
                break;
            }
            self.take(block);
        }
        self.confirm();
        self.run_errands().await
    }

    /// Sends what waits to leave a venue here. What could not be sent waits behind the others.
    async fn run_errands(&mut self) -> anyhow::Result<()> {
        while let Some(errand) = self.world.transit.take(self.network) {
            match self.hot.send(&errand).await {
                Ok(tx_id) => {
                    if let Some(venue) = self.world.transit.named(errand.venue) {
                        venue.left(&errand.id, &tx_id);
                    }
                }
                Err(Unsent::Later(why)) => {
                    self.world.transit.hand_over(errand);
                    return Err(why);
                }
                // Sent again, it might be paid twice.
                Err(Unsent::Lost(why)) => {
                    let what = format!("nobody knows whether withdrawal {} left", errand.id);
                    tracing::warn!(network = self.network, venue = errand.venue, "{what}");
                    return Err(why).context(what);
                }
            }
        }
        Ok(())
    }

    fn watched(&self) -> Watched {
        let custodians = self.world.transit.custodians();
        let addresses: BTreeSet<String> = custodians
            .iter()
            .filter_map(|venue| self.world.deposit_address(venue.name(), self.network))
            .chain(self.hot.addresses().values().cloned())
            .collect();
        Watched { network: self.network, addresses }
    }

    /// Unreads the blocks that are no longer on the chain.
    async fn look_back(&mut self) -> anyhow::Result<()> {
        while let Some((height, hash)) = self.seen.back().cloned() {
            if self.node.hash_at(height).await?.is_some_and(|there| there == hash) {
                break;
            }
            self.seen.pop_back();
            let (gone, kept) =
                std::mem::take(&mut self.pending).into_iter().partition(|(at, _)| *at >= height);
            self.pending = kept;
            let gone: Vec<(u64, Found)> = gone;
            for (_, found) in gone {
                if let Some(venue) = self.world.owner(self.network, &found.address) {
                    venue.retract(&found);
                }
            }
        }
        Ok(())
    }

    fn take(&mut self, block: Block) {
        for found in block.found {
            if let Some(venue) = self.world.owner(self.network, &found.address) {
                venue.announce(&found);
                self.pending.push((block.height, found));
            } else {
                self.hot.notice(&found);
            }
        }
        self.seen.push_back((block.height, block.hash));
        if self.seen.len() > MEMORY {
            self.seen.pop_front();
        }
    }

    fn confirm(&mut self) {
        let Self { world, network, seen, pending, .. } = self;
        pending.retain(|(height, found)| {
            let on_top = seen.iter().rev().take_while(|(at, _)| at >= height).count();
            let have = u32::try_from(on_top).unwrap_or(u32::MAX);
            let venue = world.owner(network, &found.address);
            venue.is_some_and(|venue| !venue.confirm(found, have))
        });
    }
}
