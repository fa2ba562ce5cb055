//! After the rate, or the payment, had ended: as the shop's policy says, within its limits.

use anyhow::Result;
use primitives::Asset;
use rust_decimal::Decimal;
use settlement::{merchant_policy::Action, payment, switch};

use crate::world::{World, net};

#[tokio::test]
async fn the_house_asks_a_person() -> Result<()> {
    let w = World::open().await?;
    let asked = w.ask(100_000, Asset::Usdc).await?;
    w.until_expired(asked.id).await?;
    assert_eq!(w.state(asked.id).await?, "expired");
    let late = w.pay(&asked.quote.address, asked.quote.payable).await?;
    assert_eq!(w.state(asked.id).await?, "in_review");
    assert_eq!(w.cases(asked.id, true).await?, ["late_deposit"]);
    assert_eq!(w.outcome(late).await?, ("review".to_owned(), 0));
    assert_eq!(w.balance("suspense:USDC").await?, asked.quote.payable.minor());
    assert_eq!(w.owed_to_shop().await?, 0);
    w.sound().await
}

#[tokio::test]
async fn honoured_after_expiry_at_the_old_quote() -> Result<()> {
    let w = World::open().await?;
    w.choose(|c| c.late = Action::Honour).await?;
    w.choose(|c| c.late_grace_s = 4_000).await?;
    let asked = w.ask(100_000, Asset::Usdc).await?;
    w.until_expired(asked.id).await?;
    w.price(Asset::Usdc, 1).await?;
    let late = w.pay(&asked.quote.address, asked.quote.payable).await?;
    assert_eq!(w.state(asked.id).await?, "accepted");
    assert_eq!(w.outcome(late).await?, ("honoured".to_owned(), 2));
    assert!(w.cases(asked.id, true).await?.is_empty());
    assert_eq!(w.cases(asked.id, false).await?, ["late_deposit"], "what was done is on record");
    assert_eq!(w.owed_to_shop().await?, net(100_000));
    assert_eq!((w.balance("suspense:USDC").await?, w.of_shop(Asset::Usdc).await?), (0, 0));
    let used = w.count("select policy_version::bigint from payments").await?;
    assert_eq!(used, 2, "the version that acted is kept with the payment");
    w.sound().await
}

/// Every limit of honouring leads to a person, with the reason in the case.
#[tokio::test]
async fn honoured_only_within_the_limits() -> Result<()> {
    for (limit, reason) in [
        ("grace", "it came after the grace"),
        ("fell", "the market fell too far"),
        ("stale", "no price can be believed now"),
        ("large", "the payment is above the limit"),
    ] {
        let w = World::open().await?;
        w.choose(|c| {
            c.late = Action::Honour;
            c.late_grace_s = if limit == "grace" { 60 } else { 4_000 };
            c.auto_max_paise = if limit == "large" { 50_000 } else { 2_500_000 };
        })
        .await?;
        let asked = w.ask(100_000, Asset::Usdc).await?;
        w.until_expired(asked.id).await?;
        match limit {
            "fell" => drop(w.price_of(Asset::Usdc, Decimal::from(70)).await?),
            "stale" => {}
            _ => drop(w.price(Asset::Usdc, 1).await?),
        }
        let late = w.pay(&asked.quote.address, asked.quote.payable).await?;
        assert_eq!(w.state(asked.id).await?, "in_review", "{limit}");
        assert_eq!(w.outcome(late).await?.0, "review", "{limit}");
        let why: String = sqlx::query_scalar(
            "select detail ->> 'not_done' from cases where kind = 'late_deposit'",
        )
        .fetch_one(&w.db.owner)
        .await?;
        assert_eq!(why, reason);
        assert_eq!(w.owed_to_shop().await?, 0);
        w.sound().await?;
    }
    Ok(())
}

/// Quoted anew at a better price for the payer: accepted, and what is too much is owed back.
#[tokio::test]
async fn requoted_when_the_market_rose() -> Result<()> {
    let w = World::open().await?;
    w.choose(|c| c.late = Action::Requote).await?;
    let asked = w.ask(100_000, Asset::Usdc).await?;
    w.until_expired(asked.id).await?;
    w.price(Asset::Usdc, 2).await?;
    let late = w.pay(&asked.quote.address, asked.quote.payable).await?;
    assert_eq!(w.state(asked.id).await?, "accepted");
    assert_eq!(w.outcome(late).await?.0, "requoted");
    let owed_back = w.balance("refund:USDC").await?;
    let half = asked.quote.payable.minor() / 2;
    assert!((owed_back - half).abs() <= 2, "{owed_back} of {half}");
    assert_eq!(w.cases(asked.id, true).await?, ["overpaid"]);
    assert_eq!(w.owed_to_shop().await?, net(100_000));
    w.sound().await
}

/// Quoted anew at a worse price: the payment is open again, for the rest.
#[tokio::test]
async fn requoted_when_the_market_fell() -> Result<()> {
    let w = World::open().await?;
    w.choose(|c| c.late = Action::Requote).await?;
    let asked = w.ask(100_000, Asset::Usdc).await?;
    w.until_expired(asked.id).await?;
    w.price_of(Asset::Usdc, Decimal::from(40)).await?;
    w.pay(&asked.quote.address, asked.quote.payable).await?;
    let payment = w.payment(asked.id).await?;
    assert_eq!(payment.state.name(), "confirming");
    assert!(payment.flags.partial && payment.expires_at > w.now());
    let fresh = w.quote(asked.id, Asset::Usdc).await?;
    let rest = fresh.payable.checked_sub(asked.quote.payable)?;
    assert_eq!(fresh.uri, format!("pay:{}?minor={}", fresh.address, rest.minor()));
    w.pay(&fresh.address, rest).await?;
    assert_eq!(w.state(asked.id).await?, "accepted");
    assert_eq!(w.owed_to_shop().await?, net(100_000));
    w.sound().await
}

#[tokio::test]
async fn promised_back() -> Result<()> {
    let w = World::open().await?;
    w.choose(|c| c.late = Action::Refund).await?;
    let asked = w.ask(100_000, Asset::Usdc).await?;
    w.until_expired(asked.id).await?;
    let late = w.pay(&asked.quote.address, asked.quote.payable).await?;
    assert_eq!(w.state(asked.id).await?, "in_review");
    assert_eq!(w.outcome(late).await?, ("refund_promised".to_owned(), 1));
    assert_eq!(w.cases(asked.id, true).await?, ["late_deposit"]);
    let payable = asked.quote.payable.minor();
    assert_eq!((w.balance("refund:USDC").await?, w.balance("suspense:USDC").await?), (payable, 0));
    w.sound().await
}

/// Whoever cancelled has said that it is not wanted any more: no policy opens that again.
#[tokio::test]
async fn never_honoured_after_cancellation() -> Result<()> {
    for action in [Action::Honour, Action::Requote] {
        let w = World::open().await?;
        w.choose(|c| c.late = action).await?;
        let asked = w.ask(100_000, Asset::Usdc).await?;
        let mut tx = w.base.pool.begin().await?;
        payment::cancel_in(&mut tx, &w.base, w.merchant, asked.id).await?;
        tx.commit().await?;
        w.pay(&asked.quote.address, asked.quote.payable).await?;
        assert_eq!(w.state(asked.id).await?, "in_review");
        assert_eq!(w.owed_to_shop().await?, 0);
        w.sound().await?;
    }
    Ok(())
}

/// A closed switch stops new prices, for policies too.
#[tokio::test]
async fn never_requoted_while_quotes_are_stopped() -> Result<()> {
    let w = World::open().await?;
    w.choose(|c| c.late = Action::Requote).await?;
    let asked = w.ask(100_000, Asset::Usdc).await?;
    w.until_expired(asked.id).await?;
    w.price(Asset::Usdc, 1).await?;
    let mut conn = w.base.pool.acquire().await?;
    switch::set_in(&mut conn, &w.base, switch::Switch::Quotes, true, "a test").await?;
    drop(conn);
    w.pay(&asked.quote.address, asked.quote.payable).await?;
    assert_eq!(w.state(asked.id).await?, "in_review");
    w.sound().await
}

/// The rate had ended, the payment had not.
#[tokio::test]
async fn honoured_while_the_payment_is_open() -> Result<()> {
    let w = World::open().await?;
    w.choose(|c| c.late = Action::Honour).await?;
    let asked = w.ask(100_000, Asset::Eth).await?;
    w.pass(1_200);
    w.price(Asset::Eth, 1).await?;
    w.pay(&asked.quote.address, asked.quote.payable).await?;
    assert_eq!(w.state(asked.id).await?, "accepted");
    assert_eq!(w.owed_to_shop().await?, net(100_000));
    w.sound().await
}
