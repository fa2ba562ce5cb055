//! Several nodes of one network: one is followed, the others wait.
//!
//! Invariants: a change of node happens only after an error, and only to a node whose canonical
//! chain has a block we followed and which is not behind what we have shown: two nodes' histories
//! are never mixed by accident. A node that does not know a block never turns "the followed node
//! is down" into "the block is gone".

use std::{
    collections::VecDeque,
    sync::{
        Mutex, PoisonError,
        atomic::{AtomicUsize, Ordering},
    },
};

use alloy::primitives::B256;
use chains::{BlockRef, ReadError};
use futures::future::BoxFuture;

use crate::{node::Node, wire::hash_of};

/// Blocks we remember having followed, newest last.
const TRAIL: usize = 64;
/// Which of them another node is asked for, counted from the newest.
const SAMPLED: [usize; 7] = [0, 1, 2, 4, 8, 16, 32];

pub(crate) struct Nodes {
    all: Vec<Node>,
    current: AtomicUsize,
    trail: Mutex<Trail>,
}

#[derive(Default)]
struct Trail {
    tip: u64,
    blocks: VecDeque<(u64, B256)>,
}

impl Nodes {
    pub(crate) const fn new(all: Vec<Node>) -> Self {
        let trail = Trail { tip: 0, blocks: VecDeque::new() };
        Self { all, current: AtomicUsize::new(0), trail: Mutex::new(trail) }
    }

    pub(crate) fn all(&self) -> &[Node] {
        &self.all
    }

    /// Does the work at the followed node, and at another one when that is unavailable.
    pub(crate) async fn ask<'a, T, F>(&'a self, work: F) -> Result<T, ReadError>
    where
        F: Fn(&'a Node) -> BoxFuture<'a, Result<T, ReadError>>,
    {
        let followed = self.current.load(Ordering::Acquire);
        let node = self.all.get(followed).ok_or_else(no_node)?;
        let first = match ask_one(node, &work).await {
            Err(ReadError::Unavailable(why)) => why,
            answer => return answer,
        };
        for (index, other) in self.all.iter().enumerate() {
            if index == followed || !self.shares_history(other).await {
                continue;
            }
            if let Ok(answer) = ask_one(other, &work).await {
                let (from, to) = (node.host(), other.host());
                tracing::warn!(from, to, why = first, "following another node");
                self.current.store(index, Ordering::Release);
                return Ok(answer);
            }
        }
        Err(ReadError::Unavailable(first))
    }

    /// Remembers a block that was shown to somebody; `tip` when it was the newest.
    pub(crate) fn followed(&self, block: &BlockRef, tip: bool) {
        let Some(hash) = hash_of(&block.hash) else {
            return;
        };
        let mut trail = self.trail.lock().unwrap_or_else(PoisonError::into_inner);
        if tip {
            trail.tip = block.height;
        }
        if trail.blocks.iter().any(|(_, known)| *known == hash) {
            return;
        }
        trail.blocks.push_back((block.height, hash));
        if trail.blocks.len() > TRAIL {
            trail.blocks.pop_front();
        }
    }

    async fn shares_history(&self, other: &Node) -> bool {
        let (tip, sampled) = {
            let trail = self.trail.lock().unwrap_or_else(PoisonError::into_inner);
            let newest_first = || trail.blocks.iter().rev().copied();
            let sampled: Vec<_> = SAMPLED.iter().filter_map(|n| newest_first().nth(*n)).collect();
            (trail.tip, sampled)
        };
        if other.ensure_ours().await.is_err() {
            return false;
        }
        if sampled.is_empty() {
            return true;
        }
        // A node that lags would show the blocks above its tip as reorganised away.
        if !other.latest().await.is_ok_and(|latest| latest.height() >= tip) {
            return false;
        }
        for (height, hash) in sampled {
            match other.header_at(height).await {
                Ok(Some(header)) if header.hash == hash => return true,
                Ok(_) => {}
                Err(_) => return false,
            }
        }
        false
    }
}

async fn ask_one<'a, T, F>(node: &'a Node, work: &F) -> Result<T, ReadError>
where
    F: Fn(&'a Node) -> BoxFuture<'a, Result<T, ReadError>>,
{
    node.ensure_ours().await?;
    work(node).await
}

fn no_node() -> ReadError {
    ReadError::Unavailable("no node is configured".to_owned())
}
