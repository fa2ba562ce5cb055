//! What moves of our own coins look like to chains, signers and venues: pure mappings and the
//! questions that are asked of several attempts at once.
//!
//! Invariant: nothing here decides or writes. Where a node cannot be read, nothing is known, and
//! what is known of one attempt is not read as news of another.

use std::collections::BTreeSet;

use chains::{
    Chain, ReadError, TxPlace,
    carrier::{Carrier, Draft, KeyRef, Movable, SignedTx, Unsigned},
};
use primitives::{Amount, Asset};
use settlement::{
    deposit::Depth,
    treasury::{InBlock, Move, MoveAttempt, MoveAttemptState, MovePurpose, NewSource},
};
use signing::{Intent, Purpose};

use crate::WorkError;

/// The frozen draft of an attempt.
pub(crate) fn draft_of(attempt: &MoveAttempt) -> Result<Draft, WorkError> {
    serde_json::from_value(attempt.draft.clone())
        .map_err(|error| WorkError::Nonsense(format!("a stored draft: {error}")))
}

/// What the signer is asked: the same for the same attempt, for ever.
pub(crate) fn intent(of: &Move, attempt: &MoveAttempt) -> Result<Intent, WorkError> {
    let draft = draft_of(attempt)?;
    Ok(Intent {
        id: attempt.intent,
        purpose: match of.purpose {
            MovePurpose::FundVenue => Purpose::FundVenue,
            MovePurpose::Gas => Purpose::Gas,
            MovePurpose::ToCold => Purpose::ToCold,
        },
        network: of.network.clone(),
        to: of.to.clone(),
        amount: attempt.amount,
        fee_max: attempt.fee_max,
        to_index: of.to_index,
        unsigned: draft.unsigned,
    })
}

/// The transaction of an attempt, if it is signed.
pub(crate) fn signed(attempt: &MoveAttempt) -> Option<SignedTx> {
    let (tx_id, raw) = attempt.tx_id.clone().zip(attempt.raw.clone())?;
    Some(SignedTx { tx_id, raw })
}

/// What no second transaction can spend: with it a node can tell a replacement from an absence.
pub(crate) fn spends(draft: &Draft) -> Vec<String> {
    match &draft.unsigned {
        Unsigned::Bitcoin { .. } => draft.from.iter().filter_map(|m| m.outpoint.clone()).collect(),
        Unsigned::Evm(transfer) => vec![format!("{}:{}", transfer.from.address, transfer.nonce)],
        Unsigned::Solana(_) => Vec::new(),
    }
}

/// The gas station's address and the nonce of a draft, where its transactions are counted. Deposit
/// addresses are not: one live move has all of one.
pub(crate) fn nonce(draft: &Draft) -> Option<(String, u64)> {
    match &draft.unsigned {
        Unsigned::Evm(transfer) if transfer.from.key == KeyRef::Gas => {
            Some((transfer.from.address.clone(), transfer.nonce))
        }
        _ => None,
    }
}

/// The same transaction behind others of its address.
pub(crate) fn set_nonce(draft: &mut Draft, nonce: i64) -> Result<(), WorkError> {
    if let Unsigned::Evm(transfer) = &mut draft.unsigned {
        transfer.nonce = u64::try_from(nonce)
            .map_err(|_| WorkError::Nonsense("a nonce below zero".to_owned()))?;
    }
    Ok(())
}

/// Cuts what a draft brings to a whole number of the destination's steps, where the coin pays its
/// own fee: what is finer stays at the place. Amounts of tokens are never redrawn, whole outputs
/// cannot be cut, and Solana's drafts are asked for anew.
pub(crate) fn cut(draft: &mut Draft, step: i128) -> Result<(), WorkError> {
    let Unsigned::Evm(transfer) = &mut draft.unsigned else { return Ok(()) };
    let rest = draft.amount.minor().checked_rem(step.max(1)).unwrap_or(0);
    let minor = draft.amount.minor().saturating_sub(rest);
    if transfer.token.is_some() || rest == 0 || minor <= 0 {
        return Ok(());
    }
    let nonsense = |error: primitives::AmountError| WorkError::Nonsense(error.to_string());
    draft.amount = Amount::try_new(minor, draft.amount.asset()).map_err(nonsense)?;
    transfer.minor = minor.to_string();
    Ok(())
}

/// How the database fences a source.
pub(crate) fn sources(draft: &Draft) -> Result<Vec<NewSource>, WorkError> {
    let counted = nonce(draft).map(|(_, nonce)| i64::try_from(nonce)).transpose();
    let counted = counted.map_err(|_| WorkError::Nonsense("a nonce without end".to_owned()))?;
    let source = |movable: &Movable| NewSource {
        source: match (&movable.outpoint, counted) {
            (Some(outpoint), _) => outpoint.clone(),
            (None, Some(nonce)) => format!("{}:{nonce}", movable.source.address),
            (None, None) => movable.source.address.clone(),
        },
        address: movable.source.address.clone(),
        amount: movable.amount,
        nonce: counted,
    };
    Ok(draft.from.iter().map(source).collect())
}

/// What a draft takes from, whatever its nonce.
pub(crate) fn places(draft: &Draft) -> BTreeSet<String> {
    let place = |m: &Movable| m.outpoint.clone().unwrap_or_else(|| m.source.address.clone());
    draft.from.iter().map(place).collect()
}

/// The key of the address at an index.
pub(crate) const fn key(index: u32) -> KeyRef {
    KeyRef::Deposit(index)
}

/// What the chain says of all attempts of a move together.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Seen {
    InBlock(InBlock, bool),
    /// At least one waits for a block, or a foreign one does in its place.
    Waiting,
    /// A foreign transaction in a block took what all of ours would spend.
    Overtaken {
        height: u64,
    },
    /// The node knows none of them.
    Nothing,
}

/// Asks for every attempt that may be on the chain.
///
/// # Errors
/// `ReadError` when a node cannot be read: then nothing is known.
pub(crate) async fn look(chain: &dyn Chain, attempts: &[MoveAttempt]) -> Result<Seen, WorkError> {
    let may_be = |a: &&MoveAttempt| {
        a.first_sent_at.is_some()
            && matches!(
                a.state,
                MoveAttemptState::Sent | MoveAttemptState::Won | MoveAttemptState::Lost
            )
    };
    let ours: Vec<&str> = attempts.iter().filter_map(|a| a.tx_id.as_deref()).collect();
    let mut best = Seen::Nothing;
    // The newest first: it is the likeliest.
    for attempt in attempts.iter().rev().filter(may_be) {
        let Some(tx_id) = &attempt.tx_id else { continue };
        let spends = spends(&draft_of(attempt)?);
        let place = chain.locate(tx_id, &spends).await.map_err(unreadable)?;
        match place {
            TxPlace::Included { height, block_hash, succeeded } => {
                let height = i64::try_from(height)
                    .map_err(|_| WorkError::Nonsense(format!("block {height}")))?;
                let at = InBlock { attempt: attempt.attempt, block_hash, height };
                return Ok(Seen::InBlock(at, succeeded));
            }
            TxPlace::Pending => best = Seen::Waiting,
            TxPlace::Replaced { by, mined } => {
                let is_ours = by.as_deref().is_some_and(|by| ours.contains(&by));
                best = match (best, mined) {
                    (Seen::Nothing, Some(height)) if !is_ours => Seen::Overtaken { height },
                    (Seen::Nothing, _) => Seen::Waiting,
                    (known, _) => known,
                };
            }
            TxPlace::Absent => {}
        }
    }
    Ok(best)
}

/// A node that cannot be read says nothing: asked again later, with a back-off.
pub(crate) fn unreadable(error: ReadError) -> WorkError {
    WorkError::Node(error.to_string())
}

/// How deep the chain is now.
pub(crate) async fn depth(chain: &dyn Chain) -> Result<Depth, WorkError> {
    let head = chain.head().await.map_err(unreadable)?;
    Ok(Depth { latest: head.latest.height, safe: head.safe, finalized: head.finalized })
}

/// True when this block holds the transaction, and it succeeded there.
async fn stands_in(chain: &dyn Chain, tx_id: &str, hash: &str) -> Result<bool, WorkError> {
    let place = chain.locate(tx_id, &[]).await.map_err(unreadable)?;
    let is_there = |place: &TxPlace| match place {
        TxPlace::Included { block_hash, succeeded, .. } => block_hash == hash && *succeeded,
        _ => false,
    };
    Ok(is_there(&place))
}

/// What reached the destination, and what it cost. `None` while a node does not tell both.
pub(crate) async fn brought(
    chain: &dyn Chain,
    carrier: &dyn Carrier,
    of: &Move,
    (tx_id, block_hash): (&str, &str),
    asset: Asset,
) -> Result<Option<(Amount, Amount)>, WorkError> {
    let mut arrived = Amount::zero(asset);
    let mut brought = chain.outgoing(tx_id, &of.to, asset).await.map_err(unreadable)?;
    if brought.is_empty() {
        // A node that lags has nothing to tell either: its word counts between two looks that find
        // the transaction in this very block.
        if !stands_in(chain, tx_id, block_hash).await? {
            return Ok(None);
        }
        brought = chain.outgoing(tx_id, &of.to, asset).await.map_err(unreadable)?;
        if brought.is_empty() && !stands_in(chain, tx_id, block_hash).await? {
            return Ok(None);
        }
    }
    for outgoing in brought {
        if outgoing.block.hash != block_hash {
            return Ok(None);
        }
        arrived = arrived
            .checked_add(outgoing.amount)
            .map_err(|error| WorkError::Nonsense(error.to_string()))?;
    }
    let cost = carrier.cost(tx_id).await.map_err(unreadable)?;
    Ok(cost.map(|cost| (arrived, cost)))
}
