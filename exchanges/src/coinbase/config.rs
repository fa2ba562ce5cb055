//! Settings of Coinbase as a source of rates: public data only, so no key.

use outbound::{BaseUrl, Settings};
use serde::Deserialize;

#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Config {
    pub base_url: BaseUrl,
    /// Whether the dollar books are read beside the rupee rates.
    #[serde(default = "usd_books")]
    pub usd_books: bool,
    #[serde(default)]
    pub http: Settings,
}

const fn usd_books() -> bool {
    true
}
