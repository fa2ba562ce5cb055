//! A listed asset that was not asked for, on a known address.

use anyhow::Result;
use primitives::{Amount, Asset};
use settlement::merchant_policy::Action;

use crate::world::{World, net, part};

#[tokio::test]
async fn the_house_asks_a_person() -> Result<()> {
    let w = World::open().await?;
    let asked = w.ask(100_000, Asset::Usdc).await?;
    let sent = Amount::try_new(asked.quote.payable.minor(), Asset::Usdt)?;
    let wrong = w.pay(&asked.quote.address, sent).await?;
    let payment = w.payment(asked.id).await?;
    assert_eq!((payment.state.name(), payment.flags.wrong_asset), ("awaiting_deposit", true));
    assert_eq!(w.outcome(wrong).await?, ("review".to_owned(), 0));
    assert_eq!(w.cases(asked.id, true).await?, ["wrong_asset"]);
    assert_eq!(w.balance("suspense:USDT").await?, sent.minor());
    w.until_expired(asked.id).await?;
    let payment = w.payment(asked.id).await?;
    assert_eq!(payment.state.name(), "in_review");
    assert_eq!(payment.review_reason.as_deref(), Some("wrong_asset"));
    w.sound().await
}

#[tokio::test]
async fn taken_at_its_own_rate() -> Result<()> {
    let w = World::open().await?;
    w.choose(|c| c.wrong_asset = Action::Requote).await?;
    let asked = w.ask(100_000, Asset::Usdc).await?;
    let sent = Amount::try_new(asked.quote.payable.minor(), Asset::Usdt)?;
    let wrong = w.pay(&asked.quote.address, sent).await?;
    assert_eq!(w.state(asked.id).await?, "accepted");
    assert_eq!(w.outcome(wrong).await?, ("requoted".to_owned(), 1));
    assert_eq!(w.owed_to_shop().await?, net(100_000));
    assert_eq!(w.cases(asked.id, false).await?, ["wrong_asset"]);
    assert!(w.cases(asked.id, true).await?.is_empty());
    let sold: String = sqlx::query_scalar("select asset::text from conversion_queue")
        .fetch_one(&w.db.owner)
        .await?;
    assert_eq!(sold, "USDT", "what came is what is sold");
    w.sound().await
}

/// Too little of it: the rest can be topped up in it, and money in the asset asked for still pays.
#[tokio::test]
async fn taken_in_part() -> Result<()> {
    let w = World::open().await?;
    w.choose(|c| c.wrong_asset = Action::Requote).await?;
    let asked = w.ask(100_000, Asset::Usdc).await?;
    let half = part(Amount::try_new(asked.quote.payable.minor(), Asset::Usdt)?, 5_000);
    w.pay(&asked.quote.address, half).await?;
    let payment = w.payment(asked.id).await?;
    assert_eq!((payment.state.name(), payment.flags.partial), ("confirming", true));
    w.pay(&asked.quote.address, asked.quote.payable).await?;
    assert_eq!(w.state(asked.id).await?, "accepted");
    assert_eq!(w.balance("refund:USDT").await?, half.minor());
    assert_eq!(w.owed_to_shop().await?, net(100_000));
    w.sound().await
}

#[tokio::test]
async fn without_a_rate_a_person_is_asked() -> Result<()> {
    let w = World::open().await?;
    w.choose(|c| c.wrong_asset = Action::Requote).await?;
    let asked = w.ask(100_000, Asset::Usdc).await?;
    w.pass(300);
    w.price(Asset::Usdc, 1).await?;
    let sent = Amount::try_new(asked.quote.payable.minor(), Asset::Usdt)?;
    let wrong = w.pay(&asked.quote.address, sent).await?;
    assert_eq!(w.outcome(wrong).await?.0, "review");
    assert_eq!(w.cases(asked.id, true).await?, ["wrong_asset"]);
    w.sound().await
}

#[tokio::test]
async fn promised_back_while_the_payment_goes_on() -> Result<()> {
    let w = World::open().await?;
    w.choose(|c| c.wrong_asset = Action::Refund).await?;
    let asked = w.ask(100_000, Asset::Usdc).await?;
    let sent = Amount::try_new(asked.quote.payable.minor(), Asset::Usdt)?;
    w.pay(&asked.quote.address, sent).await?;
    assert_eq!(w.balance("refund:USDT").await?, sent.minor());
    w.pay(&asked.quote.address, asked.quote.payable).await?;
    assert_eq!(w.state(asked.id).await?, "accepted");
    assert_eq!(w.balance("refund:USDT").await?, sent.minor(), "promised once");
    assert_eq!(w.cases(asked.id, true).await?, ["wrong_asset"]);
    w.sound().await
}
