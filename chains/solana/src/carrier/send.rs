//! Sending what a signer has signed.
//!
//! Invariants: the bytes must be the transaction they are said to be; a refusal counts only when
//! the node does not know this very transaction; an unknown blockhash is old only where every node
//! that is up to date says so. No answer is "unknown", never "not sent".

use base64::{Engine as _, engine::general_purpose::STANDARD};
use chains::{
    ReadError,
    carrier::{Draft, SendError, SignedTx, Unsigned},
    nodes::Node as _,
};
use serde_json::json;
use solana_client::rpc_request::RpcRequest;

use crate::{
    node::{Fault, Node},
    wire::{InContext, garbage},
};

/// What a packet of the network holds.
const LARGEST: usize = 1_232;
const PREFLIGHT: i64 = -32002;
const BAD_SIGNATURE: i64 = -32003;

pub(super) struct Raw {
    signature: String,
    payer: String,
    blockhash: String,
    bytes: Vec<u8>,
}

/// What became of it at one node.
#[derive(Debug)]
pub(super) enum Sent {
    Taken,
    Refused(String),
    /// Old, or not seen by this node yet.
    NoBlockhash(String),
}

impl Raw {
    /// # Errors
    /// A sentence when it is not the transaction it says, or one of several signatures.
    pub(super) fn try_new(signed: &SignedTx) -> Result<Self, String> {
        let digits = Some(signed.raw.as_str()).filter(|digits| digits.len() <= 2 * LARGEST);
        let bytes =
            digits.and_then(|digits| hex::decode(digits).ok()).ok_or("no raw transaction")?;
        let parts = bytes.split_first_chunk::<65>().and_then(|(head, message)| {
            let (count, signature) = head.split_first()?;
            let signature = Some(bs58::encode(signature).into_string()).filter(|_| *count == 1)?;
            Some((signature, payer_and_blockhash(message)?))
        });
        let (signature, (payer, blockhash)) =
            parts.ok_or("not a transaction with one signature")?;
        if signature != signed.tx_id {
            return Err("the bytes are another transaction".to_owned());
        }
        Ok(Self { signature, payer, blockhash, bytes })
    }
}

/// A draft with the blockhash that was signed.
pub(super) fn read(like: &Draft, signed: &SignedTx) -> Result<Draft, String> {
    let tx = Raw::try_new(signed)?;
    let mut draft = like.clone();
    let Unsigned::Solana(transfer) = &mut draft.unsigned else {
        return Err("not a draft of this network".to_owned());
    };
    if tx.payer != transfer.from.address {
        return Err("another wallet pays for it".to_owned());
    }
    transfer.blockhash = tx.blockhash;
    Ok(draft)
}

/// Of a legacy message with fewer than 128 accounts: a header of three bytes, the accounts with who
/// pays as the first, then the blockhash.
fn payer_and_blockhash(message: &[u8]) -> Option<(String, String)> {
    let (_header, rest) =
        message.split_at_checked(3).filter(|(head, _)| head.first() == Some(&1))?;
    let (count, rest) = rest.split_first()?;
    let accounts = usize::from(*count).checked_mul(32).filter(|_| *count < 128)?;
    let payer = rest.get(..accounts)?.first_chunk::<32>()?;
    let hash = rest.get(accounts..)?.first_chunk::<32>()?;
    Some((bs58::encode(payer).into_string(), bs58::encode(hash).into_string()))
}

pub(super) async fn to(node: &Node, tx: &Raw) -> Result<Sent, ReadError> {
    // The node runs it first, at the commitment a confirmed or final blockhash is known at, and
    // goes on repeating it to the leaders by itself for as long as its blockhash lasts.
    let config = json!({
        "encoding": "base64", "skipPreflight": false, "preflightCommitment": "confirmed",
    });
    let params = json!([STANDARD.encode(&tx.bytes), config]);
    let told: Result<String, Fault> = node.call(RpcRequest::SendTransaction, params).await;
    let (code, why) = match told {
        Ok(signature) if signature == tx.signature => return Ok(Sent::Taken),
        Ok(_) => return Err(garbage("the signature of another transaction")),
        Err(Fault::Refused(code, why)) => (code, why),
        Err(fault) => return Err(fault.into()),
    };
    let words = why.to_lowercase();
    if words.contains("already been processed") || words.contains("alreadyprocessed") {
        return Ok(Sent::Taken);
    }
    if code != PREFLIGHT && code != BAD_SIGNATURE {
        return Err(Fault::Refused(code, why).into());
    }
    // What was taken before may have used what it needs, or may have outlived its blockhash.
    if node.status(&tx.signature).await?.is_some() {
        return Ok(Sent::Taken);
    }
    if words.contains("blockhash not found") || words.contains("blockhashnotfound") {
        return Ok(Sent::NoBlockhash(why));
    }
    Ok(Sent::Refused(why))
}

/// What all nodes say of a transaction whose blockhash one does not know.
enum Word {
    Known,
    StillGood,
    Over,
}

pub(super) async fn over(nodes: &[Node], tx: &Raw, why: String) -> Result<(), SendError> {
    let mut is_over = false;
    for node in nodes {
        match word(node, tx).await {
            Ok(Word::Known) => return Ok(()),
            Ok(Word::StillGood) => return Err(SendError::Unknown(why)),
            Ok(Word::Over) => is_over = true,
            Err(error) => {
                let host = node.host();
                tracing::debug!(host, %error, "a node that cannot tell whether it is over");
            }
        }
    }
    Err(if is_over { SendError::Refused(why) } else { SendError::Unknown(why) })
}

async fn word(node: &Node, tx: &Raw) -> Result<Word, ReadError> {
    node.ensure_ours().await?;
    if node.status(&tx.signature).await?.is_some() {
        return Ok(Word::Known);
    }
    // A node that lags has not seen it yet; one that is healthy has seen every final block.
    let health: String = node.call(RpcRequest::GetHealth, json!([])).await?;
    if health != "ok" {
        return Err(garbage("poor health"));
    }
    for commitment in ["confirmed", "finalized"] {
        let params = json!([tx.blockhash, { "commitment": commitment }]);
        let valid: InContext<bool> = node.call(RpcRequest::IsBlockhashValid, params).await?;
        if valid.value {
            return Ok(Word::StillGood);
        }
    }
    Ok(Word::Over)
}

#[cfg(test)]
mod tests {
    use chains::carrier::{KeyRef, Movable, SolanaTransfer, Source};
    use primitives::{Amount, Asset};

    use super::*;
    use crate::carrier::message;

    fn key(byte: u8) -> String {
        bs58::encode([byte; 32]).into_string()
    }

    fn draft(payer: u8, blockhash: u8) -> Draft {
        let from = Source { address: key(payer), key: KeyRef::Deposit(0) };
        let amount = Amount::try_new(500, Asset::Sol).unwrap();
        let transfer = SolanaTransfer {
            from: from.clone(),
            to: key(8),
            token: None,
            minor: 500,
            blockhash: key(blockhash),
            blockhash_slot: 3,
            unit_price: 1,
            unit_limit: 1_000,
        };
        let from = vec![Movable { source: from, amount, outpoint: None }];
        let unsigned = Unsigned::Solana(transfer);
        Draft { from, to: key(8), amount, fee_max: amount, unsigned }
    }

    fn signed(draft: &Draft) -> SignedTx {
        let Unsigned::Solana(transfer) = &draft.unsigned else { panic!("another network") };
        let message = message::bytes(transfer).unwrap();
        let raw = [&[1][..], &[4; 64][..], &message].concat();
        SignedTx { tx_id: bs58::encode([4; 64]).into_string(), raw: hex::encode(raw) }
    }

    #[test]
    fn the_blockhash_that_was_signed_is_read() {
        let read = read(&draft(5, 7), &signed(&draft(5, 6))).unwrap();
        assert_eq!(read, draft(5, 6));
    }

    #[test]
    fn what_is_not_this_move_is_not_read() {
        let good = signed(&draft(5, 6));
        let no = |signed: &SignedTx, word: &str| {
            let read = read(&draft(5, 7), signed);
            assert!(matches!(&read, Err(why) if why.contains(word)), "{word}: {read:?}");
        };
        no(&signed(&draft(9, 6)), "another wallet");
        no(&SignedTx { tx_id: key(4), ..good.clone() }, "another transaction");
        for raw in ["", "0", "zz", "00", &good.raw[..200], &"ff".repeat(1_300)] {
            no(&SignedTx { raw: raw.to_owned(), ..good.clone() }, "transaction");
        }
    }
}
