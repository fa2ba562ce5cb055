//! The same transfer again, once the old one can no longer happen.
//!
//! Invariants: the old blockhash must be over in final blocks, told by a node whose final blocks
//! have come past the one it was read at: before, "not valid" may mean "not seen yet". And no final
//! transaction of ours to this receiver carries it: then the old one has not happened, and never
//! will. Every configured node says so; a proof that is not complete is a refusal.

use chains::{
    ReadError,
    carrier::{Draft, DraftError, SolanaTransfer, Unsigned, Wish},
    nodes::Node as _,
};
use futures::future::join_all;
use primitives::Asset;
use serde::Deserialize;
use serde_json::{Value, json};
use solana_client::rpc_request::RpcRequest;

use super::{
    draft::{self, Plan},
    refused, state,
};
use crate::{
    chain::{SolanaChain, key_of},
    node::Node,
    verify::TOKEN_PROGRAMS,
    wire::{InContext, garbage},
};

const PAGE: usize = 100;
/// Transactions of the receiver since then: a venue's deposit address has a few.
const MOST_PAGES: usize = 5;
/// By which a price rises at the least.
const STEP: u64 = 1_000;

/// A draft of ours, read back.
pub(super) struct Old {
    plan: Plan,
    transfer: SolanaTransfer,
    /// The account that every version of this transfer names.
    receiver: String,
}

#[derive(Deserialize)]
struct Listed {
    signature: String,
    slot: u64,
}

impl Old {
    pub(super) fn try_new(chain: &SolanaChain, draft: &Draft) -> Result<Self, DraftError> {
        let (Unsigned::Solana(transfer), [movable]) = (&draft.unsigned, draft.from.as_slice())
        else {
            return refused("not a draft of this network");
        };
        let asset = draft.amount.asset();
        let mint = chain.token(asset).map_err(DraftError::Refused)?;
        let same = transfer.from == movable.source
            && transfer.to == draft.to
            && i128::from(transfer.minor) == draft.amount.minor()
            && transfer.token.as_ref().map(|token| token.mint.as_str()) == mint
            && draft.fee_max.asset() == Asset::Sol
            && movable.amount.asset() == asset
            && key_of(&transfer.blockhash).is_some();
        let receiver = receiver(transfer).filter(|_| same);
        let Some(receiver) = receiver else {
            return refused("a draft that contradicts itself");
        };
        let whole = draft.amount.checked_add(draft.fee_max).ok();
        let everything = whole == Some(movable.amount) || draft.amount == movable.amount;
        let amount = Some(draft.amount).filter(|_| !everything);
        let wish = Wish { from: draft.from.clone(), to: draft.to.clone(), amount };
        let mut plan = Plan::try_new(chain, &wish)?;
        plan.price = transfer.unit_price.saturating_add((transfer.unit_price / 4).max(STEP));
        Ok(Self { plan, transfer: transfer.clone(), receiver })
    }
}

fn receiver(transfer: &SolanaTransfer) -> Option<String> {
    let Some(token) = &transfer.token else { return Some(transfer.to.clone()) };
    let nth = TOKEN_PROGRAMS.iter().position(|program| *program == token.program)?;
    let purses = state::purses(&key_of(&transfer.to)?, &key_of(&token.mint)?);
    purses.into_iter().nth(nth)
}

/// The same transfer again, of a node that is followed. Only after [`prove`].
pub(super) async fn decide(node: &Node, old: &Old) -> Result<Draft, DraftError> {
    draft::decide(node, &old.plan).await
}

/// That the old one has not happened and never will: every configured node says so. One that has
/// a gap in its history (started again from a snapshot) knows neither the transaction nor its gap.
///
/// # Errors
/// `Refused` when one node says otherwise, `Read` when one cannot tell.
pub(super) async fn prove(nodes: &[Node], old: &Old) -> Result<(), DraftError> {
    if nodes.is_empty() {
        return Err(ReadError::Unavailable("no node is configured".to_owned()).into());
    }
    let words = join_all(nodes.iter().map(|node| async { (node.host(), word(node, old).await) }));
    let mut silent = None;
    for (host, said) in words.await {
        match said {
            Ok(()) => {}
            Err(DraftError::Read(error)) => silent = silent.or(Some((host, error))),
            Err(no) => return Err(no),
        }
    }
    let Some((host, error)) = silent else { return Ok(()) };
    let sentence = format!("{host} cannot tell whether it is over: {error}");
    Err(ReadError::Unavailable(sentence).into())
}

async fn word(node: &Node, old: &Old) -> Result<(), DraftError> {
    node.ensure_ours().await?;
    let Some(last) = over(node, &old.transfer).await? else {
        return refused("its blockhash is not over: it may still happen");
    };
    match happened(node, old, last).await? {
        Some(false) => Ok(()),
        Some(true) => refused("it is in a block"),
        None => refused("the receiver has too many transactions to prove that it has not happened"),
    }
}

/// The final slot at which the blockhash is over; `None` while it is not.
async fn over(node: &Node, old: &SolanaTransfer) -> Result<Option<u64>, ReadError> {
    let config = json!({ "commitment": "finalized", "minContextSlot": old.blockhash_slot });
    let params = json!([old.blockhash, config]);
    let answer: InContext<bool> = node.call(RpcRequest::IsBlockhashValid, params).await?;
    if answer.context.slot < old.blockhash_slot {
        return Err(garbage("a word from before the blockhash"));
    }
    Ok((!answer.value).then_some(answer.context.slot))
}

/// Whether a transaction of the wallet with this blockhash is final; `None` when there are too many
/// to look through.
async fn happened(node: &Node, old: &Old, last: u64) -> Result<Option<bool>, ReadError> {
    let first: u64 = node.call(RpcRequest::GetFirstAvailableBlock, json!([])).await?;
    if first > old.transfer.blockhash_slot {
        let sentence = "the node has forgotten the time of the transaction".to_owned();
        return Err(ReadError::Unavailable(sentence));
    }
    let mut before: Option<String> = None;
    for _ in 0..MOST_PAGES {
        let mut config =
            json!({ "limit": PAGE, "commitment": "finalized", "minContextSlot": last });
        if let (Some(before), Some(config)) = (&before, config.as_object_mut()) {
            config.insert("before".to_owned(), json!(before));
        }
        let params = json!([old.receiver, config]);
        let page: Vec<Listed> = node.call(RpcRequest::GetSignaturesForAddress, params).await?;
        if page.len() > PAGE {
            return Err(garbage("more signatures than asked for"));
        }
        for listed in &page {
            if listed.slot < old.transfer.blockhash_slot {
                return Ok(Some(false));
            }
            if is_old(node, old, &listed.signature).await? {
                return Ok(Some(true));
            }
        }
        if page.len() < PAGE {
            return Ok(Some(false));
        }
        before = page.last().map(|listed| listed.signature.clone());
    }
    Ok(None)
}

async fn is_old(node: &Node, old: &Old, signature: &str) -> Result<bool, ReadError> {
    let config = json!({
        "encoding": "json", "commitment": "finalized", "maxSupportedTransactionVersion": 0,
    });
    let found: Value = node.call(RpcRequest::GetTransaction, json!([signature, config])).await?;
    let message = found.pointer("/transaction/message");
    let message = message.ok_or_else(|| garbage("no transaction it listed"))?;
    let text = |path: &str| message.pointer(path).and_then(Value::as_str);
    let (payer, hash) = text("/accountKeys/0")
        .zip(text("/recentBlockhash"))
        .ok_or_else(|| garbage("a transaction without a blockhash"))?;
    Ok(payer == old.transfer.from.address && hash == old.transfer.blockhash)
}
