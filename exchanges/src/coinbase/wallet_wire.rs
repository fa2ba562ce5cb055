//! Coinbase's JSON (data and wallet API v2) in the vendor's own words. No logic.

use std::collections::BTreeMap;

use serde::Deserialize;
use serde_json::value::RawValue;

use crate::decimal::WireDecimal;

#[derive(Debug, Deserialize)]
pub(super) struct One<T> {
    pub(super) data: T,
}

#[derive(Debug, Deserialize)]
pub(super) struct Many<T> {
    pub(super) pagination: Option<Pagination>,
    pub(super) data: Vec<T>,
}

#[derive(Debug, Deserialize)]
pub(super) struct Pagination {
    pub(super) next_starting_after: Option<String>,
}

/// `rates` holds hundreds of currencies; they stay raw until one is wanted.
/// They are text, but have been seen as bare numbers.
#[derive(Debug, Deserialize)]
pub(super) struct Rates {
    pub(super) currency: String,
    pub(super) rates: BTreeMap<String, Box<RawValue>>,
}

#[derive(Debug, Deserialize)]
pub(super) struct Account {
    pub(super) id: String,
    #[serde(default)]
    pub(super) primary: bool,
    #[serde(rename = "type")]
    pub(super) kind: String,
    pub(super) currency: Currency,
}

/// An object in lists of accounts; the bare code in places.
#[derive(Debug, Deserialize)]
#[serde(untagged)]
pub(super) enum Currency {
    Full { code: String },
    Code(String),
}

impl Currency {
    pub(super) fn code(&self) -> &str {
        match self {
            Self::Full { code } | Self::Code(code) => code,
        }
    }
}

#[derive(Debug, Clone, Deserialize)]
pub(super) struct Address {
    pub(super) address: String,
    pub(super) address_info: Option<AddressInfo>,
    pub(super) network: String,
    pub(super) created_at: String,
}

#[derive(Debug, Clone, Deserialize)]
pub(super) struct AddressInfo {
    pub(super) destination_tag: Option<String>,
}

#[derive(Debug, Deserialize)]
pub(super) struct Amount {
    pub(super) amount: WireDecimal,
    pub(super) currency: String,
}

/// What happened on an account: a credit is positive, a debit negative.
#[derive(Debug, Deserialize)]
pub(super) struct Transaction {
    pub(super) id: String,
    #[serde(rename = "type")]
    pub(super) kind: String,
    pub(super) status: String,
    pub(super) amount: Amount,
    pub(super) created_at: String,
    pub(super) network: Option<Network>,
    /// Of sends alone.
    pub(super) idem: Option<String>,
}

#[derive(Debug, Deserialize)]
pub(super) struct Network {
    pub(super) hash: Option<String>,
    pub(super) network_name: Option<String>,
    pub(super) transaction_fee: Option<Amount>,
}
