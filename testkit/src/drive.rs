//! Driving a fleet: ask, pay, let time pass, look.
//!
//! Invariant: time passes only in `step`, and after each step everything that is due by then has
//! been done, inside and outside. A wait that does not end is an error that names what is stuck.

use std::sync::PoisonError;

use anyhow::{Context as _, bail, ensure};
use chrono::{DateTime, TimeDelta, Utc};
use primitives::{Amount, Asset, MerchantId, NetworkId, PaymentId};
use queue::{Drained, Failure};
use rust_decimal::Decimal;
use settlement::{
    payment::{self, NewPayment},
    quote::{self, Quote},
    switch::{self, Switch},
    venue_freeze,
    views::{Explanation, explain},
};

use crate::{Fleet, Other, Process, Shop, settings::network};

/// How often drained jobs may make the outside talk back within one step.
const ECHOES: usize = 200;
/// Steps of a second after which a fleet that is still busy is stuck.
const PATIENCE: usize = 90;

/// A payment with a quote.
#[derive(Debug, Clone)]
pub struct Asked {
    pub merchant: MerchantId,
    pub payment: PaymentId,
    pub quote: Quote,
}

impl Asked {
    #[must_use]
    pub const fn payable(&self) -> Amount {
        self.quote.payable
    }

    /// A share of what is to be paid, in percent, rounded down.
    ///
    /// # Errors
    /// When it does not fit.
    pub fn percent(&self, percent: i128) -> anyhow::Result<Amount> {
        let minor = self.payable().minor().checked_mul(percent).map(|part| part / 100);
        Ok(Amount::try_new(minor.context("out of range")?, self.payable().asset())?)
    }
}

impl Fleet {
    /// A payment of the first shop, with a quote.
    ///
    /// # Errors
    /// When it is refused.
    pub async fn ask(&self, paise: i128, asset: Asset) -> anyhow::Result<Asked> {
        let shop = self.shop()?.clone();
        self.ask_for(&shop, paise, asset).await
    }

    /// A payment of a shop, with a quote.
    ///
    /// # Errors
    /// When it is refused.
    pub async fn ask_for(&self, shop: &Shop, paise: i128, asset: Asset) -> anyhow::Result<Asked> {
        let payment = self.create(shop, paise, None).await?;
        let quote = self.quote(shop.merchant, payment, asset).await?;
        Ok(Asked { merchant: shop.merchant, payment, quote })
    }

    /// A payment without a quote.
    ///
    /// # Errors
    /// When it is refused.
    pub async fn create(
        &self,
        shop: &Shop,
        paise: i128,
        expires_in_s: Option<i64>,
    ) -> anyhow::Result<PaymentId> {
        let new = NewPayment {
            merchant: shop.merchant,
            amount: Amount::try_new(paise, Asset::Inr)?,
            reference: self.next_reference(),
            metadata: serde_json::Map::new(),
            expires_in_s,
        };
        let mut tx = self.base.pool.begin().await?;
        let payment = payment::create_in(&mut tx, &self.base, new).await?;
        tx.commit().await?;
        Ok(payment.id)
    }

    /// A quote for a payment, from the board as it is now.
    ///
    /// # Errors
    /// When there is no rate, or the quote is refused.
    pub async fn quote(
        &self,
        merchant: MerchantId,
        payment: PaymentId,
        asset: Asset,
    ) -> anyhow::Result<Quote> {
        self.quote_on(&network()?, merchant, payment, asset).await
    }

    /// A quote on another network.
    ///
    /// # Errors
    /// When there is no rate, or the quote is refused.
    pub async fn quote_on(
        &self,
        network: &NetworkId,
        merchant: MerchantId,
        payment: PaymentId,
        asset: Asset,
    ) -> anyhow::Result<Quote> {
        self.board.latest(asset).await?;
        let (base, method) = (&self.base, (network, asset));
        let mut tx = self.base.pool.begin().await?;
        let quote = quote::create_in(&mut tx, base, merchant, payment, method).await?;
        tx.commit().await?;
        Ok(quote)
    }

    /// A payment of the first shop, with a quote on another network.
    ///
    /// # Errors
    /// When it is refused.
    pub async fn ask_on(&self, other: &Other, paise: i128, asset: Asset) -> anyhow::Result<Asked> {
        let shop = self.shop()?.clone();
        let payment = self.create(&shop, paise, None).await?;
        let quote = self.quote_on(&other.network, shop.merchant, payment, asset).await?;
        Ok(Asked { merchant: shop.merchant, payment, quote })
    }

    /// The chain of another family that was named in the options.
    ///
    /// # Errors
    /// When it was not.
    pub fn other(&self, network: &str) -> anyhow::Result<&Other> {
        let named = self.node.others.iter().find(|other| other.network.as_str() == network);
        named.with_context(|| format!("no network {network}"))
    }

    /// Sends crypto to a payment's address; the transaction is in a block.
    ///
    /// # Errors
    /// When the node refuses.
    pub async fn pay(&self, asked: &Asked, amount: Amount) -> anyhow::Result<String> {
        self.node.send(&asked.quote.address, amount).await
    }

    /// # Errors
    /// When the node refuses.
    pub async fn mine(&self, blocks: u64) -> anyhow::Result<()> {
        self.node.payer.mine(blocks).await?;
        Ok(())
    }

    /// Queues a fault that strikes once, at the next call of the operation.
    ///
    /// # Errors
    /// When no such fault exists.
    pub fn fault(&self, target: &str, operation: &str, name: &str) -> anyhow::Result<()> {
        self.outside.fault(target, operation, name)
    }

    /// How much of its usual depth a venue's book of a pair such as `ETHINR` has.
    ///
    /// # Errors
    /// When there is no such venue or pair.
    pub fn depth(&self, venue: &str, pair: &str, share: Decimal) -> anyhow::Result<()> {
        self.outside.sims.world.prices.set_liquidity(venue, pair, share)
    }

    /// Freezes or thaws a venue.
    ///
    /// # Errors
    /// When there is no such venue.
    pub async fn freeze(&self, venue: &str, frozen: bool) -> anyhow::Result<()> {
        let mut tx = self.base.pool.begin().await?;
        let signed = ("a story", "withdrawals are kept back");
        venue_freeze::set_in(&mut tx, &self.base, venue, frozen, signed).await?;
        tx.commit().await?;
        Ok(())
    }

    /// Lets time pass: in steps of a second at first, longer ones when it takes long.
    ///
    /// # Errors
    /// When a drain fails.
    pub async fn advance(&self, seconds: i64) -> anyhow::Result<()> {
        let mut passed = 0;
        while passed < seconds {
            let step = (passed / 2).max(1).min(seconds - passed);
            self.step(step).await?;
            passed += step;
        }
        Ok(())
    }

    /// Lets time pass until nothing is on its way any more, with blocks for what waits for them.
    ///
    /// # Errors
    /// When something is still on its way after a while; it says what.
    pub async fn settle(&self) -> anyhow::Result<()> {
        self.settle_by(&[&self.worker]).await
    }

    /// As [`Fleet::settle`], with the jobs drained by these processes at the same time.
    ///
    /// # Errors
    /// As [`Fleet::settle`].
    pub async fn settle_by(&self, processes: &[&Process]) -> anyhow::Result<()> {
        // Long enough for the scan to look at the chain again.
        self.step_by(processes, 2).await?;
        let mut busy = self.busy().await?;
        for _ in 0..PATIENCE {
            let Some(what) = &busy else { return Ok(()) };
            if what == "deposits" {
                self.mine(1).await?;
            }
            let step = self.until_next_job().await?;
            self.step_by(processes, step).await?;
            busy = self.busy().await?;
        }
        bail!("still busy with {}; failures: {:?}", busy.unwrap_or_default(), self.failures());
    }

    /// Seconds until a job is due that is about something: at least one, and not many, because the
    /// outside has plans of its own.
    async fn until_next_job(&self) -> anyhow::Result<i64> {
        let next: Option<DateTime<Utc>> = sqlx::query_scalar(
            "select min(run_at) from apalis.jobs where status in ('Pending', 'Failed')
             and job_type not in ('scan_chain', 'refill_addresses', 'sync_rates', 'watch_rates',
               'watch_orders', 'thin_rates', 'sweep_stuck',
               'reconcile', 'expire_payment')",
        )
        .fetch_one(&self.base.pool)
        .await?;
        let left = next.map_or(0, |next| (next - self.now()).num_milliseconds());
        Ok((left.saturating_add(999) / 1_000).clamp(1, 20))
    }

    /// One step of time, and everything that is due then.
    ///
    /// # Errors
    /// When a drain fails.
    pub async fn step(&self, seconds: i64) -> anyhow::Result<()> {
        self.step_by(&[&self.worker], seconds).await
    }

    async fn step_by(&self, processes: &[&Process], seconds: i64) -> anyhow::Result<()> {
        self.pass(seconds).await?;
        self.round_by(processes).await
    }

    /// Time passes, and nobody does anything.
    ///
    /// # Errors
    /// When the node refuses.
    pub async fn pass(&self, seconds: i64) -> anyhow::Result<()> {
        self.clock.advance(TimeDelta::seconds(seconds));
        self.node.pass_time(seconds).await
    }

    /// Everything that is due now: ticks, jobs, the bank's own doings and its webhooks.
    ///
    /// # Errors
    /// When a drain fails, or the fleet and the outside never stop talking.
    pub async fn round(&self) -> anyhow::Result<()> {
        self.round_by(&[&self.worker]).await
    }

    /// As [`Fleet::round`], with the jobs drained by these processes at the same time.
    ///
    /// # Errors
    /// As [`Fleet::round`].
    pub async fn round_by(&self, processes: &[&Process]) -> anyhow::Result<()> {
        self.tick().await?;
        for _ in 0..ECHOES {
            let runs = self.drain(processes).await?;
            self.outside.sims.bank.deliver_due().await;
            if runs == 0 && !self.is_anything_due().await? {
                return Ok(());
            }
        }
        bail!("the fleet does not come to rest");
    }

    /// Asks for the periodic jobs of this moment, as every process does.
    ///
    /// # Errors
    /// When the database does not answer.
    pub async fn tick(&self) -> anyhow::Result<()> {
        let mut conn = self.base.pool.acquire().await?;
        workers::schedule().tick(&mut conn, self.base.now()).await?;
        Ok(())
    }

    async fn drain(&self, processes: &[&Process]) -> anyhow::Result<usize> {
        let drained = match processes {
            [only] => vec![only.runner.drain().await?],
            [one, other] => {
                let (one, other) = tokio::join!(one.runner.drain(), other.runner.drain());
                vec![one?, other?]
            }
            _ => bail!("one process or two"),
        };
        Ok(drained.into_iter().map(|drained| self.keep(drained)).sum())
    }

    /// Remembers how a drain went; answers how many jobs ran.
    pub fn keep(&self, drained: Drained) -> usize {
        let mut failures = self.failures.lock().unwrap_or_else(PoisonError::into_inner);
        failures.extend(drained.failures);
        drained.runs
    }

    /// Every run of a job that ended badly so far.
    #[must_use]
    pub fn failures(&self) -> Vec<Failure> {
        self.failures.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// A webhook that came in asks for a job.
    async fn is_anything_due(&self) -> anyhow::Result<bool> {
        let due = "select exists (select from apalis.jobs
            where status in ('Pending', 'Failed') and run_at <= $1)";
        Ok(sqlx::query_scalar(due).bind(self.now()).fetch_one(&self.base.pool).await?)
    }

    /// True when nothing is on its way.
    ///
    /// # Errors
    /// When the database does not answer.
    pub async fn at_rest(&self) -> anyhow::Result<bool> {
        Ok(self.busy().await?.is_none())
    }

    /// What is on its way, if anything.
    async fn busy(&self) -> anyhow::Result<Option<String>> {
        Ok(sqlx::query_scalar(
            "select what from (values
               ('deposits', (select count(*) from deposits where state = 'seen')),
               ('sales', (select count(*) from conversion_queue where conversion_id is null)),
               ('orders', (select count(*) from conversions
                  where state not in ('filled', 'in_review'))),
               ('payouts', (select count(*) from payouts where state in ('planned', 'submitted',
                  'unknown', 'pending', 'queued', 'processing'))),
               ('notices', (select count(*) from deliveries where state = 'pending')),
               ('letters', (select count(*) from inbox where state = 'new'))
             ) as busy (what, many) where many > 0 limit 1",
        )
        .fetch_optional(&self.base.pool)
        .await?)
    }

    /// The story of a payment, as the API tells it.
    ///
    /// # Errors
    /// When there is no such payment.
    pub async fn story(&self, asked: &Asked) -> anyhow::Result<Explanation> {
        self.story_of(asked.merchant, asked.payment).await
    }

    /// # Errors
    /// When there is no such payment.
    pub async fn story_of(
        &self,
        merchant: MerchantId,
        payment: PaymentId,
    ) -> anyhow::Result<Explanation> {
        let mut conn = self.base.pool.acquire().await?;
        let story = explain(&mut conn, merchant, payment).await?;
        let story = story.with_context(|| format!("no payment {payment}"))?;
        ensure!(story.sums.adds_up, "the sums of {payment} do not add up: {:?}", story.sums);
        Ok(story)
    }

    /// Lets time pass until a payment is in this state.
    ///
    /// # Errors
    /// When it does not come there in a minute and a half.
    pub async fn until(&self, asked: &Asked, state: &str) -> anyhow::Result<Explanation> {
        for _ in 0..PATIENCE {
            let story = self.story(asked).await?;
            if story.state == state {
                return Ok(story);
            }
            self.step(1).await?;
        }
        let story = self.story(asked).await?;
        bail!("{} is {} and not {state}; {:?}", asked.payment, story.state, self.failures());
    }

    /// Every case there is, by kind.
    ///
    /// # Errors
    /// When the database does not answer.
    pub async fn cases(&self) -> anyhow::Result<Vec<String>> {
        let sql = "select kind from cases order by opened_at, id";
        Ok(sqlx::query_scalar(sql).fetch_all(&self.base.pool).await?)
    }

    /// A whole number the database knows.
    ///
    /// # Errors
    /// When it does not.
    pub async fn count(&self, sql: &'static str) -> anyhow::Result<i64> {
        Ok(sqlx::query_scalar(sql).fetch_one(&self.db.owner).await?)
    }

    /// Opens or closes a kill switch.
    ///
    /// # Errors
    /// When the database does not answer.
    pub async fn switch(&self, switch: Switch, closed: bool) -> anyhow::Result<()> {
        let mut tx = self.base.pool.begin().await?;
        switch::set_in(&mut tx, &self.base, switch, closed, "a story").await?;
        tx.commit().await?;
        Ok(())
    }

    #[must_use]
    pub fn now(&self) -> DateTime<Utc> {
        self.base.now()
    }
}
