//! Chains of the other families beside a fleet's own: a real bitcoind, a local Solana.
//!
//! Invariant: each belongs to one fleet and ends with it. Their blocks carry the real time, which
//! is ahead of the fleet's clock: a block there is never before a deadline.

use std::{any::Any, sync::Arc};

use chains::{Chain, sandbox::Sandbox};
use chains_bitcoin::{BitcoinChain, BitcoinConfig, BitcoinNetwork};
use chains_bitcoin_sandbox::{self as bitcoin, Bitcoind, BitcoindOptions};
use chains_evm::{EvmChain, EvmConfig};
use chains_evm_sandbox::{self as evm, Anvil, AnvilOptions, AnvilSandbox};
use chains_solana::SolanaChain;
use chains_solana_sandbox::{self as solana, Surfnet, SurfnetOptions};
use primitives::{Asset, NetworkId};
use serde_json::json;
use settlement::NetworkSettings;

/// A network, its node, and somebody who pays on it.
pub struct Other {
    pub network: NetworkId,
    pub settings: NetworkSettings,
    pub chain: Arc<dyn Chain>,
    pub sandbox: Arc<dyn Sandbox>,
    /// What only Bitcoin's payer can do: take payments back.
    pub bitcoin: Option<Arc<bitcoin::Payer>>,
    _node: Box<dyn Any + Send + Sync>,
}

impl std::fmt::Debug for Other {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Other").field("network", &self.network).finish_non_exhaustive()
    }
}

fn named(name: &str) -> anyhow::Result<NetworkId> {
    NetworkId::new(name).ok_or_else(|| anyhow::anyhow!("the network's name"))
}

impl Other {
    /// Bitcoin on regtest; two blocks confirm.
    ///
    /// # Errors
    /// When there is no bitcoind: run `make test`.
    pub async fn bitcoin() -> anyhow::Result<Self> {
        let node = Bitcoind::start(BitcoindOptions::default()).await?;
        let payer = Arc::new(bitcoin::Payer::connect(node.rpc_url()).await?);
        let (network, url) = (named("bitcoin")?, node.rpc_url().parse()?);
        let config =
            BitcoinConfig::new(network.clone(), BitcoinNetwork::Regtest, url, bitcoin::dev_xpub());
        let sandbox: Arc<dyn Sandbox> = payer.clone();
        let settings = json!({
            "assets": [Asset::Btc], "confirm": { "rule": "depth", "blocks": 2 }, "poll_ms": 1000,
            "batch_blocks": 200, "reorg_limit": 64, "linger_ms": 0,
        });
        Ok(Self {
            network,
            settings: serde_json::from_value(settings)?,
            chain: Arc::new(BitcoinChain::connect(&config)?),
            sandbox,
            bitcoin: Some(payer),
            _node: Box::new(node),
        })
    }

    /// A second EVM chain, with the coin alone; two blocks confirm.
    ///
    /// # Errors
    /// When there is no anvil: run `make test`.
    pub async fn ethereum() -> anyhow::Result<Self> {
        let chain_id = 1_337;
        let node = Anvil::start(AnvilOptions { chain_id, ..AnvilOptions::default() }).await?;
        let payer = evm::Payer::connect(node.rpc_url(), evm::dev_payer_key()).await?;
        let (network, url) = (named("ethereum")?, node.rpc_url().parse()?);
        let account = evm::dev_account(2)?;
        let mut config = EvmConfig::new(network.clone(), chain_id, url, account);
        config.ws_urls.push(node.rpc_url().replace("http://", "ws://").parse()?);
        let settings = json!({
            "assets": [Asset::Eth], "confirm": { "rule": "depth", "blocks": 2 }, "poll_ms": 1000,
            "batch_blocks": 200, "reorg_limit": 64, "linger_ms": 0,
        });
        Ok(Self {
            network,
            settings: serde_json::from_value(settings)?,
            chain: Arc::new(EvmChain::connect(&config)?),
            sandbox: Arc::new(AnvilSandbox::open(payer, Vec::new()).await?),
            bitcoin: None,
            _node: Box::new(node),
        })
    }

    /// A local Solana; what the cluster calls final confirms.
    ///
    /// # Errors
    /// When there is no local Solana: run `make test`.
    pub async fn solana() -> anyhow::Result<Self> {
        let node = Surfnet::start(SurfnetOptions::default()).await?;
        let payer = solana::Payer::connect(node.rpc_url(), &solana::dev_wallet()).await?;
        let network = named("solana")?;
        let config = solana::dev_config(network.clone(), &node)?;
        let settings = json!({
            "assets": [Asset::Sol, Asset::Usdc, Asset::Usdt], "confirm": { "rule": "finalized" },
            "poll_ms": 1000, "batch_blocks": 200, "reorg_limit": 64, "linger_ms": 0,
        });
        Ok(Self {
            network,
            settings: serde_json::from_value(settings)?,
            chain: Arc::new(SolanaChain::connect(&config)?),
            sandbox: Arc::new(payer),
            bitcoin: None,
            _node: Box::new(node),
        })
    }
}
