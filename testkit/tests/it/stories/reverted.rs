//! A transaction that looks like a payment and failed: nothing is credited, the payment expires.

use anyhow::Result;
use primitives::Asset;
use testkit::{Asked, Fleet};

async fn expires_untouched(fleet: &Fleet, asked: &Asked) -> Result<()> {
    fleet.mine(5).await?;
    fleet.advance(1_000).await?;
    let story = fleet.story(asked).await?;
    assert_eq!(story.state, "expired");
    assert!(story.deposits.is_empty() && story.ledger.is_empty() && story.cases.is_empty());
    assert_eq!((fleet.orders_at_venue()?, fleet.payouts_at_bank()?), (0, 0));
    fleet.check_books().await
}

#[tokio::test]
async fn of_the_coin() -> Result<()> {
    let fleet = Fleet::open().await?;
    let asked = fleet.ask(75_000, Asset::Eth).await?;
    let payer = &fleet.node.payer;
    let sent = payer.send_failing_native(&asked.quote.address, asked.payable()).await?;
    assert!(!payer.wait(&sent).await?);
    expires_untouched(&fleet, &asked).await
}

#[tokio::test]
async fn of_a_token() -> Result<()> {
    let fleet = Fleet::open().await?;
    let asked = fleet.ask(75_000, Asset::Usdc).await?;
    let (payer, token) = (&fleet.node.payer, &fleet.node.tokens.usdc);
    let sent = payer.send_failing_token(token, &asked.quote.address, asked.payable()).await?;
    assert!(!payer.wait(&sent).await?);
    expires_untouched(&fleet, &asked).await
}
