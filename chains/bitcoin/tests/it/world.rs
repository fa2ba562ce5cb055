//! A local node, somebody who pays on it, and the chain as the product reads it.

use chains::{Chain as _, Sighting, TxPlace, WatchSet};
use chains_bitcoin::{BitcoinChain, BitcoinConfig, BitcoinNetwork};
use chains_bitcoin_sandbox::{Bitcoind, BitcoindOptions, Payer, dev_xpub};
use primitives::{Amount, Asset, NetworkId};

pub(crate) struct World {
    pub(crate) node: Bitcoind,
    pub(crate) payer: Payer,
    pub(crate) chain: BitcoinChain,
}

impl World {
    pub(crate) async fn start() -> Self {
        let node = Bitcoind::start(BitcoindOptions::default()).await.unwrap();
        let payer = Payer::connect(node.rpc_url()).await.unwrap();
        let chain = BitcoinChain::connect(&config(&[node.rpc_url()])).unwrap();
        Self { node, payer, chain }
    }

    /// The n-th deposit address.
    pub(crate) fn address(&self, index: u32) -> String {
        self.chain.derive(index).unwrap().address
    }

    pub(crate) fn watched(&self) -> WatchSet {
        (0..10).map(|index| self.address(index)).collect()
    }

    /// What the block of `tx` brought to the first deposit addresses.
    pub(crate) async fn seen(&self, tx: &str) -> Vec<Sighting> {
        let TxPlace::Included { block_hash, .. } = self.chain.locate(tx, &[]).await.unwrap() else {
            panic!("{tx} is in no block");
        };
        let block = self.chain.block(&block_hash).await.unwrap();
        self.chain.read_block(&block, &self.watched()).await.unwrap().sightings
    }
}

pub(crate) fn config(rpc_urls: &[&str]) -> BitcoinConfig {
    let network = NetworkId::new("bitcoin").unwrap();
    let first = rpc_urls[0].parse().unwrap();
    BitcoinConfig {
        rpc_urls: rpc_urls.iter().map(|url| url.parse().unwrap()).collect(),
        ..BitcoinConfig::new(network, BitcoinNetwork::Regtest, first, dev_xpub())
    }
}

pub(crate) fn sats(minor: i128) -> Amount {
    Amount::try_new(minor, Asset::Btc).unwrap()
}
