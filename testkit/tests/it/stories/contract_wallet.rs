//! Paid by a contract: an internal call pays like any other; one that was undone does not.

use anyhow::Result;
use primitives::Asset;
use testkit::Fleet;

use super::net;

#[tokio::test]
async fn pays_by_internal_call() -> Result<()> {
    let fleet = Fleet::open().await?;
    let asked = fleet.ask(180_000, Asset::Eth).await?;
    let wallet = fleet.node.payer.deploy_wallet().await?;
    fleet.node.payer.wallet_pay(&wallet, &asked.quote.address, asked.payable()).await?;
    fleet.settle().await?;
    let story = fleet.story(&asked).await?;
    assert_eq!(story.state, "settled");
    assert!(story.deposits[0].ordinal >= 1_000_000, "an internal call");
    assert_eq!(fleet.received_by(fleet.shop()?)?, net(180_000));
    fleet.check_books().await
}

#[tokio::test]
async fn takes_it_back_in_the_same_transaction() -> Result<()> {
    let fleet = Fleet::open().await?;
    let asked = fleet.ask(180_000, Asset::Eth).await?;
    let wallet = fleet.node.payer.deploy_wallet().await?;
    fleet.node.payer.wallet_pay_and_undo(&wallet, &asked.quote.address, asked.payable()).await?;
    fleet.mine(5).await?;
    fleet.advance(1_000).await?;
    let story = fleet.story(&asked).await?;
    assert_eq!(story.state, "expired");
    assert!(story.deposits.is_empty() && story.ledger.is_empty());
    fleet.check_books().await
}
