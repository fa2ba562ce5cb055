//! Settings of RazorpayX.
//!
//! Invariant: no empty secret. An empty webhook secret would let anybody sign, so the process
//! refuses to start with one.

use outbound::{BaseUrl, BuildError, Settings};
use primitives::Secret;
use serde::Deserialize;

#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Config {
    /// Scheme, host and port; the paths are ours.
    pub base_url: BaseUrl,
    pub key_id: Secret,
    pub key_secret: Secret,
    /// Our own account that payouts leave from.
    pub account_number: Secret,
    /// Newest first. Keep the old one for 25 hours after a rotation: retried events still carry it.
    pub webhook_secrets: Vec<Secret>,
    #[serde(default = "http")]
    pub http: Settings,
}

impl Config {
    pub(super) fn check(&self) -> Result<(), BuildError> {
        let refuse = |what: &str| Err(BuildError::Config(format!("razorpayx: {what}")));
        let is_blank = |secret: &Secret| secret.expose().trim().is_empty();
        if is_blank(&self.key_id) || is_blank(&self.key_secret) {
            return refuse("key_id and key_secret must not be empty");
        }
        if self.webhook_secrets.is_empty() || self.webhook_secrets.iter().any(is_blank) {
            return refuse("webhook_secrets must hold at least one, none of them empty");
        }
        let account = self.account_number.expose();
        if !(5..=35).contains(&account.len()) || !account.bytes().all(|b| b.is_ascii_alphanumeric())
        {
            return refuse("account_number must be 5 to 35 letters and digits");
        }
        Ok(())
    }
}

/// The vendor publishes no limit and advises 5 to 10 calls a second.
fn http() -> Settings {
    Settings { requests_per_second: 10, burst: 20, ..Settings::default() }
}
