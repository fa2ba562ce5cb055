//! One network, two venues, one signer, and the treasury's jobs on a clock that moves when told.
//!
//! Invariant: what is final on the network is booked as sold inventory unless a test says who is
//! owed; at the end of every test the books equal the network and the venues to the last unit.

use std::{net::SocketAddr, sync::Arc};

use anyhow::{Context as _, Result, ensure};
use chains::Chain as _;
use chrono::{DateTime, DurationRound as _, TimeDelta, Utc};
use outbound::webhook::{Policy, Sender};
use primitives::{Amount, Asset, Clock as _, Entropy, ManualClock, NetworkId, SystemClock};
use queue::Runner;
use rust_decimal::Decimal;
use serde_json::{Value, json};
use settlement::{
    Base, Settings, bookkeeping, chart,
    deposit::address_pool::{self, NewAddress},
    rates::Board,
};
use testkit::Gate;
use testkit_db::TestDb;
use workers::{Connectors, Ctx};

use super::{
    net::{Kind, Net},
    outside::{Keys, Venue},
};

/// The treasury's kinds of jobs: nothing else runs here.
pub(crate) const KINDS: [&str; 5] =
    ["sweep", "resolve_move", "watch_credits", "resolve_transfer", "tend_treasury"];

pub(crate) struct World {
    pub(crate) db: TestDb,
    pub(crate) clock: ManualClock,
    pub(crate) base: Base,
    pub(crate) net: Arc<Net>,
    pub(crate) near: Arc<Venue>,
    pub(crate) far: Arc<Venue>,
    pub(crate) keys: Arc<Keys>,
    pub(crate) runner: Runner,
}

/// Rupees of one unit.
fn price(asset: Asset) -> i64 {
    match asset {
        Asset::Btc => 5_000_000,
        Asset::Eth => 200_000,
        _ => 80,
    }
}

pub(crate) fn amount(units: &str, asset: Asset) -> Amount {
    Amount::parse_units(units, asset).unwrap()
}

fn settings(net: &Net, change: impl FnOnce(&mut Value)) -> Result<Settings> {
    let mut settings = testkit::settings()?;
    let id = net.network().to_string();
    let watched = json!({
        "assets": net.assets(), "confirm": { "rule": "depth", "blocks": 3 }, "poll_ms": 1000,
        "batch_blocks": 100, "reorg_limit": 64, "linger_ms": 0,
    });
    settings.networks = serde_json::from_value(json!({ id.clone(): watched }))?;
    settings.venues = serde_json::from_value(json!({ "far": {} }))?;
    let mut treasury = json!({
        "networks": { id: { "sweep": net.assets(), "gas_min": {} } },
        "venues": {
            "near": { "targets": { "BTC": "10", "ETH": "100", "USDC": "100000", "USDT": "5000" } },
        },
        "sweep_min_paise": 100_000, "sweep_fee_bps_max": 200, "fee_budget_paise": 5_000_000,
        "sweep_every_s": 1, "batch_max": 10, "bump_after_s": 60, "bumps_max": 3,
        "bump_fee_bps_max": 500, "resend_after_s": 10, "retry_after_s": 60,
        "forecast_hours": 4, "credit_gap_s": 30, "transit_old_s": 3600,
    });
    change(&mut treasury);
    settings.treasury = serde_json::from_value(treasury)?;
    settings.venue = "near".to_owned();
    Ok(settings)
}

impl World {
    pub(crate) async fn open(kind: Kind) -> Result<Self> {
        Self::with(kind, |_| ()).await
    }

    pub(crate) async fn with(kind: Kind, change: impl FnOnce(&mut Value)) -> Result<Self> {
        Self::built(kind, change, |_| ()).await
    }

    pub(crate) async fn built(
        kind: Kind,
        change: impl FnOnce(&mut Value),
        more: impl FnOnce(&mut Settings),
    ) -> Result<Self> {
        let db = TestDb::create().await?;
        let start =
            (SystemClock.now() - TimeDelta::days(2)).duration_trunc(TimeDelta::seconds(1))?;
        let clock = ManualClock::new(start);
        let net = Arc::new(Net::new("net", kind));
        let mut settings = settings(&net, change)?;
        more(&mut settings);
        let base = Base {
            pool: db.app.clone(),
            clock: Arc::new(clock.clone()),
            entropy: Arc::new(Entropy::seeded(1)),
            settings: Arc::new(settings),
        };
        let (near, far) = (Venue::new("near", &net), Venue::new("far", &net));
        let keys = Arc::new(Keys::default());
        let ctx = ctx(&base, &net, (&near, &far), &keys)?;
        let runner = workers::runner(&ctx, "treasury", &|kind| KINDS.contains(&kind));
        let world = Self { db, clock, base, net, near, far, keys, runner };
        world.furnish().await?;
        Ok(world)
    }

    async fn furnish(&self) -> Result<()> {
        let mut tx = self.base.pool.begin().await?;
        let address = |index: i64| NewAddress {
            index,
            address: format!("addr{index}"),
            path: format!("m/0/{index}"),
        };
        let addresses: Vec<NewAddress> = (0..30).map(address).collect();
        address_pool::add_in(&mut tx, self.net.network(), &addresses).await?;
        tx.commit().await?;
        for asset in [Asset::Btc, Asset::Eth, Asset::Usdc, Asset::Usdt] {
            self.rate(asset, self.now()).await?;
        }
        Ok(())
    }

    /// A tick of then.
    pub(crate) async fn rate(&self, asset: Asset, at: DateTime<Utc>) -> Result<()> {
        sqlx::query(
            "insert into rate_ticks (base, at, verdict, bid, ask, sources, bids)
             values ($1, $2, 'good', $3, $3, '[]', '[]')",
        )
        .bind(asset.code())
        .bind(at)
        .bind(Decimal::from(price(asset)))
        .execute(&self.db.owner)
        .await?;
        Ok(())
    }

    pub(crate) fn network(&self) -> NetworkId {
        self.net.network().clone()
    }

    pub(crate) fn now(&self) -> DateTime<Utc> {
        self.base.now()
    }

    /// A final deposit that is sold inventory: a shop has its rupees.
    pub(crate) async fn deposit(&self, index: u32, amount: Amount) -> Result<String> {
        let tx_id = format!("0xin{}", self.base.uuid().simple());
        self.net.give(&format!("addr{index}"), amount, &format!("{tx_id}:0"));
        self.booked(index, amount, &tx_id).await?;
        Ok(tx_id)
    }

    pub(crate) async fn booked(&self, index: u32, amount: Amount, tx_id: &str) -> Result<()> {
        sqlx::query(
            "insert into deposits (id, network, tx_id, ordinal, address, asset, amount_minor,
               state, purpose, seen_at, confirmed_at, updated_at)
             values ($1, $2, $3, 0, $4, $5, $6::text::numeric, 'confirmed', 'payment', $7, $7, $7)",
        )
        .bind(self.base.uuid())
        .bind(self.net.network().as_str())
        .bind(tx_id)
        .bind(format!("addr{index}"))
        .bind(amount.asset().code())
        .bind(amount.minor().to_string())
        .bind(self.now())
        .execute(&self.db.owner)
        .await?;
        self.capital(chart::escrow(self.net.network(), amount.asset()), amount).await
    }

    /// A final deposit that is nobody's yet, on some network.
    pub(crate) async fn suspense(&self, index: u32, amount: Amount, network: &str) -> Result<()> {
        let tx_id = format!("0xnobody{}", self.base.uuid().simple());
        if network == self.net.network().as_str() {
            self.net.give(&format!("addr{index}"), amount, &format!("{tx_id}:0"));
        }
        sqlx::query(
            "insert into deposits (id, network, tx_id, ordinal, address, asset, amount_minor,
               state, purpose, reason, seen_at, confirmed_at, updated_at)
             values ($1, $2, $3, 0, $4, $5, $6::text::numeric, 'confirmed', 'suspense',
               'late_deposit', $7, $7, $7)",
        )
        .bind(self.base.uuid())
        .bind(network)
        .bind(&tx_id)
        .bind(format!("addr{index}"))
        .bind(amount.asset().code())
        .bind(amount.minor().to_string())
        .bind(self.now())
        .execute(&self.db.owner)
        .await?;
        let id = NetworkId::new(network).context("a network's name")?;
        let asset = amount.asset();
        let leg = ledger::Leg::new(chart::escrow(&id, asset), chart::suspense(asset), amount);
        let posted = ledger::Transfer {
            key: format!("dep:{tx_id}"),
            kind: "deposit.unidentified",
            correlation: None,
            actor: "test".to_owned(),
            effective_at: self.now(),
            meta: json!({}),
            legs: vec![leg],
        };
        let mut conn = self.base.pool.acquire().await?;
        ledger::post(&mut conn, &posted).await?;
        Ok(())
    }

    pub(crate) async fn capital(&self, into: ledger::Account, amount: Amount) -> Result<()> {
        let mut tx = self.base.pool.begin().await?;
        let key = self.base.uuid().to_string();
        bookkeeping::capital_paid_in(&mut tx, &self.base, into, amount, &key).await?;
        tx.commit().await?;
        Ok(())
    }

    /// Coin at the gas station, on the network and in the books.
    pub(crate) async fn gas(&self, amount: Amount) -> Result<()> {
        self.net.give(Net::station(), amount, "");
        self.capital(chart::gas(self.net.network(), amount.asset()), amount).await
    }

    /// Coins a venue has, there and in the books.
    pub(crate) async fn stock(&self, venue: &Venue, amount: Amount) -> Result<()> {
        *venue.books().own.entry(amount.asset()).or_default() += amount.minor();
        let name = exchanges::Exchange::venue(venue);
        self.capital(chart::venue_free(name, amount.asset()), amount).await
    }

    /// Time passes, the sweeper looks, and whatever is due runs. Answers what failed.
    pub(crate) async fn turn(&self, seconds: i64) -> Result<Vec<String>> {
        self.turn_by(&self.runner, seconds).await
    }

    pub(crate) async fn turn_by(&self, runner: &Runner, seconds: i64) -> Result<Vec<String>> {
        self.clock.advance(TimeDelta::seconds(seconds));
        self.wake().await?;
        let drained = runner.drain().await?;
        Ok(drained.failures.into_iter().map(|f| format!("{}: {}", f.key, f.error)).collect())
    }

    /// What the sweeper and the schedule ask for.
    pub(crate) async fn wake(&self) -> Result<()> {
        let mut tx = self.base.pool.begin().await?;
        settlement::stuck::sweep_in(&mut tx, &self.base).await?;
        let tend = settlement::jobs::TendTreasury {};
        queue::ensure(&mut tx, &tend, self.now()).await?;
        tx.commit().await?;
        Ok(())
    }

    /// Turns of a block and a second each, until nothing is open.
    pub(crate) async fn settle(&self) -> Result<()> {
        for _ in 0..60 {
            self.turn(5).await?;
            self.net.mine(1);
            let open = "select (select count(*) from moves where state not in
                ('credited', 'replaced', 'failed', 'cancelled'))
              + (select count(*) from venue_transfers where state not in
                ('credited', 'refused', 'failed'))";
            if self.count(open).await? == 0 {
                self.turn(5).await?;
                if self.count(open).await? == 0 {
                    return Ok(());
                }
            }
        }
        anyhow::bail!("still open: {:?}", self.moves().await?)
    }

    pub(crate) async fn count(&self, sql: &'static str) -> Result<i64> {
        Ok(sqlx::query_scalar(sql).fetch_one(&self.db.owner).await?)
    }

    /// States of all moves, oldest first.
    pub(crate) async fn moves(&self) -> Result<Vec<String>> {
        Ok(sqlx::query_scalar("select state from moves order by planned_at, id")
            .fetch_all(&self.db.owner)
            .await?)
    }

    pub(crate) async fn transfers(&self) -> Result<Vec<String>> {
        Ok(sqlx::query_scalar("select state from venue_transfers order by planned_at, id")
            .fetch_all(&self.db.owner)
            .await?)
    }

    pub(crate) async fn the_move(&self) -> Result<primitives::MoveId> {
        let id = sqlx::query_scalar("select id from moves order by planned_at desc limit 1")
            .fetch_one(&self.db.owner)
            .await?;
        Ok(primitives::MoveId::from_uuid(id))
    }

    /// Kinds of open cases, sorted.
    pub(crate) async fn cases(&self) -> Result<Vec<String>> {
        Ok(sqlx::query_scalar(
            "select kind from cases where closed_at is null order by kind, subject",
        )
        .fetch_all(&self.db.owner)
        .await?)
    }

    pub(crate) async fn balance(&self, account: &ledger::Account) -> Result<i128> {
        let mut conn = self.base.pool.acquire().await?;
        Ok(ledger::balance(&mut conn, &account.code).await?.map_or(0, |b| b.posted.minor()))
    }

    pub(crate) async fn escrow(&self, asset: Asset) -> Result<i128> {
        self.balance(&chart::escrow(self.net.network(), asset)).await
    }

    pub(crate) async fn at_near(&self, asset: Asset) -> Result<i128> {
        self.balance(&chart::venue_free("near", asset)).await
    }

    pub(crate) async fn in_transit(&self, asset: Asset) -> Result<i128> {
        self.balance(&chart::transit("net", "near", asset)).await
    }

    /// Nothing is held any more, and the books are sound and equal to what the outside holds.
    pub(crate) async fn check(&self) -> Result<()> {
        let mut conn = self.base.pool.acquire().await?;
        let defects = ledger::audit(&mut conn).await?;
        ensure!(defects.is_empty(), "{defects:?}");
        let lines = ledger::trial_balance(&mut conn).await?;
        let wrong = ledger::unbalanced(&lines)?;
        ensure!(wrong.is_empty(), "{wrong:?}");
        for line in &lines {
            ensure!(line.debits_pending.is_zero() && line.credits_pending.is_zero(), "{line:?}");
        }
        drop(conn);
        for asset in self.net.assets() {
            let scope = settlement::reconcile::Scope::Escrow(self.network(), asset);
            let mut conn = self.base.pool.acquire().await?;
            let books = settlement::reconcile::books_in(&mut conn, &scope).await?;
            let busy = settlement::reconcile::in_flight_in(&mut conn, &self.base, &scope).await?;
            let addresses =
                settlement::reconcile::funded_addresses(&mut conn, self.net.network(), asset)
                    .await?;
            drop(conn);
            let held = self.net.held(&addresses, asset).await?;
            ensure!(books == held && !busy, "{asset}: books {books}, network {held}, {busy}");
            for venue in [&self.near, &self.far] {
                let name = exchanges::Exchange::venue(venue.as_ref());
                let books = self.balance(&chart::venue_free(name, asset)).await?;
                let there = venue.held(asset);
                ensure!(books == there, "{name} {asset}: books {books}, venue {there}");
            }
        }
        let native = self.net.native();
        let gas = self.balance(&chart::gas(self.net.network(), native)).await?;
        let there = self.net.held_by(Net::station(), native);
        ensure!(gas == there, "gas: books {gas}, network {there}");
        Ok(())
    }

    /// The scan follows the chain away from these blocks.
    pub(crate) async fn blocks_gone(&self, from: u64, to: u64, branch: u64) -> Result<()> {
        for height in from..=to {
            sqlx::query(
                "insert into chain_blocks (network, height, hash, parent_hash, canonical, seen_at)
                 values ($1, $2, $3, '', false, $4) on conflict do nothing",
            )
            .bind(self.net.network().as_str())
            .bind(i64::try_from(height)?)
            .bind(self.net.hash(height, branch))
            .bind(self.now())
            .execute(&self.db.owner)
            .await?;
        }
        Ok(())
    }

    /// The scan stood still while these blocks came and went: it knows others at their heights.
    pub(crate) async fn others_stand_there(&self, from: u64, to: u64, branch: u64) -> Result<()> {
        for height in from..=to {
            sqlx::query(
                "insert into chain_blocks (network, height, hash, parent_hash, canonical, seen_at)
                 values ($1, $2, $3, '', true, $4)",
            )
            .bind(self.net.network().as_str())
            .bind(i64::try_from(height)?)
            .bind(self.net.hash(height, branch))
            .bind(self.now())
            .execute(&self.db.owner)
            .await?;
        }
        Ok(())
    }

    /// Another process, whose way to the database can be cut at a commit.
    pub(crate) async fn mortal(&self) -> Result<(Runner, Gate, sqlx::PgPool)> {
        let url = self.db.app_url();
        let (before, rest) = url.split_once('@').context("the database URL")?;
        let (target, database) = rest.split_once('/').context("the database URL")?;
        let mut found = tokio::net::lookup_host(target).await?;
        let target: SocketAddr = found.next().context("no database server")?;
        let gate = Gate::start(target).await?;
        let url = format!("{before}@{}/{database}", gate.address());
        let pool = ledger::connect_pool(&url, 6).await?;
        // Another number for each, and the same ones in every run.
        let entropy = Arc::new(Entropy::seeded(u64::from_le_bytes(self.base.entropy.bytes())));
        let base = Base { pool: pool.clone(), entropy, ..self.base.clone() };
        let ctx = ctx(&base, &self.net, (&self.near, &self.far), &self.keys)?;
        let runner = workers::runner(&ctx, "mortal", &|kind| KINDS.contains(&kind));
        Ok((runner, gate, pool))
    }

    /// A process that was started with other settings.
    pub(crate) fn otherwise(
        &self,
        change: impl FnOnce(&mut settlement::treasury::TreasurySettings),
    ) -> Result<Runner> {
        let mut settings = Settings::clone(&self.base.settings);
        change(&mut settings.treasury);
        let base = Base { settings: Arc::new(settings), ..self.base.clone() };
        let ctx = ctx(&base, &self.net, (&self.near, &self.far), &self.keys)?;
        Ok(workers::runner(&ctx, "otherwise", &|kind| KINDS.contains(&kind)))
    }

    /// What the engine's lease does with the jobs of a process that fell silent.
    pub(crate) async fn bury(&self) -> Result<()> {
        sqlx::query(
            "update apalis.jobs set status = 'Pending', lock_by = null, lock_at = null,
               last_result = '{\"Err\": \"Re-enqueued due to worker heartbeat timeout.\"}',
               metadata = coalesce(metadata, '') || hstore('now', $1::timestamptz::text)
             where status in ('Queued', 'Running')",
        )
        .bind(self.now())
        .execute(&self.db.owner)
        .await?;
        Ok(())
    }
}

fn ctx(
    base: &Base,
    net: &Arc<Net>,
    (near, far): (&Arc<Venue>, &Arc<Venue>),
    keys: &Arc<Keys>,
) -> Result<Ctx> {
    let mut connectors = Connectors { signer: Some(keys.clone()), ..Connectors::default() };
    connectors.chains.insert(net.network().clone(), net.clone());
    connectors.carriers.insert(net.network().clone(), net.clone());
    for (name, venue) in [("near", near), ("far", far)] {
        connectors.exchanges.insert(name.to_owned(), venue.clone());
        connectors.custody.insert(name.to_owned(), venue.clone());
    }
    let policy = Policy { allow_loopback: true, trusted_hosts: Vec::new() };
    let board = Board::new(base.clone(), None);
    Ok(Ctx::new(base.clone(), board, connectors, Sender::try_new(policy)?))
}
