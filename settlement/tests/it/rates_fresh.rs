//! No quote is older than it looks: however long a lock was waited for, the newest tick of the
//! history is the price, and an old one is none. Redis shows the newest, to each fleet its own;
//! that it makes no price is for the API's tests.

use std::{
    sync::Arc,
    time::{Duration, Instant},
};

use anyhow::{Context as _, Result, ensure};
use chrono::TimeDelta;
use primitives::Asset;
use rust_decimal::Decimal;
use serde_json::json;
use settlement::{
    merchant_policy::Action,
    quote::{Quote, QuoteError},
    rates::{self, Board, BoardRate},
};

use crate::world::{World, settings};

async fn limited() -> Result<World> {
    let mut w = World::open().await?;
    let limit = settings(|s| s["exposure_max_paise"] = json!({ "ETH": 10_000_000 }));
    w.base.settings = Arc::new(limit);
    Ok(w)
}

impl World {
    async fn newest(&self, asset: Asset) -> Result<BoardRate> {
        let mut conn = self.base.pool.acquire().await?;
        rates::latest_in(&mut conn, asset).await?.context("a tick")
    }

    async fn until_somebody_waits(&self) -> Result<()> {
        let waiting = "select count(*) from pg_stat_activity
            where datname = current_database() and wait_event_type = 'Lock'";
        let deadline = Instant::now() + Duration::from_secs(20);
        while self.count(waiting).await? == 0 {
            ensure!(Instant::now() < deadline, "nobody waits for the lock");
            tokio::task::yield_now().await;
        }
        Ok(())
    }

    /// Quotes while `lock` is held by somebody else, who does something and lets go.
    async fn quote_behind(
        w: &Arc<Self>,
        lock: &'static str,
        meanwhile: impl AsyncFnOnce(&Self) -> Result<()>,
    ) -> Result<Result<Quote, QuoteError>> {
        let id = w.create(100_000, 3_600).await?;
        let mut holder = w.db.owner.begin().await?;
        sqlx::query(lock).execute(&mut *holder).await?;
        let quoting = {
            let w = Arc::clone(w);
            tokio::spawn(async move { w.quote_as_it_is(id, Asset::Eth).await })
        };
        w.until_somebody_waits().await?;
        meanwhile(w).await?;
        holder.commit().await?;
        Ok(quoting.await?)
    }
}

const LOCKS: [&str; 2] = [
    "select pg_advisory_xact_lock(hashtextextended('exposure:ETH', 0))",
    "select id from payments for update",
];

/// A lock that takes its time: the rate that was fresh before it is not fresh behind it.
#[tokio::test(flavor = "multi_thread")]
async fn a_rate_grows_old_behind_a_lock() -> Result<()> {
    for lock in LOCKS {
        let w = Arc::new(limited().await?);
        let late = async |w: &World| {
            w.pass(91);
            Ok(())
        };
        let quoted = World::quote_behind(&w, lock, late).await?;
        assert!(matches!(quoted, Err(QuoteError::NoRate)), "{lock}: {quoted:?}");
        // Ninety seconds are what a quote takes, and its promise begins when the wait is over.
        w.price(Asset::Eth, 1).await?;
        let just = async |w: &World| {
            w.pass(90);
            Ok(())
        };
        let quote = World::quote_behind(&w, lock, just).await??;
        assert_eq!(
            (quote.created_at, quote.valid_until),
            (w.now(), w.now() + TimeDelta::minutes(15))
        );
        assert_eq!(w.count("select count(*) from quotes").await?, 1);
    }
    Ok(())
}

/// Meanwhile there is a newer price, or none any more: that counts, not what was read before.
#[tokio::test(flavor = "multi_thread")]
async fn what_came_behind_a_lock_counts() -> Result<()> {
    for lock in LOCKS {
        let w = Arc::new(limited().await?);
        let dearer = async |w: &World| {
            w.pass(91);
            w.price(Asset::Eth, 2).await?;
            Ok(())
        };
        let quote = World::quote_behind(&w, lock, dearer).await??;
        assert_eq!(quote.price, Decimal::from(400_000));
        assert_eq!(quote.tick, w.newest(Asset::Eth).await?.tick);
        let lost = async |w: &World| {
            w.pass(1);
            w.no_price(Asset::Eth).await
        };
        let quoted = World::quote_behind(&w, lock, lost).await?;
        assert!(matches!(quoted, Err(QuoteError::NoRate)), "{lock}: {quoted:?}");
    }
    Ok(())
}

impl World {
    async fn no_price(&self, asset: Asset) -> Result<()> {
        let judged = rates::Judgement {
            verdict: rates::Verdict::Unusable("crossed".to_owned()),
            bid: None,
            ask: None,
            sources: Vec::new(),
        };
        let mut tx = self.base.pool.begin().await?;
        let none = rates::Routes::default();
        rates::record_in(&mut tx, &self.base, asset, judged, none).await?;
        tx.commit().await?;
        Ok(())
    }
}

/// Every worker is dead, so nobody says that the price is old.
#[tokio::test]
async fn nobody_makes_ticks_any_more() -> Result<()> {
    let w = World::open().await?;
    let id = w.create(100_000, 3_600).await?;
    w.pass(91);
    let quoted = w.quote_as_it_is(id, Asset::Eth).await;
    assert!(matches!(quoted, Err(QuoteError::NoRate)), "{quoted:?}");
    assert_eq!(w.count("select count(*) from quotes").await?, 0);
    let real = w.price(Asset::Eth, 3).await?;
    let other = w.create(100_000, 3_600).await?;
    let quote = w.quote_as_it_is(other, Asset::Eth).await?;
    assert_eq!((quote.tick, quote.price), (real.tick, Decimal::from(600_000)));
    // A tick of a clock that runs ahead makes no price here.
    w.clock.advance(TimeDelta::seconds(-60));
    let quoted = w.quote_as_it_is(id, Asset::Eth).await;
    assert!(matches!(quoted, Err(QuoteError::NoRate)), "{quoted:?}");
    Ok(())
}

#[expect(clippy::disallowed_methods, reason = "tests have no cli to read settings for them")]
fn redis() -> Result<String> {
    let url = std::env::var("CHUKTA_TEST_REDIS_URL");
    url.context("CHUKTA_TEST_REDIS_URL is not set: run `make test`, which starts a Redis")
}

/// Two processes publish out of turn, and two fleets share one Redis.
#[tokio::test]
async fn redis_keeps_the_newest_of_each_fleet() -> Result<()> {
    let (one, other) = (World::open().await?, World::open().await?);
    let board = |w: &World| Ok::<_, anyhow::Error>(Board::connect(w.base.clone(), &redis()?));
    let shown = async |board: &Board| -> Result<(i64, Option<Decimal>)> {
        let rate = board.latest(Asset::Eth).await?;
        Ok((rate.tick, rate.bid.map(|bid| bid.normalize())))
    };
    // Redis is given a moment only, and on a busy machine that may pass: so it is told again, and
    // asked again, until it answers.
    let until_shown = async |board: &Board, said: &BoardRate, wanted: i64| -> Result<()> {
        let deadline = Instant::now() + Duration::from_secs(30);
        loop {
            board.publish(said).await;
            let tick = shown(board).await?.0;
            if tick == wanted {
                return Ok(());
            }
            ensure!(Instant::now() < deadline, "{tick} is shown instead of {wanted}");
        }
    };
    let (ours, theirs) = (board(&one)?, board(&other)?);
    let older = one.price(Asset::Eth, 2).await?;
    one.pass(5);
    let newer = one.price(Asset::Eth, 3).await?;
    for rate in [&newer, &older] {
        until_shown(&ours, rate, newer.tick).await?;
    }
    assert_eq!(shown(&ours).await?, (newer.tick, newer.bid.map(|bid| bid.normalize())));
    // Only Redis can say a tick that the history does not have: so it is read from there.
    let ahead = BoardRate { tick: newer.tick + 1, ..newer.clone() };
    for rate in [&ahead, &newer] {
        until_shown(&ours, rate, ahead.tick).await?;
    }
    // The others know nothing of it.
    let far = other.newest(Asset::Eth).await?;
    assert_eq!(shown(&theirs).await?.0, far.tick);
    other.pass(1);
    let cheap = other.price_of(Asset::Eth, Decimal::ONE).await?;
    until_shown(&theirs, &cheap, cheap.tick).await?;
    assert_eq!(shown(&theirs).await?, (cheap.tick, Some(Decimal::ONE)));
    until_shown(&ours, &newer, ahead.tick).await
}

/// Late money is quoted anew by many at once: together they do not pass the limit either, and
/// nobody waits for ever.
#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn quoted_anew_by_turns() -> Result<()> {
    let mut w = World::open().await?;
    w.choose(|c| c.late = Action::Requote).await?;
    let mut asked = Vec::new();
    for _ in 0..4 {
        asked.push(w.ask(300_000, Asset::Usdc).await?);
    }
    for one in &asked {
        w.until_expired(one.id).await?;
    }
    w.price(Asset::Usdc, 1).await?;
    let mut deposits = Vec::new();
    for one in &asked {
        let height = w.block(w.now()).await?;
        let seen = w.sighting(&one.quote.address, one.quote.payable, height);
        deposits.push(w.see(&seen).await?);
    }
    let limit = settings(|s| s["exposure_max_paise"] = json!({ "USDC": 1_000_000 }));
    w.base.settings = Arc::new(limit);
    let fresh = w.create(300_000, 3_600).await?;
    let w = Arc::new(w);
    let mut running = tokio::task::JoinSet::new();
    for id in deposits {
        let w = Arc::clone(&w);
        running.spawn(async move { w.confirm(id).await });
    }
    let quoting = {
        let w = Arc::clone(&w);
        tokio::spawn(async move { w.quote(fresh, Asset::Usdc).await })
    };
    while let Some(done) = running.join_next().await {
        done??;
    }
    let quoted = match quoting.await? {
        Ok(_) => 1,
        Err(QuoteError::ExposureFull(_)) => 0,
        Err(other) => panic!("{other:?}"),
    };
    let mut accepted = 0;
    for one in &asked {
        match w.state(one.id).await? {
            "accepted" => accepted += 1,
            state => assert_eq!(state, "in_review"),
        }
    }
    assert_eq!(accepted + quoted, 3, "three times 3,015 rupees fit into 10,000");
    w.sound().await
}
