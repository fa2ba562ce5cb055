//! Local chains: what arrives on them at the venues' deposit addresses, and what venues send.
//!
//! Invariant: every block is read once, in order and linked by hash; a deposit is told once per
//! transaction and output, confirmed as blocks come on top, and taken back when its block is gone
//! before it was credited. A withdrawal is one transaction from its venue's own wallet. All of it
//! is written against the nodes' own JSON-RPC and shares nothing with the product's readers. What a
//! venue makes of a deposit is deliberately elsewhere.

mod bitcoin;
mod evm;
mod follow;
mod hot;
mod rpc;
mod solana;

use std::{
    collections::{BTreeMap, BTreeSet},
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::Duration,
};

use anyhow::{Context, ensure};
use serde::{Deserialize, Serialize};
use tokio::task::JoinHandle;

use crate::{
    World,
    venue::{Found, Local, RAILS},
};
use bitcoin::Bitcoin;
use evm::Evm;
use follow::Follower;
use hot::Hot;
use rpc::Rpc;
use solana::Solana;

const POLL_MS: u64 = 250;

/// What program answers at the address.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Kind {
    Bitcoind,
    Anvil,
    Surfnet,
}

/// A node that stands for a network.
#[derive(Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Spec {
    /// `bitcoin`, `ethereum`, `base` or `solana`.
    pub network: String,
    pub kind: Kind,
    /// Plain HTTP; a login may stand in it.
    pub rpc_url: String,
    /// Until a deposit is credited; what the venue asks for when absent.
    #[serde(default)]
    pub confirmations: Option<u32>,
    /// Until it can be withdrawn again; at once when absent.
    #[serde(default)]
    pub unlock: Option<u32>,
    /// Coin → contract or mint.
    #[serde(default)]
    pub tokens: BTreeMap<String, String>,
    #[serde(default)]
    pub poll_ms: Option<u64>,
    /// The first block to read; the one after the tip when absent.
    #[serde(default)]
    pub from_height: Option<u64>,
}

impl std::fmt::Debug for Spec {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let Self { network, kind, tokens, .. } = self;
        let mut shown = f.debug_struct("Spec");
        shown.field("network", network).field("kind", kind).field("tokens", tokens);
        shown.finish_non_exhaustive()
    }
}

/// A block and what it brought.
#[derive(Debug)]
struct Block {
    /// A slot, on Solana.
    height: u64,
    hash: String,
    parent: String,
    found: Vec<Found>,
}

/// Whose coins are looked for.
#[derive(Debug)]
struct Watched {
    network: &'static str,
    addresses: BTreeSet<String>,
}

enum Node {
    Bitcoin(Bitcoin),
    Evm(Evm),
    Solana(Solana),
}

impl Node {
    async fn connect(spec: &Spec) -> anyhow::Result<Self> {
        let rpc = Rpc::new(&spec.rpc_url)?;
        Ok(match spec.kind {
            Kind::Bitcoind => Self::Bitcoin(Bitcoin::new(rpc)),
            Kind::Anvil => Self::Evm(Evm::new(rpc, &spec.tokens).await?),
            Kind::Surfnet => Self::Solana(Solana::new(rpc, &spec.tokens)),
        })
    }

    async fn tip(&self) -> anyhow::Result<u64> {
        match self {
            Self::Bitcoin(node) => node.tip().await,
            Self::Evm(node) => node.tip().await,
            Self::Solana(node) => node.tip().await,
        }
    }

    async fn hash_at(&self, height: u64) -> anyhow::Result<Option<String>> {
        match self {
            Self::Bitcoin(node) => node.hash_at(height).await,
            Self::Evm(node) => node.hash_at(height).await,
            Self::Solana(node) => node.hash_at(height).await,
        }
    }

    /// The next height with a block.
    async fn after(&self, height: u64) -> anyhow::Result<Option<u64>> {
        match self {
            Self::Solana(node) => node.after(height).await,
            Self::Bitcoin(_) | Self::Evm(_) => Ok(height.checked_add(1)),
        }
    }

    async fn block(&self, height: u64, watched: &Watched) -> anyhow::Result<Option<Block>> {
        match self {
            Self::Bitcoin(node) => node.block(height, watched).await,
            Self::Evm(node) => node.block(height, watched).await,
            Self::Solana(node) => node.block(height, watched).await,
        }
    }
}

/// How far a chain was read, and why it was not read further.
#[derive(Debug, Clone, Default, Serialize)]
pub struct Progress {
    pub height: u64,
    pub hash: String,
    /// Deposits that wait for confirmations.
    pub pending: usize,
    /// Withdrawals that wait to be sent here.
    pub waiting: usize,
    /// Where each venue's withdrawals come from.
    pub hot_wallets: BTreeMap<&'static str, String>,
    /// What the node last refused; gone when it answers again.
    pub trouble: Option<String>,
}

struct Watch {
    kind: Kind,
    rpc_url: String,
    progress: Arc<Mutex<Progress>>,
    task: JoinHandle<()>,
}

impl Drop for Watch {
    fn drop(&mut self) {
        self.task.abort();
    }
}

/// The chains that are watched. Dropping it ends the watching.
pub struct Watchers {
    world: Arc<World>,
    watches: Mutex<BTreeMap<&'static str, Watch>>,
}

// A login may stand in an address.
impl std::fmt::Debug for Watchers {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let networks: Vec<&str> = self.lock().keys().copied().collect();
        f.debug_struct("Watchers").field("networks", &networks).finish_non_exhaustive()
    }
}

impl Watchers {
    pub(crate) fn new(world: Arc<World>) -> Self {
        Self { world, watches: Mutex::default() }
    }

    fn lock(&self) -> MutexGuard<'_, BTreeMap<&'static str, Watch>> {
        self.watches.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Lets the venues' deposit addresses on a network be those of this node's chain, and credits
    /// what arrives there from now on. A node that was registered for the network before is left.
    ///
    /// # Errors
    /// When there is no such network, or the node does not answer.
    pub async fn register(&self, spec: &Spec) -> anyhow::Result<()> {
        let rail = RAILS.iter().find(|rail| rail.network == spec.network);
        let rail = rail.context("no such network")?;
        let fits = match spec.kind {
            Kind::Bitcoind => rail.network == "bitcoin",
            Kind::Surfnet => rail.network == "solana",
            Kind::Anvil => rail.network == "ethereum" || rail.network == "base",
        };
        ensure!(fits, "that kind of node has no such network");
        for coin in spec.tokens.keys() {
            let known = RAILS
                .iter()
                .any(|rail| rail.network == spec.network && rail.coin.eq_ignore_ascii_case(coin));
            ensure!(known, "the venues do not take {coin} on this network");
        }
        let twin = self
            .lock()
            .iter()
            .any(|(network, watch)| *network != rail.network && watch.rpc_url == spec.rpc_url);
        ensure!(!twin, "that node stands for another network already: coins would count twice");
        let confirmations = spec.confirmations.unwrap_or(rail.confirmations).max(1);
        let unlock = spec.unlock.unwrap_or(confirmations).max(confirmations);
        let node = Node::connect(spec).await?;
        let hrp = match &node {
            Node::Bitcoin(node) => node.hrp().await?,
            Node::Evm(_) | Node::Solana(_) => "bc",
        };
        let hot = Hot::connect(spec, &self.world, hrp).await?;
        let start = match spec.from_height {
            Some(height) => height.saturating_sub(1),
            None => node.tip().await?,
        };
        self.world.networks.set(rail.network, Local { hrp, confirmations, unlock });
        let hot_wallets = hot.addresses().clone();
        let progress = Arc::new(Mutex::new(Progress { hot_wallets, ..Progress::default() }));
        let follower = Follower::new(Arc::clone(&self.world), rail.network, (node, hot), start);
        let pause = Duration::from_millis(spec.poll_ms.unwrap_or(POLL_MS).max(10));
        let task = tokio::spawn(follower.run(pause, Arc::clone(&progress)));
        let (kind, rpc_url) = (spec.kind, spec.rpc_url.clone());
        self.lock().insert(rail.network, Watch { kind, rpc_url, progress, task });
        Ok(())
    }

    /// Looks at a network no longer; `false` when nobody did.
    pub fn forget(&self, network: &str) -> bool {
        self.lock().remove(network).is_some()
    }

    /// How far each chain was read.
    #[must_use]
    pub fn progress(&self) -> BTreeMap<&'static str, (Kind, Progress)> {
        let read =
            |watch: &Watch| watch.progress.lock().unwrap_or_else(PoisonError::into_inner).clone();
        self.lock().iter().map(|(network, watch)| (*network, (watch.kind, read(watch)))).collect()
    }

    pub(crate) fn end(&self) {
        self.lock().clear();
    }
}
