//! Payments are locked in the order of their ids, whatever order they are named in: two
//! transactions that need the same ones wait for each other and never for ever.

use anyhow::Result;
use primitives::{Asset, PaymentId};
use settlement::{deposit, payment};

use crate::world::{Asked, World};

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
