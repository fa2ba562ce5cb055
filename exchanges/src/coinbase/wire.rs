//! Coinbase's JSON (data API v2 and Advanced Trade) in the vendor's own words. No logic.

use std::collections::BTreeMap;

use serde::Deserialize;
use serde_json::value::RawValue;

use crate::decimal::WireDecimal;

#[derive(Debug, Deserialize)]
pub(super) struct ExchangeRates {
    pub(super) data: Rates,
}

/// `rates` holds hundreds of currencies; they stay raw until one is wanted.
/// They are text, but have been seen as bare numbers.
#[derive(Debug, Deserialize)]
pub(super) struct Rates {
    pub(super) currency: String,
    pub(super) rates: BTreeMap<String, Box<RawValue>>,
}

#[derive(Debug, Deserialize)]
pub(super) struct Failure {
    pub(super) errors: Vec<FailureEntry>,
}

#[derive(Debug, Deserialize)]
pub(super) struct FailureEntry {
    pub(super) id: String,
    pub(super) message: String,
}

/// `GET /api/v3/brokerage/market/product_book`.
#[derive(Debug, Deserialize)]
pub(super) struct ProductBook {
    pub(super) pricebook: PriceBook,
}

#[derive(Debug, Deserialize)]
pub(super) struct PriceBook {
    pub(super) product_id: String,
    pub(super) bids: Vec<Level>,
    pub(super) asks: Vec<Level>,
    /// ISO-8601.
    pub(super) time: String,
}

#[derive(Debug, Deserialize)]
pub(super) struct Level {
    pub(super) price: WireDecimal,
}
