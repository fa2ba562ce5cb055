//! Giving up a move by hand, with the chain's proof.
//!
//! Invariant: a move of which something may be signed is given up only when every such attempt is
//! proven to be over. Only a network whose transactions end by themselves can prove that. Elsewhere
//! nothing but another transaction that spends the same ends one, and that is seen without asking.
//! Where a final block brought nothing, that block is read anew: a node may have lagged.

use chains::carrier::{Carrier, Draft, DraftError, Unsigned};
use primitives::MoveId;
use settlement::{
    Base,
    treasury::{self, Move, MoveAttempt, PersonError},
};

use crate::{Connectors, adopt::to_be_proven, moving};

/// Proves and gives up, or says in a sentence why not.
///
/// # Errors
/// `PersonError`: `NotProven` while any attempt may still happen, or nobody can tell.
pub async fn abandon(
    connectors: &Connectors,
    base: &Base,
    id: MoveId,
    by: (&str, &str),
) -> Result<(), PersonError> {
    let (moved, undecided, all) = {
        let mut conn = base.pool.acquire().await?;
        let (moved, undecided) = treasury::undecided_in(&mut conn, id).await?;
        let all = treasury::attempts_in(&mut conn, &moved).await?;
        (moved, undecided, all)
    };
    if moved.won.is_some() {
        brought_nothing(connectors, (&moved, &all)).await?;
    }
    let mut proven = Vec::new();
    for attempt in &undecided {
        let no = |why: String| PersonError::NotProven(attempt.attempt, why);
        let carrier = connectors.carrier(&moved.network).map_err(|error| no(error.to_string()))?;
        for draft in to_be_proven(&all, attempt).map_err(no)? {
            is_over(carrier, &draft).await.map_err(no)?;
        }
        proven.push(attempt.attempt);
    }
    let mut tx = base.pool.begin().await?;
    treasury::abandon_in(&mut tx, base, id, &proven, by).await?;
    tx.commit().await?;
    Ok(())
}

/// `Ok` when the final block that holds one of its attempts still brings nothing.
async fn brought_nothing(
    connectors: &Connectors,
    (moved, attempts): (&Move, &[MoveAttempt]),
) -> Result<(), PersonError> {
    let number = moved.won.unwrap_or(0);
    let no = |why: String| PersonError::NotProven(number, why);
    let winner = attempts.iter().find(|a| Some(a.attempt) == moved.won);
    let tx_id = winner.and_then(|winner| winner.tx_id.as_deref());
    let (Some(tx_id), Some(hash)) = (tx_id, moved.block_hash.as_deref()) else {
        return Err(no("its block is not known".to_owned()));
    };
    let chain = connectors.chain(&moved.network).map_err(|error| no(error.to_string()))?;
    let carrier = connectors.carrier(&moved.network).map_err(|error| no(error.to_string()))?;
    let told = moving::brought(chain, carrier, moved, (tx_id, hash), moved.asset).await;
    match told.map_err(|error| no(error.to_string()))? {
        Some((arrived, _)) if arrived.is_zero() => Ok(()),
        Some((arrived, _)) => {
            Err(no(format!("its block brought {arrived}: `chukta treasury retry` books it")))
        }
        None => Err(no("its block cannot be read now, or is gone".to_owned())),
    }
}

/// `Ok` with proof. A carrier drafts a successor only after it.
async fn is_over(carrier: &dyn Carrier, draft: &Draft) -> Result<(), String> {
    if !matches!(draft.unsigned, Unsigned::Solana(_)) {
        let why = "here only another final transaction that spends the same ends it, and once \
                   there is one the move ends by itself";
        return Err(why.to_owned());
    }
    match carrier.bump(draft).await {
        // What it would cost is asked after the proof.
        Ok(_) | Err(DraftError::NotWorth(_) | DraftError::NeedsGas(_)) => Ok(()),
        Err(error @ (DraftError::Refused(_) | DraftError::Read(_))) => Err(error.to_string()),
    }
}
