//! The parts of a node's answers we read, and nothing else.
//!
//! Invariant: a field that money depends on is required; what is missing is an error, never zero.

use chains::{BlockRef, ReadError};
use chrono::DateTime;
use serde::Deserialize;
use serde_json::Value;

/// A block without its transactions.
#[derive(Debug, Clone, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct Header {
    pub(crate) blockhash: String,
    pub(crate) previous_blockhash: String,
    pub(crate) parent_slot: u64,
    /// Seconds since 1970; null where the node has not worked it out yet, or not any more.
    pub(crate) block_time: Option<i64>,
}

impl Header {
    /// An answer does not say which slot it is of; that its parent lies below is what can be seen.
    pub(crate) fn checked(self, slot: u64) -> Result<Self, ReadError> {
        if self.parent_slot < slot || slot == 0 {
            return Ok(self);
        }
        Err(garbage("a block older than its parent"))
    }

    pub(crate) fn reference(&self, slot: u64) -> Result<BlockRef, ReadError> {
        let stamp = self.block_time.ok_or_else(|| garbage("a block without a time"))?;
        let time = DateTime::from_timestamp(stamp, 0);
        Ok(BlockRef {
            height: slot,
            hash: self.blockhash.clone(),
            parent_hash: self.previous_blockhash.clone(),
            time: time.ok_or_else(|| garbage("a time"))?,
        })
    }
}

/// A block with what its transactions did to accounts.
#[derive(Debug, Deserialize)]
pub(crate) struct Block {
    #[serde(flatten)]
    pub(crate) header: Header,
    pub(crate) transactions: Vec<Transaction>,
}

#[derive(Debug, Deserialize)]
pub(crate) struct Transaction {
    pub(crate) meta: Option<Meta>,
    pub(crate) transaction: Accounts,
}

#[derive(Debug, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct Accounts {
    /// With the ones loaded from lookup tables.
    pub(crate) account_keys: Vec<Key>,
    pub(crate) signatures: Vec<String>,
}

#[derive(Debug, Deserialize)]
pub(crate) struct Key {
    pub(crate) pubkey: String,
    pub(crate) signer: bool,
}

#[derive(Debug, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct Meta {
    /// Null when the transaction succeeded. Required: a missing one must not read as success.
    #[serde(deserialize_with = "present")]
    pub(crate) err: Value,
    pub(crate) pre_balances: Vec<u64>,
    pub(crate) post_balances: Vec<u64>,
    /// Required, both: a node that does not record them would hide every token.
    pub(crate) pre_token_balances: Vec<TokenBalance>,
    pub(crate) post_token_balances: Vec<TokenBalance>,
}

#[derive(Debug, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct TokenBalance {
    pub(crate) account_index: usize,
    pub(crate) mint: String,
    /// Missing in answers of very old nodes: then nobody knows whose it is.
    pub(crate) owner: Option<String>,
    pub(crate) ui_token_amount: TokenAmount,
}

#[derive(Debug, Deserialize)]
pub(crate) struct TokenAmount {
    /// Base units, in digits.
    pub(crate) amount: String,
    pub(crate) decimals: u8,
}

/// What a node says of a signature.
#[derive(Debug, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct Status {
    pub(crate) slot: u64,
    #[serde(deserialize_with = "present")]
    pub(crate) err: Value,
    pub(crate) confirmation_status: Option<String>,
}

/// An answer with the slot it is of around it.
#[derive(Debug, Deserialize)]
pub(crate) struct InContext<T> {
    pub(crate) context: Context,
    pub(crate) value: T,
}

#[derive(Debug, Clone, Copy, Deserialize)]
pub(crate) struct Context {
    pub(crate) slot: u64,
}

pub(crate) fn present<'de, D: serde::Deserializer<'de>>(
    deserializer: D,
) -> Result<Value, D::Error> {
    Value::deserialize(deserializer)
}

pub(crate) fn garbage(what: &str) -> ReadError {
    ReadError::Unavailable(format!("the node answered with {what}"))
}
