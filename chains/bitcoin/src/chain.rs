//! The Bitcoin network as the rest of the house sees it: `chains::Chain`, in text and `Amount`.
//!
//! Invariant: no type of rust-bitcoin crosses this door. Connecting does no IO, so a process starts
//! while its node is down.

use std::{str::FromStr as _, time::Duration};

use async_trait::async_trait;
use bitcoin::{Address, Block, Txid, address::NetworkUnchecked};
use chains::{
    BlockFacts, BlockRef, Chain, DepositAddress, Head, NodeReport, Outgoing, ReadError, Step,
    TxPlace, UriError, WatchSet, Witness, bip21,
    nodes::{Node as _, Nodes},
};
use futures::future::join_all;
use primitives::{Amount, Asset, NetworkId};
use serde::Deserialize;
use serde_json::json;

use crate::{
    config::{BitcoinConfig, BitcoinNetwork},
    derive::Deriver,
    locate,
    mempool::Mempool,
    node::{Header, Node, block_hash, garbage},
    scan, step, verify,
};

/// Satoshi per virtual byte: nodes refuse to send at more.
const DEAREST: u64 = 10_000;

/// One Bitcoin network: what is read of it and, in `carrier`, how our own coins move on it.
pub struct BitcoinChain {
    pub(crate) network: NetworkId,
    pub(crate) chain: BitcoinNetwork,
    pub(crate) deriver: Deriver,
    pub(crate) nodes: Nodes<Node>,
    mempool: Mempool,
    /// Satoshi per 1000 virtual bytes.
    pub(crate) fee_cap: u64,
}

impl BitcoinChain {
    /// Reads the settings. Asks no node anything yet.
    ///
    /// # Errors
    /// `Untrusted` with a sentence naming the setting that cannot be right.
    pub fn connect(config: &BitcoinConfig) -> Result<Self, ReadError> {
        Self::try_new(config).map_err(|why| {
            ReadError::Untrusted(format!("settings of network {}: {why}", config.network))
        })
    }

    fn try_new(config: &BitcoinConfig) -> Result<Self, String> {
        if config.rpc_urls.is_empty() {
            return Err("no rpc_urls".to_owned());
        }
        if config.rpc_urls.iter().any(|url| !matches!(url.scheme(), "http" | "https")) {
            return Err("rpc_urls must be http or https".to_owned());
        }
        if config.request_timeout_ms == 0
            || config.scan_timeout_ms == 0
            || config.max_response_bytes == 0
        {
            return Err("limits of time and size must be positive".to_owned());
        }
        if !(1..=DEAREST).contains(&config.fee_cap_sat_per_vb) {
            return Err(format!("fee_cap_sat_per_vb must be from 1 to {DEAREST}"));
        }
        let nodes = config.rpc_urls.iter().map(|url| Node::try_new(url, config));
        Ok(Self {
            network: config.network.clone(),
            chain: config.chain,
            deriver: Deriver::try_new(&config.xpub, config.chain)
                .map_err(|why| format!("xpub: {why}"))?,
            nodes: Nodes::new(nodes.collect::<Result<_, _>>()?),
            mempool: Mempool::default(),
            fee_cap: config.fee_cap_sat_per_vb.saturating_mul(1_000),
        })
    }

    /// A block's bytes and its header.
    async fn raw(&self, hash: &str) -> Result<(Block, Header), ReadError> {
        block_hash(hash)?;
        self.nodes
            .ask(|node| {
                let hash = hash.to_owned();
                Box::pin(async move {
                    let raw = node.block(&hash).await?;
                    let header = node.header(&hash).await?.ok_or(ReadError::UnknownBlock)?;
                    Ok((raw, header))
                })
            })
            .await
    }

    pub(crate) fn address(&self, text: &str) -> Option<Address> {
        // Longer than any address; parsing stays cheap.
        let short = Some(text).filter(|text| text.len() <= 100)?;
        let address = short.parse::<Address<NetworkUnchecked>>().ok()?;
        address.require_network(self.chain.rust()).ok()
    }
}

/// What `scantxoutset` answers, as far as we read it.
#[derive(Deserialize)]
struct Scanned {
    success: bool,
    total_amount: Box<serde_json::value::RawValue>,
}

pub(crate) async fn head(node: &Node) -> Result<Head, ReadError> {
    let info = node.info().await?;
    let header = node.header(&info.bestblockhash).await?;
    let header = header.ok_or_else(|| garbage("a tip it lacks"))?;
    if header.height != info.blocks && header.confirmations == 1 {
        return Err(garbage("two heights of one tip"));
    }
    // Bitcoin calls no block safe or final: depth is policy.
    Ok(Head { latest: header.reference()?, safe: None, finalized: None })
}

async fn at(node: &Node, height: u64) -> Result<Option<BlockRef>, ReadError> {
    let Some(hash) = node.hash_at(height).await? else {
        return Ok(None);
    };
    match node.header(&hash).await? {
        Some(header) if header.height == height => Ok(Some(header.reference()?)),
        _ => Err(garbage("another block")),
    }
}

async fn held(node: &Node, addresses: &[String]) -> Result<Amount, ReadError> {
    let descriptors: Vec<String> = addresses.iter().map(|a| format!("addr({a})")).collect();
    let asked = vec![json!("start"), json!(descriptors)];
    let scanned: Scanned = match node.call_patiently("scantxoutset", asked).await {
        Ok(scanned) => scanned,
        // Its only "invalid parameter" here: another scan is running.
        Err(crate::node::Fault::NotFound) => {
            return Err(ReadError::Unavailable("the node is adding up already".to_owned()));
        }
        Err(fault) => return Err(fault.into()),
    };
    if !scanned.success {
        return Err(ReadError::Unavailable("the node gave up adding up".to_owned()));
    }
    Amount::parse_units(scanned.total_amount.get(), Asset::Btc)
        .map_err(|_| garbage("a sum that is no amount"))
}

#[async_trait]
impl Chain for BitcoinChain {
    fn network(&self) -> &NetworkId {
        &self.network
    }

    fn assets(&self) -> Vec<Asset> {
        vec![Asset::Btc]
    }

    async fn head(&self) -> Result<Head, ReadError> {
        let head = self.nodes.ask(|node| Box::pin(head(node))).await?;
        self.nodes.followed(&head.latest, true);
        Ok(head)
    }

    async fn block_at(&self, height: u64) -> Result<Option<BlockRef>, ReadError> {
        self.nodes.ask(|node| Box::pin(at(node, height))).await
    }

    async fn block(&self, hash: &str) -> Result<BlockRef, ReadError> {
        block_hash(hash)?;
        let hash = hash.to_ascii_lowercase();
        let found = self
            .nodes
            .ask(|node| {
                let hash = hash.clone();
                Box::pin(async move { node.header(&hash).await })
            })
            .await?;
        found.ok_or(ReadError::UnknownBlock)?.reference()
    }

    async fn step(&self, from: &BlockRef) -> Result<Step, ReadError> {
        block_hash(&from.hash)?;
        let step = self
            .nodes
            .ask(|node| {
                let (height, hash) = (from.height, from.hash.clone());
                Box::pin(async move { step::after(node, height, &hash).await })
            })
            .await?;
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
        let (raw, header) = self.raw(&block.hash).await?;
        let sightings = scan::block(&raw, self.chain.rust(), watch)?;
        let facts = BlockFacts { block: header.reference()?, sightings };
        if facts.block.parent_hash != raw.header.prev_blockhash.to_string() && header.height > 0 {
            return Err(garbage("two parents of one block"));
        }
        self.nodes.followed(&facts.block, false);
        Ok(facts)
    }

    async fn pending(&self, watch: &WatchSet) -> Result<Option<Vec<chains::Sighting>>, ReadError> {
        let network = self.chain.rust();
        self.nodes.ask(|node| Box::pin(self.mempool.waiting(node, network, watch))).await
    }

    async fn locate(&self, tx_id: &str, spends: &[String]) -> Result<TxPlace, ReadError> {
        let tx = Txid::from_str(tx_id)
            .map_err(|_| ReadError::Unavailable("not the id of a transaction".to_owned()))?;
        let spends = locate::outpoints(spends);
        let spends = spends.as_slice();
        self.nodes.ask(|node| Box::pin(locate::transaction(node, tx, spends))).await
    }

    async fn outgoing(
        &self,
        tx_id: &str,
        to: &str,
        asset: Asset,
    ) -> Result<Vec<Outgoing>, ReadError> {
        let to = self.address(to).filter(|_| asset == Asset::Btc);
        let to =
            to.ok_or_else(|| ReadError::Unavailable("not an address of this network".to_owned()))?;
        let TxPlace::Included { block_hash, .. } = self.locate(tx_id, &[]).await? else {
            return Ok(Vec::new());
        };
        let (raw, header) = self.raw(&block_hash).await?;
        scan::outgoing(&raw, tx_id, &to.script_pubkey(), &header.reference()?)
    }

    async fn witnesses(&self, block: &BlockRef) -> Vec<Witness> {
        self.nodes.witnesses(block).await
    }

    /// A long poll of the followed node: it answers when its tip is another one.
    async fn wait_for_news(&self, known: &BlockRef, at_most: Duration) {
        let millis = u64::try_from(at_most.as_millis()).unwrap_or(u64::MAX).min(10_000);
        let poll = self.nodes.ask_followed(|node| {
            let params = vec![json!(millis), json!(known.hash)];
            Box::pin(async move {
                Ok(node.call_patiently::<serde_json::Value>("waitfornewblock", params).await?)
            })
        });
        let started = tokio::time::Instant::now();
        let heard = tokio::time::timeout(at_most, poll).await;
        if !matches!(heard, Ok(Ok(_))) {
            tokio::time::sleep_until(started + at_most).await;
        }
    }

    async fn examine(&self) -> Vec<NodeReport> {
        join_all(self.nodes.all().iter().map(|node| verify::examine(node, self.chain))).await
    }

    async fn held(&self, addresses: &[String], asset: Asset) -> Result<Amount, ReadError> {
        if asset != Asset::Btc {
            let sentence = format!("{asset} does not exist on {}", self.network);
            return Err(ReadError::Unavailable(sentence));
        }
        if addresses.is_empty() {
            return Ok(Amount::zero(Asset::Btc));
        }
        if addresses.iter().any(|address| self.address(address).is_none()) {
            return Err(ReadError::Unavailable("not an address of this network".to_owned()));
        }
        self.nodes.ask(|node| Box::pin(held(node, addresses))).await
    }

    fn calls(&self) -> u64 {
        self.nodes.calls()
    }

    fn canonical(&self, address: &str) -> Option<String> {
        self.address(address).map(|address| address.to_string())
    }

    fn derive(&self, index: u32) -> Result<DepositAddress, String> {
        self.deriver.address(index)
    }

    fn payment_uri_template(&self, asset: Asset) -> Result<String, UriError> {
        match asset {
            Asset::Btc => Ok("bitcoin:{address}?amount={units}".to_owned()),
            _ => Err(UriError::UnknownAsset),
        }
    }

    fn payment_uri(&self, address: &str, payable: Amount) -> Result<String, UriError> {
        let address = self.address(address).ok_or(UriError::BadAddress)?;
        bip21::write(&address.to_string(), payable)
    }
}
