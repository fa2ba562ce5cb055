//! CoinGecko's JSON in the vendor's own words. No logic.

use std::collections::BTreeMap;

use serde::Deserialize;
use serde_json::value::RawValue;

/// `GET /api/v3/simple/price`: by coin id.
pub(super) type Prices = BTreeMap<String, Price>;

/// Numbers stay raw text: they are JSON numbers with any number of digits, and tiny ones come as
/// `1e-7`. A currency that is not known is absent or `null`.
#[derive(Debug, Deserialize)]
pub(super) struct Price {
    pub(super) inr: Option<Box<RawValue>>,
    pub(super) last_updated_at: Option<i64>,
}

/// `{"status":{"error_code":10002,"error_message":"…"}}`; without a plan the older `error`.
#[derive(Debug, Deserialize)]
pub(super) struct Failure {
    pub(super) status: Option<Status>,
    pub(super) error_code: Option<i64>,
    pub(super) error: Option<String>,
}

#[derive(Debug, Deserialize)]
pub(super) struct Status {
    pub(super) error_code: i64,
    #[serde(default)]
    pub(super) error_message: String,
}
