//! Payments are locked in the order of their ids, whatever order they are named in: two
//! transactions that need the same ones wait for each other and never for ever.

use std::time::{Duration, Instant};

use anyhow::{Result, ensure};
use primitives::{Asset, PaymentId};
use settlement::{
    conversion::{self, OrderFacts, OrderOutcome, Part},
    deposit, payment,
};

use crate::{
    retry::selling,
    routes::{self, DOLLARS, ETH},
    world::{Asked, World, offer},
};

/// Blocks name payments in their own order, batches in another, people in a third.
#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn nobody_waits_for_ever() -> Result<()> {
    let w = World::open().await?;
    let mut all: Vec<Asked> = Vec::new();
    for _ in 0..6 {
        all.push(w.ask(100_000, Asset::Usdc).await?);
    }
    let forwards: Vec<PaymentId> = all.iter().map(|asked| asked.id).collect();
    let backwards: Vec<PaymentId> = forwards.iter().rev().copied().collect();
    let addresses: Vec<String> = all.iter().rev().map(|a| a.quote.address.clone()).collect();
    let mut running = tokio::task::JoinSet::new();
    for round in 0..30 {
        let (pool, network) = (w.base.pool.clone(), w.network.clone());
        let ids = if round % 2 == 0 { forwards.clone() } else { backwards.clone() };
        let addresses = addresses.clone();
        running.spawn(async move {
            let mut tx = pool.begin().await?;
            if round % 3 == 0 {
                payment::lock_owners_in(&mut tx, &network, &addresses).await?;
            }
            payment::lock_all_in(&mut tx, ids).await?;
            tx.commit().await?;
            anyhow::Ok(())
        });
    }
    while let Some(done) = running.join_next().await {
        done??;
    }
    Ok(())
}

/// Two blocks' worth of sightings in opposite orders, each in one transaction, as the scan does it.
#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn two_scans_in_opposite_orders_both_end() -> Result<()> {
    let w = World::open().await?;
    let mut all: Vec<Asked> = Vec::new();
    for _ in 0..5 {
        all.push(w.ask(100_000, Asset::Usdc).await?);
    }
    let height = w.block(w.now()).await?;
    let mut running = tokio::task::JoinSet::new();
    for scan in 0..2 {
        let mut seen: Vec<_> = all
            .iter()
            .map(|asked| w.sighting(&asked.quote.address, asked.quote.payable, height))
            .collect();
        if scan == 1 {
            seen.reverse();
        }
        let (base, network) = (w.base.clone(), w.network.clone());
        running.spawn(async move {
            let mut tx = base.pool.begin().await?;
            let to: Vec<String> = seen.iter().map(|s| s.address.clone()).collect();
            payment::lock_owners_in(&mut tx, &network, &to).await?;
            for sighting in &seen {
                deposit::seen_in(&mut tx, &base, sighting).await?;
            }
            tx.commit().await?;
            anyhow::Ok(())
        });
    }
    while let Some(done) = running.join_next().await {
        done??;
    }
    assert_eq!(w.count("select count(*) from deposits where state = 'seen'").await?, 10);
    w.sound().await
}

/// Whoever may end a sale or park it takes its payments before the sale itself: one that waits for
/// a payment holds no sale that the payment's owner may want.
#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn a_sale_is_locked_after_its_payments() -> Result<()> {
    for step in ["the order", "the next order", "elsewhere"] {
        let w = World::open().await?;
        let (asked, id) = selling(&w).await?;
        let mut person = w.base.pool.begin().await?;
        payment::lock_in(&mut person, asked.id).await?;
        let (base, there) = (w.base.clone(), offer(&w, "wazirx", (Asset::Usdc, Asset::Inr), 80));
        let job = tokio::spawn(async move {
            let mut tx = base.pool.begin().await?;
            match step {
                "the order" => {
                    let none = primitives::Amount::zero(Asset::Usdc);
                    let facts = OrderFacts {
                        venue_order_id: "1".to_owned(),
                        closed: false,
                        executed: none,
                        fills: Vec::new(),
                    };
                    conversion::order_in(&mut tx, &base, id, 1, &facts).await?;
                }
                "the next order" => {
                    drop(conversion::plan_next_in(&mut tx, &base, id, &there).await?)
                }
                _ => drop(conversion::reroute_in(&mut tx, &base, id, &[there]).await?),
            }
            tx.commit().await?;
            anyhow::Ok(())
        });
        let waiting = "select count(*) from pg_stat_activity
            where datname = current_database() and wait_event_type = 'Lock'";
        let deadline = Instant::now() + Duration::from_secs(20);
        while w.count(waiting).await? == 0 {
            ensure!(Instant::now() < deadline, "{step}: it does not wait for the payment");
            tokio::task::yield_now().await;
        }
        let free = sqlx::query("select 1 from conversions where id = $1 for update nowait")
            .bind(id.uuid())
            .fetch_one(&mut *person)
            .await;
        ensure!(free.is_ok(), "{step}: it holds the sale while it waits for the payment");
        person.commit().await?;
        job.await??;
    }
    Ok(())
}

/// A late look at the first part of a batch holds that part when it posts; the end of another part
/// waits for it with nothing posted, so neither waits for the other for ever.
#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn the_first_part_is_locked_before_anything_is_posted() -> Result<()> {
    let w = std::sync::Arc::new(routes::open().await?);
    routes::paid(&w, 10_000_000, Asset::Eth).await?;
    w.pass(5);
    let offers = [offer(&w, "binance", ETH, 2_500), offer(&w, "wazirx", DOLLARS, 80)];
    let first = routes::order(routes::plan(&w, Asset::Eth, &offers).await?);
    routes::done(&w, &first, &[routes::fill(&w, &first, 2_500, 100)]).await?;
    let leg = routes::part(&w, first.conversion, Part::Leg).await?;
    let order = routes::order(routes::next(&w, leg.id, &offers[1]).await?);
    let mut look = w.base.pool.begin().await?;
    conversion::lock_in(&mut look, first.conversion).await?;
    let all = [routes::fill(&w, &order, 80, 100)];
    let ending = std::sync::Arc::clone(&w);
    let ended = tokio::spawn(async move { routes::done(&ending, &order, &all).await });
    let waiting = "select count(*) from pg_stat_activity
        where datname = current_database() and wait_event_type = 'Lock'";
    let deadline = Instant::now() + Duration::from_secs(20);
    while w.count(waiting).await? == 0 {
        ensure!(Instant::now() < deadline, "it does not wait for the first part");
        tokio::task::yield_now().await;
    }
    let free = sqlx::query(
        "select 1 from ledger.balances b join ledger.accounts a on a.id = b.account_id
         where a.code = 'trading:USDT' for update of b nowait",
    )
    .fetch_one(&w.db.owner)
    .await;
    ensure!(free.is_ok(), "it has posted while it waits for the first part: {free:?}");
    look.commit().await?;
    assert_eq!(ended.await??, OrderOutcome::Sold);
    assert_eq!(routes::payouts(&w).await?, 1);
    w.sound().await
}
