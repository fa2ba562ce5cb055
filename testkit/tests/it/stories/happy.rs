//! Paid as asked: the shop has its rupees, with a UTR.

use anyhow::Result;
use primitives::Asset;
use testkit::Fleet;

use super::net;

async fn paid_as_asked(asset: Asset) -> Result<()> {
    let fleet = Fleet::open().await?;
    let asked = fleet.ask(245_000, asset).await?;
    fleet.pay(&asked, asked.payable()).await?;
    fleet.settle().await?;
    let story = fleet.story(&asked).await?;
    assert_eq!(story.state, "settled");
    assert!(story.flags.is_empty() && story.cases.is_empty(), "{:?}", story.cases);
    assert!(story.payout.is_some_and(|payout| payout.utr.is_some()));
    assert_eq!(story.sums.paid_out.minor(), net(245_000));
    assert_eq!((fleet.orders_at_venue()?, fleet.payouts_at_bank()?), (1, 1));
    assert_eq!(fleet.received_by(fleet.shop()?)?, net(245_000));
    assert_eq!(fleet.failures(), []);
    fleet.check_books().await
}

#[tokio::test]
async fn in_ether() -> Result<()> {
    paid_as_asked(Asset::Eth).await
}

#[tokio::test]
async fn in_usdc() -> Result<()> {
    paid_as_asked(Asset::Usdc).await
}

#[tokio::test]
async fn in_usdt() -> Result<()> {
    paid_as_asked(Asset::Usdt).await
}

/// Five days later nothing can be reversed any more, and nothing has moved since.
#[tokio::test]
async fn becomes_final() -> Result<()> {
    let fleet = Fleet::open().await?;
    let asked = fleet.ask(50_000, Asset::Usdc).await?;
    fleet.pay(&asked, asked.payable()).await?;
    fleet.settle().await?;
    fleet.advance(432_100).await?;
    let story = fleet.story(&asked).await?;
    assert_eq!(story.state, "settled");
    assert_eq!(story.payout.unwrap().state, "final");
    assert_eq!(fleet.received_by(fleet.shop()?)?, net(50_000));
    fleet.check_books().await
}

/// Payments of the same asset that come together are sold as one order.
#[tokio::test]
async fn sold_as_one_batch() -> Result<()> {
    let fleet = Fleet::open().await?;
    let mut all = Vec::new();
    for paise in [20_000, 33_300, 99_999] {
        all.push(fleet.ask(paise, Asset::Usdt).await?);
    }
    for asked in &all {
        fleet.pay(asked, asked.payable()).await?;
    }
    fleet.mine(3).await?;
    fleet.settle().await?;
    for asked in &all {
        assert_eq!(fleet.story(asked).await?.state, "settled");
    }
    assert_eq!((fleet.orders_at_venue()?, fleet.payouts_at_bank()?), (1, 3));
    assert_eq!(fleet.received_by(fleet.shop()?)?, net(20_000) + net(33_300) + net(99_999));
    fleet.check_books().await
}
