//! The bank paid and took it back: paid again by itself once, up to a limit.

use anyhow::Result;
use primitives::Asset;
use testkit::{Asked, Fleet};

use super::{net, open_cases};

async fn paid_with(fleet: &Fleet, paise: i128, outcomes: &[&str]) -> Result<Asked> {
    fleet.outside.plan_payouts(outcomes).await?;
    // Long enough that the shop is told it has its rupees before they go again.
    let delays = serde_json::json!({ "delays": { "reversal_ms": 12_000 } });
    fleet.outside.control.post("/razorpayx/plan", &delays).await?;
    let asked = fleet.ask(paise, Asset::Usdc).await?;
    fleet.pay(&asked, asked.payable()).await?;
    fleet.settle().await?;
    fleet.advance(30).await?;
    fleet.settle().await?;
    Ok(asked)
}

#[tokio::test]
async fn is_paid_again() -> Result<()> {
    let fleet = Fleet::open().await?;
    let outcomes = ["reversed_after_processed", "processed"];
    let asked = paid_with(&fleet, 120_000, &outcomes).await?;
    let story = fleet.story(&asked).await?;
    assert_eq!(story.state, "settled");
    let states: Vec<_> = story.timeline.iter().filter(|step| step.what == "payment").collect();
    assert!(states.iter().any(|step| step.event == "payout_returned"));
    assert_eq!(story.payout.unwrap().attempts.len(), 2);
    assert_eq!(story.sums.paid_out.minor(), net(120_000));
    assert_eq!(fleet.payouts_at_bank()?, 2);
    assert_eq!(fleet.received_by(fleet.shop()?)?, net(120_000));
    fleet.check_books().await
}

#[tokio::test]
async fn is_paid_again_only_once() -> Result<()> {
    let fleet = Fleet::open().await?;
    let outcomes = ["reversed_after_processed"; 3];
    let asked = paid_with(&fleet, 120_000, &outcomes).await?;
    let story = fleet.story(&asked).await?;
    assert_eq!(open_cases(&story), ["payout_stuck"]);
    assert_eq!(story.state, "in_review");
    assert_eq!(story.sums.owed.minor(), net(120_000));
    assert_eq!(fleet.payouts_at_bank()?, 2);
    assert_eq!(fleet.received_by(fleet.shop()?)?, 0);
    fleet.check_books().await
}

#[tokio::test]
async fn is_a_persons_business_above_the_limit() -> Result<()> {
    let fleet = Fleet::open().await?;
    let asked = paid_with(&fleet, 3_000_000, &["reversed_after_processed"]).await?;
    let story = fleet.story(&asked).await?;
    assert_eq!(story.state, "in_review");
    assert_eq!(open_cases(&story), ["payout_stuck"]);
    assert_eq!(story.sums.owed.minor(), net(3_000_000));
    assert_eq!(fleet.payouts_at_bank()?, 1);
    fleet.check_books().await
}

/// The bank takes it back so fast that we never hear it was paid: the same end.
#[tokio::test]
async fn before_we_heard_of_it() -> Result<()> {
    let fleet = Fleet::open().await?;
    fleet.outside.plan_payouts(&["reversed_after_processed", "processed"]).await?;
    let asked = fleet.ask(120_000, Asset::Usdc).await?;
    fleet.pay(&asked, asked.payable()).await?;
    fleet.settle().await?;
    let story = fleet.story(&asked).await?;
    assert_eq!((story.state, story.payout.unwrap().attempts.len()), ("settled", 2));
    assert_eq!(fleet.received_by(fleet.shop()?)?, net(120_000));
    fleet.check_books().await
}

/// Two days later, with every webhook lost: found by asking.
#[tokio::test]
async fn days_later_and_untold() -> Result<()> {
    let fleet = Fleet::open().await?;
    let asked = paid_with(&fleet, 120_000, &["processed"]).await?;
    fleet.outside.sims.world.set_webhook_url(None);
    fleet.advance(172_800).await?;
    let books = fleet.outside.sims.bank.books();
    let id = books["paid"][0]["payout_id"].as_str().unwrap().to_owned();
    let back = serde_json::json!({ "to": "reversed" });
    fleet.outside.control.post(&format!("/razorpayx/payouts/{id}/advance"), &back).await?;
    fleet.advance(86_400).await?;
    fleet.settle().await?;
    let story = fleet.story(&asked).await?;
    assert_eq!(story.state, "settled");
    assert_eq!(story.payout.unwrap().attempts.len(), 2);
    assert_eq!(fleet.received_by(fleet.shop()?)?, net(120_000));
    fleet.check_books().await
}
