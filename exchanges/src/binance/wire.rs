//! Binance's JSON in the vendor's own words. No logic.

use serde::Deserialize;

use crate::decimal::WireDecimal;

/// `GET /api/v3/ticker/bookTicker`: the best prices, without a time.
#[derive(Debug, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct BookTicker {
    pub(super) symbol: String,
    pub(super) bid_price: WireDecimal,
    pub(super) ask_price: WireDecimal,
}

#[derive(Debug, Deserialize)]
pub(super) struct Failure {
    pub(super) code: i64,
    pub(super) msg: String,
}
