//! WazirX's JSON in the vendor's own words: <https://docs.wazirx.com/>. No logic.

use serde::Deserialize;

use serde_json::value::RawValue;

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

#[derive(Debug, Clone, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct Coin {
    pub(super) currency: String,
    pub(super) network_list: Vec<Network>,
}

#[derive(Debug, Clone, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct Network {
    pub(super) network: String,
    pub(super) withdraw_enable: bool,
    pub(super) withdraw_fee: Box<RawValue>,
    pub(super) min_withdraw_amount: Box<RawValue>,
}

#[derive(Debug, Clone, Deserialize)]
pub(super) struct DepositAddress {
    pub(super) address: String,
    pub(super) coin: Option<String>,
    pub(super) tag: Option<String>,
}

/// One address a person has allowed in the venue's own pages.
#[derive(Debug, Deserialize)]
pub(super) struct AddressEntry {
    pub(super) id: Box<RawValue>,
    pub(super) address: String,
    pub(super) coin: String,
    pub(super) network: Option<String>,
}

#[derive(Debug, Deserialize)]
pub(super) struct Applied {
    pub(super) id: Box<RawValue>,
}

/// The status is a word live and a number in the documentation.
#[derive(Debug, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct Withdrawal {
    pub(super) id: Box<RawValue>,
    pub(super) amount: WireDecimal,
    pub(super) transaction_fee: Option<WireDecimal>,
    pub(super) coin: String,
    pub(super) status: Box<RawValue>,
    pub(super) tx_id: Option<String>,
    pub(super) withdraw_order_id: Option<String>,
}

#[derive(Debug, Deserialize)]
pub(super) struct Failure {
    pub(super) code: i64,
    pub(super) message: String,
}
