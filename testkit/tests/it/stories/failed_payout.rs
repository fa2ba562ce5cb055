//! The bank could not pay: for a passing reason it is tried again under a new key; for a lasting
//! one the payment is in review and the rupees stay owed.

use anyhow::Result;
use primitives::Asset;
use testkit::{Asked, Fleet};

use super::{net, open_cases};

async fn paid_with(fleet: &Fleet, outcomes: &[&str]) -> Result<Asked> {
    fleet.outside.plan_payouts(outcomes).await?;
    let asked = fleet.ask(130_000, Asset::Usdc).await?;
    fleet.pay(&asked, asked.payable()).await?;
    fleet.settle().await?;
    Ok(asked)
}

#[tokio::test]
async fn for_a_passing_reason() -> Result<()> {
    let fleet = Fleet::open().await?;
    let asked = paid_with(&fleet, &["failed:beneficiary_bank_offline", "processed"]).await?;
    let story = fleet.story(&asked).await?;
    assert_eq!(story.state, "settled");
    assert_eq!(story.payout.unwrap().attempts.len(), 2);
    assert_eq!(fleet.payouts_at_bank()?, 2);
    assert_eq!(fleet.received_by(fleet.shop()?)?, net(130_000));
    fleet.check_books().await
}

/// The bank takes the money back itself before it says it failed.
#[tokio::test]
async fn and_was_reversed_by_the_bank() -> Result<()> {
    let fleet = Fleet::open().await?;
    let asked = paid_with(&fleet, &["reversed:beneficiary_bank_offline", "processed"]).await?;
    assert_eq!(fleet.story(&asked).await?.state, "settled");
    assert_eq!(fleet.received_by(fleet.shop()?)?, net(130_000));
    fleet.check_books().await
}

async fn in_review_and_owed(outcome: &str) -> Result<()> {
    let fleet = Fleet::open().await?;
    let asked = paid_with(&fleet, &[outcome]).await?;
    let story = fleet.story(&asked).await?;
    assert_eq!(story.state, "in_review");
    assert_eq!(story.review_reason.as_deref(), Some("payout_stuck"));
    assert_eq!(open_cases(&story), ["payout_stuck"]);
    assert_eq!(story.sums.owed.minor(), net(130_000));
    assert_eq!(fleet.payouts_at_bank()?, 1);
    assert_eq!(fleet.received_by(fleet.shop()?)?, 0);
    fleet.check_books().await
}

#[tokio::test]
async fn for_a_lasting_reason() -> Result<()> {
    in_review_and_owed("failed:bank_account_closed").await
}

#[tokio::test]
async fn because_a_person_at_the_bank_said_no() -> Result<()> {
    in_review_and_owed("pending_then_rejected").await
}

/// Every attempt fails for a passing reason: four keys, then a person.
#[tokio::test]
async fn again_and_again() -> Result<()> {
    let fleet = Fleet::open().await?;
    let asked = paid_with(&fleet, &["failed:gateway_down"; 4]).await?;
    let story = fleet.story(&asked).await?;
    assert_eq!(story.state, "in_review");
    assert_eq!(story.payout.unwrap().attempts.len(), 4);
    assert_eq!(fleet.payouts_at_bank()?, 4);
    assert_eq!(story.sums.owed.minor(), net(130_000));
    fleet.check_books().await
}

/// The bank says it failed and gives the money back only minutes later.
#[tokio::test]
async fn and_the_money_came_back_later() -> Result<()> {
    let fleet = Fleet::open().await?;
    let delays = serde_json::json!({ "delays": { "reversal_ms": 300_000 } });
    fleet.outside.control.post("/razorpayx/plan", &delays).await?;
    let asked = paid_with(&fleet, &["failed_then_reversed", "processed"]).await?;
    fleet.advance(400).await?;
    fleet.settle().await?;
    assert_eq!(fleet.story(&asked).await?.state, "settled");
    assert_eq!(fleet.received_by(fleet.shop()?)?, net(130_000));
    fleet.check_books().await
}

/// Slow ways to the same end: queued, waiting for approval, UTR later than the money.
#[tokio::test]
async fn it_only_seemed_so() -> Result<()> {
    let fleet = Fleet::open().await?;
    for outcome in ["queued_then_processed", "pending_then_processed", "processed_late_utr"] {
        let asked = paid_with(&fleet, &[outcome]).await?;
        fleet.advance(30).await?;
        let story = fleet.story(&asked).await?;
        assert_eq!(story.state, "settled", "{outcome}");
        assert!(story.payout.unwrap().utr.is_some(), "{outcome}");
    }
    assert_eq!(fleet.payouts_at_bank()?, 3);
    fleet.check_books().await
}
