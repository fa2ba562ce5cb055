//! An order that fills in part: the rest is cancelled after a bounded wait and ordered anew; what
//! executes in the meantime is booked.

use anyhow::Result;
use primitives::Asset;
use simulators::fault::Fault;
use testkit::Fleet;

use super::net;

async fn sold_in_the_end(faults: &[(&str, &str, &str)], orders: usize) -> Result<()> {
    let fleet = Fleet::open().await?;
    for (operation, name, value) in faults {
        let mut fault = Fault::new("wazirx", operation, name);
        fault.value = (!value.is_empty()).then(|| (*value).to_owned());
        fleet.outside.queue(fault)?;
    }
    let asked = fleet.ask(400_000, Asset::Usdt).await?;
    fleet.pay(&asked, asked.payable()).await?;
    fleet.settle().await?;
    let story = fleet.story(&asked).await?;
    assert_eq!(story.state, "settled");
    assert_eq!(story.sale.unwrap().orders.len(), orders);
    assert_eq!((fleet.orders_at_venue()?, fleet.payouts_at_bank()?), (orders, 1));
    assert_eq!(fleet.received_by(fleet.shop()?)?, net(400_000));
    fleet.check_books().await
}

#[tokio::test]
async fn half_of_it() -> Result<()> {
    sold_in_the_end(&[("place_order", "partial_fill", "5000")], 2).await
}

#[tokio::test]
async fn nothing_of_it() -> Result<()> {
    sold_in_the_end(&[("place_order", "no_fill", "")], 2).await
}

/// Part of the rest executes while it is being cancelled.
#[tokio::test]
async fn and_more_while_cancelling() -> Result<()> {
    let faults = [("place_order", "partial_fill", "3000"), ("cancel_order", "late_fill", "4000")];
    sold_in_the_end(&faults, 2).await
}

/// All of the rest executes while it is being cancelled: one order after all.
#[tokio::test]
async fn and_all_while_cancelling() -> Result<()> {
    let faults = [("place_order", "partial_fill", "3000"), ("cancel_order", "late_fill", "10000")];
    sold_in_the_end(&faults, 1).await
}

/// The answer to the cancellation is lost.
#[tokio::test]
async fn and_the_cancellation_unanswered() -> Result<()> {
    let faults =
        [("place_order", "partial_fill", "5000"), ("cancel_order", "http_500_applied", "")];
    sold_in_the_end(&faults, 2).await
}
