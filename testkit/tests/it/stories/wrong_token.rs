//! Paid in something else: a listed token is booked to suspense, a lookalike is worth nothing.

use anyhow::Result;
use primitives::{Amount, Asset};
use testkit::Fleet;

use super::open_cases;

#[tokio::test]
async fn that_we_list() -> Result<()> {
    let fleet = Fleet::open().await?;
    let asked = fleet.ask(60_000, Asset::Usdc).await?;
    let sent = Amount::try_new(asked.payable().minor(), Asset::Usdt)?;
    fleet.pay(&asked, sent).await?;
    fleet.settle().await?;
    let story = fleet.story(&asked).await?;
    assert_eq!((story.state, story.flags.as_slice()), ("awaiting_deposit", &["wrong_asset"][..]));
    fleet.advance(1_000).await?;
    let story = fleet.story(&asked).await?;
    assert_eq!(story.state, "in_review");
    assert_eq!(story.review_reason.as_deref(), Some("wrong_asset"));
    assert_eq!(open_cases(&story), ["wrong_asset"]);
    let mut conn = fleet.base.pool.acquire().await?;
    let kept = ledger::balance(&mut conn, "suspense:USDT").await?.unwrap().posted;
    drop(conn);
    assert_eq!(kept, sent);
    assert_eq!((fleet.orders_at_venue()?, fleet.payouts_at_bank()?), (0, 0));
    fleet.check_books().await
}

/// The right token after the wrong one still pays.
#[tokio::test]
async fn and_then_the_right_one() -> Result<()> {
    let fleet = Fleet::open().await?;
    let asked = fleet.ask(60_000, Asset::Usdc).await?;
    fleet.pay(&asked, Amount::try_new(5_000_000, Asset::Usdt)?).await?;
    fleet.settle().await?;
    fleet.pay(&asked, asked.payable()).await?;
    fleet.settle().await?;
    let story = fleet.story(&asked).await?;
    assert_eq!((story.state, story.flags.as_slice()), ("settled", &["wrong_asset"][..]));
    assert_eq!(open_cases(&story), ["wrong_asset"]);
    fleet.check_books().await
}

#[tokio::test]
async fn that_only_calls_itself_usdc() -> Result<()> {
    let fleet = Fleet::open().await?;
    let asked = fleet.ask(60_000, Asset::Usdc).await?;
    let fake = fleet.node.lookalike().await?;
    fleet.node.payer.send_token(&fake, &asked.quote.address, asked.payable()).await?;
    fleet.mine(5).await?;
    fleet.advance(1_000).await?;
    let story = fleet.story(&asked).await?;
    assert_eq!(story.state, "expired");
    assert_eq!(open_cases(&story), ["unknown_token"]);
    assert!(story.deposits.is_empty() && story.ledger.is_empty());
    fleet.check_books().await
}
