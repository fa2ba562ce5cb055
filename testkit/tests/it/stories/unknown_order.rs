//! The venue's answer to an order is lost. Found by our reference it was sold once; proven absent
//! it is sold by a second order, and the proof is kept. A timer proves nothing.

use anyhow::Result;
use primitives::Asset;
use testkit::{Asked, Fleet};

use super::net;

async fn paid_with(fleet: &Fleet, fault: &str) -> Result<Asked> {
    fleet.fault("wazirx", "place_order", fault)?;
    let asked = fleet.ask(180_000, Asset::Usdc).await?;
    fleet.pay(&asked, asked.payable()).await?;
    Ok(asked)
}

async fn was_found_and_sold_once(fault: &str) -> Result<()> {
    let fleet = Fleet::open().await?;
    let asked = paid_with(&fleet, fault).await?;
    fleet.settle().await?;
    let story = fleet.story(&asked).await?;
    assert_eq!(story.state, "settled");
    assert_eq!(fleet.outside.sims.world.faults.struck().len(), 1);
    assert_eq!((fleet.orders_at_venue()?, fleet.payouts_at_bank()?), (1, 1));
    assert_eq!(story.sale.unwrap().orders.len(), 1);
    assert_eq!(fleet.received_by(fleet.shop()?)?, net(180_000));
    fleet.check_books().await
}

#[tokio::test]
async fn it_happened() -> Result<()> {
    was_found_and_sold_once("http_500_applied").await
}

#[tokio::test]
async fn it_happened_and_the_line_broke() -> Result<()> {
    was_found_and_sold_once("reset_applied").await
}

#[tokio::test]
async fn it_happened_and_the_answer_was_rubbish() -> Result<()> {
    was_found_and_sold_once("malformed").await
}

async fn was_proven_absent_and_sold_again(fault: &str) -> Result<()> {
    let fleet = Fleet::open().await?;
    let asked = paid_with(&fleet, fault).await?;
    fleet.step(2).await?;
    fleet.mine(3).await?;
    // Within the fence nobody may conclude anything.
    fleet.advance(15).await?;
    let story = fleet.story(&asked).await?;
    assert_eq!((story.state, fleet.orders_at_venue()?), ("settling", 0));
    assert_eq!(story.sale.unwrap().state, "unknown");
    fleet.settle().await?;
    let story = fleet.story(&asked).await?;
    assert_eq!(story.state, "settled");
    assert_eq!(story.sale.unwrap().orders.len(), 2);
    assert_eq!((fleet.orders_at_venue()?, fleet.payouts_at_bank()?), (1, 1));
    let proven = "select count(*) from order_attempts where state = 'absent'
        and evidence -> 'first' ->> 'at' < evidence -> 'second' ->> 'at'
        and evidence -> 'first' -> 'seen' ->> 'trades' = '0'";
    assert_eq!(fleet.count(proven).await?, 1);
    assert_eq!(fleet.received_by(fleet.shop()?)?, net(180_000));
    fleet.check_books().await
}

#[tokio::test]
async fn it_never_happened() -> Result<()> {
    was_proven_absent_and_sold_again("http_500_not_applied").await
}

#[tokio::test]
async fn it_never_happened_and_the_line_broke() -> Result<()> {
    was_proven_absent_and_sold_again("reset_not_applied").await
}

/// The venue takes the request only after our first look: it is found, not sold again.
#[tokio::test]
async fn it_happened_later() -> Result<()> {
    let fleet = Fleet::open().await?;
    let asked = paid_with(&fleet, "delayed_apply").await?;
    fleet.settle().await?;
    assert_eq!(fleet.story(&asked).await?.state, "settled");
    assert_eq!((fleet.orders_at_venue()?, fleet.payouts_at_bank()?), (1, 1));
    fleet.check_books().await
}

/// The venue says nothing at all for ten minutes.
#[tokio::test]
async fn and_then_the_venue_is_away() -> Result<()> {
    let fleet = Fleet::open().await?;
    let asked = paid_with(&fleet, "http_500_applied").await?;
    fleet.step(2).await?;
    fleet.mine(3).await?;
    while fleet.orders_at_venue()? == 0 {
        fleet.step(1).await?;
    }
    let mut away = simulators::fault::Fault::new("wazirx", "*", "http_503");
    away.times = 100_000;
    fleet.outside.queue(away)?;
    fleet.advance(600).await?;
    assert_eq!(fleet.story(&asked).await?.state, "settling");
    fleet.outside.sims.world.faults.clear();
    fleet.advance(600).await?;
    fleet.settle().await?;
    assert_eq!(fleet.story(&asked).await?.state, "settled");
    assert_eq!((fleet.orders_at_venue()?, fleet.payouts_at_bank()?), (1, 1));
    fleet.check_books().await
}
