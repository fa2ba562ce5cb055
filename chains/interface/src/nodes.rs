//! Several nodes of one network: one is followed, the others wait.
//!
//! Invariants: a change of node happens only after an error, and only to a node whose canonical
//! chain has a block we followed and which is not behind what we have shown: two nodes' histories
//! are never mixed by accident. A node that does not know a block never turns "the followed node
//! is down" into "the block is gone".

use std::{
    collections::VecDeque,
    future::Future,
    pin::Pin,
    sync::{
        Mutex, PoisonError,
        atomic::{AtomicUsize, Ordering},
    },
    time::{Duration, Instant},
};

use async_trait::async_trait;
use futures::future::join_all;

use crate::{BlockRef, ReadError, Says, Witness};

/// Blocks we remember having followed, newest last.
const TRAIL: usize = 64;
/// Which of them another node is asked for, counted from the newest.
const SAMPLED: [usize; 7] = [0, 1, 2, 4, 8, 16, 32];

/// What a node of any family can be asked.
#[async_trait]
pub trait Node: Send + Sync {
    /// Host and port; never the whole URL, which may carry a key.
    fn host(&self) -> &str;

    /// Requests sent to this node since the start.
    fn calls(&self) -> u64;

    /// `Untrusted` when the node is of another network. Asks only when that is not known.
    async fn ensure_ours(&self) -> Result<(), ReadError>;

    /// The height of its tip.
    async fn tip(&self) -> Result<u64, ReadError>;

    /// The hash of its canonical block at a height; `None` where it has none (yet).
    async fn hash_at(&self, height: u64) -> Result<Option<String>, ReadError>;
}

/// The nodes of one network.
pub struct Nodes<N> {
    all: Vec<N>,
    current: AtomicUsize,
    trail: Mutex<Trail>,
    /// When the other nodes were last asked whether they are further.
    looked: Mutex<Option<Instant>>,
}

#[derive(Default)]
struct Trail {
    tip: u64,
    blocks: VecDeque<(u64, String)>,
}

/// Between two looks at nodes that are not followed.
const BETWEEN_LOOKS: Duration = Duration::from_secs(5);

/// Work at a node, boxed so that it can be done again at another one.
pub type Work<'a, T> = Pin<Box<dyn Future<Output = Result<T, ReadError>> + Send + 'a>>;

impl<N: Node> Nodes<N> {
    pub fn new(all: Vec<N>) -> Self {
        let trail = Trail { tip: 0, blocks: VecDeque::new() };
        let (trail, looked) = (Mutex::new(trail), Mutex::new(None));
        Self { all, current: AtomicUsize::new(0), trail, looked }
    }

    pub fn all(&self) -> &[N] {
        &self.all
    }

    pub fn calls(&self) -> u64 {
        self.all.iter().fold(0, |sum, node| sum.saturating_add(node.calls()))
    }

    /// Does the work at the followed node, and at another one when that is unavailable.
    ///
    /// # Errors
    /// The followed node's own when no other node may stand in for it.
    pub async fn ask<'a, T, F>(&'a self, work: F) -> Result<T, ReadError>
    where
        F: Fn(&'a N) -> Work<'a, T>,
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

    /// Does the work at the followed node alone: for hints, whose failure is no reason to leave it.
    ///
    /// # Errors
    /// The node's own.
    pub async fn ask_followed<'a, T, F>(&'a self, work: F) -> Result<T, ReadError>
    where
        F: Fn(&'a N) -> Work<'a, T>,
    {
        let followed = self.current.load(Ordering::Acquire);
        ask_one(self.all.get(followed).ok_or_else(no_node)?, &work).await
    }

    /// Does the work at every node by itself: an answer each, by the node's name.
    pub async fn each<'a, T, F>(&'a self, work: F) -> Vec<(String, Result<T, ReadError>)>
    where
        F: Fn(&'a N) -> Work<'a, T>,
    {
        let work = &work;
        join_all(
            self.all
                .iter()
                .map(|node| async move { (node.host().to_owned(), ask_one(node, work).await) }),
        )
        .await
    }

    /// Remembers a block that was shown to somebody; `tip` when it was the newest.
    pub fn followed(&self, block: &BlockRef, tip: bool) {
        let mut trail = self.trail.lock().unwrap_or_else(PoisonError::into_inner);
        trail.tip = if tip { block.height } else { trail.tip.max(block.height) };
        if trail.blocks.iter().any(|(_, known)| *known == block.hash) {
            return;
        }
        trail.blocks.push_back((block.height, block.hash.clone()));
        if trail.blocks.len() > TRAIL {
            trail.blocks.pop_front();
        }
    }

    /// Leaves a node that answers and stands still: when it has nothing above `at` and another one
    /// that shares our history is further, that one is followed. Looks at most every few seconds.
    pub async fn leave_if_behind(&self, at: u64) {
        if self.all.len() < 2 {
            return;
        }
        {
            let mut looked = self.looked.lock().unwrap_or_else(PoisonError::into_inner);
            if looked.is_some_and(|looked| looked.elapsed() < BETWEEN_LOOKS) {
                return;
            }
            *looked = Some(Instant::now());
        }
        let followed = self.current.load(Ordering::Acquire);
        for (index, other) in self.all.iter().enumerate() {
            // One block ahead is no more than a faster wire.
            let ahead = other.tip().await.is_ok_and(|tip| tip > at.saturating_add(1));
            if index != followed && ahead && self.shares_history(other).await {
                let to = other.host();
                tracing::warn!(at, to, "the node stands still, following another one");
                self.current.store(index, Ordering::Release);
                return;
            }
        }
    }

    /// Every node's word on a block we hold. None stands in for another.
    pub async fn witnesses(&self, block: &BlockRef) -> Vec<Witness> {
        join_all(self.all.iter().map(|node| async move {
            let says =
                word(node, block).await.unwrap_or_else(|error| Says::Silent(error.to_string()));
            Witness { node: node.host().to_owned(), says }
        }))
        .await
    }

    async fn shares_history(&self, other: &N) -> bool {
        let (tip, sampled) = {
            let trail = self.trail.lock().unwrap_or_else(PoisonError::into_inner);
            let newest_first = || trail.blocks.iter().rev().cloned();
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
        if !other.tip().await.is_ok_and(|latest| latest >= tip) {
            return false;
        }
        for (height, hash) in sampled {
            match other.hash_at(height).await {
                Ok(Some(theirs)) if theirs == hash => return true,
                Ok(_) => {}
                Err(_) => return false,
            }
        }
        false
    }
}

async fn word<N: Node>(node: &N, block: &BlockRef) -> Result<Says, ReadError> {
    node.ensure_ours().await?;
    let mut theirs = node.hash_at(block.height).await?;
    if theirs.is_none() {
        if node.tip().await? <= block.height {
            return Ok(Says::Behind);
        }
        // It may have come past our block between the two questions.
        theirs = node.hash_at(block.height).await?;
    }
    Ok(match theirs {
        Some(theirs) if theirs == block.hash => Says::Same,
        Some(theirs) => Says::Other(theirs),
        None => Says::Other("no block".to_owned()),
    })
}

async fn ask_one<'a, T, N, F>(node: &'a N, work: &F) -> Result<T, ReadError>
where
    N: Node,
    F: Fn(&'a N) -> Work<'a, T>,
{
    node.ensure_ours().await?;
    work(node).await
}

fn no_node() -> ReadError {
    ReadError::Unavailable("no node is configured".to_owned())
}
