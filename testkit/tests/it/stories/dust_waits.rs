//! A payment below the venue's minimum: it waits for company, and no longer than the settings say.
//! Then its shop is paid, and what was not sold stands in the dust ledger until a later batch takes
//! it along.

use anyhow::{Context as _, Result};
use primitives::Asset;
use settlement::conversion::dust;
use testkit::{Fleet, Options};

use super::net;

async fn lies(fleet: &Fleet, asset: Asset) -> Result<i128> {
    let mut conn = fleet.base.pool.acquire().await?;
    let lines = dust::list_in(&mut conn).await?;
    assert!(lines.iter().all(|line| line.lies == line.books), "{lines:?}");
    Ok(lines.iter().find(|line| line.asset == asset).map_or(0, |line| line.lies.minor()))
}

async fn open() -> Result<Fleet> {
    let mut options = Options::new()?;
    options.settings.dust_age_s = 60;
    Fleet::with(options).await
}

#[tokio::test]
async fn alone() -> Result<()> {
    let fleet = open().await?;
    let asked = fleet.ask(10_000, Asset::Usdc).await?;
    fleet.pay(&asked, asked.payable()).await?;
    fleet.step(2).await?;
    fleet.mine(3).await?;
    fleet.advance(30).await?;
    let story = fleet.story(&asked).await?;
    assert_eq!(story.state, "accepted");
    assert!(story.held.context("a reason")?.contains("below the venue's minimum"));
    fleet.settle().await?;
    assert_eq!(fleet.story(&asked).await?.state, "settled");
    assert_eq!((fleet.orders_at_venue()?, fleet.payouts_at_bank()?), (0, 1));
    assert_eq!(fleet.received_by(fleet.shop()?)?, net(10_000));
    assert_eq!(lies(&fleet, Asset::Usdc).await?, asked.payable().minor());
    fleet.check_books().await?;
    // The next batch takes it along.
    let next = fleet.ask(50_000, Asset::Usdc).await?;
    fleet.pay(&next, next.payable()).await?;
    fleet.settle().await?;
    let sale = fleet.story(&next).await?.sale.context("a sale")?;
    assert_eq!(sale.legs[0].dust_taken, asked.payable());
    assert!(sale.house_share.is_positive());
    assert!(lies(&fleet, Asset::Usdc).await? < 10_000, "crumbs below the step are left");
    fleet.check_books().await
}

#[tokio::test]
async fn in_company() -> Result<()> {
    let fleet = open().await?;
    let first = fleet.ask(10_000, Asset::Usdc).await?;
    fleet.pay(&first, first.payable()).await?;
    fleet.step(2).await?;
    fleet.mine(3).await?;
    fleet.advance(20).await?;
    assert_eq!((fleet.story(&first).await?.state, fleet.orders_at_venue()?), ("accepted", 0));
    let second = fleet.ask(20_000, Asset::Usdc).await?;
    fleet.pay(&second, second.payable()).await?;
    fleet.settle().await?;
    for asked in [&first, &second] {
        assert_eq!(fleet.story(asked).await?.state, "settled");
    }
    assert_eq!((fleet.orders_at_venue()?, fleet.payouts_at_bank()?), (1, 2));
    fleet.check_books().await
}
