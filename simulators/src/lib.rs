#![doc = include_str!("../README.md")]

pub mod binance;
pub mod chains;
pub mod coinbase;
pub mod coingecko;
mod control;
pub mod fault;
pub mod journal;
mod keys;
pub mod merchant;
pub mod prices;
pub mod razorpayx;
mod serving;
pub mod signature;
mod transit;
pub mod venue;
pub mod wazirx;
mod world;

use std::{
    collections::BTreeMap,
    net::{IpAddr, Ipv4Addr, SocketAddr},
    sync::Arc,
};

use anyhow::Context as _;
use primitives::Clock;
use rust_decimal::Decimal;
use serde_json::{Value, json};

use serving::Server;
pub use world::World;

/// How to start the world outside.
#[derive(Debug, Clone)]
pub struct Options {
    /// Decides credentials, order book sizes, price drift and ids.
    pub seed: u64,
    pub clock: Arc<dyn Clock>,
    /// The interface to listen on; loopback unless a container asks otherwise.
    pub host: IpAddr,
    /// The host name printed in base URLs, when it differs from the interface.
    pub advertised_host: Option<String>,
    pub ports: Ports,
    /// Where the rail sends its webhooks; can be set later over control.
    pub webhook_url: Option<String>,
    /// Whether request limits are enforced at the start.
    pub limits: bool,
    /// Pinned mid prices such as `BTCINR`; everything else comes from the built-in table.
    pub prices: BTreeMap<String, Decimal>,
    /// Local nodes that stand for networks; more can be registered later over control.
    pub chains: Vec<chains::Spec>,
}

/// One port per server; 0 takes any free one.
#[derive(Debug, Clone, Copy, Default)]
pub struct Ports {
    pub wazirx: u16,
    pub binance: u16,
    pub coinbase: u16,
    pub razorpayx: u16,
    pub merchant: u16,
    pub control: u16,
    pub coingecko: u16,
}

impl Options {
    /// Seed 1, loopback, free ports, limits on, built-in prices, no webhook target.
    #[must_use]
    pub fn new(clock: Arc<dyn Clock>) -> Self {
        Self {
            seed: 1,
            clock,
            host: IpAddr::V4(Ipv4Addr::LOCALHOST),
            advertised_host: None,
            ports: Ports::default(),
            webhook_url: None,
            limits: true,
            prices: BTreeMap::new(),
            chains: Vec::new(),
        }
    }
}

/// Where each server listens.
#[derive(Debug, Clone, Copy)]
pub struct Addresses {
    pub wazirx: SocketAddr,
    pub binance: SocketAddr,
    pub coinbase: SocketAddr,
    pub razorpayx: SocketAddr,
    pub merchant: SocketAddr,
    pub control: SocketAddr,
    pub coingecko: SocketAddr,
}

/// All simulators, listening. Dropping it stops them at once; `shutdown` waits for the sockets.
#[derive(Debug)]
pub struct Running {
    pub addresses: Addresses,
    pub world: Arc<World>,
    pub bank: Arc<razorpayx::Bank>,
    pub inbox: Arc<merchant::Inbox>,
    pub wazirx: Arc<wazirx::Exchange>,
    pub binance: Arc<binance::Exchange>,
    pub coinbase: Arc<coinbase::Exchange>,
    pub coingecko: Arc<coingecko::Source>,
    pub chains: Arc<chains::Watchers>,
    advertised_host: Option<String>,
    servers: Vec<Server>,
    courier: tokio::task::JoinHandle<()>,
}

/// Binds every server and starts it.
///
/// # Errors
/// When a port is taken, a pinned price is not one the world can use, or a node does not answer.
pub async fn start(options: Options) -> anyhow::Result<Running> {
    let world = World::new(&options)?;
    let (bank_router, bank) = razorpayx::router(Arc::clone(&world));
    let (merchant_router, inbox) = merchant::router(Arc::clone(&world));
    let (wazirx_router, wazirx) = wazirx::router(Arc::clone(&world));
    let (binance_router, binance) = binance::router(Arc::clone(&world));
    let (coinbase_router, coinbase) = coinbase::router(Arc::clone(&world));
    let (coingecko_router, coingecko) = coingecko::router(Arc::clone(&world));
    let watchers = Arc::new(chains::Watchers::new(Arc::clone(&world)));
    for spec in &options.chains {
        watchers.register(spec).await.with_context(|| format!("chain {}", spec.network))?;
    }
    let control_router = control::router(control::Parts {
        world: Arc::clone(&world),
        bank: Arc::clone(&bank),
        inbox: Arc::clone(&inbox),
        wazirx: Arc::clone(&wazirx),
        binance: Arc::clone(&binance),
        coinbase: Arc::clone(&coinbase),
        chains: Arc::clone(&watchers),
    });
    let at = |port| SocketAddr::new(options.host, port);
    let ports = options.ports;
    let servers = vec![
        Server::start(at(ports.wazirx), wazirx_router).await?,
        Server::start(at(ports.binance), binance_router).await?,
        Server::start(at(ports.coinbase), coinbase_router).await?,
        Server::start(at(ports.razorpayx), bank_router).await?,
        Server::start(at(ports.merchant), merchant_router).await?,
        Server::start(at(ports.control), control_router).await?,
        Server::start(at(ports.coingecko), coingecko_router).await?,
    ];
    let addresses = addresses(&servers)?;
    let courier = razorpayx::spawn(Arc::clone(&bank));
    Ok(Running {
        addresses,
        world,
        bank,
        inbox,
        wazirx,
        binance,
        coinbase,
        coingecko,
        chains: watchers,
        advertised_host: options.advertised_host,
        servers,
        courier,
    })
}

fn addresses(servers: &[Server]) -> anyhow::Result<Addresses> {
    let [wazirx, binance, coinbase, razorpayx, merchant, control, coingecko] = servers else {
        anyhow::bail!("seven servers were started");
    };
    Ok(Addresses {
        wazirx: wazirx.address,
        binance: binance.address,
        coinbase: coinbase.address,
        razorpayx: razorpayx.address,
        merchant: merchant.address,
        control: control.address,
        coingecko: coingecko.address,
    })
}

impl Running {
    /// The one JSON object `chukta simulate` prints first.
    #[must_use]
    pub fn first_line(&self) -> Value {
        let bank = self.bank.credentials();
        let (wazirx, binance) = (self.wazirx.credentials(), self.binance.credentials());
        let ed25519 = self.binance.ed25519();
        let (es256, edwards) = (self.coinbase.key(), self.coinbase.ed25519());
        json!({
            "wazirx": {
                "base_url": self.base_url(self.addresses.wazirx),
                "api_key": wazirx.api_key,
                "secret": wazirx.secret.expose(),
            },
            "binance": {
                "base_url": self.base_url(self.addresses.binance),
                "api_key": binance.api_key,
                "secret": binance.secret.expose(),
                "ed25519_api_key": ed25519.api_key,
                "ed25519_private_key": ed25519.private_key_pem.expose(),
            },
            "coinbase": {
                "base_url": self.base_url(self.addresses.coinbase),
                "api_key": es256.name,
                "secret": es256.secret.expose(),
                "ed25519_api_key": edwards.name,
                "ed25519_private_key": edwards.secret.expose(),
            },
            "coingecko": {
                "base_url": self.base_url(self.addresses.coingecko),
                "api_key": self.coingecko.api_key().expose(),
            },
            "razorpayx": {
                "base_url": self.base_url(self.addresses.razorpayx),
                "key_id": bank.key_id,
                "key_secret": bank.key_secret,
                "account_number": bank.account_number,
                "webhook_secret": bank.webhook_secret,
            },
            "merchant": {"base_url": self.base_url(self.addresses.merchant)},
            "control": {"base_url": self.base_url(self.addresses.control)},
        })
    }

    fn base_url(&self, address: SocketAddr) -> String {
        match &self.advertised_host {
            Some(host) => format!("http://{host}:{}", address.port()),
            None => format!("http://{address}"),
        }
    }

    /// Stops every server; requests under way are cut after a moment.
    pub async fn shutdown(mut self) {
        self.courier.abort();
        self.chains.end();
        self.binance.hang_up();
        for server in self.servers.drain(..) {
            server.stop().await;
        }
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        self.courier.abort();
        self.chains.end();
        self.binance.hang_up();
    }
}
