//! The settings of one Bitcoin network.
//!
//! Invariant: neither `Debug` nor an error shows a node's address beyond its host (it carries the
//! login) nor the account's public key (it links every address of a shop).

use std::{fmt, time::Duration};

use bitcoin::{Network, NetworkKind};
use primitives::NetworkId;
use serde::Deserialize;
use url::Url;

/// Which of Bitcoin's chains. Signet and testnet4 share their address format, not their genesis.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum BitcoinNetwork {
    Mainnet,
    Testnet4,
    Signet,
    Regtest,
}

impl BitcoinNetwork {
    /// What `getblockchaininfo` calls it.
    pub(crate) const fn chain_name(self) -> &'static str {
        match self {
            Self::Mainnet => "main",
            Self::Testnet4 => "testnet4",
            Self::Signet => "signet",
            Self::Regtest => "regtest",
        }
    }

    pub(crate) const fn rust(self) -> Network {
        match self {
            Self::Mainnet => Network::Bitcoin,
            Self::Testnet4 => Network::Testnet4,
            Self::Signet => Network::Signet,
            Self::Regtest => Network::Regtest,
        }
    }

    pub(crate) const fn kind(self) -> NetworkKind {
        match self {
            Self::Mainnet => NetworkKind::Main,
            Self::Testnet4 | Self::Signet | Self::Regtest => NetworkKind::Test,
        }
    }

    /// The hash of block 0, by which a node is known to be of this network.
    pub(crate) fn genesis(self) -> String {
        bitcoin::constants::genesis_block(self.rust()).block_hash().to_string()
    }
}

/// The settings of one Bitcoin network.
#[derive(Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct BitcoinConfig {
    pub network: NetworkId,
    pub chain: BitcoinNetwork,
    /// `http` or `https`, with the login of the RPC server in it. The first one is followed; the
    /// others take over when it fails. The nodes need `txindex`.
    #[serde(deserialize_with = "chains::settings::urls")]
    pub rpc_urls: Vec<Url>,
    /// Public key of an account, m/84'/0'/n' (xpub or zpub; tpub or vpub on test networks).
    /// Deposit addresses are its children /0/i.
    pub xpub: String,
    /// For one call, from connecting to the last byte.
    #[serde(default = "default_timeout_ms")]
    pub request_timeout_ms: u64,
    /// Adding up what addresses hold walks the whole set of unspent outputs: minutes on mainnet.
    #[serde(default = "default_scan_timeout_ms")]
    pub scan_timeout_ms: u64,
    /// A full block has 4 MB, twice that in hex.
    #[serde(default = "default_max_bytes")]
    pub max_response_bytes: usize,
    /// What moving our own coins may cost, whatever the node advises: satoshi per virtual byte.
    #[serde(default = "default_fee_cap")]
    pub fee_cap_sat_per_vb: u64,
}

impl BitcoinConfig {
    #[must_use]
    pub fn new(
        network: NetworkId,
        chain: BitcoinNetwork,
        rpc_url: Url,
        xpub: impl Into<String>,
    ) -> Self {
        Self {
            network,
            chain,
            rpc_urls: vec![rpc_url],
            xpub: xpub.into(),
            request_timeout_ms: default_timeout_ms(),
            scan_timeout_ms: default_scan_timeout_ms(),
            max_response_bytes: default_max_bytes(),
            fee_cap_sat_per_vb: default_fee_cap(),
        }
    }

    pub(crate) const fn request_timeout(&self) -> Duration {
        Duration::from_millis(self.request_timeout_ms)
    }
}

impl fmt::Debug for BitcoinConfig {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let hosts: Vec<String> = self.rpc_urls.iter().map(chains::settings::host_of).collect();
        f.debug_struct("BitcoinConfig")
            .field("network", &self.network)
            .field("chain", &self.chain)
            .field("rpc_hosts", &hosts)
            .finish_non_exhaustive()
    }
}

const fn default_timeout_ms() -> u64 {
    15_000
}

const fn default_scan_timeout_ms() -> u64 {
    300_000
}

const fn default_max_bytes() -> usize {
    32 * 1024 * 1024
}

const fn default_fee_cap() -> u64 {
    300
}

#[cfg(test)]
mod tests {
    use super::*;

    const MINIMAL: &str = r#"{"network":"bitcoin","chain":"mainnet",
        "rpc_urls":["http://reader:very-secret@node.example:8332"],"xpub":"xpub-of-the-shop"}"#;

    #[test]
    fn secrets_stay_in() {
        let config: BitcoinConfig = serde_json::from_str(MINIMAL).unwrap();
        let shown = format!("{config:?}");
        assert!(shown.contains("node.example:8332"), "{shown}");
        assert!(!shown.contains("very-secret") && !shown.contains("xpub"), "{shown}");
        let bad = MINIMAL.replace("http://reader", "//reader");
        let error = serde_json::from_str::<BitcoinConfig>(&bad).unwrap_err().to_string();
        assert!(!error.contains("very-secret"), "{error}");
    }

    // The hashes every wallet knows.
    #[test]
    fn networks_are_known_by_their_first_block() {
        assert!(BitcoinNetwork::Mainnet.genesis().starts_with("000000000019d6689c085ae165831e93"));
        assert!(BitcoinNetwork::Regtest.genesis().starts_with("0f9188f13cb7b2c71f2a335e3a4fc328"));
        assert!(BitcoinNetwork::Testnet4.genesis().starts_with("00000000da84f2bafbbc53dee25a72ae"));
        assert!(BitcoinNetwork::Signet.genesis().starts_with("00000008819873e925422c1ff0f99f7c"));
    }
}
