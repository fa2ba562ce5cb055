//! A local node, somebody who pays on it, and the chain as the product reads it.

use chains::{Arrived, BlockRef, Chain as _, Sighting, TxPlace, WatchSet};
use chains_evm::{EvmChain, EvmConfig, TokenConfig, TraceMode};
use chains_evm_sandbox::{Anvil, AnvilOptions, Payer, dev_payer_key, dev_xpub};
use primitives::{Amount, Asset, NetworkId};

pub(crate) struct World {
    pub(crate) anvil: Anvil,
    pub(crate) payer: Payer,
    pub(crate) usdc: String,
    pub(crate) chain: EvmChain,
}

impl World {
    /// Anvil with one honest token, listed as USDC.
    pub(crate) async fn start() -> Self {
        let anvil = Anvil::start(AnvilOptions::default()).await.unwrap();
        let payer = Payer::connect(anvil.rpc_url(), dev_payer_key()).await.unwrap();
        let usdc = payer.deploy_token("USD Coin", "USDC", 6).await.unwrap();
        payer.mint(&usdc, &payer.address(), usdc_minor(1_000_000_000)).await.unwrap();
        let chain = EvmChain::connect(&config(&[anvil.rpc_url()], &usdc)).unwrap();
        Self { anvil, payer, usdc, chain }
    }

    /// The same node, with another contract listed as USDC.
    pub(crate) fn listing(&self, contract: &str) -> EvmChain {
        EvmChain::connect(&config(&[self.anvil.rpc_url()], contract)).unwrap()
    }

    pub(crate) fn tracing(&self, trace: TraceMode) -> EvmChain {
        let config = EvmConfig { trace, ..config(&[self.anvil.rpc_url()], &self.usdc) };
        EvmChain::connect(&config).unwrap()
    }

    /// The n-th deposit address.
    pub(crate) fn address(&self, index: u32) -> String {
        self.chain.derive(index).unwrap().address
    }

    /// What the block of `tx` brought to the first deposit addresses.
    pub(crate) async fn seen(&self, tx: &str) -> Vec<Sighting> {
        seen_by(&self.chain, tx).await
    }
}

pub(crate) async fn seen_by(chain: &EvmChain, tx: &str) -> Vec<Sighting> {
    let (_, hash) = place(chain, tx).await;
    chain.read_block(&by_hash(&hash), &watched(chain)).await.unwrap().sightings
}

/// What whoever runs the first node is told is wrong with it.
pub(crate) async fn problem(chain: &EvmChain) -> Option<String> {
    chain.examine().await.remove(0).problem
}

/// Height and hash of the block a transaction is in.
pub(crate) async fn place(chain: &EvmChain, tx: &str) -> (u64, String) {
    match chain.locate(tx, &[]).await.unwrap() {
        TxPlace::Included { height, block_hash, .. } => (height, block_hash),
        elsewhere => panic!("{elsewhere:?}"),
    }
}

/// A block known by its hash alone: that is all reading goes by.
pub(crate) fn by_hash(hash: &str) -> BlockRef {
    let (hash, parent_hash) = (hash.to_owned(), String::new());
    BlockRef { height: 0, hash, parent_hash, time: chrono::DateTime::UNIX_EPOCH }
}

pub(crate) fn watched(chain: &EvmChain) -> WatchSet {
    (0..10).map(|index| chain.derive(index).unwrap().address).collect()
}

pub(crate) fn config(rpc_urls: &[&str], contract: &str) -> EvmConfig {
    let network = NetworkId::new("anvil").unwrap();
    EvmConfig {
        rpc_urls: rpc_urls.iter().map(|url| url.parse().unwrap()).collect(),
        tokens: vec![TokenConfig {
            asset: Asset::Usdc,
            contract: contract.to_owned(),
            decimals: 6,
        }],
        ..EvmConfig::new(network, 31_337, rpc_urls[0].parse().unwrap(), dev_xpub())
    }
}

pub(crate) fn wei(minor: i128) -> Amount {
    Amount::try_new(minor, Asset::Eth).unwrap()
}

pub(crate) fn usdc_minor(minor: i128) -> Amount {
    Amount::try_new(minor, Asset::Usdc).unwrap()
}

/// Who got what, without the ids.
pub(crate) fn amounts(sightings: &[Sighting]) -> Vec<(u32, String, Amount)> {
    let known = |sighting: &Sighting| match sighting.arrived {
        Arrived::Known(amount) => (sighting.ordinal, sighting.to.clone(), amount),
        Arrived::UnknownToken { .. } => panic!("{sighting:?}"),
    };
    sightings.iter().map(known).collect()
}
