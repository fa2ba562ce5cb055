//! Sending what a signer has signed.
//!
//! Invariants: the bytes must be the transaction they are said to be; a refusal counts only when
//! the node does not know this very transaction; an unknown blockhash is old only where every node
//! that is up to date says so. No answer is "unknown", never "not sent".

use base64::{Engine as _, engine::general_purpose::STANDARD};
use chains::{
    ReadError,
    carrier::{SendError, SignedTx},
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
            Some((signature, blockhash(message)?))
        });
        let (signature, blockhash) = parts.ok_or("not a transaction with one signature")?;
        if signature != signed.tx_id {
            return Err("the bytes are another transaction".to_owned());
        }
        Ok(Self { signature, blockhash, bytes })
    }
}

/// Of a legacy message with fewer than 128 accounts: a header of three bytes, the accounts, then
/// the blockhash.
fn blockhash(message: &[u8]) -> Option<String> {
    let (_header, rest) =
        message.split_at_checked(3).filter(|(head, _)| head.first() == Some(&1))?;
    let (count, rest) = rest.split_first()?;
    let accounts = usize::from(*count).checked_mul(32).filter(|_| *count < 128)?;
    let hash = rest.get(accounts..)?.first_chunk::<32>()?;
    Some(bs58::encode(hash).into_string())
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
