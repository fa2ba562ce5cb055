//! Settings of Binance as a source of rates: public data only, so no key.

use outbound::{BaseUrl, Settings};
use serde::Deserialize;

#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Config {
    pub base_url: BaseUrl,
    #[serde(default)]
    pub http: Settings,
}
