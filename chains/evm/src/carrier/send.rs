//! Sending what a signer has signed.
//!
//! Invariants: the bytes must be the transaction they are said to be, for this chain; a refusal
//! counts only when the node does not know this very transaction; words we do not know are no
//! refusal. No answer is "unknown", never "not sent".

use alloy::{
    consensus::{Signed, TxEip1559, TxEnvelope},
    eips::eip2718::Decodable2718 as _,
    primitives::{B256, Bytes, hex, keccak256},
};
use chains::{ReadError, carrier::SignedTx};

use crate::{
    node::{Node, Said},
    wire::{TxMention, garbage, hash_of},
};

/// Several times what a token transfer has.
const LARGEST: usize = 1_024;

pub(super) struct Raw {
    hash: B256,
    bytes: Bytes,
    pub(super) tx: Signed<TxEip1559>,
}

/// What became of it at one node.
#[derive(Debug)]
pub(super) enum Sent {
    Taken,
    Refused(String),
}

impl Raw {
    /// # Errors
    /// A sentence when it is not a transaction for this chain.
    pub(super) fn try_new(signed: &SignedTx, chain_id: u64) -> Result<Self, String> {
        let digits = signed.raw.strip_prefix("0x").unwrap_or(&signed.raw);
        let bytes = Some(digits).filter(|digits| digits.len() <= 2 * LARGEST);
        let bytes =
            bytes.and_then(|digits| hex::decode(digits).ok()).ok_or("no raw transaction")?;
        let hash = keccak256(&bytes);
        if hash_of(&signed.tx_id) != Some(hash) {
            return Err("the bytes are another transaction".to_owned());
        }
        let mut rest = bytes.as_slice();
        let tx = TxEnvelope::decode_2718(&mut rest).ok().filter(|_| rest.is_empty());
        match tx {
            Some(TxEnvelope::Eip1559(tx)) if tx.tx().chain_id == chain_id => {
                Ok(Self { hash, bytes: bytes.into(), tx })
            }
            _ => Err("not an EIP-1559 transaction of this chain".to_owned()),
        }
    }
}

pub(super) async fn to(node: &Node, tx: &Raw) -> Result<Sent, ReadError> {
    let told = node.told::<_, B256>("eth_sendRawTransaction", (&tx.bytes,)).await?;
    let said = match told {
        Ok(hash) if hash == tx.hash => return Ok(Sent::Taken),
        Ok(_) => return Err(garbage("the hash of another transaction")),
        Err(said) => said,
    };
    if has_it(&said) {
        return Ok(Sent::Taken);
    }
    if !is_refusal(&said) {
        return Err(ReadError::Unavailable(said.shown));
    }
    // Its own nonce is used, or its own place is taken, where it was accepted before.
    let known: Option<TxMention> = node.call("eth_getTransactionByHash", (tx.hash,)).await?;
    match known {
        None => Ok(Sent::Refused(said.shown)),
        Some(known) if known.hash == tx.hash => Ok(Sent::Taken),
        Some(_) => Err(garbage("another transaction")),
    }
}

/// Geth, Nethermind, reth and anvil say it in their own words.
fn has_it(said: &Said) -> bool {
    let words = ["already known", "already imported", "alreadyknown"];
    words.iter().any(|word| said.words.contains(word))
}

/// What a node says of a transaction, not of itself.
fn is_refusal(said: &Said) -> bool {
    let words = [
        "nonce too low",
        "nonce is too low",
        "oldnonce",
        "underpriced",
        "feetoolow",
        "insufficient funds",
        "insufficientfunds",
        "insufficient balance",
        "intrinsic gas too low",
        "exceeds block gas limit",
        "max fee per gas less than block base fee",
        "fee cap less than block base fee",
        "max priority fee per gas higher than max fee per gas",
        "invalid sender",
        "invalid signature",
        "invalid chain id",
        "sender is not an eoa",
        "sender not an eoa",
    ];
    words.iter().any(|word| said.words.contains(word))
}
