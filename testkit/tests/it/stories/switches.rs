//! Kill switches: closed, no new work of that kind begins; open again, everything goes on.

use anyhow::Result;
use primitives::Asset;
use settlement::switch::Switch;
use testkit::Fleet;

use super::net;

#[tokio::test]
async fn of_conversions_and_payouts() -> Result<()> {
    let fleet = Fleet::open().await?;
    fleet.switch(Switch::Conversions, true).await?;
    fleet.switch(Switch::Payouts, true).await?;
    let asked = fleet.ask(160_000, Asset::Usdc).await?;
    fleet.pay(&asked, asked.payable()).await?;
    fleet.step(2).await?;
    fleet.mine(3).await?;
    fleet.advance(120).await?;
    assert_eq!((fleet.story(&asked).await?.state, fleet.orders_at_venue()?), ("accepted", 0));
    fleet.check_books().await?;
    fleet.switch(Switch::Conversions, false).await?;
    fleet.advance(60).await?;
    let story = fleet.story(&asked).await?;
    assert_eq!((story.state, story.payout.unwrap().state.as_str()), ("settling", "planned"));
    assert_eq!((fleet.orders_at_venue()?, fleet.payouts_at_bank()?), (1, 0));
    fleet.check_books().await?;
    fleet.switch(Switch::Payouts, false).await?;
    fleet.settle().await?;
    assert_eq!(fleet.story(&asked).await?.state, "settled");
    assert_eq!(fleet.received_by(fleet.shop()?)?, net(160_000));
    fleet.check_books().await
}

#[tokio::test]
async fn of_quotes() -> Result<()> {
    let fleet = Fleet::open().await?;
    let before = fleet.ask(160_000, Asset::Usdc).await?;
    fleet.switch(Switch::Quotes, true).await?;
    assert!(fleet.ask(160_000, Asset::Usdc).await.is_err());
    fleet.pay(&before, before.payable()).await?;
    fleet.settle().await?;
    assert_eq!(fleet.story(&before).await?.state, "settled");
    fleet.switch(Switch::Quotes, false).await?;
    fleet.ask(160_000, Asset::Usdc).await?;
    fleet.check_books().await
}
