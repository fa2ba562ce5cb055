//! Where everything meets: connectors from settings, the product's base, the workers' context.

use std::{collections::BTreeMap, sync::Arc};

use anyhow::Context as _;
use chains::Chain;
use chains_bitcoin::BitcoinChain;
use chains_evm::EvmChain;
use chains_solana::SolanaChain;
use outbound::webhook::{Policy, Sender};
use primitives::{Clock, Entropy, NetworkId, SystemClock};
use settlement::{Base, rates::Board};
use workers::{Connectors, Ctx};

use crate::config::Config;

/// The product's base over a fresh pool.
///
/// # Errors
/// When the database cannot be reached.
pub(crate) async fn base(config: &Config) -> anyhow::Result<Base> {
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
pub(crate) fn board(config: &Config, base: &Base) -> Board {
    let url = config.redis_url.expose();
    if url.is_empty() {
        return Board::new(base.clone(), None);
    }
    Board::connect(base.clone(), url)
}

/// Every configured network. Asks no node anything.
///
/// # Errors
/// A sentence naming the network whose settings cannot be right.
pub(crate) fn chains(config: &Config) -> anyhow::Result<BTreeMap<NetworkId, Arc<dyn Chain>>> {
    let mut chains: BTreeMap<NetworkId, Arc<dyn Chain>> = BTreeMap::new();
    let mut add = |network: &NetworkId, chain: Arc<dyn Chain>| {
        let twice = chains.insert(network.clone(), chain).is_some();
        anyhow::ensure!(!twice, "network {network} is configured twice");
        Ok(())
    };
    for settings in &config.bitcoin {
        add(&settings.network, Arc::new(BitcoinChain::connect(settings)?))?;
    }
    for settings in &config.evm {
        add(&settings.network, Arc::new(EvmChain::connect(settings)?))?;
    }
    for settings in &config.solana {
        add(&settings.network, Arc::new(SolanaChain::connect(settings)?))?;
    }
    separate_addresses(&chains)?;
    let mut wallets: BTreeMap<&String, &NetworkId> = BTreeMap::new();
    for settings in &config.solana {
        if let Some(other) = wallets.insert(&settings.wallet, &settings.network) {
            anyhow::bail!("networks {other} and {} share a wallet", settings.network);
        }
    }
    Ok(chains)
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
pub(crate) fn connectors(config: &Config) -> anyhow::Result<Connectors> {
    let clock: Arc<dyn Clock> = Arc::new(SystemClock);
    let mut connectors = Connectors { chains: chains(config)?, ..Connectors::default() };
    for settings in &config.connectors {
        let connector = exchanges::registry::connect(settings, Arc::clone(&clock))?;
        connectors.rate_sources.extend(connector.rates);
        if let Some(exchange) = connector.exchange {
            connectors.exchanges.insert(exchange.venue().to_owned(), exchange);
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
pub(crate) async fn ctx(config: &Config) -> anyhow::Result<Ctx> {
    let base = base(config).await?;
    let board = board(config, &base);
    let webhooks = Sender::try_new(Policy {
        allow_loopback: config.settlement.webhook_loopback,
        trusted_hosts: config.settlement.webhook_hosts.clone(),
    })?;
    Ok(Ctx::new(base, board, connectors(config)?, webhooks))
}
