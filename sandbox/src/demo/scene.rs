//! Building the scene: database, chain node, simulators, settings, fleet, merchant.

use std::{
    collections::BTreeMap,
    path::{Path, PathBuf},
    process::Stdio,
    sync::Arc,
    time::Duration,
};

use anyhow::{Context as _, bail};
use chains::sandbox::Sandbox;
use cli::{
    beside,
    commands::{migrate, open_books, seed},
    config::Config,
    wiring,
};
use primitives::{Amount, NetworkId, Secret};
use serde_json::{Value, json};
use settlement::{
    Base,
    reconcile::{self, Scope},
};
use tokio::{
    io::{AsyncBufReadExt as _, BufReader},
    process::{Child, Command},
};

use super::{
    http::Caller,
    nodes::Nodes,
    signer::{self, Signer},
    treasury,
};
use crate::payers;

const START: Duration = Duration::from_secs(60);

/// Who pays on each network.
pub(super) type Payers = BTreeMap<NetworkId, Box<dyn Sandbox>>;

/// What the simulators said of themselves, and the process they run in.
pub(crate) struct Outside {
    child: Child,
    pub(crate) said: Value,
}

impl Outside {
    pub(crate) fn text(&self, simulator: &str, field: &str) -> &str {
        self.said
            .get(simulator)
            .and_then(|s| s.get(field))
            .and_then(Value::as_str)
            .unwrap_or_default()
    }

    pub(crate) fn control_url(&self) -> &str {
        self.text("control", "base_url")
    }
}

/// Everything that runs.
pub(crate) struct Scene {
    pub(crate) base: Base,
    /// As the fleet has it: what a wallet needs to know of networks stands in it.
    pub(crate) config: Config,
    pub(crate) dir: PathBuf,
    pub(crate) settings: PathBuf,
    pub(crate) nodes: Nodes,
    pub(crate) outside: Outside,
    payers: Payers,
    signer: tokio::sync::Mutex<Signer>,
    pub(crate) api_url: String,
    pub(crate) api_key: Secret,
    pub(crate) merchant: Caller,
    pub(crate) control: Caller,
    fleet: tokio::sync::Mutex<Child>,
    launch: Launch,
}

/// How the fleet's process is started, every time alike.
struct Launch {
    settings: PathBuf,
    app_url: String,
    redis_url: String,
    log: PathBuf,
}

impl Scene {
    /// # Errors
    /// A sentence naming the part that did not start.
    pub(crate) async fn build(config: &Config, database: &str) -> anyhow::Result<Self> {
        let dir = std::env::current_dir()?.join(".local/demo");
        tokio::fs::create_dir_all(&dir).await?;
        let app_url = fresh_database(config, database).await?;
        println!("database ready, chain nodes and simulators starting");
        let nodes = Nodes::start().await?;
        let outside = simulate().await?;
        let control = Caller::new(outside.control_url(), None)?;
        control.post("/chains", &nodes.watched()).await?;
        let port = free_port()?;
        let api_url = format!("http://127.0.0.1:{port}");
        let socket = signer::socket(&dir);
        let written = format!(
            "{}{}[signer]\nsocket = {:?}\n",
            settings(config, &outside, port),
            nodes.settings()?,
            socket.display().to_string()
        );
        let settings = dir.join("settings.toml");
        super::private_file(&settings, &written).await?;
        wire_webhooks(&control, &outside, &api_url).await?;
        let payers = payers(&settings).await?;
        treasury::fill_gas_stations(&Config::load(Some(&settings))?, &payers).await?;
        let (base, api_key) = open(&settings, &app_url, &outside).await?;
        treasury::fill_hot_wallets(&control, &payers).await?;
        let signer = Signer::start(&dir, &Config::load(Some(&settings))?, &control).await?;
        let launch = Launch {
            settings: settings.clone(),
            app_url,
            redis_url: config.redis_url.expose().to_owned(),
            log: dir.join("fleet.log"),
        };
        tokio::fs::write(&launch.log, "").await?;
        let fleet = tokio::sync::Mutex::new(launch.start()?);
        let merchant = Caller::new(&api_url, Some(api_key.clone()))?;
        let config = Config::load(Some(&settings))?;
        let scene = Self {
            base,
            config,
            dir,
            settings,
            nodes,
            outside,
            payers,
            api_url,
            api_key,
            merchant,
            control,
            signer: tokio::sync::Mutex::new(signer),
            fleet,
            launch,
        };
        scene.wait_until_open().await?;
        Ok(scene)
    }

    /// Waits until the fleet answers, has a rate and an address to give.
    async fn wait_until_open(&self) -> anyhow::Result<()> {
        let started = tokio::time::Instant::now();
        loop {
            let ready = self.merchant.get("/health/ready").await.is_ok();
            let rates = if ready { self.merchant.get("/v1/rates").await.ok() } else { None };
            let addresses: i64 = sqlx::query_scalar(
                "select count(*) from deposit_addresses where payment_id is null",
            )
            .fetch_one(&self.base.pool)
            .await?;
            let followed: i64 = sqlx::query_scalar("select count(*) from chain_cursors")
                .fetch_one(&self.base.pool)
                .await?;
            let methods: i64 = sqlx::query_scalar("select count(*) from payment_methods")
                .fetch_one(&self.base.pool)
                .await?;
            let told = rates.map(|rates| rates.to_string()).unwrap_or_default();
            // BTC, ETH and SOL; the dollar has fewer sources.
            let quoted = told.matches("\"good\"").count() >= 3 && !told.contains("unusable");
            let all = i64::try_from(self.payers.len())?;
            let networks = self.config.settlement.networks.values();
            let ways: usize = networks.map(|network| network.assets.len()).sum();
            let known = addresses >= all && methods >= i64::try_from(ways)?;
            if quoted && known && followed >= all {
                println!("fleet open at {}", self.api_url);
                return Ok(());
            }
            if started.elapsed() > START {
                bail!(
                    "the fleet did not open; its log is in {}",
                    self.dir.join("fleet.log").display()
                );
            }
            tokio::time::sleep(Duration::from_millis(250)).await;
        }
    }

    /// Who pays on a network.
    ///
    /// # Errors
    /// When nobody does.
    pub(crate) fn payer(&self, network: &str) -> anyhow::Result<&dyn Sandbox> {
        let named = self.payers.iter().find(|(known, _)| known.as_str() == network);
        let payer = named.with_context(|| format!("nobody pays on {network}"))?;
        Ok(payer.1.as_ref())
    }

    /// What our books and the chain say each asset of the network's escrow holds.
    ///
    /// # Errors
    /// When books or node cannot be read.
    pub(crate) async fn escrow(&self) -> anyhow::Result<Vec<(NetworkId, Amount, Amount)>> {
        let mut lines = Vec::new();
        for (network, chain) in wiring::chains(&self.config)? {
            for asset in chain.assets() {
                let mut conn = self.base.pool.acquire().await?;
                let scope = Scope::Escrow(network.clone(), asset);
                let ours = reconcile::books_in(&mut conn, &scope).await?;
                let paid = reconcile::funded_addresses(&mut conn, &network, asset).await?;
                let theirs = chain.held(&paid, asset).await?;
                lines.push((network.clone(), ours, theirs));
            }
        }
        Ok(lines)
    }

    /// Kills the fleet without a word and starts it again: nothing it held in memory survives.
    ///
    /// # Errors
    /// When it cannot be started again.
    pub(crate) async fn kill_fleet(&self) -> anyhow::Result<()> {
        let mut fleet = self.fleet.lock().await;
        fleet.kill().await?;
        *fleet = self.launch.start()?;
        Ok(())
    }

    /// Kills the signer without a word and starts it again over the same files.
    ///
    /// # Errors
    /// When it does not serve again.
    pub(crate) async fn kill_signer(&self) -> anyhow::Result<()> {
        self.signer.lock().await.kill().await
    }

    /// Ends every process that was started.
    pub(crate) async fn strike(mut self) {
        end(self.fleet.get_mut()).await;
        self.signer.get_mut().end().await;
        end(&mut self.outside.child).await;
    }
}

/// Asks a process to stop, and makes it after a while.
pub(super) async fn end(child: &mut Child) {
    if let Some(pid) = child.id() {
        let asked = Command::new("kill").args(["-TERM", &pid.to_string()]).status().await;
        let waited = tokio::time::timeout(Duration::from_secs(15), child.wait()).await;
        if asked.is_err() || waited.is_err() {
            let _ = child.kill().await;
        }
    }
}

/// An empty database of this version, owned by the owner, for the application's role.
async fn fresh_database(config: &Config, name: &str) -> anyhow::Result<String> {
    let plain = name.bytes().all(|b| b.is_ascii_lowercase() || b.is_ascii_digit() || b == b'_');
    anyhow::ensure!(plain && !name.is_empty(), "a database name of lower-case letters and digits");
    let owner = config.owner_database()?;
    let admin = sqlx::postgres::PgPoolOptions::new().max_connections(1).connect(owner).await?;
    for statement in ["drop database if exists NAME with (force)", "create database NAME"] {
        // The name was checked above; identifiers cannot be bound.
        let statement = statement.replace("NAME", name);
        sqlx::query(sqlx::AssertSqlSafe(statement)).execute(&admin).await?;
    }
    admin.close().await;
    migrate::database(&in_database(owner, name)?).await?;
    in_database(config.database()?, name)
}

fn in_database(url: &str, name: &str) -> anyhow::Result<String> {
    let mut url = url::Url::parse(url).context("a database URL")?;
    url.set_path(name);
    Ok(url.into())
}

/// A payer on every network of the settings.
async fn payers(settings: &Path) -> anyhow::Result<Payers> {
    let config = Config::load(Some(settings))?;
    let mut payers = BTreeMap::new();
    for settings in &config.sandbox {
        let payer = payers::open(&config, &settings.network).await?;
        payers.insert(settings.network.clone(), payer);
    }
    Ok(payers)
}

async fn simulate() -> anyhow::Result<Outside> {
    let mut child = Command::new(beside::program("chukta")?)
        .arg("simulate")
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .stderr(Stdio::null())
        .kill_on_drop(true)
        .spawn()?;
    let out = child.stdout.take().context("the simulators' output")?;
    let mut lines = BufReader::new(out).lines();
    let first = tokio::time::timeout(START, lines.next_line()).await??;
    let said = serde_json::from_str(&first.context("the simulators said nothing")?)?;
    Ok(Outside { child, said })
}

/// Outside the range the kernel gives away by itself: the fleet takes it later, and again after
/// each time it was killed.
fn free_port() -> anyhow::Result<u16> {
    let first = std::process::id() % 12_000;
    let ports = (0..12_000).map(|step| 20_000 + (first + step) % 12_000);
    let free = |port: &u16| std::net::TcpListener::bind(("127.0.0.1", *port)).is_ok();
    ports.filter_map(|port| u16::try_from(port).ok()).find(free).context("no free port")
}

/// The fleet's settings: the same keys as in production, with the simulators' addresses.
fn settings(config: &Config, outside: &Outside, port: u16) -> String {
    let of = |simulator, field| outside.text(simulator, field);
    format!(
        r#"# Written by `chukta demo`: sandbox settings of this run.
redis_url = "{redis}"
[api]
listen = "127.0.0.1:{port}"
[settlement]
payment_expiry_min_s = 10
expiry_quiet_s = 2
conversion_age_s = 1
order_wait_s = 4
webhook_loopback = true
[settlement.venues.binance]
[settlement.treasury]
sweep_every_s = 2
sweep_min_paise = 10000
sweep_fee_bps_max = 1000
credit_gap_s = 2
retry_after_s = 5
bump_after_s = 6
[settlement.treasury.venues.binance]
targets = {{ BTC = "1000", ETH = "10000", SOL = "1000000", USDC = "100000000", USDT = "100000000" }}
[settlement.treasury.venues.wazirx]
targets = {{ USDT = "2000250" }}
lists_deposits = false
{lanes}[[connectors]]
kind = "wazirx"
base_url = "{wazirx}"
api_key = "{wazirx_key}"
secret = "{wazirx_secret}"
[[connectors]]
kind = "binance"
base_url = "{binance}"
api_key = "{binance_key}"
secret = "{binance_secret}"
stream_url = "{binance_stream}"
ws_api_url = "{binance_stream}"
[[connectors]]
kind = "coinbase"
base_url = "{coinbase}"
[[connectors]]
kind = "coingecko"
base_url = "{coingecko}"
api_key = "{coingecko_key}"
[[rails]]
kind = "razorpayx"
base_url = "{rail}"
key_id = "{key_id}"
key_secret = "{key_secret}"
account_number = "{account}"
webhook_secrets = ["{webhook_secret}"]
"#,
        redis = config.redis_url.expose(),
        lanes = treasury::lanes(),
        wazirx = of("wazirx", "base_url"),
        wazirx_key = of("wazirx", "api_key"),
        wazirx_secret = of("wazirx", "secret"),
        binance = of("binance", "base_url"),
        binance_key = of("binance", "api_key"),
        binance_secret = of("binance", "secret"),
        binance_stream = of("binance", "base_url").replacen("http", "ws", 1),
        coinbase = of("coinbase", "base_url"),
        coingecko = of("coingecko", "base_url"),
        coingecko_key = of("coingecko", "api_key"),
        rail = of("razorpayx", "base_url"),
        key_id = of("razorpayx", "key_id"),
        key_secret = of("razorpayx", "key_secret"),
        account = of("razorpayx", "account_number"),
        webhook_secret = of("razorpayx", "webhook_secret"),
    )
}

/// Where the shop hears of its payments, and the secret its endpoint checks.
const HOOK: &str = "/hooks/chai-point";
const HOOK_SECRET: &str = "whsec_Y2h1a3RhIGRlbW8gbWVyY2hhbnQgc2VjcmV0ISE=";

async fn wire_webhooks(control: &Caller, outside: &Outside, api_url: &str) -> anyhow::Result<()> {
    let rail = json!({ "url": format!("{api_url}/webhooks/razorpayx") });
    control.post("/webhook_target", &rail).await?;
    let secret = json!({ "path": HOOK, "secret": HOOK_SECRET });
    control.post("/merchant/secrets", &secret).await?;
    anyhow::ensure!(!outside.text("merchant", "base_url").is_empty(), "no merchant simulator");
    Ok(())
}

/// Opening balances, and the merchant with its key.
async fn open(settings: &Path, app_url: &str, outside: &Outside) -> anyhow::Result<(Base, Secret)> {
    let mut config = Config::load(Some(settings))?;
    config.database_url = Secret::new(app_url);
    config.database_connections = 4;
    let base = wiring::base(&config).await?;
    open_books::open(&base, &wiring::connectors(&config)?).await?;
    let shop = seed::Seed {
        name: "Chai Point".to_owned(),
        vpa: "chaipoint@okaxis".to_owned(),
        payee: Some("Chai Point Foods".to_owned()),
        webhook_url: Some(format!("{}{HOOK}", outside.text("merchant", "base_url"))),
        webhook_secret: Some(HOOK_SECRET.to_owned()),
    };
    let seeded = seed::seed(&base, &shop).await?;
    Ok((Base { settings: Arc::new(config.settlement), ..base }, seeded.api_key))
}

impl Launch {
    fn start(&self) -> anyhow::Result<Child> {
        let log = std::fs::OpenOptions::new().append(true).create(true).open(&self.log)?;
        let child = Command::new(beside::program("chukta")?)
            .args(["serve", "--config"])
            .arg(&self.settings)
            .env("CHUKTA_DATABASE_URL", &self.app_url)
            .env("CHUKTA_REDIS_URL", &self.redis_url)
            .env_remove("CHUKTA_OWNER_DATABASE_URL")
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(log)
            .kill_on_drop(true)
            .spawn()?;
        Ok(child)
    }
}
