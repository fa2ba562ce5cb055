//! The venue refuses an order: it did not happen, and the next one is planned; after too many a
//! person is called and the shop stays owed.

use anyhow::Result;
use primitives::Asset;
use simulators::fault::Fault;
use testkit::Fleet;

use super::{net, open_cases};

#[tokio::test]
async fn once() -> Result<()> {
    let fleet = Fleet::open().await?;
    fleet.fault("wazirx", "place_order", "reject:2002")?;
    let asked = fleet.ask(180_000, Asset::Eth).await?;
    fleet.pay(&asked, asked.payable()).await?;
    fleet.settle().await?;
    let story = fleet.story(&asked).await?;
    assert_eq!(story.state, "settled");
    assert_eq!(story.sale.unwrap().orders.len(), 2);
    assert_eq!((fleet.orders_at_venue()?, fleet.payouts_at_bank()?), (1, 1));
    assert_eq!(fleet.received_by(fleet.shop()?)?, net(180_000));
    fleet.check_books().await
}

#[tokio::test]
async fn for_good() -> Result<()> {
    let fleet = Fleet::open().await?;
    let mut refusal = Fault::new("wazirx", "place_order", "reject:2002");
    refusal.times = 1_000;
    fleet.outside.queue(refusal)?;
    let asked = fleet.ask(180_000, Asset::Eth).await?;
    fleet.pay(&asked, asked.payable()).await?;
    fleet.settle().await?;
    let story = fleet.story(&asked).await?;
    assert_eq!(story.state, "in_review");
    assert_eq!(open_cases(&story), ["conversion_stuck"]);
    assert_eq!(story.review_reason.as_deref(), Some("conversion_stuck"));
    assert_eq!(story.sale.unwrap().state, "in_review");
    assert_eq!(story.sums.owed.minor(), net(180_000));
    assert_eq!((fleet.orders_at_venue()?, fleet.payouts_at_bank()?), (0, 0));
    fleet.check_books().await
}
