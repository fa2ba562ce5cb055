//! Paid a second time after all was settled: suspense and a case, and no second payout.

use anyhow::Result;
use primitives::Asset;
use testkit::Fleet;

use super::{net, open_cases};

#[tokio::test]
async fn after_it_was_settled() -> Result<()> {
    let fleet = Fleet::open().await?;
    let asked = fleet.ask(120_000, Asset::Usdc).await?;
    fleet.pay(&asked, asked.payable()).await?;
    fleet.settle().await?;
    assert_eq!(fleet.story(&asked).await?.state, "settled");
    fleet.pay(&asked, asked.payable()).await?;
    fleet.settle().await?;
    let story = fleet.story(&asked).await?;
    assert_eq!((story.state, story.flags.as_slice()), ("settled", &["over"][..]));
    assert_eq!(open_cases(&story), ["deposit_after_end"]);
    let mut conn = fleet.base.pool.acquire().await?;
    let kept = ledger::balance(&mut conn, "suspense:USDC").await?.unwrap().posted;
    drop(conn);
    assert_eq!(kept, asked.payable());
    assert_eq!((fleet.orders_at_venue()?, fleet.payouts_at_bank()?), (1, 1));
    assert_eq!(fleet.received_by(fleet.shop()?)?, net(120_000));
    fleet.check_books().await
}
