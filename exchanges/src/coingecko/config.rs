//! Settings of CoinGecko as a source of rates. The key is optional, and bound to its host.

use outbound::{BaseUrl, BuildError, Settings};
use primitives::Secret;
use serde::Deserialize;

#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Config {
    pub base_url: BaseUrl,
    /// A demo key, or a paid one for the host `pro-api.coingecko.com`.
    pub api_key: Option<Secret>,
    #[serde(default)]
    pub http: Settings,
}

const PRO_HOST: &str = "pro-api.coingecko.com";

impl Config {
    pub(super) fn check(&self) -> Result<(), BuildError> {
        if self.api_key.as_ref().is_some_and(|key| key.expose().trim().is_empty()) {
            return Err(BuildError::Config("coingecko: api_key must not be empty".into()));
        }
        Ok(())
    }

    /// A key sent to the wrong host is refused, and shown to somebody it was not made for.
    pub(super) fn key_header(&self) -> &'static str {
        if self.base_url.host() == PRO_HOST { "x-cg-pro-api-key" } else { "x-cg-demo-api-key" }
    }
}
