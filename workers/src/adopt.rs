//! Bringing a transaction from the signer's log back to its move, after a restored database.
//!
//! Invariant: what is adopted is looked for and handed out like any other attempt. Where
//! transactions end by themselves (Solana), the blockhash is read from the signed bytes, never from
//! a draft that was made later: only what was signed can be proven to be over.

use chains::{
    TxPlace,
    carrier::{Draft, Unsigned},
};
use primitives::MoveId;
use settlement::{
    Base,
    treasury::{self, Adopted, MoveAttempt, PersonError},
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
    let draft = signed_draft(&attempts, attempt, logged).map_err(no)?;
    let chain = connectors.chain(&moved.network).map_err(|error| no(error.to_string()))?;
    let place = chain.locate(&logged.tx_id, &[]).await.map_err(|error| no(error.to_string()))?;
    if let TxPlace::Included { succeeded: true, .. } = place {
        let to = chain.outgoing(&logged.tx_id, &moved.to, moved.asset).await;
        if to.map_err(|error| no(error.to_string()))?.is_empty() {
            return Err(no("it is in a block, and pays somebody else".to_owned()));
        }
    }
    let draft = serde_json::to_value(&draft).map_err(|error| no(error.to_string()))?;
    let told = Adopted { tx_id: logged.tx_id.clone(), raw: logged.raw.clone(), draft };
    let mut tx = base.pool.begin().await?;
    treasury::adopt_in(&mut tx, base, (id, attempt), &told, by).await?;
    tx.commit().await?;
    Ok(())
}

/// The draft of what was signed, as far as the bytes tell it.
fn signed_draft(attempts: &[MoveAttempt], attempt: i32, logged: &Logged) -> Result<Draft, String> {
    let known = attempts.iter().find(|a| a.attempt == attempt).ok_or("no such attempt")?;
    let mut draft = moving::draft_of(known).map_err(|error| error.to_string())?;
    if let Unsigned::Solana(transfer) = &mut draft.unsigned {
        let signed = Signed::read(&logged.raw).ok_or("no raw transaction of this network")?;
        if signed.signature != logged.tx_id {
            return Err("the bytes are another transaction".to_owned());
        }
        if signed.payer != transfer.from.address {
            return Err("another wallet pays for it".to_owned());
        }
        transfer.blockhash = signed.blockhash;
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

/// What a signed transaction of Solana says in its first bytes: signatures, a header, the accounts
/// with the payer as the first, and the blockhash.
#[derive(Debug, PartialEq, Eq)]
struct Signed {
    signature: String,
    payer: String,
    blockhash: String,
}

impl Signed {
    fn read(raw: &str) -> Option<Self> {
        let bytes = unhex(raw.strip_prefix("0x").unwrap_or(raw))?;
        let (count, rest) = count(&bytes)?;
        let (signature, _) = rest.split_at_checked(64)?;
        let rest = rest.get(count.checked_mul(64)?..)?;
        // A version stands before the header, with its highest bit set.
        let versioned = rest.first().is_some_and(|first| first & 0x80 != 0);
        let rest = rest.get(if versioned { 4 } else { 3 }..)?;
        let (count, rest) = self::count(rest)?;
        let (payer, _) = rest.split_at_checked(32)?;
        let rest = rest.get(count.checked_mul(32)?..)?;
        let (blockhash, _) = rest.split_at_checked(32)?;
        let text = |bytes: &[u8]| bs58::encode(bytes).into_string();
        Some(Self { signature: text(signature), payer: text(payer), blockhash: text(blockhash) })
    }
}

/// Seven bits a byte, the lowest first; at most three bytes.
fn count(bytes: &[u8]) -> Option<(usize, &[u8])> {
    let mut value = 0_usize;
    for place in 0..3_u32 {
        let byte = bytes.get(usize::try_from(place).ok()?)?;
        let part = usize::from(byte & 0x7f).checked_shl(place.checked_mul(7)?)?;
        value = value.checked_add(part)?;
        if byte & 0x80 == 0 {
            let rest = bytes.get(usize::try_from(place).ok()?.checked_add(1)?..)?;
            return (value > 0).then_some((value, rest));
        }
    }
    None
}

/// A transaction of Solana has 1,232 bytes at most.
const LONGEST: usize = 2_464;

fn unhex(text: &str) -> Option<Vec<u8>> {
    if text.len() > LONGEST || !text.len().is_multiple_of(2) || !text.is_ascii() {
        return None;
    }
    (0..text.len())
        .step_by(2)
        .map(|at| u8::from_str_radix(text.get(at..at.checked_add(2)?)?, 16).ok())
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn raw(signatures: u8, version: Option<u8>) -> String {
        let mut bytes = vec![signatures];
        for nth in 0..signatures {
            bytes.extend([10 + nth; 64]);
        }
        bytes.extend(version);
        bytes.extend([1, 0, 1, 2]);
        bytes.extend([3; 32]);
        bytes.extend([4; 32]);
        bytes.extend([5; 32]);
        bytes.extend([0, 0]);
        bytes.iter().map(|byte| format!("{byte:02x}")).collect()
    }

    #[test]
    fn a_signed_transaction_is_read() {
        let text = |byte, count| bs58::encode(vec![byte; count]).into_string();
        for (signatures, version) in [(1, None), (2, None), (1, Some(0x80))] {
            let read = Signed::read(&raw(signatures, version)).unwrap();
            assert_eq!(read.signature, text(10, 64));
            assert_eq!((read.payer, read.blockhash), (text(3, 32), text(5, 32)));
        }
    }

    #[test]
    fn nonsense_is_not_read() {
        let good = raw(1, None);
        for bad in ["", "0", "zz", "00", &good[..200], &"ff".repeat(1_300)] {
            assert_eq!(Signed::read(bad), None, "{bad}");
        }
    }
}
