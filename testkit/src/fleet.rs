//! Building the fleet: everything in this process, on a clock that moves only when told.
//!
//! Invariant: two fleets share nothing but the database server; the outside's books begin equal to
//! ours. What is done with a fleet is deliberately elsewhere: `drive.rs`, `books.rs`.

use std::{
    net::SocketAddr,
    sync::{
        Arc, Mutex,
        atomic::{AtomicU32, Ordering},
    },
};

use anyhow::{Context as _, ensure};
use chrono::DateTime;
use identity::{KeyKind, NewApiKey, Scopes};
use primitives::{Amount, Asset, Clock as _, Entropy, ManualClock, MerchantId, Secret, Vpa};
use queue::Failure;
use rust_decimal::Decimal;
use serde_json::json;
use settlement::{
    Base, Settings, VenueSettings, bookkeeping, chart, destination, notice, rates::Board,
};
use testkit_db::TestDb;
use tokio::{net::TcpListener, sync::watch};

use crate::{
    Gate, Http, Node, Other, Outside, Process,
    process::Plant,
    settings::{network, settings},
};

/// Connections of one process; a drain runs one job at a time.
const CONNECTIONS: u32 = 8;

/// When every fleet opens: 6 January 2025, noon in India. In the past, because the books take
/// nothing from the future and time must be able to pass; and always the same, so that a story
/// meets the same prices and each periodic job at the same beat whenever it is told.
const OPENING_S: i64 = 1_736_145_007;

/// How a fleet is to be. The default suits most stories.
#[derive(Debug)]
pub struct Options {
    pub settings: Settings,
    /// Decides the simulators' world and the fleet's ids.
    pub seed: u64,
    pub shops: u32,
    /// Where the newest rates are kept in front of PostgreSQL, if anywhere.
    pub redis_url: Option<String>,
    /// Whether the rail knows where to send webhooks; without, only asking helps.
    pub rail_webhooks: bool,
    /// What is on the bank's account to begin with, when it is not plenty.
    pub bank_paise: Option<i64>,
    /// What the venue holds to begin with, of assets it does not have plenty of.
    pub venue: Vec<(Asset, Decimal)>,
    /// Chains beside the fleet's own.
    pub others: Vec<Other>,
}

impl Options {
    /// # Errors
    /// When the settings are not complete.
    pub fn new() -> anyhow::Result<Self> {
        let settings = settings()?;
        Ok(Self {
            settings,
            seed: 1,
            shops: 1,
            redis_url: None,
            rail_webhooks: true,
            bank_paise: None,
            venue: Vec::new(),
            others: Vec::new(),
        })
    }

    /// As [`Options::new`], and Binance sells for dollars what the other venue sells for rupees.
    ///
    /// # Errors
    /// As [`Options::new`].
    pub fn with_binance() -> anyhow::Result<Self> {
        let mut options = Self::new()?;
        let venue = VenueSettings { cap_paise: None, sells: true };
        options.settings.venues.insert("binance".to_owned(), venue);
        Ok(options)
    }

    /// As [`Options::with_binance`], and Coinbase sells for dollars as well.
    ///
    /// # Errors
    /// As [`Options::new`].
    pub fn with_coinbase() -> anyhow::Result<Self> {
        let mut options = Self::with_binance()?;
        let venue = VenueSettings { cap_paise: None, sells: true };
        options.settings.venues.insert("coinbase".to_owned(), venue);
        Ok(options)
    }
}

/// A merchant with everything it needs.
#[derive(Debug, Clone)]
pub struct Shop {
    pub merchant: MerchantId,
    pub vpa: String,
    pub key: Secret,
    /// Its endpoint's path at the merchant simulator.
    pub hook: String,
}

/// Everything in one process.
#[derive(Debug)]
pub struct Fleet {
    pub clock: ManualClock,
    pub base: Base,
    pub board: Board,
    pub node: Node,
    pub outside: Outside,
    pub shops: Vec<Shop>,
    pub api_url: String,
    pub worker: Process,
    pub(crate) settings: Arc<Settings>,
    pub(crate) asked: AtomicU32,
    processes: AtomicU32,
    pub(crate) failures: Mutex<Vec<Failure>>,
    _stop: watch::Sender<bool>,
    /// Last: everybody else has let go of it when it is dropped.
    pub db: TestDb,
}

impl Fleet {
    /// A fleet with the usual settings, open for business.
    ///
    /// # Errors
    /// A sentence naming the part that did not start.
    pub async fn open() -> anyhow::Result<Self> {
        Self::with(Options::new()?).await
    }

    /// A fleet with other settings, open for business.
    ///
    /// # Errors
    /// As [`Fleet::open`].
    pub async fn with(options: Options) -> anyhow::Result<Self> {
        outbound::install_crypto();
        let opening = DateTime::from_timestamp(OPENING_S, 0).context("a date")?;
        let clock = ManualClock::new(opening);
        let (db, mut node, outside) = tokio::try_join!(
            TestDb::create_with_connections(CONNECTIONS),
            Node::start(clock.now()),
            Outside::start(&clock, options.seed),
        )?;
        if let Some(paise) = options.bank_paise {
            outside.control.post("/razorpayx/balance", &json!({ "set_paise": paise })).await?;
        }
        for (asset, wanted) in &options.venue {
            let held = outside.sims.wazirx.balance(asset.code()).free;
            outside.sims.wazirx.deposit(asset.code(), *wanted - held, "before the opening");
        }
        let mut settings = options.settings;
        for other in &options.others {
            settings.networks.insert(other.network.clone(), other.settings.clone());
        }
        node.others = options.others;
        let settings = Arc::new(settings);
        let plant = Plant { clock: &clock, settings: &settings, node: &node, outside: &outside };
        let base = plant.base(db.app.clone(), Entropy::seeded(options.seed));
        let board = match &options.redis_url {
            Some(url) => Board::connect(base.clone(), url),
            None => Board::new(base.clone(), None),
        };
        let worker = plant.process(base.clone(), board.clone(), &|_| true)?;
        let (stop, stopping) = watch::channel(false);
        let api_url = serve(&base, &board, stopping).await?;
        if options.rail_webhooks {
            outside.sims.world.set_webhook_url(Some(format!("{api_url}/webhooks/razorpayx")));
        }
        let mut fleet = Self {
            clock,
            base,
            board,
            node,
            outside,
            shops: Vec::new(),
            api_url,
            worker,
            settings,
            asked: AtomicU32::new(0),
            processes: AtomicU32::new(0),
            failures: Mutex::default(),
            _stop: stop,
            db,
        };
        fleet.open_books().await?;
        for number in 1..=options.shops {
            let shop = fleet.new_shop(number).await?;
            fleet.shops.push(shop);
        }
        fleet.round().await?;
        Ok(fleet)
    }

    fn plant(&self) -> Plant<'_> {
        Plant {
            clock: &self.clock,
            settings: &self.settings,
            node: &self.node,
            outside: &self.outside,
        }
    }

    /// Another process of the same fleet, with ids of its own and the jobs `wanted` says yes to.
    ///
    /// # Errors
    /// When the database does not take another pool.
    pub async fn another_process(
        &self,
        wanted: &(dyn Fn(&str) -> bool + Sync),
    ) -> anyhow::Result<Process> {
        let pool = ledger::connect_pool(&self.db.app_url(), CONNECTIONS).await?;
        let base = self.plant().base(pool, self.other_ids());
        let board = Board::new(base.clone(), None);
        self.plant().process(base, board, wanted)
    }

    /// Ids of their own for each process, and the same ones whenever a story is told.
    fn other_ids(&self) -> Entropy {
        let processes = self.processes.fetch_add(1, Ordering::Relaxed);
        Entropy::seeded(1_000_000 + u64::from(processes))
    }

    /// A process that reaches the database through a gate it can die at.
    ///
    /// # Errors
    /// As [`Fleet::another_process`].
    pub async fn mortal_process(
        &self,
        wanted: &(dyn Fn(&str) -> bool + Sync),
    ) -> anyhow::Result<(Process, Gate)> {
        let url = self.db.app_url();
        let (before, rest) = url.split_once('@').context("the database URL")?;
        let (target, database) = rest.split_once('/').context("the database URL")?;
        let target: SocketAddr = tokio::net::lookup_host(target)
            .await?
            .next()
            .context("the database server has no address")?;
        let gate = Gate::start(target).await?;
        let url = format!("{before}@{}/{database}", gate.address());
        let pool = ledger::connect_pool(&url, CONNECTIONS).await?;
        let base = self.plant().base(pool, self.other_ids());
        let board = Board::new(base.clone(), None);
        Ok((self.plant().process(base, board, wanted)?, gate))
    }

    /// What venue and rail hold before the first payment is the owners' capital.
    async fn open_books(&self) -> anyhow::Result<()> {
        let mut opening = Vec::new();
        for (venue, exchange) in &self.worker.ctx.connectors.exchanges {
            for held in exchange.holdings().await? {
                opening.push((chart::venue_free(venue, held.asset), held.free));
            }
        }
        for (name, rail) in &self.worker.ctx.connectors.rails {
            opening.push((chart::bank(name), rail.balance().await?.available));
        }
        let mut tx = self.base.pool.begin().await?;
        for (account, amount) in opening {
            let key = format!("opening:{}", account.code);
            if amount.is_positive() {
                bookkeeping::capital_paid_in(&mut tx, &self.base, account, amount, &key).await?;
            }
        }
        tx.commit().await?;
        Ok(())
    }

    /// The owners put rupees into the account at the bank, and that is booked.
    ///
    /// # Errors
    /// When bank or books refuse.
    pub async fn put_into_bank(&self, paise: i64) -> anyhow::Result<()> {
        self.outside.control.post("/razorpayx/balance", &json!({ "paise": paise })).await?;
        let amount = Amount::try_new(i128::from(paise), Asset::Inr)?;
        self.book_capital(chart::bank("razorpayx"), amount).await
    }

    /// The owners put crypto into the venue, and that is booked.
    ///
    /// # Errors
    /// When venue or books refuse.
    pub async fn put_into_venue(&self, amount: Amount) -> anyhow::Result<()> {
        let asset = amount.asset();
        let units = amount.to_units().parse()?;
        ensure!(self.outside.sims.wazirx.deposit(asset.code(), units, "top-up"), "refused");
        self.book_capital(chart::venue_free("wazirx", asset), amount).await
    }

    /// The owners put something into Binance, and that is booked.
    ///
    /// # Errors
    /// When venue or books refuse.
    pub async fn put_into_binance(&self, amount: Amount) -> anyhow::Result<()> {
        let asset = amount.asset();
        let units = amount.to_units().parse()?;
        ensure!(self.outside.sims.binance.deposit(asset.code(), units, "top-up"), "refused");
        self.book_capital(chart::venue_free("binance", asset), amount).await
    }

    async fn book_capital(&self, into: ledger::Account, amount: Amount) -> anyhow::Result<()> {
        let key = format!("top-up:{}", self.base.uuid());
        let mut tx = self.base.pool.begin().await?;
        bookkeeping::capital_paid_in(&mut tx, &self.base, into, amount, &key).await?;
        tx.commit().await?;
        Ok(())
    }

    async fn new_shop(&self, number: u32) -> anyhow::Result<Shop> {
        let base = &self.base;
        let vpa = format!("shop{number}@okaxis");
        let hook = format!("/hooks/shop-{number}");
        let secret = Secret::new("whsec_Y2h1a3RhIHRlc3QgbWVyY2hhbnQgc2VjcmV0ISE=");
        let known = json!({ "path": hook, "secret": secret.expose(), "replace": true });
        self.outside.control.post("/merchant/secrets", &known).await?;
        let url = format!("{}{hook}", self.outside.text("merchant", "base_url")?);
        let mut tx = base.pool.begin().await?;
        let name = format!("Shop {number}");
        let merchant =
            identity::create_merchant_in(&mut tx, &base.entropy, base.now(), &name).await?;
        destination::set_in(&mut tx, base, merchant, &Vpa::parse(&vpa)?, &name).await?;
        notice::set_endpoint_in(&mut tx, base, merchant, Some(&url), Some(&secret)).await?;
        let new = NewApiKey {
            merchant,
            name: "test".to_owned(),
            kind: KeyKind::Test,
            scopes: Scopes::all(),
            expires_at: None,
        };
        let (_, key) =
            identity::create_api_key_in(&mut tx, &base.entropy, base.now(), &new).await?;
        tx.commit().await?;
        Ok(Shop { merchant, vpa, key, hook })
    }

    /// The first shop.
    ///
    /// # Errors
    /// When there is none.
    pub fn shop(&self) -> anyhow::Result<&Shop> {
        self.shops.first().context("a fleet without a shop")
    }

    /// The API as a shop calls it.
    ///
    /// # Errors
    /// When the machine cannot make a client.
    pub fn api(&self, shop: &Shop) -> anyhow::Result<Http> {
        Http::new(&self.api_url, Some(shop.key.expose().to_owned()))
    }

    pub(crate) fn next_reference(&self) -> String {
        format!("order-{}", self.asked.fetch_add(1, Ordering::Relaxed))
    }
}

async fn serve(
    base: &Base,
    board: &Board,
    stopping: watch::Receiver<bool>,
) -> anyhow::Result<String> {
    let listener = TcpListener::bind("127.0.0.1:0").await?;
    let url = format!("http://{}", listener.local_addr()?);
    let state = api::ApiState {
        base: base.clone(),
        board: board.clone(),
        settings: api::ApiSettings::default(),
        migrations: migrations::MIGRATOR.iter().map(|m| m.version).collect(),
    };
    tokio::spawn(api::serve(listener, state, stopping));
    // The name is checked here, so that a wrong one is not found in the middle of a story.
    network()?;
    Ok(url)
}
