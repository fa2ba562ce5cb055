//! A deposit that finds another payment while somebody waits for the first one's lock.

use std::time::Duration;

use anyhow::Result;
use primitives::Asset;
use settlement::{
    Error, deposit,
    payment::{self, AtPrice, AttributeError},
};

use crate::world::World;

/// Polls until somebody in this database waits for a lock.
async fn somebody_waits(w: &World) -> Result<()> {
    let waits = "select count(*) from pg_stat_activity
                 where datname = current_database() and wait_event_type = 'Lock'";
    for _ in 0..1_000 {
        if w.count(waits).await? > 0 {
            return Ok(());
        }
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
    anyhow::bail!("nobody waits")
}

/// The scan unwinds a deposit that a person has just given to another payment: it does it again,
/// and takes the money from where it is.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn is_unwound_where_it_is_now() -> Result<()> {
    let w = World::open().await?;
    let first = w.ask(100_000, Asset::Usdc).await?;
    w.until_expired(first.id).await?;
    w.price(Asset::Usdc, 1).await?;
    let second = w.ask(100_000, Asset::Usdc).await?;
    let id = w.pay(&first.quote.address, first.quote.payable).await?;
    let mut person = w.base.pool.begin().await?;
    let to = second.id;
    payment::attribute_in(&mut person, &w.base, id, to, AtPrice::Quoted).await?;
    let base = w.base.clone();
    let scan = tokio::spawn(async move {
        let mut tx = base.pool.begin().await?;
        deposit::gone_in(&mut tx, &base, id).await?;
        tx.commit().await?;
        Ok::<(), Error>(())
    });
    somebody_waits(&w).await?;
    person.commit().await?;
    assert!(matches!(scan.await?, Err(Error::Overtaken(_))));
    assert_eq!(w.state(second.id).await?, "accepted");
    w.gone(id).await?;
    assert_eq!(w.balance("loss:USDC").await?, first.quote.payable.minor(), "it was converted");
    assert_eq!(w.balance("suspense:USDC").await?, 0);
    w.sound().await
}

/// What may have been sent back is not given to a payment.
#[tokio::test]
async fn what_has_an_address_is_given_to_nobody() -> Result<()> {
    let w = World::open().await?;
    let first = w.ask(100_000, Asset::Usdc).await?;
    w.until_expired(first.id).await?;
    w.price(Asset::Usdc, 1).await?;
    let second = w.ask(100_000, Asset::Usdc).await?;
    let id = w.pay(&first.quote.address, first.quote.payable).await?;
    let mut tx = w.base.pool.begin().await?;
    settlement::refund::promise_deposit_in(&mut tx, &w.base, id).await?;
    let owed = settlement::refund::open(&mut tx).await?;
    let (to, proof) = ("0xpayer", "signed message");
    settlement::refund::address_in(&mut tx, &w.base, owed[0].id, to, proof).await?;
    tx.commit().await?;
    let mut tx = w.base.pool.begin().await?;
    let refused = payment::attribute_in(&mut tx, &w.base, id, second.id, AtPrice::Quoted).await;
    assert!(matches!(refused, Err(AttributeError::SentBack)), "{refused:?}");
    tx.rollback().await?;
    w.sound().await
}
