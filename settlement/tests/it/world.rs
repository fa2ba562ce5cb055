//! One shop, one network, one price, and money that comes as a test wants it.
//!
//! Invariant: everything goes through the product's own functions, in one transaction each; blocks
//! and rates are what the test says they are.

use std::sync::{
    Arc,
    atomic::{AtomicI64, Ordering},
};

use anyhow::{Context as _, Result};
use chrono::{DateTime, DurationRound as _, TimeDelta, Utc};
use primitives::{
    Amount, Asset, Bps, Clock as _, DepositId, Entropy, ManualClock, MerchantId, NetworkId,
    PaymentId, SystemClock, Vpa,
};
use rust_decimal::Decimal;
use serde_json::{Value, json};
use settlement::{
    Base, Settings, chart,
    conversion::{Levies, Market, Offer},
    deposit::{
        self, Depth, Seen,
        address_pool::{self, NewAddress},
        cursor::{self, Cursor, FollowedBlock},
    },
    destination,
    merchant_policy::{self, Choices, MerchantPolicy},
    payment::{self, Expiry, NewPayment, Payment},
    policy::{Finding, Said, Word},
    quote::{self, Quote, QuoteError},
    rates::{self, BoardRate, Judgement, Level, Verdict},
};
use testkit_db::TestDb;

pub(crate) struct World {
    pub(crate) db: TestDb,
    pub(crate) clock: ManualClock,
    pub(crate) base: Base,
    pub(crate) merchant: MerchantId,
    pub(crate) network: NetworkId,
    height: AtomicI64,
    numbers: AtomicI64,
}

/// A payment with its first quote.
pub(crate) struct Asked {
    pub(crate) id: PaymentId,
    pub(crate) quote: Quote,
}

pub(crate) fn network() -> NetworkId {
    NetworkId::new("anvil").unwrap()
}

pub(crate) fn settings(change: impl FnOnce(&mut Value)) -> Settings {
    let mut settings = json!({
        "networks": { "anvil": {
            "assets": ["ETH", "USDC", "USDT"], "confirm": { "rule": "depth", "blocks": 3 },
            "poll_ms": 1000, "batch_blocks": 100, "reorg_limit": 32,
        } },
        "venue": "wazirx", "rail": "razorpayx",
        "payment_min_paise": 10_000, "payment_max_paise": 10_000_000,
        "payment_expiry_s": 900, "payment_expiry_min_s": 60, "payment_expiry_max_s": 86_400,
        "expiry_quiet_s": 600, "quote_validity_s": 900,
        "fee_bps": 100, "gst_bps": 1800, "spread_bps": 50,
        "rate_max_age_s": 90, "source_max_age_s": 60, "outlier_bps": 200,
        "book_spread_max_bps": 200, "jump_max_bps": 1000, "address_pool": 6,
        "conversion_age_s": 1, "slippage_bps": 100, "order_wait_s": 4, "order_fence_s": 20,
        "absence_gap_s": 6, "order_attempts_max": 1, "payout_attempts_max": 1,
        "repay_max_paise": 2_500_000, "payout_final_s": 432_000, "payout_key_life_s": 518_400,
        "narration": "Chukta", "webhook_loopback": true, "webhook_hosts": [],
    });
    change(&mut settings);
    serde_json::from_value(settings).unwrap()
}

impl World {
    pub(crate) async fn open() -> Result<Self> {
        let db = TestDb::create().await?;
        // Whole seconds: the database keeps microseconds only.
        let start =
            (SystemClock.now() - TimeDelta::days(2)).duration_trunc(TimeDelta::seconds(1))?;
        let clock = ManualClock::new(start);
        let base = Base {
            pool: db.app.clone(),
            clock: Arc::new(clock.clone()),
            entropy: Arc::new(Entropy::seeded(1)),
            settings: Arc::new(settings(|_| ())),
        };
        let merchant = MerchantId::from_uuid(base.uuid());
        sqlx::query("insert into merchants (id, name, created_at) values ($1, 'Shop', $2)")
            .bind(merchant.uuid())
            .bind(base.now())
            .execute(&db.owner)
            .await?;
        let (height, numbers) = (AtomicI64::new(100), AtomicI64::new(0));
        let world = Self { db, clock, base, merchant, network: network(), height, numbers };
        world.furnish().await?;
        for asset in [Asset::Eth, Asset::Usdc, Asset::Usdt] {
            world.price(asset, 1).await?;
        }
        Ok(world)
    }

    /// A destination, addresses, ways of paying, and the first block.
    async fn furnish(&self) -> Result<()> {
        let (base, network) = (&self.base, &self.network);
        let mut tx = base.pool.begin().await?;
        let vpa = Vpa::parse("shop@okaxis")?;
        destination::set_in(&mut tx, base, self.merchant, &vpa, "Shop One").await?;
        let address = |index: i64| NewAddress {
            index,
            address: format!("0xaddress{index:02}"),
            path: format!("m/0/{index}"),
        };
        let addresses: Vec<NewAddress> = (0..20).map(address).collect();
        address_pool::add_in(&mut tx, network, &addresses).await?;
        for asset in [Asset::Eth, Asset::Usdc, Asset::Usdt] {
            let template = "pay:{address}?minor={minor}";
            address_pool::offer_in(&mut tx, base, network, asset, template).await?;
        }
        let first = self.block_at(100, self.now());
        cursor::start_in(&mut tx, base, network, &first).await?;
        tx.commit().await?;
        Ok(())
    }

    pub(crate) fn now(&self) -> DateTime<Utc> {
        self.base.now()
    }

    pub(crate) fn pass(&self, seconds: i64) {
        self.clock.advance(TimeDelta::seconds(seconds));
    }

    pub(crate) fn inr(paise: i128) -> Amount {
        Amount::try_new(paise, Asset::Inr).unwrap()
    }

    /// A tick of now: one unit of a dollar coin brings `times` × ₹ 80, of ETH `times` × ₹ 2,00,000.
    pub(crate) async fn price(&self, asset: Asset, times: i64) -> Result<BoardRate> {
        let one = if asset == Asset::Eth { 200_000 } else { 80 };
        self.price_of(asset, Decimal::from(one * times)).await
    }

    pub(crate) async fn price_of(&self, asset: Asset, bid: Decimal) -> Result<BoardRate> {
        let judged = Judgement {
            verdict: Verdict::Good,
            bid: Some(bid),
            ask: Some(bid),
            sources: Vec::new(),
        };
        let bids = vec![Level { price: bid, quantity: Decimal::from(1_000_000) }];
        let mut conn = self.base.pool.acquire().await?;
        Ok(rates::record_in(&mut conn, &self.base, asset, judged, bids).await?)
    }

    pub(crate) async fn choose(&self, change: impl FnOnce(&mut Choices)) -> Result<MerchantPolicy> {
        let mut tx = self.base.pool.begin().await?;
        let current = merchant_policy::current_in(&mut tx, self.merchant).await?;
        let mut choices = current.choices;
        change(&mut choices);
        let set =
            merchant_policy::set_in(&mut tx, &self.base, self.merchant, choices, "a test").await?;
        tx.commit().await?;
        Ok(set)
    }

    pub(crate) async fn create(&self, paise: i128, expires_in_s: i64) -> Result<PaymentId> {
        let new = NewPayment {
            merchant: self.merchant,
            amount: Self::inr(paise),
            reference: format!("order {}", self.numbers.fetch_add(1, Ordering::Relaxed)),
            metadata: serde_json::Map::new(),
            expires_in_s: Some(expires_in_s),
        };
        let mut tx = self.base.pool.begin().await?;
        let made = payment::create_in(&mut tx, &self.base, new).await?;
        tx.commit().await?;
        Ok(made.id)
    }

    /// A quote at the newest tick; where that has grown old, at the same price seen now.
    pub(crate) async fn quote(&self, id: PaymentId, asset: Asset) -> Result<Quote, QuoteError> {
        self.seen_now(asset).await?;
        self.quote_as_it_is(id, asset).await
    }

    async fn seen_now(&self, asset: Asset) -> Result<(), settlement::Error> {
        let mut tx = self.base.pool.begin().await?;
        let rate = rates::latest_in(&mut tx, asset).await?.unwrap();
        let oldest = self.now() - TimeDelta::seconds(self.base.settings.rate_max_age_s);
        if rate.at >= oldest {
            return Ok(());
        }
        let BoardRate { verdict, bid, ask, sources, routes: books, mut markets, .. } = rate;
        for market in markets.iter_mut().filter_map(|offer| offer.market.as_mut().ok()) {
            market.seen_at = self.now();
        }
        let judged = Judgement { verdict, bid, ask, sources };
        let routes = rates::Routes { books, markets };
        rates::record_in(&mut tx, &self.base, asset, judged, routes).await?;
        tx.commit().await?;
        Ok(())
    }

    /// A quote at the newest tick, however old.
    pub(crate) async fn quote_as_it_is(
        &self,
        id: PaymentId,
        asset: Asset,
    ) -> Result<Quote, QuoteError> {
        let (mut tx, method) = (self.base.pool.begin().await?, (&self.network, asset));
        let quote = quote::create_in(&mut tx, &self.base, self.merchant, id, method).await?;
        tx.commit().await?;
        Ok(quote)
    }

    /// A payment of an hour with a quote that holds for a quarter of it.
    pub(crate) async fn ask(&self, paise: i128, asset: Asset) -> Result<Asked> {
        let id = self.create(paise, 3_600).await?;
        Ok(Asked { id, quote: self.quote(id, asset).await? })
    }

    fn block_at(&self, height: i64, stamp: DateTime<Utc>) -> FollowedBlock {
        FollowedBlock {
            height,
            hash: format!("0xblock{height}"),
            parent_hash: format!("0xblock{}", height - 1),
            stamped_at: Some(stamp),
        }
    }

    /// Follows one more block with this stamp; answers its height.
    pub(crate) async fn block(&self, stamp: DateTime<Utc>) -> Result<i64> {
        let height = self.height.fetch_add(1, Ordering::Relaxed) + 1;
        let mut tx = self.base.pool.begin().await?;
        let at: Cursor = cursor::get(&mut tx, &self.network).await?.context("a cursor")?;
        let next = self.block_at(height, stamp);
        let moved = cursor::advance_in(&mut tx, &self.base, &self.network, &at, &next).await?;
        anyhow::ensure!(moved, "somebody else moved the cursor");
        tx.commit().await?;
        Ok(height)
    }

    /// The scan stands at the head of its node, now.
    pub(crate) async fn at_head(&self) -> Result<()> {
        let mut conn = self.base.pool.acquire().await?;
        let head = self.height.load(Ordering::Relaxed);
        cursor::at_head_in(&mut conn, &self.network, head, self.now()).await?;
        Ok(())
    }

    pub(crate) fn sighting(&self, to: &str, amount: Amount, height: i64) -> Seen {
        let number = self.numbers.fetch_add(1, Ordering::Relaxed);
        Seen {
            network: self.network.clone(),
            tx_id: format!("0xtx{number}"),
            ordinal: 0,
            address: to.to_owned(),
            amount,
            block_hash: format!("0xblock{height}"),
            height,
            block_time: self.now(),
        }
    }

    pub(crate) async fn see(&self, seen: &Seen) -> Result<DepositId> {
        let mut tx = self.base.pool.begin().await?;
        deposit::seen_in(&mut tx, &self.base, seen).await?;
        tx.commit().await?;
        let id: uuid::Uuid =
            sqlx::query_scalar("select id from deposits where tx_id = $1 and ordinal = $2")
                .bind(&seen.tx_id)
                .bind(seen.ordinal)
                .fetch_one(&self.base.pool)
                .await?;
        Ok(DepositId::from_uuid(id))
    }

    pub(crate) async fn confirm(&self, id: DepositId) -> Result<()> {
        let mut tx = self.base.pool.begin().await?;
        let deposit = deposit::get_in(&mut tx, id).await?;
        let height = u64::try_from(deposit.height.context("a height")?)?;
        let depth = Depth { latest: height + 99, safe: Some(height), finalized: Some(height) };
        let finding = Finding {
            block_hash: deposit.block_hash.context("a block")?,
            depth,
            witnesses: vec![Word { node: "one".to_owned(), says: Said::Same }],
        };
        deposit::confirm_in(&mut tx, &self.base, id, &finding).await?;
        tx.commit().await?;
        Ok(())
    }

    pub(crate) async fn gone(&self, id: DepositId) -> Result<()> {
        let mut tx = self.base.pool.begin().await?;
        deposit::gone_in(&mut tx, &self.base, id).await?;
        tx.commit().await?;
        Ok(())
    }

    /// Money that came in a block of now and is final.
    pub(crate) async fn pay(&self, to: &str, amount: Amount) -> Result<DepositId> {
        let height = self.block(self.now()).await?;
        let id = self.see(&self.sighting(to, amount, height)).await?;
        self.confirm(id).await?;
        Ok(id)
    }

    /// Looks whether a payment has ended.
    pub(crate) async fn expire(&self, id: PaymentId) -> Result<Expiry> {
        let mut tx = self.base.pool.begin().await?;
        let expiry = payment::expire_in(&mut tx, &self.base, id).await?;
        tx.commit().await?;
        Ok(expiry)
    }

    /// Lets the payment's time pass, with a block after it.
    pub(crate) async fn until_expired(&self, id: PaymentId) -> Result<()> {
        let ends = self.payment(id).await?.expires_at;
        let left = (ends - self.now()).num_seconds().max(0);
        self.pass(left + 1);
        self.block(self.now()).await?;
        self.pass(1);
        self.at_head().await?;
        anyhow::ensure!(self.expire(id).await? == Expiry::Ended, "{id} has not ended");
        Ok(())
    }

    pub(crate) async fn payment(&self, id: PaymentId) -> Result<Payment> {
        let mut conn = self.base.pool.acquire().await?;
        Ok(payment::get_in(&mut conn, id).await?)
    }

    pub(crate) async fn state(&self, id: PaymentId) -> Result<&'static str> {
        Ok(self.payment(id).await?.state.name())
    }

    /// Kinds of cases of a payment that are open, or all of them.
    pub(crate) async fn cases(&self, id: PaymentId, open: bool) -> Result<Vec<String>> {
        Ok(sqlx::query_scalar(
            "select kind from cases where payment_id = $1 and (not $2 or closed_at is null)
             order by opened_at, kind",
        )
        .bind(id.uuid())
        .bind(open)
        .fetch_all(&self.base.pool)
        .await?)
    }

    /// What became of a deposit, and the version of the policy that decided it.
    pub(crate) async fn outcome(&self, id: DepositId) -> Result<(String, i32)> {
        Ok(sqlx::query_as(
            "select outcome, policy_version from deposit_outcomes where deposit_id = $1
             order by id desc limit 1",
        )
        .bind(id.uuid())
        .fetch_one(&self.base.pool)
        .await?)
    }

    /// Posted minor units of an account, zero when nobody opened it.
    pub(crate) async fn balance(&self, code: &str) -> Result<i128> {
        let mut conn = self.base.pool.acquire().await?;
        Ok(ledger::balance(&mut conn, code).await?.map_or(0, |b| b.posted.minor()))
    }

    pub(crate) async fn of_shop(&self, asset: Asset) -> Result<i128> {
        self.balance(&chart::deposit(self.merchant, asset).code).await
    }

    pub(crate) async fn owed_to_shop(&self) -> Result<i128> {
        self.balance(&chart::merchant(self.merchant).code).await
    }

    /// The books are sound and sum to zero.
    pub(crate) async fn sound(&self) -> Result<()> {
        let mut conn = self.base.pool.acquire().await?;
        let defects = ledger::audit(&mut conn).await?;
        anyhow::ensure!(defects.is_empty(), "{defects:?}");
        let lines = ledger::trial_balance(&mut conn).await?;
        let wrong = ledger::unbalanced(&lines)?;
        anyhow::ensure!(wrong.is_empty(), "{wrong:?}");
        Ok(())
    }

    pub(crate) async fn count(&self, sql: &'static str) -> Result<i64> {
        Ok(sqlx::query_scalar(sql).fetch_one(&self.db.owner).await?)
    }
}

/// A deep market of a venue with round steps, where one unit brings `bid`.
pub(crate) fn offer(w: &World, venue: &str, pair: (Asset, Asset), bid: i64) -> Offer {
    let none = Bps::ZERO;
    let (bid, deep) = (Decimal::from(bid), Decimal::from(1_000_000_000));
    let market = Market {
        price_tick: Decimal::new(1, 2),
        quantity_step: Decimal::new(1, 2),
        quantity_min: Decimal::new(1, 2),
        quantity_max: None,
        notional_min: Decimal::from(10),
        is_open: true,
        takes_immediate: pair.1 != Asset::Inr,
        levies: Levies { fee: none, gst: none, tds: none },
        bids: vec![Level { price: bid, quantity: deep }],
        seen_at: w.now(),
    };
    Offer { venue: venue.to_owned(), sell: pair.0, quote: pair.1, market: Ok(market) }
}

/// A part of an amount, in hundredths of a percent.
pub(crate) fn part(amount: Amount, bps: i128) -> Amount {
    Amount::try_new(amount.minor() * bps / 10_000, amount.asset()).unwrap()
}

/// What a shop is left with of so many paise: less one percent, and the tax on that.
pub(crate) fn net(paise: i128) -> i128 {
    let fee = (paise + 50) / 100;
    paise - fee - (fee * 18 + 50) / 100
}
