//! The account at the bank is too low: nothing is sent, the rupees stay owed, a person is called;
//! when money comes in, the payout goes by itself.

use anyhow::Result;
use primitives::Asset;
use testkit::{Fleet, Options};

use super::net;

#[tokio::test]
async fn until_it_is_topped_up() -> Result<()> {
    let fleet = Fleet::with(Options { bank_paise: Some(50_000), ..Options::new()? }).await?;
    let asked = fleet.ask(150_000, Asset::Usdc).await?;
    fleet.pay(&asked, asked.payable()).await?;
    fleet.step(2).await?;
    fleet.mine(3).await?;
    fleet.advance(30).await?;
    let story = fleet.story(&asked).await?;
    assert_eq!(story.state, "settling");
    assert_eq!(story.cases, ["float_short (open)"]);
    assert_eq!(story.sums.owed.minor(), net(150_000));
    assert_eq!(fleet.payouts_at_bank()?, 0);
    fleet.check_books().await?;
    fleet.put_into_bank(1_000_000).await?;
    fleet.settle().await?;
    assert_eq!(fleet.story(&asked).await?.state, "settled");
    assert_eq!(fleet.payouts_at_bank()?, 1);
    fleet.check_books().await
}

/// Enough for the payout, not for what the bank takes on top: never below zero, and settled.
#[tokio::test]
async fn by_the_banks_own_charge() -> Result<()> {
    let paise = i64::try_from(net(150_000))?;
    let fleet = Fleet::with(Options { bank_paise: Some(paise), ..Options::new()? }).await?;
    let asked = fleet.ask(150_000, Asset::Usdc).await?;
    fleet.pay(&asked, asked.payable()).await?;
    fleet.step(2).await?;
    fleet.mine(3).await?;
    fleet.advance(60).await?;
    fleet.put_into_bank(100_000).await?;
    fleet.settle().await?;
    assert_eq!(fleet.story(&asked).await?.state, "settled");
    assert_eq!(fleet.payouts_at_bank()?, 1);
    fleet.check_books().await
}
