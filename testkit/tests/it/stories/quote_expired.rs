//! The rate had ended, the payment had not: money sent then is late, unless there is a new quote.

use anyhow::Result;
use primitives::Asset;
use testkit::{Asked, Fleet};

use super::{net, open_cases};

async fn asked_for_an_hour(fleet: &Fleet) -> Result<Asked> {
    let shop = fleet.shop()?.clone();
    let payment = fleet.create(&shop, 90_000, Some(3_600)).await?;
    let quote = fleet.quote(shop.merchant, payment, Asset::Usdc).await?;
    Ok(Asked { merchant: shop.merchant, payment, quote })
}

#[tokio::test]
async fn and_paid_all_the_same() -> Result<()> {
    let fleet = Fleet::open().await?;
    let asked = asked_for_an_hour(&fleet).await?;
    fleet.advance(1_200).await?;
    fleet.pay(&asked, asked.payable()).await?;
    fleet.settle().await?;
    let story = fleet.story(&asked).await?;
    assert_eq!((story.state, story.flags.as_slice()), ("awaiting_deposit", &["late"][..]));
    fleet.advance(3_000).await?;
    let story = fleet.story(&asked).await?;
    assert_eq!(story.state, "in_review");
    assert_eq!(open_cases(&story), ["late_deposit"]);
    assert_eq!((fleet.orders_at_venue()?, fleet.payouts_at_bank()?), (0, 0));
    fleet.check_books().await
}

#[tokio::test]
async fn and_quoted_anew() -> Result<()> {
    let fleet = Fleet::open().await?;
    let first = asked_for_an_hour(&fleet).await?;
    let same = fleet.quote(first.merchant, first.payment, Asset::Usdc).await?;
    assert_eq!(same.id, first.quote.id, "asking again is no free option");
    fleet.advance(1_200).await?;
    let quote = fleet.quote(first.merchant, first.payment, Asset::Usdc).await?;
    assert_ne!(quote.id, first.quote.id);
    assert_eq!(quote.address, first.quote.address);
    let asked = Asked { quote, ..first };
    fleet.pay(&asked, asked.payable()).await?;
    fleet.settle().await?;
    assert_eq!(fleet.story(&asked).await?.state, "settled");
    assert_eq!(fleet.received_by(fleet.shop()?)?, net(90_000));
    fleet.check_books().await
}
