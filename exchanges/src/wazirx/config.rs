//! Settings of WazirX. The vendor's API shows neither its fee schedule nor GST, TDS or the
//! smallest order, so they are settings and reconciled against the balance.

use std::collections::BTreeMap;

use outbound::{BaseUrl, BuildError, Settings};
use primitives::{Bps, NetworkId, Secret};
use rust_decimal::Decimal;
use serde::Deserialize;

#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Config {
    /// Scheme, host and port; the paths are ours.
    pub base_url: BaseUrl,
    pub api_key: Secret,
    pub secret: Secret,
    /// How long after its timestamp a signed request is accepted: the fence of an unknown order.
    #[serde(default = "recv_window_ms")]
    pub recv_window_ms: u32,
    /// Used only for executions whose own fee the venue does not state.
    #[serde(default = "fee_bps")]
    pub fee_bps: Bps,
    /// GST on the fee.
    #[serde(default = "gst_bps")]
    pub gst_bps: Bps,
    /// Tax withheld from the gross of a sale.
    #[serde(default = "tds_bps")]
    pub tds_bps: Bps,
    #[serde(default = "notional_inr_min")]
    pub notional_inr_min: Decimal,
    /// The venue's names of our networks.
    #[serde(default = "networks")]
    pub networks: BTreeMap<NetworkId, String>,
    /// Wait for the venue's published limit of each endpoint instead of running into it.
    #[serde(default = "paced")]
    pub paced: bool,
    #[serde(default)]
    pub http: Settings,
}

impl Config {
    pub(super) fn check(&self) -> Result<(), BuildError> {
        let refuse = |what: &str| Err(BuildError::Config(format!("wazirx: {what}")));
        if self.api_key.expose().trim().is_empty() || self.secret.expose().trim().is_empty() {
            return refuse("api_key and secret must not be empty");
        }
        if !(1..=60_000).contains(&self.recv_window_ms) {
            return refuse("recv_window_ms must be between 1 and 60000");
        }
        let plain = |name: &String| {
            (1..=20).contains(&name.len()) && name.bytes().all(|b| b.is_ascii_alphanumeric())
        };
        if !self.networks.values().all(plain) {
            return refuse("networks must be the venue's own names, such as eth");
        }
        if self.notional_inr_min.is_sign_negative() {
            return refuse("notional_inr_min must not be negative");
        }
        Ok(())
    }
}

const fn recv_window_ms() -> u32 {
    5_000
}

const fn paced() -> bool {
    true
}

fn networks() -> BTreeMap<NetworkId, String> {
    [("bitcoin", "btc"), ("ethereum", "eth"), ("solana", "sol")]
        .into_iter()
        .filter_map(|(ours, theirs)| Some((NetworkId::new(ours)?, theirs.to_owned())))
        .collect()
}

fn fee_bps() -> Bps {
    Bps::new(20).unwrap_or(Bps::ZERO)
}

fn gst_bps() -> Bps {
    Bps::new(1_800).unwrap_or(Bps::ZERO)
}

fn tds_bps() -> Bps {
    Bps::new(100).unwrap_or(Bps::ZERO)
}

/// The rupee minimum is not published; this is a cautious guess to be set per account.
const fn notional_inr_min() -> Decimal {
    Decimal::ONE_HUNDRED
}
