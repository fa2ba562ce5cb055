//! One node's word that a branch is gone undoes nothing while another node holds our block.

use std::{
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    time::Duration,
};

use anyhow::{Context as _, Result};
use async_trait::async_trait;
use chains::{
    BlockFacts, BlockRef, Chain, DepositAddress, Head, NodeReport, Outgoing, ReadError, Says, Step,
    TxPlace, UriError, WatchSet, Witness,
};
use outbound::webhook::{Policy, Sender};
use primitives::{Amount, Asset, NetworkId};
use testkit::{Fleet, Process, network};
use workers::{Connectors, Ctx};

/// The chain with a second node that never lets go of a block.
struct Stubborn {
    chain: Arc<dyn Chain>,
    holds: Arc<AtomicBool>,
}

#[async_trait]
impl Chain for Stubborn {
    fn network(&self) -> &NetworkId {
        self.chain.network()
    }

    fn assets(&self) -> Vec<Asset> {
        self.chain.assets()
    }

    async fn head(&self) -> Result<Head, ReadError> {
        self.chain.head().await
    }

    async fn block_at(&self, height: u64) -> Result<Option<BlockRef>, ReadError> {
        self.chain.block_at(height).await
    }

    async fn block(&self, hash: &str) -> Result<BlockRef, ReadError> {
        self.chain.block(hash).await
    }

    async fn step(&self, from: &BlockRef) -> Result<Step, ReadError> {
        self.chain.step(from).await
    }

    async fn read_block(&self, b: &BlockRef, watch: &WatchSet) -> Result<BlockFacts, ReadError> {
        self.chain.read_block(b, watch).await
    }

    async fn locate(&self, tx_id: &str, spends: &[String]) -> Result<TxPlace, ReadError> {
        self.chain.locate(tx_id, spends).await
    }

    async fn outgoing(
        &self,
        tx_id: &str,
        to: &str,
        asset: Asset,
    ) -> Result<Vec<Outgoing>, ReadError> {
        self.chain.outgoing(tx_id, to, asset).await
    }

    async fn witnesses(&self, block: &BlockRef) -> Vec<Witness> {
        let mut all = self.chain.witnesses(block).await;
        if self.holds.load(Ordering::Relaxed) {
            all.push(Witness { node: "second:8545".to_owned(), says: Says::Same });
        }
        all
    }

    async fn wait_for_news(&self, known: &BlockRef, at_most: Duration) {
        self.chain.wait_for_news(known, at_most).await;
    }

    async fn examine(&self) -> Vec<NodeReport> {
        self.chain.examine().await
    }

    async fn held(&self, addresses: &[String], asset: Asset) -> Result<Amount, ReadError> {
        self.chain.held(addresses, asset).await
    }

    fn calls(&self) -> u64 {
        self.chain.calls()
    }

    fn canonical(&self, address: &str) -> Option<String> {
        self.chain.canonical(address)
    }

    fn derive(&self, index: u32) -> Result<DepositAddress, String> {
        self.chain.derive(index)
    }

    fn payment_uri_template(&self, asset: Asset) -> Result<String, UriError> {
        self.chain.payment_uri_template(asset)
    }

    fn payment_uri(&self, address: &str, payable: Amount) -> Result<String, UriError> {
        self.chain.payment_uri(address, payable)
    }
}

#[tokio::test]
async fn while_another_node_holds_our_block() -> Result<()> {
    let fleet = Fleet::open().await?;
    let chain = fleet.worker.ctx.connectors.chains.get(&network()?).context("no chain")?;
    let holds = Arc::new(AtomicBool::new(true));
    let stubborn = Stubborn { chain: Arc::clone(chain), holds: Arc::clone(&holds) };
    let usual = &fleet.worker.ctx.connectors;
    let mut connectors = Connectors {
        rate_sources: usual.rate_sources.clone(),
        exchanges: usual.exchanges.clone(),
        rails: usual.rails.clone(),
        ..Connectors::default()
    };
    connectors.chains.insert(network()?, Arc::new(stubborn));
    let policy = Policy { allow_loopback: true, trusted_hosts: Vec::new() };
    let sender = Sender::try_new(policy)?;
    let ctx = Ctx::new(fleet.base.clone(), fleet.board.clone(), connectors, sender);
    let runner = workers::runner(&ctx, "doubt", &|_| true);
    let doubting = Process { ctx, runner };

    let asked = fleet.ask(140_000, Asset::Eth).await?;
    fleet.pay(&asked, asked.payable()).await?;
    let included = fleet.node.payer.height().await?;
    fleet.settle().await?;
    assert_eq!(fleet.story(&asked).await?.state, "settled");
    let deep = fleet.node.payer.height().await? + 1 - included;
    fleet.node.payer.reorg(deep, &[]).await?;
    for _ in 0..4 {
        fleet.pass(3).await?;
        fleet.round_by(&[&doubting]).await?;
    }
    let story = fleet.story(&asked).await?;
    assert_eq!(story.deposits[0].state, "confirmed", "undone on one node's word");
    assert!(fleet.cases().await?.contains(&"nodes_disagree".to_owned()));

    // The other node follows: it was a true reorganisation.
    holds.store(false, Ordering::Relaxed);
    for _ in 0..4 {
        fleet.pass(3).await?;
        fleet.round_by(&[&doubting]).await?;
    }
    assert_eq!(fleet.story(&asked).await?.deposits[0].state, "orphaned");
    fleet.settle().await?;
    fleet.check_books().await
}
