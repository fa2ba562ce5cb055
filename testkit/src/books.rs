//! The proof after every story: our books are sound, and equal the books of everybody outside.
//!
//! Invariant: nothing here reads the outside through the product's adapters but the chain node;
//! venue and bank are asked for their own append-only books. Letters and numbers in the messages
//! are the invariants of the handbook's page on reliability.

use std::collections::{BTreeMap, BTreeSet};

use anyhow::{Context as _, ensure};
use chrono::{DateTime, TimeDelta, Utc};
use primitives::{Amount, Asset, MerchantId, PaymentId};
use rust_decimal::{Decimal, RoundingStrategy};
use serde_json::Value;
use settlement::{
    conversion::dust,
    reconcile::{self, Scope, books_in, funded_addresses},
    views::{Kept, profit_of_day},
};
use simulators::venue::Pockets;
use sqlx::PgConnection;

use crate::{Fleet, Shop};

/// What the bank takes for one payout.
const COST_PAISE: i128 = 590;

/// A venue's own view.
struct VenueBook {
    name: &'static str,
    held: BTreeMap<Asset, Decimal>,
    book: Value,
}

impl Fleet {
    /// Everything that must be true whenever nothing is running.
    ///
    /// # Errors
    /// A sentence naming the first thing that is not.
    pub async fn check_books(&self) -> anyhow::Result<()> {
        self.round().await?;
        let mut conn = self.base.pool.acquire().await?;
        ledger_is_sound(&mut conn).await?;
        drop(conn);
        self.book_crumbs().await?;
        let mut conn = self.base.pool.acquire().await?;
        self.venues_equal(&mut conn).await?;
        self.dust_is_named(&mut conn).await?;
        self.profit_adds_up(&mut conn).await?;
        self.every_order_is_ours(&mut conn).await?;
        self.bank_equals(&mut conn).await?;
        self.every_debit_is_ours(&mut conn).await?;
        self.chain_equals(&mut conn).await?;
        owed_is_what_payments_say(&mut conn).await?;
        self.queue_is_at_rest(&mut conn).await?;
        self.merchants_were_told(&mut conn).await?;
        drop(conn);
        for line in workers::compare_all(&self.worker.ctx).await? {
            ensure!(line.agrees() || line.in_flight, "X: our own comparison differs: {line:?}");
        }
        self.every_payment_adds_up().await
    }

    /// How many orders the venue that pays rupees took, by its own book.
    ///
    /// # Errors
    /// When the book cannot be read.
    pub fn orders_at_venue(&self) -> anyhow::Result<usize> {
        Ok(rows(&self.outside.sims.wazirx.book(), "orders")?.count())
    }

    /// How many orders Binance took, by its own book.
    ///
    /// # Errors
    /// When the book cannot be read.
    pub fn orders_at_binance(&self) -> anyhow::Result<usize> {
        Ok(rows(&self.outside.sims.binance.book(), "orders")?.count())
    }

    /// How many orders Coinbase took, by its own book.
    ///
    /// # Errors
    /// When the book cannot be read.
    pub fn orders_at_coinbase(&self) -> anyhow::Result<usize> {
        Ok(rows(&self.outside.sims.coinbase.book(), "orders")?.count())
    }

    /// How many payouts the bank made because it was asked, by its own book; repeats of a key are
    /// not counted.
    ///
    /// # Errors
    /// When the book cannot be read.
    pub fn payouts_at_bank(&self) -> anyhow::Result<usize> {
        let books = self.outside.sims.bank.books();
        let fresh = |row: &&Value| row.get("replay").and_then(Value::as_bool) == Some(false);
        Ok(rows(&books, "accepted")?.filter(fresh).count())
    }

    /// What a shop has and keeps, by the bank's own book.
    ///
    /// # Errors
    /// When the book cannot be read.
    pub fn received_by(&self, shop: &Shop) -> anyhow::Result<i128> {
        let books = self.outside.sims.bank.books();
        let kept = |row: &&Value| {
            row.get("reversed_at").is_none_or(Value::is_null)
                && row.get("vpa").and_then(Value::as_str) == Some(shop.vpa.as_str())
        };
        rows(&books, "paid")?.filter(kept).map(|row| whole(row, "amount")).sum()
    }

    /// What every simulated venue has, by its own book; Coinbase where we have an account.
    fn venues(&self) -> Vec<VenueBook> {
        let sims = &self.outside.sims;
        let (wazirx, binance) = (sims.wazirx.book(), sims.binance.book());
        let held = |of: &dyn Fn(&str) -> Decimal| -> BTreeMap<Asset, Decimal> {
            Asset::ALL.into_iter().map(|asset| (asset, of(asset.code()))).collect()
        };
        let sum = |pockets: Pockets| pockets.free + pockets.locked;
        let mut venues = vec![
            VenueBook {
                name: "binance",
                held: held(&|code| sum(sims.binance.balance(code))),
                book: binance,
            },
            VenueBook {
                name: "wazirx",
                held: held(&|code| sum(sims.wazirx.balance(code))),
                book: wazirx,
            },
        ];
        if self.worker.ctx.connectors.exchanges.contains_key("coinbase") {
            venues.push(VenueBook {
                name: "coinbase",
                held: held(&|code| sum(sims.coinbase.balance(code))),
                book: sims.coinbase.book(),
            });
        }
        venues
    }

    /// What a venue counts finer than we do, as the reconciliation books it.
    async fn book_crumbs(&self) -> anyhow::Result<()> {
        let seen = workers::compare_all(&self.worker.ctx).await?;
        let mut tx = self.base.pool.begin().await?;
        for comparison in seen {
            reconcile::with_crumbs_in(&mut tx, &self.base, comparison).await?;
        }
        tx.commit().await?;
        Ok(())
    }

    /// X2: free and locked at every venue, per asset, and what its journal adds up to.
    async fn venues_equal(&self, conn: &mut PgConnection) -> anyhow::Result<()> {
        for venue in self.venues() {
            let name = venue.name;
            let journal = self.outside.sims.world.journal.balances(name);
            for (asset, sum) in &venue.held {
                let entered = journal.get(asset.code()).map(|p| p.values().sum());
                let entered: Decimal = entered.unwrap_or_default();
                ensure!(*sum == entered, "{name}'s journal of {asset}: {entered}, balance {sum}");
                // Our books know nothing finer than the asset's smallest unit.
                let whole = sum.round_dp_with_strategy(asset.scale(), RoundingStrategy::ToZero);
                let theirs = Amount::parse_units(&whole.normalize().to_string(), *asset)?;
                let ours = books_in(conn, &Scope::Venue(name.into(), *asset)).await?;
                ensure!(ours == theirs, "X2: {name} {asset}: ours {ours}, theirs {theirs}");
            }
        }
        Ok(())
    }

    /// S1, S5, X5: the venues' orders are ours, once each, and their trades are our fills.
    async fn every_order_is_ours(&self, conn: &mut PgConnection) -> anyhow::Result<()> {
        for venue in self.venues() {
            self.orders_are_ours(conn, &venue).await?;
        }
        let oversold: Vec<uuid::Uuid> = sqlx::query_scalar(
            "select c.id from conversions c left join (select conversion_id,
               sum(sold_minor) as sold from fills k where not exists (
                 select from fills_taken_back r
                 where r.venue = k.venue and r.trade_id = k.trade_id)
               group by 1) f on f.conversion_id = c.id
             where coalesce(f.sold, 0) > c.target_minor
                or (c.state = 'filled' and coalesce(f.sold, 0) <> c.sold_minor)",
        )
        .fetch_all(&mut *conn)
        .await?;
        ensure!(oversold.is_empty(), "S4: sold more than was to be sold: {oversold:?}");
        Ok(())
    }

    /// S4: what lies in the trading accounts and is not being sold is the dust ledger, to the
    /// smallest unit.
    async fn dust_is_named(&self, conn: &mut PgConnection) -> anyhow::Result<()> {
        for line in dust::list_in(conn).await? {
            ensure!(line.lies == line.books, "S4: dust that nobody named: {line:?}");
        }
        Ok(())
    }

    /// What today earned and cost adds up, and no leg of it is without a line.
    async fn profit_adds_up(&self, conn: &mut PgConnection) -> anyhow::Result<()> {
        let posted: Option<DateTime<Utc>> =
            sqlx::query_scalar("select max(posted_at) from ledger.legs")
                .fetch_one(&mut *conn)
                .await?;
        let Some(posted) = posted else { return Ok(()) };
        let day = (posted + TimeDelta::minutes(330)).date_naive();
        let profit = profit_of_day(conn, day).await?;
        ensure!(profit.adds_up, "the day's result does not add up: {profit:?}");
        let other = profit.lines.iter().find(|line| line.what == Kept::Other);
        ensure!(other.is_none(), "a leg of the result without a line: {other:?}");
        Ok(())
    }

    async fn orders_are_ours(
        &self,
        conn: &mut PgConnection,
        venue: &VenueBook,
    ) -> anyhow::Result<()> {
        let book = &venue.book;
        let mut theirs = BTreeSet::new();
        for order in rows(book, "orders")? {
            let reference =
                word(order, "clientOrderId").or_else(|_| word(order, "client_order_id"))?;
            ensure!(theirs.insert(reference.to_owned()), "S1: {reference} was accepted twice");
        }
        let ours: BTreeSet<String> = sqlx::query_scalar(
            "select client_ref from order_attempts a join conversions c on c.id = a.conversion_id
             where c.venue = $1",
        )
        .bind(venue.name)
        .fetch_all(&mut *conn)
        .await?
        .into_iter()
        .collect();
        let unknown: Vec<_> = theirs.difference(&ours).collect();
        ensure!(unknown.is_empty(), "X7: orders we never planned: {unknown:?}");
        let denied: Vec<String> = sqlx::query_scalar(
            "select client_ref from order_attempts where state in ('absent', 'rejected')",
        )
        .fetch_all(&mut *conn)
        .await?;
        let denied: Vec<_> = denied.iter().filter(|r| theirs.contains(*r)).collect();
        ensure!(denied.is_empty(), "S3: called absent, and yet there: {denied:?}");
        let traded: BTreeSet<String> =
            rows(book, "trades")?.map(trade_name).collect::<Result<_, _>>()?;
        let booked: BTreeSet<String> = sqlx::query_scalar(
            "select trade_id from fills f where venue = $1 and not exists (
               select from fills_taken_back r where r.venue = f.venue and r.trade_id = f.trade_id)",
        )
        .bind(venue.name)
        .fetch_all(&mut *conn)
        .await?
        .into_iter()
        .collect();
        let late: bool = sqlx::query_scalar(
            "select exists (select from order_attempts where state in ('sent', 'unknown', 'open'))",
        )
        .fetch_one(&mut *conn)
        .await?;
        ensure!(late || traded == booked, "S5: trades {traded:?}, fills {booked:?}");
        Ok(())
    }

    /// X3: the bank's balance is ours, less what is on its way there.
    async fn bank_equals(&self, conn: &mut PgConnection) -> anyhow::Result<()> {
        let bank = &self.outside.sims.bank;
        let theirs = i128::from(bank.balance_paise());
        let ours = books_in(conn, &Scope::Rail("razorpayx".into())).await?.minor();
        let under_way: Vec<String> = sqlx::query_scalar(
            "select idempotency_key from payout_attempts
             where state in ('sent', 'unknown', 'pending', 'queued', 'processing')",
        )
        .fetch_all(&mut *conn)
        .await?;
        let books = bank.books();
        let keys = keys_by_payout(&books)?;
        let mut gone = 0_i128;
        for entry in rows(&books, "entries")? {
            let Some(id) = entry.get("payout_id").and_then(Value::as_str) else { continue };
            if keys.get(id).is_some_and(|key| under_way.contains(key)) {
                gone += whole(entry, "debit")? - whole(entry, "credit")?;
            }
        }
        ensure!(ours - gone == theirs, "X3: bank: ours {ours}, under way {gone}, theirs {theirs}");
        Ok(())
    }

    /// X4, X7, P1, P6: money that left the bank is one attempt of ours each, of the right amount,
    /// to the right person, and at most one per payout stays gone.
    async fn every_debit_is_ours(&self, conn: &mut PgConnection) -> anyhow::Result<()> {
        let books = self.outside.sims.bank.books();
        let ours: Vec<(String, String, String, String)> = sqlx::query_as(
            "select a.idempotency_key, p.id::text, p.amount_minor::text, p.vpa
             from payout_attempts a join payouts p on p.id = a.payout_id",
        )
        .fetch_all(&mut *conn)
        .await?;
        let ours: BTreeMap<&str, (&str, i128, &str)> = ours
            .iter()
            .map(|(key, id, amount, vpa)| {
                Ok((key.as_str(), (id.as_str(), amount.parse()?, vpa.as_str())))
            })
            .collect::<anyhow::Result<_>>()?;
        for accepted in rows(&books, "accepted")? {
            let key = word(accepted, "idempotency_key")?;
            let (_, amount, vpa) =
                ours.get(key).with_context(|| format!("X7: no attempt has the key {key}"))?;
            let to = accepted.get("beneficiary").and_then(|b| b.get("vpa"));
            ensure!(to.and_then(Value::as_str) == Some(*vpa), "P6: {key} went to {to:?}");
            ensure!(whole(accepted, "amount")? == *amount, "P1: {key} has another amount");
        }
        let keys = keys_by_payout(&books)?;
        let mut out: BTreeMap<&str, i128> = BTreeMap::new();
        let mut debits: BTreeMap<&str, u32> = BTreeMap::new();
        for entry in rows(&books, "entries")? {
            let Some(id) = entry.get("payout_id").and_then(Value::as_str) else { continue };
            let key = keys.get(id).with_context(|| format!("X4: nobody asked for {id}"))?;
            let (payout, amount, _) =
                ours.get(key.as_str()).with_context(|| format!("X4: no attempt: {key}"))?;
            let moved = whole(entry, "debit")? - whole(entry, "credit")?;
            ensure!(moved.abs() == amount + COST_PAISE, "X4: {id} moved {moved}, not {amount}");
            *debits.entry(key.as_str()).or_default() += u32::from(moved > 0);
            *out.entry(payout).or_default() += moved;
        }
        ensure!(debits.values().all(|times| *times <= 1), "X4: debited twice: {debits:?}");
        let paid: Vec<(String, String, String)> = sqlx::query_as(
            "select id::text, state, amount_minor::text from payouts where state in
               ('paid', 'final', 'failed', 'rejected', 'cancelled', 'reversed', 'in_review')",
        )
        .fetch_all(&mut *conn)
        .await?;
        for (id, state, amount) in &paid {
            let gone = out.get(id.as_str()).copied().unwrap_or(0);
            let due = if matches!(state.as_str(), "paid" | "final") {
                amount.parse::<i128>()? + COST_PAISE
            } else {
                0
            };
            ensure!(gone == due, "P1: payout {id} is {state}: {gone} paise left, {due} should");
        }
        let once = out.iter().find(|(id, gone)| {
            let amount = ours.values().find(|(payout, ..)| payout == *id).map_or(0, |o| o.1);
            **gone > amount + COST_PAISE
        });
        ensure!(once.is_none(), "P1: paid twice: {once:?}");
        Ok(())
    }

    /// X1: what the chains hold on every address that was ever paid.
    async fn chain_equals(&self, conn: &mut PgConnection) -> anyhow::Result<()> {
        for (network, chain) in &self.worker.ctx.connectors.chains {
            for asset in chain.assets() {
                let paid = funded_addresses(conn, network, asset).await?;
                let theirs = chain.held(&paid, asset).await?;
                let seen: String = sqlx::query_scalar(
                    "select coalesce(sum(amount_minor), 0)::text from deposits
                     where network = $1 and asset = $2 and state = 'seen'",
                )
                .bind(network.as_str())
                .bind(asset.code())
                .fetch_one(&mut *conn)
                .await?;
                let ours = books_in(conn, &Scope::Escrow(network.clone(), asset)).await?;
                let ours = ours.checked_add(Amount::parse_minor(&seen, asset)?)?;
                ensure!(ours == theirs, "X1: {network} {asset}: ours {ours}, theirs {theirs}");
            }
        }
        Ok(())
    }

    /// J2, J5, V3: nothing due is undone, nothing is held, nothing died, and a sweep finds nothing
    /// that waits without a job.
    async fn queue_is_at_rest(&self, conn: &mut PgConnection) -> anyhow::Result<()> {
        let restless: Vec<(String, String)> = sqlx::query_as(
            "select job_type, status from apalis.jobs
             where status in ('Queued', 'Running', 'Killed')
                or (status in ('Pending', 'Failed') and run_at <= $1)",
        )
        .bind(self.now())
        .fetch_all(&mut *conn)
        .await?;
        ensure!(restless.is_empty(), "V3: jobs not at rest: {restless:?}");
        let stranded: Vec<PaymentId> = sqlx::query_scalar::<_, uuid::Uuid>(STRANDED)
            .fetch_all(&mut *conn)
            .await?
            .into_iter()
            .map(PaymentId::from_uuid)
            .collect();
        ensure!(stranded.is_empty(), "J2: payments without a job: {stranded:?}");
        let mut looking = self.base.pool.begin().await?;
        let found = settlement::stuck::sweep_in(&mut looking, &self.base).await?;
        looking.rollback().await?;
        ensure!(found == 0, "J2: the sweep finds {found} jobs missing in calm");
        Ok(())
    }

    /// W3: what was delivered arrived with a good signature; nothing arrived with a bad one.
    async fn merchants_were_told(&self, conn: &mut PgConnection) -> anyhow::Result<()> {
        let received = self.outside.sims.inbox.received(0, None);
        let mut verified = BTreeSet::new();
        for message in rows(&received, "received")? {
            let good = message.get("verified").and_then(Value::as_bool);
            ensure!(good == Some(true), "W3: a merchant got a message it cannot trust: {message}");
            if whole(message, "answered")? < 300 {
                let id = message.get("headers").and_then(|h| h.get("webhook-id"));
                verified.extend(id.and_then(Value::as_str).map(str::to_owned));
            }
        }
        let delivered: Vec<uuid::Uuid> =
            sqlx::query_scalar("select event_id from deliveries where state = 'delivered'")
                .fetch_all(conn)
                .await?;
        for event in delivered {
            let id = primitives::EventId::from_uuid(event).to_string();
            ensure!(verified.contains(&id), "W3: {id} is called delivered and never arrived");
        }
        Ok(())
    }

    async fn every_payment_adds_up(&self) -> anyhow::Result<()> {
        let payments: Vec<(uuid::Uuid, uuid::Uuid)> =
            sqlx::query_as("select merchant_id, id from payments")
                .fetch_all(&self.base.pool)
                .await?;
        for (merchant, payment) in payments {
            self.story_of(MerchantId::from_uuid(merchant), PaymentId::from_uuid(payment)).await?;
        }
        Ok(())
    }
}

/// Payments that are not at an end and that no job will ever look at.
const STRANDED: &str = "select p.id from payments p
    left join conversion_queue q on q.payment_id = p.id
    left join payouts o on o.payment_id = p.id
    where p.state in ('awaiting_deposit', 'confirming', 'accepted', 'settling')
      and not exists (select from apalis.jobs j
        where j.status in ('Pending', 'Queued', 'Running', 'Failed') and (
          (p.state in ('awaiting_deposit', 'confirming') and j.job_type = 'expire_payment'
            and convert_from(j.job, 'utf8')::jsonb ->> 'payment'
              like '%_' || replace(p.id::text, '-', ''))
          or (p.state = 'accepted' and j.job_type = 'convert'
            and convert_from(j.job, 'utf8')::jsonb ->> 'asset' = q.asset)
          or (p.state = 'settling' and j.job_type = 'resolve_conversion'
            and exists (select from conversions c
              where (c.id = q.conversion_id or c.root = q.conversion_id)
                and convert_from(j.job, 'utf8')::jsonb ->> 'conversion'
                  like '%_' || replace(c.id::text, '-', '')))
          or (p.state = 'settling' and j.job_type in ('pay_out', 'resolve_payout')
            and convert_from(j.job, 'utf8')::jsonb ->> 'payout'
              like '%_' || replace(o.id::text, '-', ''))))";

/// L1 to L11: the books by themselves.
async fn ledger_is_sound(conn: &mut PgConnection) -> anyhow::Result<()> {
    let defects = ledger::audit(conn).await?;
    ensure!(defects.is_empty(), "L: {defects:?}");
    let lines = ledger::trial_balance(conn).await?;
    let unbalanced = ledger::unbalanced(&lines)?;
    ensure!(unbalanced.is_empty(), "L2: not zero: {unbalanced:?}");
    let seals = ledger::verify_seals(conn).await?;
    ensure!(seals.iter().all(|seal| seal.ok), "L9: a seal is broken: {seals:?}");
    Ok(())
}

/// P5: what the books owe each merchant is what accepted payments promised, less what was paid.
async fn owed_is_what_payments_say(conn: &mut PgConnection) -> anyhow::Result<()> {
    let due: Vec<(uuid::Uuid, String)> = sqlx::query_as(
        "select p.merchant_id, sum(p.amount_minor - round(p.amount_minor * 0.01)
             - round(round(p.amount_minor * 0.01) * 0.18))::text
         from (select id, merchant_id, accepted_at, coalesce(credited_minor, amount_minor)
                 as amount_minor from payments) p left join payouts o on o.payment_id = p.id
         where p.accepted_at is not null and coalesce(o.state, '') not in ('paid', 'final')
         group by 1",
    )
    .fetch_all(&mut *conn)
    .await?;
    let mut due: BTreeMap<uuid::Uuid, i128> = due
        .into_iter()
        .map(|(merchant, owed)| Ok((merchant, owed.parse()?)))
        .collect::<anyhow::Result<_>>()?;
    let all: Vec<uuid::Uuid> =
        sqlx::query_scalar("select id from merchants").fetch_all(&mut *conn).await?;
    for merchant in all {
        let code = settlement::chart::merchant(MerchantId::from_uuid(merchant)).code;
        let owed = ledger::balance(conn, &code).await?.map_or(0, |b| b.posted.minor());
        let expected = due.remove(&merchant).unwrap_or(0);
        ensure!(owed == expected, "P5: {code} owes {owed} and should owe {expected}");
    }
    Ok(())
}

fn rows<'a>(book: &'a Value, field: &str) -> anyhow::Result<impl Iterator<Item = &'a Value>> {
    let rows = book.get(field).and_then(Value::as_array);
    Ok(rows.with_context(|| format!("a book without {field}"))?.iter())
}

fn word<'a>(row: &'a Value, field: &str) -> anyhow::Result<&'a str> {
    row.get(field).and_then(Value::as_str).with_context(|| format!("a row without {field}"))
}

fn whole(row: &Value, field: &str) -> anyhow::Result<i128> {
    let value = row.get(field).and_then(Value::as_i64);
    value.map(i128::from).with_context(|| format!("a row without the number {field}"))
}

/// A trade as our books name it: with its market, for a venue may number each for itself.
fn trade_name(trade: &Value) -> anyhow::Result<String> {
    if let Ok(id) = word(trade, "trade_id") {
        return Ok(format!("{}-{id}", word(trade, "product_id")?.replace('-', "")));
    }
    let (market, id) = (word(trade, "symbol")?.to_ascii_uppercase(), number(trade, "id")?);
    Ok(format!("{market}-{id}"))
}

fn number(row: &Value, field: &str) -> anyhow::Result<String> {
    let value = row.get(field).with_context(|| format!("a row without {field}"))?;
    Ok(value.as_str().map_or_else(|| value.to_string(), str::to_owned))
}

/// The idempotency key each of the bank's payouts was asked for under.
fn keys_by_payout(books: &Value) -> anyhow::Result<BTreeMap<String, String>> {
    rows(books, "accepted")?
        .map(|row| {
            Ok((word(row, "payout_id")?.to_owned(), word(row, "idempotency_key")?.to_owned()))
        })
        .collect()
}
