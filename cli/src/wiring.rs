//! Where everything meets: connectors from settings, the product's base, the workers' context.

use std::{collections::BTreeMap, sync::Arc, time::Duration};

use anyhow::Context as _;
use chains::{Chain, carrier::Carrier};
use chains_bitcoin::BitcoinChain;
use chains_evm::EvmChain;
use chains_solana::SolanaChain;
use outbound::webhook::{Policy, Sender};
use primitives::{Clock, Entropy, NetworkId, SystemClock};
use settlement::{Base, rates::Board};
use signing::SocketSigner;
use workers::{Connectors, Ctx};

use crate::config::Config;

/// The product's base over a fresh pool.
///
/// # Errors
/// When the database cannot be reached.
pub async fn base(config: &Config) -> anyhow::Result<Base> {
    let pool = ledger::connect_pool(config.database()?, config.database_connections)
        .await
        .context("connecting to the database")?;
    Ok(Base {
        pool,
        clock: Arc::new(SystemClock),
        entropy: Arc::new(Entropy::system()),
        settings: Arc::new(config.settlement.clone()),
    })
}

/// The rate board; Redis is optional and its absence is only noted.
pub fn board(config: &Config, base: &Base) -> Board {
    let url = config.redis_url.expose();
    if url.is_empty() {
        return Board::new(base.clone(), None);
    }
    Board::connect(base.clone(), url)
}

/// Every configured network: its reading side, and the treasury's. Asks no node anything.
///
/// # Errors
/// A sentence naming the network whose settings cannot be right.
pub fn networks(config: &Config) -> anyhow::Result<Networks> {
    let mut networks = Networks::default();
    for settings in &config.bitcoin {
        networks.add(Arc::new(BitcoinChain::connect(settings)?))?;
    }
    for settings in &config.evm {
        networks.add(Arc::new(EvmChain::connect(settings)?))?;
    }
    for settings in &config.solana {
        networks.add(Arc::new(SolanaChain::connect(settings)?))?;
    }
    separate_addresses(&networks.chains)?;
    let mut wallets: BTreeMap<&String, &NetworkId> = BTreeMap::new();
    for settings in &config.solana {
        if let Some(other) = wallets.insert(&settings.wallet, &settings.network) {
            anyhow::bail!("networks {other} and {} share a wallet", settings.network);
        }
    }
    Ok(networks)
}

/// As [`networks`], for who only reads.
///
/// # Errors
/// As [`networks`].
pub fn chains(config: &Config) -> anyhow::Result<BTreeMap<NetworkId, Arc<dyn Chain>>> {
    Ok(networks(config)?.chains)
}

/// Both sides of every network.
#[derive(Default)]
pub struct Networks {
    pub chains: BTreeMap<NetworkId, Arc<dyn Chain>>,
    pub carriers: BTreeMap<NetworkId, Arc<dyn Carrier>>,
}

impl Networks {
    fn add<T: Chain + Carrier + 'static>(&mut self, both: Arc<T>) -> anyhow::Result<()> {
        let network = Chain::network(&*both).clone();
        let chain: Arc<dyn Chain> = Arc::<T>::clone(&both);
        let twice = self.chains.insert(network.clone(), chain).is_some();
        anyhow::ensure!(!twice, "network {network} is configured twice");
        self.carriers.insert(network, both);
        Ok(())
    }
}

/// One key on two networks would give two payments the same address: value for one would be booked
/// for the other. Networks take different accounts of one wallet (m/44'/60'/0', m/44'/60'/1', …).
fn separate_addresses(chains: &BTreeMap<NetworkId, Arc<dyn Chain>>) -> anyhow::Result<()> {
    let mut known: BTreeMap<String, &NetworkId> = BTreeMap::new();
    for (network, chain) in chains {
        let first = chain.derive(0).map_err(anyhow::Error::msg)?.address;
        if let Some(other) = known.insert(first, network) {
            anyhow::bail!("networks {other} and {network} share a key: give each its own account");
        }
    }
    Ok(())
}

/// Every connector of the settings. Opens no connection.
///
/// # Errors
/// A sentence naming what cannot work.
pub fn connectors(config: &Config) -> anyhow::Result<Connectors> {
    let clock: Arc<dyn Clock> = Arc::new(SystemClock);
    let Networks { chains, carriers } = networks(config)?;
    let mut connectors = Connectors { chains, carriers, ..Connectors::default() };
    if let Some(signer) = &config.signer {
        let patience = Duration::from_millis(signer.timeout_ms);
        connectors.signer = Some(Arc::new(SocketSigner::connect(&signer.socket, patience)));
    }
    for settings in &config.connectors {
        let connector = exchanges::registry::connect(settings, Arc::clone(&clock))?;
        connectors.rate_sources.extend(connector.rates);
        connectors.price_streams.extend(connector.stream);
        connectors.order_news.extend(connector.news);
        if let Some(exchange) = connector.exchange {
            connectors.exchanges.insert(exchange.venue().to_owned(), exchange);
        }
        if let Some(custody) = connector.custody {
            connectors.custody.insert(custody.venue().to_owned(), custody);
        }
    }
    for settings in &config.rails {
        let rail = payouts::registry::connect(settings, Arc::clone(&clock))?;
        connectors.rails.insert(rail.rail().to_owned(), rail);
    }
    Ok(connectors)
}

/// Everything a worker process needs.
///
/// # Errors
/// When the database is out of reach or a connector cannot be built.
pub async fn ctx(config: &Config) -> anyhow::Result<Ctx> {
    let base = base(config).await?;
    let board = board(config, &base);
    let webhooks = Sender::try_new(Policy {
        allow_loopback: config.settlement.webhook_loopback,
        trusted_hosts: config.settlement.webhook_hosts.clone(),
    })?;
    Ok(Ctx::new(base, board, connectors(config)?, webhooks))
}
