//! The step from a block we hold to its child.
//!
//! Invariant: a child counts only when it names our block as its parent, by hash and by slot, and
//! our branch is left only on such a word: a block at or above our slot that names another parent.
//! A node that shows neither says nothing: absence is never evidence on this network.

use chains::{ReadError, Step};

use crate::{node::Node, wire::garbage};

/// Two calls.
pub(crate) async fn after(node: &Node, slot: u64, hash: &str) -> Result<Step, ReadError> {
    let slots = node.blocks(slot, 2).await?;
    let lists_ours = slots.first() == Some(&slot);
    if let Some(next) = slots.into_iter().find(|next| *next > slot) {
        let child = node.header(next).await?.ok_or_else(|| garbage("a block it lacks"))?;
        if child.parent_slot == slot {
            let ours = child.previous_blockhash == hash;
            return Ok(if ours { Step::Next(child.reference(next)?) } else { Step::Left });
        }
        if child.parent_slot > slot {
            return Err(garbage("slots that leave out a block"));
        }
        // The branch goes over our slot. Where the list names it all the same, the node changed
        // its mind between two answers: ask again.
        return Ok(if lists_ours { Step::Behind } else { Step::Left });
    }
    if !lists_ours {
        return Ok(Step::Behind);
    }
    Ok(match node.header(slot).await? {
        Some(ours) if ours.blockhash == hash => Step::AtTip,
        Some(_) => Step::Left,
        None => Step::Behind,
    })
}
