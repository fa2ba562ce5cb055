//! Policies, evidence, early acceptance and reorganisations, each against a real database as the
//! application's own role. The chain is played by the test: blocks are names and heights.

mod books;
mod depths;
mod early;
mod evidence;
mod policies;
mod reorg;

use std::sync::{
    Arc,
    atomic::{AtomicI64, Ordering},
};

use chrono::{DurationRound as _, TimeDelta};
use primitives::{
    Amount, Asset, Clock, DepositId, Entropy, ManualClock, MerchantId, NetworkId, PaymentId,
    QuoteId, SystemClock, Vpa,
};
use serde_json::json;
use testkit_db::TestDb;
use uuid::Uuid;

use super::{Finding, NewPolicy, Said, Tier, Word, early as accepting, set_in};
use crate::{
    Base,
    bookkeeping::risk,
    deposit::{self, Confirmed, Deposit, Depth, Seen},
    destination,
    payment::{self, NewPayment, Payment},
};

pub(super) struct World {
    pub(super) base: Base,
    pub(super) clock: ManualClock,
    pub(super) merchant: MerchantId,
    pub(super) tick: i64,
    next: AtomicI64,
    pub(super) db: TestDb,
}

/// A payment with a quote.
#[derive(Debug, Clone)]
pub(super) struct Asked {
    pub(super) payment: PaymentId,
    pub(super) asset: Asset,
    pub(super) address: String,
    pub(super) network: NetworkId,
}

pub(super) fn net(name: &str) -> NetworkId {
    NetworkId::new(name).unwrap()
}

pub(super) fn eth(minor: i128) -> Amount {
    Amount::try_new(minor, Asset::Eth).unwrap()
}

pub(super) fn inr(minor: i128) -> Amount {
    Amount::try_new(minor, Asset::Inr).unwrap()
}

pub(super) fn tier(from: i128, [show, accept, last]: [&str; 3], min_witnesses: u16) -> Tier {
    let rule = |text: &str| text.parse().unwrap();
    Tier {
        from: inr(from),
        show: rule(show),
        accept: rule(accept),
        last: rule(last),
        min_witnesses,
    }
}

/// One node that holds the block.
pub(super) fn agreed() -> Vec<Word> {
    vec![word("node-a:1", Said::Same)]
}

pub(super) fn word(node: &str, says: Said) -> Word {
    Word { node: node.to_owned(), says }
}

fn settings() -> crate::Settings {
    let network = |confirm| {
        json!({
            "assets": ["ETH", "USDC"], "confirm": confirm, "poll_ms": 1000,
            "batch_blocks": 100, "reorg_limit": 64,
        })
    };
    serde_json::from_value(json!({
        "networks": {
            "lab": network(json!({ "rule": "depth", "blocks": 3 })),
            "other": network(json!({ "rule": "finalized" })),
        },
        "venue": "wazirx", "rail": "razorpayx",
        "payment_min_paise": 10_000, "payment_max_paise": 1_000_000_000_i64,
        "payment_expiry_s": 900, "payment_expiry_min_s": 60, "payment_expiry_max_s": 86_400,
        "quote_validity_s": 900,
        "fee_bps": 100, "gst_bps": 1800, "spread_bps": 50,
        "rate_max_age_s": 90, "source_max_age_s": 60, "outlier_bps": 200,
        "book_spread_max_bps": 200, "jump_max_bps": 1000, "address_pool": 6,
        "conversion_age_s": 1, "slippage_bps": 100, "order_wait_s": 4, "order_fence_s": 20,
        "absence_gap_s": 6, "order_attempts_max": 6,
        "payout_attempts_max": 4, "repay_max_paise": 2_500_000,
        "payout_final_s": 432_000, "payout_key_life_s": 518_400,
        "narration": "Chukta", "webhook_loopback": true, "webhook_hosts": [],
    }))
    .unwrap()
}

impl World {
    pub(super) async fn open() -> Self {
        let db = TestDb::create().await.unwrap();
        // A noon of the past: some cases are one a day, and no midnight passes during a test.
        let day = (SystemClock.now() - TimeDelta::days(2)).duration_trunc(TimeDelta::days(1));
        let clock = ManualClock::new(day.unwrap() + TimeDelta::hours(12));
        let base = Base {
            pool: db.app.clone(),
            clock: Arc::new(clock.clone()),
            entropy: Arc::new(Entropy::seeded(7)),
            settings: Arc::new(settings()),
        };
        let merchant = MerchantId::from_uuid(base.uuid());
        sqlx::query("insert into merchants (id, name, created_at) values ($1, 'Shop', $2)")
            .bind(merchant.uuid())
            .bind(base.now())
            .execute(&db.owner)
            .await
            .unwrap();
        let mut tx = base.pool.begin().await.unwrap();
        let vpa = Vpa::parse("shop@upi").unwrap();
        destination::set_in(&mut tx, &base, merchant, &vpa, "Shop Owner").await.unwrap();
        tx.commit().await.unwrap();
        let tick = sqlx::query_scalar(
            "insert into rate_ticks (base, at, verdict, bid, ask, sources, bids)
             values ('ETH', $1, 'good', 100, 101, '[]', '[]') returning id",
        )
        .bind(base.now())
        .fetch_one(&db.app)
        .await
        .unwrap();
        Self { base, clock, merchant, tick, next: AtomicI64::new(1), db }
    }

    fn number(&self) -> i64 {
        self.next.fetch_add(1, Ordering::Relaxed)
    }

    /// A payment over `paise` with a quote of `payable` wei on the network `lab`.
    pub(super) async fn ask(&self, paise: i128, payable: i128) -> Asked {
        self.ask_in(paise, "lab", eth(payable)).await
    }

    pub(super) async fn ask_in(&self, paise: i128, network: &str, payable: Amount) -> Asked {
        let new = NewPayment {
            merchant: self.merchant,
            amount: inr(paise),
            reference: format!("order {}", self.number()),
            metadata: serde_json::Map::new(),
            expires_in_s: None,
        };
        let mut tx = self.base.pool.begin().await.unwrap();
        let payment = payment::create_in(&mut tx, &self.base, new).await.unwrap().id;
        tx.commit().await.unwrap();
        self.quote(payment, network, payable).await
    }

    /// One more way to pay a payment.
    pub(super) async fn quote(&self, payment: PaymentId, network: &str, payable: Amount) -> Asked {
        let (quote, number) = (QuoteId::from_uuid(self.base.uuid()), self.number());
        let address = format!("address-{number}");
        sqlx::query(
            "insert into deposit_addresses (network, path_index, address, path, payment_id,
               assigned_at) values ($1, $2, $3, 'm/0', $4, $5)",
        )
        .bind(network)
        .bind(number)
        .bind(&address)
        .bind(payment.uuid())
        .bind(self.base.now())
        .execute(&self.db.app)
        .await
        .unwrap();
        sqlx::query(
            "insert into quotes (id, payment_id, network, asset, address, uri, amount_minor,
               payable_minor, price, spread_bps, rounding, tick_id, created_at, valid_until)
             select $1, p.id, $3, $4, $5, 'uri', p.amount_minor, $6::text::numeric, 100, 50, 'up',
               $7, $8, $8 + interval '15 minutes' from payments p where p.id = $2",
        )
        .bind(quote.uuid())
        .bind(payment.uuid())
        .bind(network)
        .bind(payable.asset().code())
        .bind(&address)
        .bind(payable.minor().to_string())
        .bind(self.tick)
        .bind(self.base.now())
        .execute(&self.db.app)
        .await
        .unwrap();
        Asked { payment, asset: payable.asset(), address, network: net(network) }
    }

    /// A block brings a transaction with `minor` units to the payment's address.
    pub(super) async fn see(
        &self,
        to: &Asked,
        tx_id: &str,
        minor: i128,
        at: (&str, i64),
    ) -> DepositId {
        let seen = Seen {
            network: to.network.clone(),
            tx_id: tx_id.to_owned(),
            ordinal: 0,
            address: to.address.clone(),
            amount: Amount::try_new(minor, to.asset).unwrap(),
            block_hash: at.0.to_owned(),
            height: at.1,
            block_time: self.base.now(),
        };
        let mut tx = self.base.pool.begin().await.unwrap();
        deposit::seen_in(&mut tx, &self.base, &seen).await.unwrap();
        tx.commit().await.unwrap();
        let id: Uuid = sqlx::query_scalar(
            "select id from deposits where network = $1 and tx_id = $2 and ordinal = 0",
        )
        .bind(to.network.as_str())
        .bind(tx_id)
        .fetch_one(&self.db.app)
        .await
        .unwrap();
        DepositId::from_uuid(id)
    }

    /// The tip is at `latest`; these nodes say this of the deposit's block.
    pub(super) async fn judge(&self, id: DepositId, latest: u64, words: Vec<Word>) -> Confirmed {
        let depth = Depth { latest, safe: None, finalized: None };
        self.judge_at(id, depth, words).await
    }

    pub(super) async fn judge_at(
        &self,
        id: DepositId,
        depth: Depth,
        witnesses: Vec<Word>,
    ) -> Confirmed {
        let block_hash = self.deposit(id).await.block_hash.unwrap();
        let finding = Finding { block_hash, depth, witnesses };
        let mut tx = self.base.pool.begin().await.unwrap();
        let confirmed = deposit::confirm_in(&mut tx, &self.base, id, &finding).await.unwrap();
        tx.commit().await.unwrap();
        confirmed
    }

    /// Tries to accept the payment of a deposit early, with one node agreeing.
    pub(super) async fn accept(&self, id: DepositId, latest: u64) -> accepting::Early {
        let block_hash = self.deposit(id).await.block_hash.unwrap();
        let depth = Depth { latest, safe: None, finalized: None };
        let finding = Finding { block_hash, depth, witnesses: agreed() };
        let mut tx = self.base.pool.begin().await.unwrap();
        let early = accepting::accept_in(&mut tx, &self.base, id, &finding).await.unwrap();
        tx.commit().await.unwrap();
        early
    }

    pub(super) async fn gone(&self, id: DepositId) {
        let mut tx = self.base.pool.begin().await.unwrap();
        deposit::gone_in(&mut tx, &self.base, id).await.unwrap();
        tx.commit().await.unwrap();
    }

    /// Sets the policy of ETH on the network `lab`.
    pub(super) async fn set(&self, tiers: &[Tier]) -> i32 {
        let network = net("lab");
        let new = NewPolicy {
            network: &network,
            asset: Asset::Eth,
            tiers,
            actor: "test",
            reason: "a test",
        };
        let mut tx = self.base.pool.begin().await.unwrap();
        let version = set_in(&mut tx, &self.base, &new).await.unwrap();
        tx.commit().await.unwrap();
        version
    }

    pub(super) async fn grant(&self, paise: i128) {
        let mut tx = self.base.pool.begin().await.unwrap();
        let (network, decision) = (net("lab"), self.base.uuid());
        let change = (inr(paise), true);
        risk::limit_changed(&mut tx, &self.base, &network, change, decision, ("test", "a test"))
            .await
            .unwrap();
        tx.commit().await.unwrap();
    }

    pub(super) async fn limit(&self) -> (i128, i128, i128) {
        let mut conn = self.base.pool.acquire().await.unwrap();
        let limit = risk::limit_in(&mut conn, &net("lab")).await.unwrap();
        (limit.granted.minor(), limit.taken.minor(), limit.headroom.minor())
    }

    pub(super) async fn deposit(&self, id: DepositId) -> Deposit {
        let mut conn = self.base.pool.acquire().await.unwrap();
        deposit::get_in(&mut conn, id).await.unwrap()
    }

    pub(super) async fn payment(&self, asked: &Asked) -> Payment {
        let mut conn = self.base.pool.acquire().await.unwrap();
        payment::get_in(&mut conn, asked.payment).await.unwrap()
    }

    pub(super) async fn state(&self, asked: &Asked) -> &'static str {
        self.payment(asked).await.state.name()
    }

    pub(super) async fn count(&self, sql: &'static str) -> i64 {
        sqlx::query_scalar(sql).fetch_one(&self.db.owner).await.unwrap()
    }

    /// The kinds of open cases, in order.
    pub(super) async fn cases(&self) -> Vec<String> {
        sqlx::query_scalar("select kind from cases where closed_at is null order by kind, subject")
            .fetch_all(&self.db.app)
            .await
            .unwrap()
    }
}
