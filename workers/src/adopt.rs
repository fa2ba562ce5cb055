//! Bringing a transaction from the signer's log back to its move, after a restored database.
//!
//! Invariant: what is adopted is looked for and handed out like any other attempt, by what its
//! bytes say, never by a draft that was made later: that one has another nonce, and where
//! transactions end by themselves (Solana) another blockhash, and only what was signed can be
//! proven to be over. How bytes are read is deliberately elsewhere: the carriers of the networks.

use chains::{
    TxPlace,
    carrier::{Carrier, Draft, SignedTx, Unsigned},
};
use primitives::MoveId;
use settlement::{
    Base,
    treasury::{self, Adopted, Move, MoveAttempt, PersonError},
};

use crate::{Connectors, moving};

/// What the signer's log holds under an attempt's id.
#[derive(Debug, Clone)]
pub struct Logged {
    pub tx_id: String,
    /// Hexadecimal.
    pub raw: String,
}

/// Adopts a transaction, or says in a sentence why not.
///
/// # Errors
/// `PersonError`: `NotProven` when the network cannot be read, or the bytes are something else.
pub async fn adopt(
    (connectors, base): (&Connectors, &Base),
    (id, attempt): (MoveId, i32),
    logged: &Logged,
    by: (&str, &str),
) -> Result<(), PersonError> {
    let (moved, attempts) = {
        let mut conn = base.pool.acquire().await?;
        let moved = treasury::get_in(&mut conn, id).await?;
        let moved = moved.ok_or(PersonError::NotThere("no such move"))?;
        let attempts = treasury::attempts_in(&mut conn, &moved).await?;
        (moved, attempts)
    };
    let no = |why: String| PersonError::NotProven(attempt, why);
    let carrier = connectors.carrier(&moved.network).map_err(|error| no(error.to_string()))?;
    let draft = signed_draft(carrier, &attempts, (&moved, attempt), logged).map_err(no)?;
    let chain = connectors.chain(&moved.network).map_err(|error| no(error.to_string()))?;
    let place = chain.locate(&logged.tx_id, &[]).await.map_err(|error| no(error.to_string()))?;
    if let TxPlace::Included { succeeded: true, .. } = place {
        let to = chain.outgoing(&logged.tx_id, &moved.to, moved.asset).await;
        if to.map_err(|error| no(error.to_string()))?.is_empty() {
            return Err(no("it is in a block, and pays somebody else".to_owned()));
        }
    }
    let nonce = moving::nonce(&draft).map(|(_, nonce)| i64::try_from(nonce)).transpose();
    let told = Adopted {
        tx_id: logged.tx_id.clone(),
        raw: logged.raw.clone(),
        nonce: nonce.map_err(|_| no("a nonce without end".to_owned()))?,
        amount: draft.amount,
        fee_max: draft.fee_max,
        draft: serde_json::to_value(&draft).map_err(|error| no(error.to_string()))?,
    };
    let mut tx = base.pool.begin().await?;
    treasury::adopt_in(&mut tx, base, (id, attempt), &told, by).await?;
    tx.commit().await?;
    Ok(())
}

/// The draft of what was signed, as its bytes tell it.
fn signed_draft(
    carrier: &dyn Carrier,
    attempts: &[MoveAttempt],
    (moved, attempt): (&Move, i32),
    logged: &Logged,
) -> Result<Draft, String> {
    let known = attempts.iter().find(|a| a.attempt == attempt).ok_or("no such attempt")?;
    let like = moving::draft_of(known).map_err(|error| error.to_string())?;
    let signed = SignedTx { tx_id: logged.tx_id.clone(), raw: logged.raw.clone() };
    let mut draft = carrier.read_signed(&like, &signed)?;
    if draft.to != moved.to {
        return Err("it pays somebody else".to_owned());
    }
    if let Unsigned::Solana(transfer) = &mut draft.unsigned {
        // Not before this move's first draft was its blockhash read.
        transfer.blockhash_slot = first_slot(attempts).unwrap_or(0);
    }
    Ok(draft)
}

fn slot_of(attempt: &MoveAttempt) -> Option<u64> {
    match moving::draft_of(attempt).ok()?.unsigned {
        Unsigned::Solana(transfer) => Some(transfer.blockhash_slot),
        Unsigned::Bitcoin { .. } | Unsigned::Evm(_) => None,
    }
}

fn first_slot(attempts: &[MoveAttempt]) -> Option<u64> {
    attempts.iter().filter_map(slot_of).min()
}

/// What must be proven of an attempt before it counts as over. Of an adopted one nobody knows when
/// its blockhash was read: not before the move's first draft and not after the one the signer
/// refused. Its history is looked through from the one, its end is believed from the other on.
pub(crate) fn to_be_proven(
    attempts: &[MoveAttempt],
    attempt: &MoveAttempt,
) -> Result<Vec<Draft>, String> {
    let draft = moving::draft_of(attempt).map_err(|error| error.to_string())?;
    let Some(adopted) = attempt.adopts else { return Ok(vec![draft]) };
    let refused = attempts.iter().find(|a| a.attempt == adopted).and_then(slot_of);
    let mut late = draft.clone();
    if let (Unsigned::Solana(transfer), Some(slot)) = (&mut late.unsigned, refused) {
        transfer.blockhash_slot = slot;
    }
    Ok(vec![draft, late])
}
