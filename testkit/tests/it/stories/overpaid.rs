//! Paid too much: settled at the quote, the surplus promised back.

use anyhow::Result;
use primitives::Asset;
use testkit::Fleet;

use super::{net, open_cases};

#[tokio::test]
async fn by_a_fifth() -> Result<()> {
    let fleet = Fleet::open().await?;
    let asked = fleet.ask(99_900, Asset::Usdt).await?;
    let sent = asked.percent(120)?;
    fleet.pay(&asked, sent).await?;
    fleet.settle().await?;
    let story = fleet.story(&asked).await?;
    assert_eq!((story.state, story.flags.as_slice()), ("settled", &["over"][..]));
    assert_eq!(open_cases(&story), ["overpaid"]);
    let mut conn = fleet.base.pool.acquire().await?;
    let promised = ledger::balance(&mut conn, "refund:USDT").await?.unwrap().posted;
    drop(conn);
    assert_eq!(promised, sent.checked_sub(asked.payable())?);
    assert_eq!(fleet.received_by(fleet.shop()?)?, net(99_900));
    fleet.check_books().await
}

/// Two full payments on their way at once: one pays, the other is promised back.
#[tokio::test]
async fn by_paying_twice_at_once() -> Result<()> {
    let fleet = Fleet::open().await?;
    let asked = fleet.ask(99_900, Asset::Eth).await?;
    fleet.pay(&asked, asked.payable()).await?;
    fleet.pay(&asked, asked.payable()).await?;
    fleet.settle().await?;
    let story = fleet.story(&asked).await?;
    assert_eq!((story.state, story.flags.as_slice()), ("settled", &["over"][..]));
    assert_eq!(open_cases(&story), ["overpaid"]);
    let mut conn = fleet.base.pool.acquire().await?;
    let promised = ledger::balance(&mut conn, "refund:ETH").await?.unwrap().posted;
    drop(conn);
    assert_eq!(promised, asked.payable());
    assert_eq!(fleet.payouts_at_bank()?, 1);
    fleet.check_books().await
}
