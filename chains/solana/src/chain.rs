//! The Solana network as the rest of the house sees it: `chains::Chain`, in text and `Amount`.
//!
//! Invariant: no type of Solana's crates crosses this door. Connecting does no IO, so a process
//! starts while its node is down. A deposit "address" is a reference key; see `reference`.

use std::{collections::BTreeMap, str::FromStr as _, time::Duration};

use async_trait::async_trait;
use chains::{
    BlockFacts, BlockRef, Chain, DepositAddress, Head, NodeReport, Outgoing, ReadError, Step,
    TxPlace, UriError, WatchSet, Witness,
    nodes::{Node as _, Nodes},
    solana_pay,
};
use futures::future::join_all;
use primitives::{Amount, Asset, NetworkId};
use serde_json::{Value, json};
use solana_client::rpc_request::RpcRequest;
use solana_pubkey::Pubkey;
use spl_associated_token_account_interface::address::get_associated_token_address_with_program_id;

use crate::{
    carrier::Caps,
    config::SolanaConfig,
    news::News,
    node::Node,
    outgoing::{self, Question},
    reference::References,
    scan::{self, Scope},
    step,
    verify::{self, TOKEN_PROGRAMS},
    wire::{InContext, garbage},
};

/// How far back a block is looked for by its hash.
const DEEPEST_SEARCH: u32 = 100;
/// Each costs calls of its own where balances are asked for.
const MOST_RETIRED: usize = 32;

/// One Solana network: what happens on it, and (`carrier`) how our own money is moved there.
pub struct SolanaChain {
    pub(crate) network: NetworkId,
    pub(crate) scope: Scope,
    pub(crate) caps: Caps,
    references: References,
    pub(crate) nodes: Nodes<Node>,
    news: News,
}

impl SolanaChain {
    /// Reads the settings. Asks no node anything yet.
    ///
    /// # Errors
    /// `Untrusted` with a sentence naming the setting that cannot be right.
    pub fn connect(config: &SolanaConfig) -> Result<Self, ReadError> {
        Self::try_new(config).map_err(|why| {
            ReadError::Untrusted(format!("settings of network {}: {why}", config.network))
        })
    }

    fn try_new(config: &SolanaConfig) -> Result<Self, String> {
        if config.rpc_urls.is_empty() {
            return Err("no rpc_urls".to_owned());
        }
        if config.rpc_urls.iter().any(|url| !matches!(url.scheme(), "http" | "https")) {
            return Err("rpc_urls must be http or https".to_owned());
        }
        if config.request_timeout_ms == 0 || config.max_response_bytes == 0 {
            return Err("request_timeout_ms and max_response_bytes must be positive".to_owned());
        }
        if key_of(&config.genesis_hash).is_none() {
            return Err("genesis_hash is no hash".to_owned());
        }
        let wallet = key_of(&config.wallet).ok_or("wallet is no public key")?;
        if !wallet.is_on_curve() {
            return Err("wallet is no wallet: nobody can have its key".to_owned());
        }
        let mints = mints_of(config)?;
        let wallets = wallets_of(&wallet, &config.retired_wallets)?;
        let accounts = wallets.iter().flat_map(|wallet| accounts_of(wallet, &mints)).collect();
        let wallets = wallets.iter().map(ToString::to_string).collect();
        let nodes = config.rpc_urls.iter().map(|url| Node::try_new(url, config));
        Ok(Self {
            network: config.network.clone(),
            scope: Scope { wallet: wallet.to_string(), wallets, mints },
            caps: Caps { reserve: config.reserve_lamports, unit_price: config.unit_price_max },
            references: References::try_new(config.reference_seed.expose(), wallet)?,
            nodes: Nodes::new(nodes.collect::<Result<_, _>>()?),
            news: News::try_new(&config.ws_urls, accounts)?,
        })
    }

    pub(crate) fn mint(&self, asset: Asset) -> Option<&str> {
        self.scope.mints.iter().find(|(_, listed)| **listed == asset).map(|(mint, _)| mint.as_str())
    }

    /// The mint a URI names: none for the network's coin.
    fn mint_in_uri(&self, asset: Asset) -> Result<Option<&str>, UriError> {
        match self.mint(asset) {
            None if asset == Asset::Sol => Ok(None),
            None => Err(UriError::UnknownAsset),
            mint => Ok(mint),
        }
    }
}

/// Base58 of 64 bytes.
pub(crate) fn is_signature(text: &str) -> Result<(), ReadError> {
    let bytes = bs58::decode(Some(text).filter(|id| id.len() <= 90).unwrap_or("0")).into_vec();
    if bytes.is_ok_and(|bytes| bytes.len() == 64) {
        return Ok(());
    }
    Err(ReadError::Unavailable("not the id of a transaction".to_owned()))
}

/// Base58 of 32 bytes, written the one way it is written.
pub(crate) fn key_of(text: &str) -> Option<Pubkey> {
    let short = Some(text).filter(|text| (32..=44).contains(&text.len()))?;
    Pubkey::from_str(short).ok()
}

fn mints_of(config: &SolanaConfig) -> Result<BTreeMap<String, Asset>, String> {
    let mut mints = BTreeMap::new();
    for listed in &config.mints {
        let asset = listed.asset;
        let mint = key_of(&listed.mint).ok_or_else(|| format!("the mint of {asset} is no key"))?;
        if !asset.is_crypto() || asset == Asset::Sol || asset == Asset::Btc || asset == Asset::Eth {
            return Err(format!("{asset} is no token"));
        }
        if u32::from(listed.decimals) != asset.scale() {
            return Err(format!("{asset} has {} decimals, not {}", asset.scale(), listed.decimals));
        }
        if mints.values().any(|other| *other == asset)
            || mints.insert(mint.to_string(), asset).is_some()
        {
            return Err(format!("{asset} or its mint is listed twice"));
        }
    }
    Ok(mints)
}

/// The wallet payments are asked to, then the ones it replaced.
fn wallets_of(wallet: &Pubkey, retired: &[String]) -> Result<Vec<Pubkey>, String> {
    if retired.len() > MOST_RETIRED {
        return Err(format!("more than {MOST_RETIRED} retired_wallets"));
    }
    let mut wallets = vec![*wallet];
    for text in retired {
        let key = key_of(text).filter(Pubkey::is_on_curve);
        let key = key.ok_or("one of retired_wallets is no wallet")?;
        if wallets.contains(&key) {
            return Err("a wallet is listed twice, or retired while in use".to_owned());
        }
        wallets.push(key);
    }
    Ok(wallets)
}

/// The wallet and its associated token accounts under both token programs.
fn accounts_of(wallet: &Pubkey, mints: &BTreeMap<String, Asset>) -> Vec<String> {
    let mut accounts = vec![wallet.to_string()];
    for mint in mints.keys().filter_map(|mint| key_of(mint)) {
        for program in TOKEN_PROGRAMS.iter().filter_map(|program| key_of(program)) {
            let account = get_associated_token_address_with_program_id(wallet, &mint, &program);
            accounts.push(account.to_string());
        }
    }
    accounts
}

async fn at(node: &Node, slot: u64) -> Result<Option<BlockRef>, ReadError> {
    node.at(slot).await?.map(|header| header.reference(slot)).transpose()
}

async fn find(node: &Node, hash: &str) -> Result<BlockRef, ReadError> {
    let mut slot = node.tip().await?;
    for _ in 0..DEEPEST_SEARCH {
        let header = node.header(slot).await?.ok_or_else(|| garbage("a block it lacks"))?;
        if header.blockhash == hash {
            return header.reference(slot);
        }
        if header.parent_slot >= slot {
            break;
        }
        slot = header.parent_slot;
    }
    Err(ReadError::UnknownBlock)
}

async fn read(
    node: &Node,
    block: &BlockRef,
    scope: &Scope,
    watch: &WatchSet,
) -> Result<BlockFacts, ReadError> {
    let Some(found) = node.block(block.height).await? else {
        // Either the branch goes over this slot now, or the node lost its block for a moment.
        let other = node.at(block.height).await?;
        let why = "a slot whose block it cannot show at this moment";
        return Err(other.map_or(ReadError::UnknownBlock, |_| garbage(why)));
    };
    if found.header.blockhash != block.hash {
        return Err(ReadError::UnknownBlock);
    }
    let sightings = scan::block(&found, scope, watch)?;
    Ok(BlockFacts { block: found.header.reference(block.height)?, sightings })
}

pub(crate) async fn locate(node: &Node, signature: &str) -> Result<TxPlace, ReadError> {
    let Some(status) = node.status(signature).await? else {
        return Ok(TxPlace::Absent);
    };
    if !matches!(status.confirmation_status.as_deref(), Some("confirmed" | "finalized")) {
        return Ok(TxPlace::Pending);
    }
    let header = node.header(status.slot).await?.ok_or_else(|| garbage("a block it lacks"))?;
    let (height, block_hash) = (status.slot, header.blockhash);
    Ok(TxPlace::Included { height, block_hash, succeeded: status.err.is_null() })
}

/// What our wallets hold together, asked one after the other.
async fn held(node: &Node, scope: &Scope, mint: Option<&str>) -> Result<i128, ReadError> {
    let mut sum = 0_i128;
    for wallet in &scope.wallets {
        let held = match mint {
            None => held_coins(node, wallet).await?,
            Some(mint) => held_token(node, wallet, mint).await?,
        };
        sum = sum.saturating_add(held);
    }
    Ok(sum)
}

/// What a wallet holds of one mint, in all its accounts.
async fn held_token(node: &Node, wallet: &str, mint: &str) -> Result<i128, ReadError> {
    let params = json!([
        wallet, { "mint": mint }, { "encoding": "jsonParsed", "commitment": "confirmed" }
    ]);
    let found: InContext<Vec<Value>> =
        node.call(RpcRequest::GetTokenAccountsByOwner, params).await?;
    found.value.iter().try_fold(0_i128, |sum, account| {
        let amount = account.pointer("/account/data/parsed/info/tokenAmount/amount");
        let amount = amount.and_then(Value::as_str).and_then(|text| text.parse::<u64>().ok());
        let amount = amount.ok_or_else(|| garbage("a token account without an amount"))?;
        Ok(sum.saturating_add(i128::from(amount)))
    })
}

async fn held_coins(node: &Node, wallet: &str) -> Result<i128, ReadError> {
    let params = json!([wallet, { "commitment": "confirmed" }]);
    let found: InContext<u64> = node.call(RpcRequest::GetBalance, params).await?;
    Ok(i128::from(found.value))
}

#[async_trait]
impl Chain for SolanaChain {
    fn network(&self) -> &NetworkId {
        &self.network
    }

    fn assets(&self) -> Vec<Asset> {
        std::iter::once(Asset::Sol).chain(self.scope.mints.values().copied()).collect()
    }

    async fn head(&self) -> Result<Head, ReadError> {
        let head = self.nodes.ask(|node| Box::pin(node.head())).await?;
        self.nodes.followed(&head.latest, true);
        Ok(head)
    }

    async fn block_at(&self, height: u64) -> Result<Option<BlockRef>, ReadError> {
        self.nodes.ask(|node| Box::pin(at(node, height))).await
    }

    /// By walking back from the tip: this network has no question for a block by its hash. Finds
    /// what is at most a hundred blocks deep, on the canonical branch.
    async fn block(&self, hash: &str) -> Result<BlockRef, ReadError> {
        key_of(hash).ok_or(ReadError::UnknownBlock)?;
        self.nodes.ask(|node| Box::pin(find(node, hash))).await
    }

    async fn step(&self, from: &BlockRef) -> Result<Step, ReadError> {
        key_of(&from.hash).ok_or(ReadError::UnknownBlock)?;
        let (slot, hash) = (from.height, from.hash.as_str());
        let step = self.nodes.ask(|node| Box::pin(step::after(node, slot, hash))).await?;
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
        key_of(&block.hash).ok_or(ReadError::UnknownBlock)?;
        let scope = &self.scope;
        let facts = self.nodes.ask(|node| Box::pin(read(node, block, scope, watch))).await?;
        self.nodes.followed(&facts.block, false);
        Ok(facts)
    }

    async fn locate(&self, tx_id: &str, _spends: &[String]) -> Result<TxPlace, ReadError> {
        is_signature(tx_id)?;
        self.nodes.ask(|node| Box::pin(locate(node, tx_id))).await
    }

    /// Only of a transaction that a wallet of ours signed, and what the address gained by it: in
    /// coins, or in all its token accounts together.
    async fn outgoing(
        &self,
        tx_id: &str,
        to: &str,
        asset: Asset,
    ) -> Result<Vec<Outgoing>, ReadError> {
        is_signature(tx_id)?;
        let no = |why: String| ReadError::Unavailable(why);
        let to =
            self.canonical(to).ok_or_else(|| no("not an address of this network".to_owned()))?;
        let mint = self
            .mint_in_uri(asset)
            .map_err(|_| no(format!("{asset} does not exist on {}", self.network)))?;
        let asked = Question { signature: tx_id, to: &to, asset, mint };
        let scope = &self.scope;
        self.nodes.ask(|node| Box::pin(outgoing::of(node, asked, scope))).await
    }

    async fn witnesses(&self, block: &BlockRef) -> Vec<Witness> {
        self.nodes.witnesses(block).await
    }

    async fn wait_for_news(&self, _known: &BlockRef, at_most: Duration) {
        self.news.wait(at_most).await;
    }

    async fn examine(&self) -> Vec<NodeReport> {
        join_all(self.nodes.all().iter().map(|node| verify::examine(node, &self.scope))).await
    }

    /// References hold nothing: everything is in the wallet, or still in one it replaced.
    async fn held(&self, addresses: &[String], asset: Asset) -> Result<Amount, ReadError> {
        if addresses.iter().any(|address| key_of(address).is_none()) {
            return Err(ReadError::Unavailable("not an address of this network".to_owned()));
        }
        let mint = self.mint_in_uri(asset).map_err(|_| {
            ReadError::Unavailable(format!("{asset} does not exist on {}", self.network))
        })?;
        let scope = &self.scope;
        let held = self.nodes.ask(|node| Box::pin(held(node, scope, mint))).await?;
        Amount::try_new(held, asset).map_err(|_| garbage("a balance beyond what can exist"))
    }

    fn calls(&self) -> u64 {
        self.nodes.calls()
    }

    fn canonical(&self, address: &str) -> Option<String> {
        key_of(address).map(|key| key.to_string())
    }

    fn derive(&self, index: u32) -> Result<DepositAddress, String> {
        self.references.key(index)
    }

    fn payment_uri_template(&self, asset: Asset) -> Result<String, UriError> {
        let wallet = &self.scope.wallet;
        let token = self.mint_in_uri(asset)?.map(|mint| format!("&spl-token={mint}"));
        let token = token.unwrap_or_default();
        Ok(format!("solana:{wallet}?amount={{units}}{token}&reference={{address}}"))
    }

    fn payment_uri(&self, address: &str, payable: Amount) -> Result<String, UriError> {
        let reference = key_of(address).ok_or(UriError::BadAddress)?.to_string();
        let mint = self.mint_in_uri(payable.asset())?;
        solana_pay::write(&self.scope.wallet, payable, mint, &reference)
    }
}
