//! The step from a block we hold to its child.
//!
//! Invariant: a child counts only when it names our block as its parent.

use chains::{ReadError, Step, nodes::Node as _};

use crate::node::{Node, garbage};

/// Two calls while the chain moves, one at the tip.
pub(crate) async fn after(node: &Node, height: u64, hash: &str) -> Result<Step, ReadError> {
    let Some(ours) = node.header(hash).await? else {
        // It never saw our block: it is behind us, or follows a branch without it.
        let behind = node.tip().await? < height;
        return Ok(if behind { Step::Behind } else { Step::Left });
    };
    if ours.height != height {
        return Err(garbage("another height"));
    }
    if ours.confirmations < 0 {
        // On a branch that lost, or the node itself went back: only a chain as high as ours says
        // that ours is left.
        let behind = node.tip().await? < height;
        return Ok(if behind { Step::Behind } else { Step::Left });
    }
    let Some(next) = ours.next else {
        return Ok(Step::AtTip);
    };
    match node.header(&next).await? {
        Some(child) if child.previous == ours.hash => Ok(Step::Next(child.reference()?)),
        Some(_) => Err(garbage("a child of another block")),
        None => Ok(Step::Behind),
    }
}
