//! To an old address: the payment needs no more. Its address is watched for ever.

use anyhow::Result;
use primitives::Asset;
use settlement::merchant_policy::Action;

use crate::world::{World, net};

#[tokio::test]
async fn paid_again_waits_for_a_person() -> Result<()> {
    let w = World::open().await?;
    let asked = w.ask(100_000, Asset::Usdc).await?;
    w.pay(&asked.quote.address, asked.quote.payable).await?;
    w.pass(86_400);
    let again = w.pay(&asked.quote.address, asked.quote.payable).await?;
    assert_eq!(w.state(asked.id).await?, "accepted");
    assert_eq!(w.outcome(again).await?, ("review".to_owned(), 0));
    assert_eq!(w.cases(asked.id, true).await?, ["deposit_after_end"]);
    assert_eq!(w.balance("suspense:USDC").await?, asked.quote.payable.minor());
    assert_eq!(w.owed_to_shop().await?, net(100_000));
    w.sound().await
}

#[tokio::test]
async fn or_goes_back_by_policy() -> Result<()> {
    let w = World::open().await?;
    w.choose(|c| c.after_end = Action::Refund).await?;
    let asked = w.ask(100_000, Asset::Usdc).await?;
    w.pay(&asked.quote.address, asked.quote.payable).await?;
    let again = w.pay(&asked.quote.address, asked.quote.payable).await?;
    assert_eq!(w.outcome(again).await?, ("refund_promised".to_owned(), 1));
    assert_eq!(w.balance("refund:USDC").await?, asked.quote.payable.minor());
    assert_eq!(w.cases(asked.id, true).await?, ["deposit_after_end"]);
    assert_eq!(w.state(asked.id).await?, "accepted");
    w.sound().await
}

/// Months later, to a payment that expired unpaid.
#[tokio::test]
async fn to_an_expired_payment_long_after() -> Result<()> {
    let w = World::open().await?;
    let asked = w.ask(100_000, Asset::Usdc).await?;
    w.until_expired(asked.id).await?;
    w.pass(40_000);
    w.pay(&asked.quote.address, asked.quote.payable).await?;
    assert_eq!(w.state(asked.id).await?, "in_review");
    assert_eq!(w.cases(asked.id, true).await?, ["late_deposit"]);
    w.sound().await
}
