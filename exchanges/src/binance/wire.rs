//! Binance's JSON in the vendor's own words: spot REST (`/api/v3`) and the wallet (`/sapi`).
//! No logic. Fields nobody reads are left out.

use serde::Deserialize;
use serde_json::value::RawValue;

use crate::decimal::WireDecimal;

#[derive(Debug, Deserialize)]
pub(super) struct Failure {
    pub(super) code: i64,
    pub(super) msg: String,
}

#[derive(Debug, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct Time {
    pub(super) server_time: i64,
}

/// `GET /api/v3/ticker/bookTicker`: the best prices, without a time.
#[derive(Debug, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct BookTicker {
    pub(super) symbol: String,
    pub(super) bid_price: WireDecimal,
    pub(super) ask_price: WireDecimal,
}

#[derive(Debug, Deserialize)]
pub(super) struct Depth {
    pub(super) bids: Vec<(WireDecimal, WireDecimal)>,
    pub(super) asks: Vec<(WireDecimal, WireDecimal)>,
}

#[derive(Debug, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct ExchangeInfo {
    #[serde(default)]
    pub(super) rate_limits: Vec<RateLimit>,
    pub(super) symbols: Vec<Symbol>,
}

#[derive(Debug, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct RateLimit {
    pub(super) rate_limit_type: String,
    pub(super) interval: String,
    pub(super) interval_num: u32,
    pub(super) limit: u32,
}

#[derive(Debug, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct Symbol {
    pub(super) symbol: String,
    pub(super) status: String,
    pub(super) quote_asset_precision: u32,
    pub(super) is_spot_trading_allowed: bool,
    pub(super) filters: Vec<Filter>,
}

/// One of many filters; each uses its own few of these.
#[derive(Debug, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct Filter {
    pub(super) filter_type: String,
    pub(super) tick_size: Option<WireDecimal>,
    pub(super) min_qty: Option<WireDecimal>,
    pub(super) max_qty: Option<WireDecimal>,
    pub(super) step_size: Option<WireDecimal>,
    pub(super) min_notional: Option<WireDecimal>,
}

/// The answer to placing, finding and cancelling. A cancellation has a client id of its own and
/// tells ours as `origClientOrderId`.
#[derive(Debug, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct Order {
    pub(super) symbol: String,
    pub(super) order_id: u64,
    pub(super) client_order_id: String,
    pub(super) orig_client_order_id: Option<String>,
    pub(super) price: WireDecimal,
    pub(super) orig_qty: WireDecimal,
    pub(super) executed_qty: WireDecimal,
    pub(super) status: String,
    pub(super) side: String,
}

#[derive(Debug, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct Trade {
    pub(super) symbol: String,
    pub(super) id: u64,
    pub(super) order_id: u64,
    pub(super) price: WireDecimal,
    pub(super) qty: WireDecimal,
    pub(super) quote_qty: WireDecimal,
    pub(super) commission: WireDecimal,
    pub(super) commission_asset: String,
    pub(super) time: i64,
    pub(super) is_buyer: bool,
}

#[derive(Debug, Deserialize)]
pub(super) struct Account {
    pub(super) balances: Vec<Balance>,
}

/// Amounts stay raw: coins we do not know may have any number of digits.
#[derive(Debug, Deserialize)]
pub(super) struct Balance {
    pub(super) asset: String,
    pub(super) free: Box<RawValue>,
    pub(super) locked: Box<RawValue>,
}

#[derive(Debug, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct Commission {
    pub(super) standard_commission: Rates,
    pub(super) special_commission: Option<Rates>,
    pub(super) tax_commission: Option<Rates>,
}

#[derive(Debug, Deserialize)]
pub(super) struct Rates {
    pub(super) taker: WireDecimal,
    pub(super) seller: WireDecimal,
}

/// One coin of `capital/config/getall`.
#[derive(Debug, Clone, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct Coin {
    pub(super) coin: String,
    pub(super) withdraw_all_enable: bool,
    pub(super) network_list: Vec<Network>,
}

#[derive(Debug, Clone, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct Network {
    pub(super) network: String,
    pub(super) withdraw_enable: bool,
    #[serde(default)]
    pub(super) busy: bool,
    pub(super) withdraw_fee: Box<RawValue>,
    pub(super) withdraw_min: Box<RawValue>,
}

#[derive(Debug, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct Restrictions {
    pub(super) ip_restrict: bool,
    pub(super) enable_withdrawals: bool,
}

#[derive(Debug, Deserialize)]
pub(super) struct DepositAddress {
    pub(super) address: String,
    pub(super) coin: String,
    pub(super) tag: Option<String>,
}

#[derive(Debug, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct Deposit {
    pub(super) id: String,
    pub(super) amount: WireDecimal,
    pub(super) coin: String,
    pub(super) network: String,
    pub(super) status: i64,
    pub(super) tx_id: String,
    pub(super) insert_time: i64,
}

#[derive(Debug, Deserialize)]
pub(super) struct Applied {
    pub(super) id: String,
}

/// One line of the withdrawal history. `amount` is what arrives, the fee is beside it.
#[derive(Debug, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct Withdrawal {
    pub(super) id: String,
    pub(super) amount: WireDecimal,
    pub(super) transaction_fee: WireDecimal,
    pub(super) coin: String,
    pub(super) status: i64,
    pub(super) tx_id: Option<String>,
    pub(super) withdraw_order_id: Option<String>,
}

#[derive(Debug, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct Questionnaire {
    pub(super) questionnaire_country_code: String,
}
