//! A frozen venue: signed, kept for ever, and no order or quote after its commit.

use anyhow::Result;
use primitives::{Amount, Asset};
use settlement::{
    bookkeeping, chart,
    conversion::{self, Planned},
    quote::QuoteError,
    venue_freeze::{self, FreezeRefused},
};

use crate::world::{World, offer};

async fn decide(w: &World, frozen: bool) -> Result<bool> {
    let mut tx = w.base.pool.begin().await?;
    let signed = ("somebody", "withdrawals are kept back");
    let changed = venue_freeze::set_in(&mut tx, &w.base, "wazirx", frozen, signed).await?;
    tx.commit().await?;
    Ok(changed)
}

async fn plan(w: &World) -> Result<Planned> {
    let offers = [offer(w, "wazirx", (Asset::Usdc, Asset::Inr), 80)];
    let mut tx = w.base.pool.begin().await?;
    let planned = conversion::plan_batch_in(&mut tx, &w.base, Asset::Usdc, &offers).await?;
    tx.commit().await?;
    Ok(planned)
}

async fn stock(w: &World) -> Result<()> {
    let mut tx = w.base.pool.begin().await?;
    let inventory = Amount::try_new(1_000_000_000, Asset::Usdc)?;
    let venue = chart::venue_free("wazirx", Asset::Usdc);
    bookkeeping::capital_paid_in(&mut tx, &w.base, venue, inventory, "inventory").await?;
    tx.commit().await?;
    Ok(())
}

#[tokio::test]
async fn takes_no_new_orders_and_no_quotes() -> Result<()> {
    let w = World::open().await?;
    stock(&w).await?;
    let asked = w.ask(100_000, Asset::Usdc).await?;
    let first = w.ask(100_000, Asset::Usdc).await?;
    w.pay(&first.quote.address, first.quote.payable).await?;
    w.pass(5);
    let Planned::Order(order) = plan(&w).await? else { panic!("no order") };
    assert!(decide(&w, true).await?);
    // Planned before, and not sent: it is not sent now.
    let mut tx = w.base.pool.begin().await?;
    assert_eq!(conversion::mark_sent_in(&mut tx, &w.base, &order).await?, None);
    tx.commit().await?;
    w.pay(&asked.quote.address, asked.quote.payable).await?;
    w.pass(5);
    let Planned::NoRoute(route) = plan(&w).await? else { panic!("a way out of a freeze") };
    assert_eq!(route.reasons(), "wazirx USDC/INR: frozen: withdrawals are kept back");
    assert_eq!(w.state(asked.id).await?, "accepted");
    let id = w.create(100_000, 3_600).await?;
    let refused = w.quote(id, Asset::Eth).await;
    assert!(matches!(refused, Err(QuoteError::VenueFrozen(Asset::Eth))), "{refused:?}");
    let mut conn = w.base.pool.acquire().await?;
    let story = settlement::views::explain(&mut conn, w.merchant, asked.id).await?.unwrap();
    assert!(story.held.unwrap().starts_with("wazirx takes no new orders since "));
    let listed = venue_freeze::list_in(&mut conn, &w.base).await?;
    assert_eq!((listed.len(), listed[0].orders_open), (1, 1));
    assert_eq!(listed[0].held[0].locked, order.quantity_minor);
    assert_eq!(w.count("select count(*) from cases where kind = 'venue_frozen'").await?, 1);
    assert!(decide(&w, false).await?);
    let open = "select count(*) from cases where kind = 'venue_frozen' and closed_at is null";
    assert_eq!(w.count(open).await?, 0);
    let mut tx = w.base.pool.begin().await?;
    assert!(conversion::mark_sent_in(&mut tx, &w.base, &order).await?.is_some());
    tx.commit().await?;
    assert!(matches!(plan(&w).await?, Planned::Order(_)));
    w.quote(id, Asset::Eth).await?;
    w.sound().await
}

#[tokio::test]
async fn is_signed_and_kept() -> Result<()> {
    let w = World::open().await?;
    stock(&w).await?;
    let mut tx = w.base.pool.begin().await?;
    let base = &w.base;
    for signed in [("", "why"), ("who", " "), ("who", &"x".repeat(501))] {
        let refused = venue_freeze::set_in(&mut tx, base, "wazirx", true, signed).await;
        assert!(matches!(refused, Err(FreezeRefused::Unsigned(..))), "{signed:?}");
    }
    let typo = venue_freeze::set_in(&mut tx, base, "wazrix", true, ("who", "why")).await;
    assert_eq!(typo.unwrap_err().to_string(), "no venue of that name; there is wazirx");
    tx.commit().await?;
    assert!(decide(&w, true).await?);
    assert!(!decide(&w, true).await?, "twice is noted, and is no change");
    assert_eq!(w.count("select count(*) from venue_freezes").await?, 2);
    for sql in [
        "update venue_freezes set frozen = false",
        "delete from venue_freezes",
        "truncate venue_freezes",
    ] {
        assert!(sqlx::query(sql).execute(&w.db.owner).await.is_err(), "{sql}");
    }
    Ok(())
}

/// A freeze waits for the plan that read the venue as open, and no plan after it does.
#[tokio::test(flavor = "multi_thread")]
async fn waits_for_plans_under_way() -> Result<()> {
    let w = World::open().await?;
    let mut planning = w.base.pool.begin().await?;
    assert!(venue_freeze::may_sell_in(&mut planning, "wazirx").await?);
    let base = w.base.clone();
    let freezing = tokio::spawn(async move {
        let mut tx = base.pool.begin().await?;
        venue_freeze::set_in(&mut tx, &base, "wazirx", true, ("somebody", "why")).await?;
        tx.commit().await?;
        anyhow::Ok(())
    });
    let waits = "select count(*) from pg_locks l join pg_database d on d.oid = l.database
                 where l.locktype = 'advisory' and not l.granted
                   and d.datname = current_database()";
    let deadline = std::time::Instant::now() + std::time::Duration::from_secs(20);
    while w.count(waits).await? == 0 {
        anyhow::ensure!(std::time::Instant::now() < deadline, "the freeze did not wait");
        tokio::task::yield_now().await;
    }
    assert!(!freezing.is_finished());
    planning.commit().await?;
    freezing.await??;
    let mut conn = w.base.pool.acquire().await?;
    assert!(!venue_freeze::may_sell_in(&mut conn, "wazirx").await?);
    Ok(())
}
