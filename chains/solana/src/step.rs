//! The step from a block we hold to its child.
//!
//! Invariant: a child counts only when it names our block as its parent, by hash and by slot.
//! Absence is never evidence here: a node that shows neither a child nor our block is behind.

use chains::{ReadError, Step, nodes::Node as _};

use crate::node::Node;

/// Two calls while the chain moves, two or three at the tip.
pub(crate) async fn after(node: &Node, slot: u64, hash: &str) -> Result<Step, ReadError> {
    if let Some(next) = node.next_slot(slot).await?
        && let Some(child) = node.header(next).await?
        && child.previous_blockhash == hash
        && child.parent_slot == slot
    {
        return Ok(Step::Next(child.reference(next)?));
    }
    let tip = node.tip().await?;
    Ok(match node.hash_at(slot).await? {
        Some(ours) if ours == hash && tip <= slot => Step::AtTip,
        Some(ours) if ours == hash => match node.next_slot(slot).await? {
            // A node between two answers, or one whose newer slots are all skipped.
            Some(_) => Step::Behind,
            None => Step::AtTip,
        },
        Some(_) => Step::Left,
        None if tip < slot => Step::Behind,
        // The slot has no block on the node's branch, though it has come further.
        None => Step::Left,
    })
}
