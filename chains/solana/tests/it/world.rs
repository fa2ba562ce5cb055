//! A local node, somebody who pays on it, and the chain as the product reads it.

use chains::{Chain as _, Sighting, TxPlace, WatchSet};
use chains_solana::{SolanaChain, SolanaConfig};
use chains_solana_sandbox::{Payer, Surfnet, SurfnetOptions, dev_config, dev_wallet};
use primitives::{Amount, Asset, NetworkId};

pub(crate) struct World {
    pub(crate) node: Surfnet,
    pub(crate) payer: Payer,
    pub(crate) chain: SolanaChain,
}

impl World {
    pub(crate) async fn start() -> Self {
        let node = Surfnet::start(SurfnetOptions::default()).await.unwrap();
        let payer = Payer::connect(node.rpc_url(), &dev_wallet()).await.unwrap();
        let chain = SolanaChain::connect(&config(&node)).unwrap();
        Self { node, payer, chain }
    }

    /// The n-th reference.
    pub(crate) fn reference(&self, index: u32) -> String {
        self.chain.derive(index).unwrap().address
    }

    pub(crate) fn watched(&self) -> WatchSet {
        (0..10).map(|index| self.reference(index)).collect()
    }

    /// What the block of a transaction brought.
    pub(crate) async fn seen(&self, tx: &str) -> Vec<Sighting> {
        let TxPlace::Included { height, .. } = self.chain.locate(tx, &[]).await.unwrap() else {
            panic!("{tx} is in no block");
        };
        let block = self.chain.block_at(height).await.unwrap().unwrap();
        self.chain.read_block(&block, &self.watched()).await.unwrap().sightings
    }
}

pub(crate) fn config(node: &Surfnet) -> SolanaConfig {
    dev_config(NetworkId::new("solana").unwrap(), node).unwrap()
}

pub(crate) fn lamports(minor: i128) -> Amount {
    Amount::try_new(minor, Asset::Sol).unwrap()
}

pub(crate) fn usdc(minor: i128) -> Amount {
    Amount::try_new(minor, Asset::Usdc).unwrap()
}
