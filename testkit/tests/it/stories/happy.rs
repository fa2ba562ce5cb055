//! Paid as asked: the shop has its rupees, with a UTR.

use anyhow::Result;
use primitives::Asset;
use testkit::Fleet;

async fn paid_as_asked(asset: Asset) -> Result<()> {
    let fleet = Fleet::open().await?;
    let asked = fleet.ask(245_000, asset).await?;
    fleet.pay(&asked, asked.payable()).await?;
    fleet.settle().await?;
    let story = fleet.story(&asked).await?;
    assert_eq!(story.state, "settled");
    assert!(story.flags.is_empty() && story.cases.is_empty(), "{:?}", story.cases);
    assert!(story.payout.is_some_and(|payout| payout.utr.is_some()));
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
