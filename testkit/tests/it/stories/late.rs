//! Paid after the end: booked to suspense with a case, in review; the shop gets nothing by itself.

use anyhow::Result;
use primitives::Asset;
use settlement::payment;
use testkit::Fleet;

use super::open_cases;

#[tokio::test]
async fn after_expiry() -> Result<()> {
    let fleet = Fleet::open().await?;
    let asked = fleet.ask(75_000, Asset::Eth).await?;
    fleet.advance(1_000).await?;
    assert_eq!(fleet.story(&asked).await?.state, "expired");
    fleet.check_books().await?;
    fleet.pay(&asked, asked.payable()).await?;
    fleet.settle().await?;
    let story = fleet.story(&asked).await?;
    assert_eq!((story.state, story.flags.as_slice()), ("in_review", &["late"][..]));
    assert_eq!(open_cases(&story), ["late_deposit"]);
    assert_eq!(story.deposits[0].set_aside.as_deref(), Some("late_deposit"));
    assert_eq!((fleet.orders_at_venue()?, fleet.payouts_at_bank()?), (0, 0));
    fleet.check_books().await
}

#[tokio::test]
async fn after_cancellation() -> Result<()> {
    let fleet = Fleet::open().await?;
    let asked = fleet.ask(75_000, Asset::Usdc).await?;
    let mut tx = fleet.base.pool.begin().await?;
    payment::cancel_in(&mut tx, &fleet.base, asked.merchant, asked.payment).await?;
    tx.commit().await?;
    fleet.pay(&asked, asked.payable()).await?;
    fleet.settle().await?;
    let story = fleet.story(&asked).await?;
    assert_eq!(story.state, "in_review");
    assert_eq!(open_cases(&story), ["late_deposit"]);
    fleet.check_books().await
}

/// Sent in time, seen late: the node was away over the deadline, and the payment waits for it.
#[tokio::test]
async fn but_only_seen_late() -> Result<()> {
    let fleet = Fleet::open().await?;
    let asked = fleet.ask(75_000, Asset::Usdc).await?;
    fleet.pass(850).await?;
    fleet.pay(&asked, asked.payable()).await?;
    fleet.mine(4).await?;
    // Nobody looks for two minutes, and then everything is due at once.
    fleet.pass(120).await?;
    fleet.settle().await?;
    assert_eq!(fleet.story(&asked).await?.state, "settled");
    fleet.check_books().await
}
