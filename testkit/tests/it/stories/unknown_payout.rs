//! The bank's answer to a payout is lost: the same key and bytes again find it, or make it once.

use anyhow::Result;
use primitives::Asset;
use settlement::switch::Switch;
use testkit::Fleet;

use super::net;

async fn paid_once(fault: &str) -> Result<()> {
    let fleet = Fleet::open().await?;
    fleet.fault("razorpayx", "create_payout", fault)?;
    let asked = fleet.ask(210_000, Asset::Eth).await?;
    fleet.pay(&asked, asked.payable()).await?;
    fleet.settle().await?;
    let story = fleet.story(&asked).await?;
    assert_eq!(story.state, "settled");
    assert_eq!(story.payout.unwrap().attempts.len(), 1);
    assert_eq!(fleet.outside.sims.world.faults.struck().len(), 1);
    assert_eq!(fleet.payouts_at_bank()?, 1);
    assert_eq!(fleet.received_by(fleet.shop()?)?, net(210_000));
    fleet.check_books().await
}

#[tokio::test]
async fn it_happened() -> Result<()> {
    paid_once("http_500_applied").await
}

#[tokio::test]
async fn it_happened_and_the_answer_was_cut() -> Result<()> {
    paid_once("truncated").await
}

#[tokio::test]
async fn it_never_happened() -> Result<()> {
    paid_once("http_500_not_applied").await
}

#[tokio::test]
async fn it_happened_later() -> Result<()> {
    paid_once("delayed_apply").await
}

/// While payouts are stopped nothing is sent, not even again; afterwards it is made once.
#[tokio::test]
async fn while_payouts_are_stopped() -> Result<()> {
    let fleet = Fleet::open().await?;
    fleet.outside.sims.world.set_webhook_url(None);
    fleet.fault("razorpayx", "create_payout", "http_500_not_applied")?;
    let asked = fleet.ask(210_000, Asset::Eth).await?;
    fleet.pay(&asked, asked.payable()).await?;
    fleet.step(2).await?;
    fleet.mine(3).await?;
    while fleet.count("select count(*) from payouts where state = 'unknown'").await? == 0 {
        fleet.step(1).await?;
    }
    fleet.switch(Switch::Payouts, true).await?;
    fleet.advance(120).await?;
    assert_eq!((fleet.story(&asked).await?.state, fleet.payouts_at_bank()?), ("settling", 0));
    fleet.switch(Switch::Payouts, false).await?;
    fleet.settle().await?;
    assert_eq!((fleet.story(&asked).await?.state, fleet.payouts_at_bank()?), ("settled", 1));
    fleet.check_books().await
}
