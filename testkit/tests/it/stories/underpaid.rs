//! Paid too little: a top-up while the quote holds completes it, silence ends in review with what
//! came promised back.

use anyhow::Result;
use primitives::Asset;
use testkit::Fleet;

use super::{net, open_cases};

#[tokio::test]
async fn and_nothing_more_came() -> Result<()> {
    let fleet = Fleet::open().await?;
    let asked = fleet.ask(50_000, Asset::Usdc).await?;
    let part = asked.percent(60)?;
    fleet.pay(&asked, part).await?;
    fleet.settle().await?;
    let story = fleet.story(&asked).await?;
    assert_eq!((story.state, story.flags.as_slice()), ("confirming", &["partial"][..]));
    fleet.advance(1_000).await?;
    let story = fleet.story(&asked).await?;
    assert_eq!(story.state, "in_review");
    assert_eq!(story.review_reason.as_deref(), Some("underpaid"));
    assert_eq!(open_cases(&story), ["underpaid"]);
    let mut conn = fleet.base.pool.acquire().await?;
    let promised = ledger::balance(&mut conn, "refund:USDC").await?.unwrap().posted;
    drop(conn);
    assert_eq!(promised, part);
    assert_eq!((fleet.orders_at_venue()?, fleet.payouts_at_bank()?), (0, 0));
    fleet.check_books().await
}

#[tokio::test]
async fn and_topped_up_in_time() -> Result<()> {
    let fleet = Fleet::open().await?;
    let asked = fleet.ask(50_000, Asset::Usdc).await?;
    let part = asked.percent(60)?;
    fleet.pay(&asked, part).await?;
    fleet.settle().await?;
    fleet.advance(120).await?;
    fleet.pay(&asked, asked.payable().checked_sub(part)?).await?;
    fleet.settle().await?;
    let story = fleet.story(&asked).await?;
    assert_eq!(story.state, "settled");
    assert!(story.flags.is_empty() && story.cases.is_empty(), "{story:?}");
    assert_eq!(story.deposits.len(), 2);
    assert_eq!(fleet.received_by(fleet.shop()?)?, net(50_000));
    fleet.check_books().await
}

/// One base unit short is short: nobody rounds in the payer's favour.
#[tokio::test]
async fn by_one_base_unit() -> Result<()> {
    let fleet = Fleet::open().await?;
    let asked = fleet.ask(50_000, Asset::Eth).await?;
    let one = primitives::Amount::try_new(1, Asset::Eth)?;
    fleet.pay(&asked, asked.payable().checked_sub(one)?).await?;
    fleet.settle().await?;
    assert_eq!(fleet.story(&asked).await?.state, "confirming");
    fleet.pay(&asked, one).await?;
    fleet.settle().await?;
    assert_eq!(fleet.story(&asked).await?.state, "settled");
    fleet.check_books().await
}
