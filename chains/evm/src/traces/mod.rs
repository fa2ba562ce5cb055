//! Internal value transfers: coins that a contract moves, where no `to` and no log shows them.
//!
//! Invariants: a frame counts only if neither it nor any ancestor failed; a frame that borrows its
//! value (delegate and static calls, callcode) moves nothing; a trace that lacks a transaction of
//! the block is refused. The n-th frame is counted over all value frames of its transaction, failed
//! ones too, in order of execution: the number depends on the transaction, not on the block.

mod geth;
mod parity;

use alloy::primitives::{Address, B256, U256};
use chains::ReadError;

use crate::{
    config::TraceMode,
    node::{Fault, Node},
    wire::Block,
};

/// Which of the two tracing dialects a node speaks.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Tracer {
    Parity,
    Geth,
}

/// Coins moved inside a transaction, for good if the transaction succeeded.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Inner {
    pub(crate) tx: B256,
    /// Position among the value frames of the transaction.
    pub(crate) nth: u32,
    pub(crate) from: Address,
    pub(crate) to: Address,
    pub(crate) value: U256,
}

/// All internal value transfers of the block that were not undone.
pub(crate) async fn of_block(
    node: &Node,
    block: &Block,
    mode: TraceMode,
) -> Result<Vec<Inner>, ReadError> {
    if mode == TraceMode::Off {
        return Ok(Vec::new());
    }
    match tracer(node, mode) {
        Some(Tracer::Parity) => Ok(parity::of_block(node, block).await.map_err(ReadError::from)?),
        Some(Tracer::Geth) => Ok(geth::of_block(node, block).await.map_err(ReadError::from)?),
        None => by_trying(node, block).await,
    }
}

fn tracer(node: &Node, mode: TraceMode) -> Option<Tracer> {
    match mode {
        TraceMode::TraceBlock => Some(Tracer::Parity),
        TraceMode::DebugTraceBlock => Some(Tracer::Geth),
        TraceMode::Auto | TraceMode::Off => node.tracer.get().copied(),
    }
}

async fn by_trying(node: &Node, block: &Block) -> Result<Vec<Inner>, ReadError> {
    let (found, inner) = match parity::of_block(node, block).await {
        Ok(inner) => (Tracer::Parity, inner),
        Err(Fault::NoMethod(_)) => match geth::of_block(node, block).await {
            Ok(inner) => (Tracer::Geth, inner),
            Err(Fault::NoMethod(_)) => {
                let sentence = "the node cannot trace (neither trace_block nor \
                    debug_traceBlockByHash); `trace = \"off\"` accepts to miss such payments";
                return Err(ReadError::Unavailable(sentence.to_owned()));
            }
            Err(fault) => return Err(fault.into()),
        },
        Err(fault) => return Err(fault.into()),
    };
    node.tracer.get_or_init(|| found);
    Ok(inner)
}

/// Numbers the value frames of one transaction.
struct Counter {
    tx: B256,
    next: u32,
}

impl Counter {
    const fn new(tx: B256) -> Self {
        Self { tx, next: 0 }
    }

    /// Counts a frame; gives it back when it really moved coins to somebody else.
    fn count(&mut self, frame: Movement, void: bool) -> Option<Inner> {
        if frame.value.is_zero() {
            return None;
        }
        let nth = self.next;
        self.next = self.next.saturating_add(1);
        let (from, to) = (frame.from, frame.to?);
        let moved = !void && from != to;
        moved.then_some(Inner { tx: self.tx, nth, from, to, value: frame.value })
    }
}

/// What a frame of either dialect moves. `to` is absent when a creation failed.
struct Movement {
    from: Address,
    to: Option<Address>,
    value: U256,
}
