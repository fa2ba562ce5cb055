//! Which network, which nodes, which tokens: the settings of one EVM network.
//!
//! Invariant: neither `Debug` nor an error shows a node's address beyond its host (providers put
//! API keys into paths) nor the account's public key (it links every address of a shop).
//! Whether a node agrees with these settings is checked elsewhere: `verify`.

use std::{fmt, time::Duration};

use primitives::{Asset, NetworkId};
use serde::Deserialize;
use url::Url;

/// How payments made by contracts (Safe, ERC-4337, EIP-7702) are found.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum TraceMode {
    /// `trace_block` where the node has it, else `debug_traceBlockByHash`; refuses without both.
    #[default]
    Auto,
    /// Parity's `trace_block` (anvil, reth, erigon, nethermind).
    TraceBlock,
    /// Geth's `debug_traceBlockByHash` with the call tracer.
    DebugTraceBlock,
    /// Not at all. Payments from contract wallets then stay unseen: an explicit choice.
    Off,
}

/// A token by contract, never by symbol.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct TokenConfig {
    pub asset: Asset,
    /// `0x` and 40 hex digits; when in mixed case, the EIP-55 checksum must hold.
    pub contract: String,
    /// Must equal the scale of the asset, and what the contract says.
    pub decimals: u8,
}

/// What moving our own coins may cost.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct FeeConfig {
    /// Wei per gas on top of the base fee, whatever the node suggests.
    pub priority_fee_per_gas_max: u64,
    /// Wei per gas in all. Nothing is moved while the network asks for more.
    pub fee_per_gas_max: u64,
    /// Gas of one transfer: a token or a receiver that needs more is refused.
    pub gas_limit_max: u64,
}

impl Default for FeeConfig {
    fn default() -> Self {
        Self {
            priority_fee_per_gas_max: 5_000_000_000,
            fee_per_gas_max: 500_000_000_000,
            gas_limit_max: 300_000,
        }
    }
}

/// The settings of one EVM network.
#[derive(Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct EvmConfig {
    pub network: NetworkId,
    pub chain_id: u64,
    /// `http` or `https`. The first one is followed; the others take over when it fails.
    #[serde(deserialize_with = "chains::settings::urls")]
    pub rpc_urls: Vec<Url>,
    /// `ws` or `wss`: nodes that push new heads. Polling goes on without.
    #[serde(default, deserialize_with = "chains::settings::urls")]
    pub ws_urls: Vec<Url>,
    /// Public key of an account, m/44'/60'/n'. Deposit addresses are its children /0/i.
    pub xpub: String,
    /// The coin transactions carry as their own value.
    #[serde(default = "ether")]
    pub native: Asset,
    #[serde(default)]
    pub tokens: Vec<TokenConfig>,
    #[serde(default)]
    pub trace: TraceMode,
    /// Where EIP-7708 is live, every transfer of coins is a log of the pseudo contract at
    /// 0xff…fe. On: coins are read from these logs, and nothing is traced. Off: such logs are
    /// nothing. To be switched on for blocks that were never read by traces: a value call that was
    /// undone is counted by traces, and cannot be by logs.
    #[serde(default)]
    pub native_transfer_logs: bool,
    #[serde(default)]
    pub fees: FeeConfig,
    /// For one call, from connecting to the last byte.
    #[serde(default = "default_timeout_ms")]
    pub request_timeout_ms: u64,
    /// A block of 2,400 transactions has 2 MiB, its receipts have 3.2 MiB (measured).
    #[serde(default = "default_max_bytes")]
    pub max_response_bytes: usize,
}

impl EvmConfig {
    /// Settings with every default: native coin ETH, no tokens, traces by what the node offers.
    #[must_use]
    pub fn new(network: NetworkId, chain_id: u64, rpc_url: Url, xpub: impl Into<String>) -> Self {
        Self {
            network,
            chain_id,
            rpc_urls: vec![rpc_url],
            ws_urls: Vec::new(),
            xpub: xpub.into(),
            native: ether(),
            tokens: Vec::new(),
            trace: TraceMode::default(),
            native_transfer_logs: false,
            fees: FeeConfig::default(),
            request_timeout_ms: default_timeout_ms(),
            max_response_bytes: default_max_bytes(),
        }
    }

    pub(crate) const fn request_timeout(&self) -> Duration {
        Duration::from_millis(self.request_timeout_ms)
    }
}

impl fmt::Debug for EvmConfig {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let hosts: Vec<String> = self.rpc_urls.iter().map(chains::settings::host_of).collect();
        f.debug_struct("EvmConfig")
            .field("network", &self.network)
            .field("chain_id", &self.chain_id)
            .field("rpc_hosts", &hosts)
            .field("native", &self.native)
            .field("tokens", &self.tokens)
            .field("trace", &self.trace)
            .field("native_transfer_logs", &self.native_transfer_logs)
            .field("fees", &self.fees)
            .finish_non_exhaustive()
    }
}

const fn ether() -> Asset {
    Asset::Eth
}

const fn default_timeout_ms() -> u64 {
    10_000
}

const fn default_max_bytes() -> usize {
    32 * 1024 * 1024
}

#[cfg(test)]
mod tests {
    use super::*;

    const MINIMAL: &str = r#"{"network":"ethereum","chain_id":1,
        "rpc_urls":["https://node.example/v2/very-secret-key"],"xpub":"xpub-of-the-shop"}"#;

    #[test]
    fn defaults_fill_in_and_secrets_stay_in() {
        let config: EvmConfig = serde_json::from_str(MINIMAL).unwrap();
        assert_eq!(config.native, Asset::Eth);
        assert_eq!(config.trace, TraceMode::Auto);
        assert!(!config.native_transfer_logs);
        assert_eq!(config.request_timeout(), Duration::from_secs(10));
        let shown = format!("{config:?}");
        assert!(shown.contains("node.example"), "{shown}");
        assert!(!shown.contains("very-secret-key") && !shown.contains("xpub"), "{shown}");
    }

    #[test]
    fn refuses_unknown_fields_and_bad_urls_without_echoing_them() {
        let unknown = MINIMAL.replace("\"chain_id\"", "\"confirmations\":1,\"chain_id\"");
        assert!(serde_json::from_str::<EvmConfig>(&unknown).is_err());
        let bad = MINIMAL.replace("https://node", "node");
        let error = serde_json::from_str::<EvmConfig>(&bad).unwrap_err().to_string();
        assert!(!error.contains("very-secret-key"), "{error}");
    }
}
