//! Coinbase's JSON (Advanced Trade v3) in the vendor's own words. No logic.
//!
//! What the wallet's older API says is in `wallet_wire`.

use std::collections::BTreeMap;

use serde::Deserialize;

use crate::decimal::WireDecimal;

/// Either API's refusal: `errors` is the older one's.
#[derive(Debug, Deserialize)]
pub(super) struct Failure {
    pub(super) error: Option<String>,
    pub(super) message: Option<String>,
    pub(super) error_details: Option<String>,
    pub(super) errors: Option<Vec<FailureEntry>>,
}

#[derive(Debug, Deserialize)]
pub(super) struct FailureEntry {
    pub(super) id: String,
    pub(super) message: String,
}

#[derive(Debug, Deserialize)]
pub(super) struct Time {
    #[serde(rename = "epochMillis")]
    pub(super) epoch_millis: String,
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
    pub(super) size: WireDecimal,
}

#[derive(Debug, Deserialize)]
pub(super) struct Product {
    pub(super) product_id: String,
    pub(super) base_increment: WireDecimal,
    pub(super) quote_increment: WireDecimal,
    pub(super) price_increment: Option<WireDecimal>,
    pub(super) base_min_size: Option<WireDecimal>,
    pub(super) base_max_size: Option<WireDecimal>,
    pub(super) quote_min_size: WireDecimal,
    pub(super) status: String,
    pub(super) trading_disabled: bool,
    pub(super) is_disabled: bool,
    #[serde(default)]
    pub(super) cancel_only: bool,
    #[serde(default)]
    pub(super) post_only: bool,
    #[serde(default)]
    pub(super) view_only: bool,
    #[serde(default)]
    pub(super) auction_mode: bool,
}

/// `POST /api/v3/brokerage/orders`: 200 says both "taken" and "not taken".
#[derive(Debug, Deserialize)]
pub(super) struct Placed {
    pub(super) success: bool,
    pub(super) failure_reason: Option<String>,
    pub(super) success_response: Option<Taken>,
    pub(super) error_response: Option<NotTaken>,
}

#[derive(Debug, Deserialize)]
pub(super) struct Taken {
    pub(super) order_id: String,
    pub(super) product_id: String,
    pub(super) side: String,
    pub(super) client_order_id: String,
}

#[derive(Debug, Deserialize)]
pub(super) struct NotTaken {
    pub(super) error: Option<String>,
    pub(super) message: Option<String>,
    pub(super) new_order_failure_reason: Option<String>,
    pub(super) preview_failure_reason: Option<String>,
}

#[derive(Debug, Deserialize)]
pub(super) struct Shown {
    pub(super) order: Order,
}

#[derive(Debug, Deserialize)]
pub(super) struct Orders {
    pub(super) orders: Vec<Order>,
    pub(super) has_next: bool,
    pub(super) cursor: Option<String>,
}

#[derive(Debug, Deserialize)]
pub(super) struct Order {
    pub(super) order_id: String,
    pub(super) product_id: String,
    pub(super) order_configuration: Configuration,
    pub(super) side: String,
    pub(super) client_order_id: String,
    pub(super) status: String,
    pub(super) filled_size: WireDecimal,
}

/// One entry, named by the kind of the order: `limit_limit_gtc`, `sor_limit_ioc`, …
pub(super) type Configuration = BTreeMap<String, Option<Terms>>;

#[derive(Debug, Clone, Copy, Deserialize)]
pub(super) struct Terms {
    pub(super) base_size: Option<WireDecimal>,
    pub(super) limit_price: Option<WireDecimal>,
}

/// `POST /api/v3/brokerage/orders/batch_cancel`.
#[derive(Debug, Deserialize)]
pub(super) struct Cancels {
    pub(super) results: Vec<Cancel>,
}

#[derive(Debug, Deserialize)]
pub(super) struct Cancel {
    pub(super) success: bool,
    pub(super) failure_reason: Option<String>,
    pub(super) order_id: String,
}

#[derive(Debug, Deserialize)]
pub(super) struct Fills {
    pub(super) fills: Vec<Fill>,
    pub(super) cursor: Option<String>,
}

#[derive(Debug, Deserialize)]
pub(super) struct Fill {
    pub(super) entry_id: String,
    pub(super) trade_id: String,
    pub(super) order_id: String,
    pub(super) trade_time: String,
    pub(super) trade_type: String,
    pub(super) price: WireDecimal,
    pub(super) size: WireDecimal,
    pub(super) commission: WireDecimal,
    pub(super) product_id: String,
    #[serde(default)]
    pub(super) size_in_quote: bool,
    pub(super) side: String,
}

#[derive(Debug, Deserialize)]
pub(super) struct Accounts {
    pub(super) accounts: Vec<Account>,
    pub(super) has_next: bool,
    pub(super) cursor: Option<String>,
}

#[derive(Debug, Deserialize)]
pub(super) struct Account {
    pub(super) currency: String,
    #[serde(rename = "type")]
    pub(super) kind: String,
    pub(super) available_balance: Money,
    pub(super) hold: Money,
}

/// Raw, because a currency that is none of ours may have more digits than a decimal holds.
#[derive(Debug, Deserialize)]
pub(super) struct Money {
    pub(super) value: Box<serde_json::value::RawValue>,
}

/// `GET /api/v3/brokerage/transaction_summary`.
#[derive(Debug, Deserialize)]
pub(super) struct Summary {
    pub(super) fee_tier: FeeTier,
    pub(super) goods_and_services_tax: Option<Gst>,
}

#[derive(Debug, Deserialize)]
pub(super) struct FeeTier {
    pub(super) taker_fee_rate: WireDecimal,
}

/// On top of the fee (`EXCLUSIVE`) or in it (`INCLUSIVE`).
#[derive(Debug, Deserialize)]
pub(super) struct Gst {
    pub(super) rate: WireDecimal,
    #[serde(rename = "type")]
    pub(super) kind: String,
}
