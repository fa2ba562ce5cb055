//! WazirX's JSON in the vendor's own words: <https://docs.wazirx.com/>. No logic.

use serde::Deserialize;

use crate::decimal::WireDecimal;

#[derive(Debug, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct Time {
    pub(super) server_time: i64,
}

#[derive(Debug, Deserialize)]
pub(super) struct ExchangeInfo {
    pub(super) symbols: Vec<Symbol>,
}

#[derive(Debug, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct Symbol {
    pub(super) symbol: String,
    pub(super) status: String,
    pub(super) base_asset_precision: u32,
    pub(super) is_spot_trading_allowed: bool,
    pub(super) filters: Vec<Filter>,
}

#[derive(Debug, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct Filter {
    pub(super) filter_type: String,
    pub(super) tick_size: Option<WireDecimal>,
}

/// `timestamp` is documented in seconds; other calls of this vendor use milliseconds.
#[derive(Debug, Deserialize)]
pub(super) struct Depth {
    pub(super) timestamp: Option<i64>,
    pub(super) bids: Vec<(WireDecimal, WireDecimal)>,
    pub(super) asks: Vec<(WireDecimal, WireDecimal)>,
}

#[derive(Debug, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct Ticker {
    pub(super) symbol: String,
    pub(super) bid_price: Option<WireDecimal>,
    pub(super) ask_price: Option<WireDecimal>,
    pub(super) at: i64,
}

#[derive(Debug, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct Order {
    pub(super) id: u64,
    pub(super) client_order_id: Option<String>,
    pub(super) symbol: String,
    pub(super) price: WireDecimal,
    pub(super) orig_qty: WireDecimal,
    pub(super) executed_qty: WireDecimal,
    pub(super) status: String,
    pub(super) side: String,
}

#[derive(Debug, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct Trade {
    pub(super) id: u64,
    pub(super) symbol: String,
    pub(super) fee: Option<WireDecimal>,
    pub(super) fee_currency: Option<String>,
    pub(super) quote_qty: Option<WireDecimal>,
    pub(super) price: WireDecimal,
    pub(super) qty: WireDecimal,
    pub(super) order_id: u64,
    pub(super) side: String,
    pub(super) time: i64,
}

#[derive(Debug, Deserialize)]
pub(super) struct Fund {
    pub(super) asset: String,
    pub(super) free: WireDecimal,
    pub(super) locked: WireDecimal,
}

#[derive(Debug, Deserialize)]
pub(super) struct Failure {
    pub(super) code: i64,
    pub(super) message: String,
}
