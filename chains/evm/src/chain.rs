//! The EVM network as the rest of the house sees it: `chains::Chain`, in text and `Amount`.
//!
//! Invariant: no type of alloy crosses this door. Connecting does no IO, so a process starts while
//! its node is down; whether the node is the right one is asked with every tip, and in full by
//! `examine`.

use std::time::Duration;

use alloy::primitives::{Address, B256};
use async_trait::async_trait;
use chains::{
    Arrived, BlockFacts, BlockRef, Chain, DepositAddress, Head, NodeReport, Outgoing, ReadError,
    Step, TxPlace, UriError, WatchSet, Witness, eip681, nodes::Nodes,
};
use primitives::{Amount, Asset, NetworkId};

use crate::{
    config::{EvmConfig, FeeConfig},
    derive::Deriver,
    held, locate,
    news::News,
    node::Node,
    rpc::Limits,
    scan::{self, Scope},
    step, verify,
    wire::{Header, address_of, amount_of, garbage, hash_of, text_of_address},
    witness,
};

/// One EVM network: what happens on it, and (`carrier`) how our own coins are moved there.
pub struct EvmChain {
    pub(crate) network: NetworkId,
    pub(crate) chain_id: u64,
    pub(crate) scope: Scope,
    pub(crate) deriver: Deriver,
    pub(crate) nodes: Nodes<Node>,
    pub(crate) fees: FeeConfig,
    news: News,
    /// For one question.
    patience: Duration,
}

impl EvmChain {
    /// Reads the settings. Asks no node anything yet.
    ///
    /// # Errors
    /// `Untrusted` with a sentence naming the setting that cannot be right.
    pub fn connect(config: &EvmConfig) -> Result<Self, ReadError> {
        Self::try_new(config).map_err(|why| {
            ReadError::Untrusted(format!("settings of network {}: {why}", config.network))
        })
    }

    fn try_new(config: &EvmConfig) -> Result<Self, String> {
        if config.rpc_urls.is_empty() {
            return Err("no rpc_urls".to_owned());
        }
        if config.rpc_urls.iter().any(|url| !matches!(url.scheme(), "http" | "https")) {
            return Err("rpc_urls must be http or https".to_owned());
        }
        if config.request_timeout_ms == 0 || config.max_response_bytes == 0 {
            return Err("request_timeout_ms and max_response_bytes must be positive".to_owned());
        }
        let FeeConfig { priority_fee_per_gas_max, fee_per_gas_max, gas_limit_max } = config.fees;
        if gas_limit_max < 21_000 || fee_per_gas_max < priority_fee_per_gas_max.max(1) {
            return Err("with these fees nothing can be moved".to_owned());
        }
        if !config.native.is_crypto() {
            return Err(format!("{} is no coin of a chain", config.native));
        }
        let limits =
            Limits { timeout: config.request_timeout(), max_bytes: config.max_response_bytes };
        let nodes = config.rpc_urls.iter().map(|url| Node::try_new(url, config.chain_id, limits));
        Ok(Self {
            network: config.network.clone(),
            chain_id: config.chain_id,
            scope: Scope {
                native: config.native,
                tokens: verify::tokens_of(config)?,
                trace: config.trace,
                native_logs: config.native_transfer_logs,
            },
            deriver: Deriver::try_new(&config.xpub).map_err(|why| format!("xpub: {why}"))?,
            nodes: Nodes::new(nodes.collect::<Result<_, _>>()?),
            fees: config.fees,
            news: News::try_new(&config.ws_urls)?,
            patience: config.request_timeout(),
        })
    }

    /// The contract a URI names: none for the native coin.
    fn token_in_uri(&self, asset: Asset) -> Result<Option<String>, UriError> {
        match self.contract(asset) {
            Some(token) => Ok(Some(text_of_address(token))),
            None if asset == self.scope.native => Ok(None),
            None => Err(UriError::UnknownAsset),
        }
    }

    pub(crate) fn contract(&self, asset: Asset) -> Option<Address> {
        self.scope.tokens.iter().find(|(_, listed)| *listed == asset).map(|(token, _)| *token)
    }
}

#[async_trait]
impl Chain for EvmChain {
    fn network(&self) -> &NetworkId {
        &self.network
    }

    fn assets(&self) -> Vec<Asset> {
        let tokens = self.scope.tokens.iter().map(|(_, asset)| *asset);
        std::iter::once(self.scope.native).chain(tokens).collect()
    }

    async fn head(&self) -> Result<Head, ReadError> {
        let head = self.nodes.ask(|node| Box::pin(node.head())).await?;
        self.nodes.followed(&head.latest, true);
        Ok(head)
    }

    async fn block_at(&self, height: u64) -> Result<Option<BlockRef>, ReadError> {
        let header = self.nodes.ask(|node| Box::pin(node.header_at(height))).await?;
        header.map(|header| header.reference()).transpose()
    }

    async fn block(&self, hash: &str) -> Result<BlockRef, ReadError> {
        let hash = hash_of(hash).ok_or(ReadError::UnknownBlock)?;
        let header = self.nodes.ask(|node| Box::pin(known(node, hash))).await?;
        header.reference()
    }

    async fn step(&self, from: &BlockRef) -> Result<Step, ReadError> {
        let hash = hash_of(&from.hash).ok_or(ReadError::UnknownBlock)?;
        let height = from.height;
        let step = self.nodes.ask(|node| Box::pin(step::after(node, height, hash))).await?;
        match &step {
            Step::Next(block) => self.nodes.followed(block, false),
            Step::AtTip | Step::Behind => self.nodes.leave_if_behind(from.height).await,
            Step::Left => {}
        }
        Ok(step)
    }

    async fn read_block(
        &self,
        block: &BlockRef,
        watch: &WatchSet,
    ) -> Result<BlockFacts, ReadError> {
        let hash = hash_of(&block.hash).ok_or(ReadError::UnknownBlock)?;
        let scope = &self.scope;
        let facts =
            self.nodes.ask(|node| Box::pin(scan::read_block(node, hash, scope, watch))).await?;
        self.nodes.followed(&facts.block, false);
        Ok(facts)
    }

    async fn locate(&self, tx_id: &str, spends: &[String]) -> Result<TxPlace, ReadError> {
        let tx = hash_of(tx_id)
            .ok_or_else(|| ReadError::Unavailable("not the id of a transaction".to_owned()))?;
        let spent = spends.first().and_then(|spent| locate::sender_and_nonce(spent));
        self.nodes.ask(|node| Box::pin(locate::transaction(node, tx, spent))).await
    }

    async fn outgoing(
        &self,
        tx_id: &str,
        to: &str,
        asset: Asset,
    ) -> Result<Vec<Outgoing>, ReadError> {
        let to = self
            .canonical(to)
            .ok_or_else(|| ReadError::Unavailable("not an address of this network".to_owned()))?;
        let place = self.locate(tx_id, &[]).await?;
        let TxPlace::Included { block_hash, succeeded: true, .. } = place else {
            return Ok(Vec::new());
        };
        let hash = hash_of(&block_hash).ok_or(ReadError::UnknownBlock)?;
        let watch: WatchSet = std::iter::once(to).collect();
        let (scope, watch) = (&self.scope, &watch);
        let facts =
            self.nodes.ask(|node| Box::pin(scan::read_block(node, hash, scope, watch))).await?;
        let block = facts.block;
        let paid = facts.sightings.into_iter().filter_map(|sighting| match sighting.arrived {
            Arrived::Known(amount)
                if amount.asset() == asset && hash_of(&sighting.tx_id) == hash_of(tx_id) =>
            {
                let (block, ordinal) = (block.clone(), sighting.ordinal);
                Some(Outgoing { tx_id: sighting.tx_id, block, ordinal, amount })
            }
            _ => None,
        });
        Ok(paid.collect())
    }

    async fn witnesses(&self, block: &BlockRef) -> Vec<Witness> {
        self.nodes.witnesses(block).await
    }

    async fn wait_for_news(&self, known: &BlockRef, at_most: Duration) {
        self.news.wait(known, at_most).await;
    }

    async fn examine(&self) -> Vec<NodeReport> {
        let nodes = witness::examine(&self.nodes, &self.scope);
        let (mut reports, pushing) =
            futures::future::join(nodes, self.news.examine(self.chain_id, self.patience)).await;
        reports.extend(pushing);
        reports
    }

    async fn held(&self, addresses: &[String], asset: Asset) -> Result<Amount, ReadError> {
        let owners: Option<Vec<Address>> = addresses.iter().map(|a| address_of(a)).collect();
        let owners = owners
            .ok_or_else(|| ReadError::Unavailable("not an address of this network".to_owned()))?;
        let token = self.contract(asset);
        if token.is_none() && asset != self.scope.native {
            let sentence = format!("{asset} does not exist on {}", self.network);
            return Err(ReadError::Unavailable(sentence));
        }
        let owners = owners.as_slice();
        let held = self.nodes.ask(|node| Box::pin(held::sum(node, token, owners))).await?;
        amount_of(held, asset).ok_or_else(|| garbage("a balance beyond what can exist"))
    }

    fn calls(&self) -> u64 {
        self.nodes.calls()
    }

    fn canonical(&self, address: &str) -> Option<String> {
        address_of(address).map(text_of_address)
    }

    fn derive(&self, index: u32) -> Result<DepositAddress, String> {
        self.deriver.address(index)
    }

    fn payment_uri_template(&self, asset: Asset) -> Result<String, UriError> {
        let chain_id = self.chain_id;
        match self.token_in_uri(asset)? {
            None => Ok(format!("ethereum:{{address}}@{chain_id}?value={{minor}}")),
            Some(token) => Ok(format!(
                "ethereum:{token}@{chain_id}/transfer?address={{address}}&uint256={{minor}}"
            )),
        }
    }

    fn payment_uri(&self, address: &str, payable: Amount) -> Result<String, UriError> {
        let to = address_of(address).ok_or(UriError::BadAddress)?;
        let token = self.token_in_uri(payable.asset())?;
        eip681(self.chain_id, &text_of_address(to), token.as_deref(), payable)
    }
}

/// Part of the question, not of the answer: a node that stands in for another one and does not know
/// the block proves nothing about it.
async fn known(node: &Node, hash: B256) -> Result<Header, ReadError> {
    node.header(hash).await?.ok_or(ReadError::UnknownBlock)
}
