//! Paid in parts: accepted when the last part is final.

use anyhow::Result;
use primitives::Asset;
use testkit::Fleet;

use super::net;

#[tokio::test]
async fn in_two_parts() -> Result<()> {
    let fleet = Fleet::open().await?;
    let asked = fleet.ask(320_000, Asset::Eth).await?;
    let first = asked.percent(40)?;
    fleet.pay(&asked, first).await?;
    fleet.step(2).await?;
    fleet.pay(&asked, asked.payable().checked_sub(first)?).await?;
    fleet.settle().await?;
    let story = fleet.story(&asked).await?;
    assert_eq!(story.state, "settled");
    assert!(story.flags.is_empty() && story.cases.is_empty(), "{story:?}");
    assert_eq!(story.deposits.len(), 2);
    assert_eq!((fleet.orders_at_venue()?, fleet.payouts_at_bank()?), (1, 1));
    assert_eq!(fleet.received_by(fleet.shop()?)?, net(320_000));
    fleet.check_books().await
}

/// A wallet may pay both parts in one transaction: two deposits of one transaction.
#[tokio::test]
async fn in_one_transaction() -> Result<()> {
    let fleet = Fleet::open().await?;
    let asked = fleet.ask(320_000, Asset::Eth).await?;
    let first = asked.percent(25)?;
    let parts = (first, asked.payable().checked_sub(first)?);
    let payer = &fleet.node.payer;
    let wallet = payer.deploy_wallet().await?;
    payer.wallet_pay_twice(&wallet, &asked.quote.address, parts).await?;
    fleet.settle().await?;
    let story = fleet.story(&asked).await?;
    assert_eq!(story.state, "settled");
    assert_eq!(story.deposits[0].tx_id, story.deposits[1].tx_id);
    fleet.check_books().await
}
