//! The settings of one Solana network.
//!
//! Invariant: neither `Debug` nor an error shows a node's address beyond its host (providers put
//! API keys into paths) nor the seed of the references (it links every payment of a shop).

use std::{fmt, time::Duration};

use primitives::{Asset, NetworkId, Secret};
use serde::Deserialize;
use url::Url;

/// A token by its mint, never by symbol.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct MintConfig {
    pub asset: Asset,
    /// Base58.
    pub mint: String,
    /// Must equal the scale of the asset, and what the mint says.
    pub decimals: u8,
}

/// The settings of one Solana network.
#[derive(Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct SolanaConfig {
    pub network: NetworkId,
    /// Base58; by it a node is known to be of this network.
    pub genesis_hash: String,
    /// `http` or `https`. The first one is followed; the others take over when it fails.
    #[serde(deserialize_with = "chains::settings::urls")]
    pub rpc_urls: Vec<Url>,
    /// `ws` or `wss`: nodes that push. Polling goes on without.
    #[serde(default, deserialize_with = "chains::settings::urls")]
    pub ws_urls: Vec<Url>,
    /// The wallet all payments come to: its public key, base58. It must not hold or receive
    /// anything else.
    pub wallet: String,
    /// Wallets it replaced: a payment with an old code still comes there, and is still ours.
    #[serde(default)]
    pub retired_wallets: Vec<String>,
    /// Reference keys are derived from this text and the payment's number. It cannot spend; whoever
    /// knows it can tell which payments are of one shop.
    pub reference_seed: Secret,
    #[serde(default)]
    pub mints: Vec<MintConfig>,
    /// Lamports of the wallet that are never moved: fees, and the accounts of receivers, are paid
    /// from them.
    #[serde(default = "default_reserve")]
    pub reserve_lamports: u64,
    /// Micro-lamports per compute unit, whatever the network asks for.
    #[serde(default = "default_unit_price_max")]
    pub unit_price_max: u64,
    /// For one call, from connecting to the last byte.
    #[serde(default = "default_timeout_ms")]
    pub request_timeout_ms: u64,
    /// A full block of mainnet has several megabytes.
    #[serde(default = "default_max_bytes")]
    pub max_response_bytes: usize,
}

impl SolanaConfig {
    pub(crate) const fn request_timeout(&self) -> Duration {
        Duration::from_millis(self.request_timeout_ms)
    }
}

impl fmt::Debug for SolanaConfig {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let hosts: Vec<String> = self.rpc_urls.iter().map(chains::settings::host_of).collect();
        f.debug_struct("SolanaConfig")
            .field("network", &self.network)
            .field("genesis_hash", &self.genesis_hash)
            .field("rpc_hosts", &hosts)
            .field("mints", &self.mints)
            .finish_non_exhaustive()
    }
}

/// Two thousand transfers, or five new accounts.
pub(crate) const fn default_reserve() -> u64 {
    10_000_000
}

pub(crate) const fn default_unit_price_max() -> u64 {
    1_000_000
}

pub(crate) const fn default_timeout_ms() -> u64 {
    15_000
}

pub(crate) const fn default_max_bytes() -> usize {
    32 * 1024 * 1024
}

#[cfg(test)]
mod tests {
    use super::*;

    const MINIMAL: &str = r#"{"network":"solana",
        "genesis_hash":"5eykt4UsFv8P8NJdTREpY1vzqKqZKvdpKuc147dw2N9d",
        "rpc_urls":["https://node.example/very-secret-key"],
        "wallet":"mvines9iiHiQTysrwkJjGf2gb9Ex9jXJX8ns3qwf2kN",
        "reference_seed":"the seed of the shop"}"#;

    #[test]
    fn secrets_stay_in() {
        let config: SolanaConfig = serde_json::from_str(MINIMAL).unwrap();
        let shown = format!("{config:?}");
        assert!(shown.contains("node.example"), "{shown}");
        assert!(!shown.contains("very-secret") && !shown.contains("seed of"), "{shown}");
        let bad = MINIMAL.replace("https://node", "node");
        let error = serde_json::from_str::<SolanaConfig>(&bad).unwrap_err().to_string();
        assert!(!error.contains("very-secret"), "{error}");
    }
}
