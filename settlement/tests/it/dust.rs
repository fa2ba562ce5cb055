//! What is worth less than anybody's time: booked and filed, and it moves no payment.

use anyhow::Result;
use primitives::{Amount, Asset};

use crate::world::World;

fn usdc(minor: i128) -> Amount {
    Amount::try_new(minor, Asset::Usdc).unwrap()
}

#[tokio::test]
async fn to_an_expired_payment_reopens_nothing() -> Result<()> {
    let w = World::open().await?;
    let asked = w.ask(100_000, Asset::Usdc).await?;
    w.until_expired(asked.id).await?;
    w.price(Asset::Usdc, 1).await?;
    let dust = w.pay(&asked.quote.address, usdc(62_499)).await?;
    assert_eq!(w.outcome(dust).await?.0, "dust", "₹ 4.99 is below ₹ 5");
    assert_eq!(w.state(asked.id).await?, "expired");
    assert!(w.cases(asked.id, true).await?.is_empty());
    assert_eq!(w.cases(asked.id, false).await?, ["dust"]);
    assert_eq!(w.balance("suspense:USDC").await?, 62_499, "booked all the same");
    let money = w.pay(&asked.quote.address, usdc(62_500)).await?;
    assert_eq!(w.outcome(money).await?.0, "review");
    assert_eq!(w.state(asked.id).await?, "in_review");
    w.sound().await
}

/// What nobody can value is not dust.
#[tokio::test]
async fn unknown_worth_is_not_dust() -> Result<()> {
    let w = World::open().await?;
    let asked = w.ask(100_000, Asset::Usdc).await?;
    w.until_expired(asked.id).await?;
    let one = w.pay(&asked.quote.address, usdc(1)).await?;
    assert_eq!(w.outcome(one).await?.0, "review");
    assert_eq!(w.cases(asked.id, true).await?, ["late_deposit"]);
    w.sound().await
}

/// A payment that got nothing but dust has not been paid: it expires, and the dust is owed.
#[tokio::test]
async fn as_all_that_came_lets_the_payment_expire() -> Result<()> {
    let w = World::open().await?;
    let id = w.create(100_000, 600).await?;
    let quote = w.quote(id, Asset::Usdc).await?;
    w.pay(&quote.address, usdc(10)).await?;
    assert_eq!(w.state(id).await?, "confirming");
    w.pass(550);
    w.price(Asset::Usdc, 1).await?;
    w.until_expired(id).await?;
    assert_eq!(w.state(id).await?, "expired");
    assert!(w.cases(id, true).await?.is_empty());
    assert_eq!(w.cases(id, false).await?, ["dust"]);
    assert_eq!((w.balance("refund:USDC").await?, w.of_shop(Asset::Usdc).await?), (10, 0));
    w.sound().await
}

/// A wallet that rounds up by a hair calls nobody.
#[tokio::test]
async fn as_surplus_is_owed_and_filed() -> Result<()> {
    let w = World::open().await?;
    let asked = w.ask(100_000, Asset::Usdc).await?;
    w.pay(&asked.quote.address, asked.quote.payable.checked_add(usdc(7))?).await?;
    assert_eq!(w.state(asked.id).await?, "accepted");
    assert!(w.cases(asked.id, true).await?.is_empty());
    assert_eq!(w.cases(asked.id, false).await?, ["dust"]);
    assert_eq!(w.balance("refund:USDC").await?, 7);
    w.sound().await
}

/// The shop says what is dust.
#[tokio::test]
async fn is_what_the_policy_says() -> Result<()> {
    let w = World::open().await?;
    w.choose(|c| c.dust_paise = 0).await?;
    let asked = w.ask(100_000, Asset::Usdc).await?;
    w.until_expired(asked.id).await?;
    w.price(Asset::Usdc, 1).await?;
    let one = w.pay(&asked.quote.address, usdc(1)).await?;
    assert_eq!(w.outcome(one).await?, ("review".to_owned(), 1));
    w.sound().await
}
