//! Giving up a move by hand, with the chain's proof.
//!
//! Invariant: a move of which something may be signed is given up only when every such attempt is
//! proven to be over. Only a network whose transactions end by themselves can prove that. Elsewhere
//! nothing but another transaction that spends the same ends one, and that is seen without asking.

use chains::carrier::{Carrier, DraftError, Unsigned};
use primitives::MoveId;
use settlement::{
    Base,
    treasury::{self, MoveAttempt, PersonError},
};

use crate::{Connectors, moving};

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
    let (moved, undecided) = {
        let mut conn = base.pool.acquire().await?;
        treasury::undecided_in(&mut conn, id).await?
    };
    let mut proven = Vec::new();
    for attempt in &undecided {
        let no = |why: String| PersonError::NotProven(attempt.attempt, why);
        let carrier = connectors.carrier(&moved.network).map_err(|error| no(error.to_string()))?;
        is_over(carrier, attempt).await.map_err(no)?;
        proven.push(attempt.attempt);
    }
    let mut tx = base.pool.begin().await?;
    treasury::abandon_in(&mut tx, base, id, &proven, by).await?;
    tx.commit().await?;
    Ok(())
}

/// `Ok` with proof. A carrier drafts a successor only after it.
async fn is_over(carrier: &dyn Carrier, attempt: &MoveAttempt) -> Result<(), String> {
    let draft = moving::draft_of(attempt).map_err(|error| error.to_string())?;
    if !matches!(draft.unsigned, Unsigned::Solana(_)) {
        let why = "here only another final transaction that spends the same ends it, and once \
                   there is one the move ends by itself";
        return Err(why.to_owned());
    }
    match carrier.bump(&draft).await {
        // What it would cost is asked after the proof.
        Ok(_) | Err(DraftError::NotWorth(_) | DraftError::NeedsGas(_)) => Ok(()),
        Err(error @ (DraftError::Refused(_) | DraftError::Read(_))) => Err(error.to_string()),
    }
}
