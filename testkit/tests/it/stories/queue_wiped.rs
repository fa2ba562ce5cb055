//! Every job is lost at once, at any instant: what was to be done is found again in the rows.

use anyhow::Result;
use primitives::Asset;
use testkit::Fleet;

use super::net;

async fn wipe(fleet: &Fleet) -> Result<()> {
    sqlx::query("truncate apalis.jobs").execute(&fleet.db.owner).await?;
    Ok(())
}

#[tokio::test]
async fn at_any_second() -> Result<()> {
    let fleet = Fleet::open().await?;
    for second in 0..8 {
        fleet.fault("wazirx", "place_order", "http_500_applied")?;
        let asked = fleet.ask(100_000 + second, Asset::Usdc).await?;
        fleet.pay(&asked, asked.payable()).await?;
        fleet.mine(2).await?;
        for _ in 0..second {
            fleet.step(1).await?;
        }
        wipe(&fleet).await?;
        fleet.settle().await?;
        assert_eq!(fleet.story(&asked).await?.state, "settled", "wiped after {second} s");
    }
    assert_eq!((fleet.orders_at_venue()?, fleet.payouts_at_bank()?), (8, 8));
    fleet.check_books().await
}

#[tokio::test]
async fn every_second() -> Result<()> {
    let fleet = Fleet::open().await?;
    let asked = fleet.ask(100_000, Asset::Eth).await?;
    let other = fleet.ask(100_000, Asset::Eth).await?;
    fleet.pay(&asked, asked.payable()).await?;
    fleet.mine(2).await?;
    for _ in 0..15 {
        fleet.step(1).await?;
        wipe(&fleet).await?;
    }
    fleet.settle().await?;
    assert_eq!(fleet.story(&asked).await?.state, "settled");
    fleet.advance(1_000).await?;
    assert_eq!(fleet.story(&other).await?.state, "expired");
    assert_eq!((fleet.orders_at_venue()?, fleet.payouts_at_bank()?), (1, 1));
    assert_eq!(fleet.received_by(fleet.shop()?)?, net(100_000));
    fleet.check_books().await
}
