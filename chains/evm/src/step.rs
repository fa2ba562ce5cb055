//! The step from a block we hold to its child.
//!
//! Invariant: a child counts only when it names our block as its parent. One call while the chain
//! moves, two at the tip.

use alloy::primitives::B256;
use chains::{ReadError, Step};

use crate::node::Node;

pub(crate) async fn after(node: &Node, height: u64, hash: B256) -> Result<Step, ReadError> {
    if let Some(next) = node.header_at(height.saturating_add(1)).await? {
        if next.parent_hash == hash {
            return Ok(Step::Next(next.reference()?));
        }
        // The node may have moved to another branch between two calls; what it says of our own
        // height decides.
        return Ok(match node.header_at(height).await? {
            Some(ours) if ours.hash == hash => Step::Behind,
            _ => Step::Left,
        });
    }
    Ok(match node.header_at(height).await? {
        Some(ours) if ours.hash == hash => Step::AtTip,
        Some(_) => Step::Left,
        None => Step::Behind,
    })
}
