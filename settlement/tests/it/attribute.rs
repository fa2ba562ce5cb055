//! A person gives money that was set aside to the payment it is for.

use anyhow::Result;
use primitives::{Asset, DepositId, PaymentId};
use rust_decimal::Decimal;
use settlement::{
    payment::{AtPrice, AttributeError, Attributed, attribute_in},
    refund,
};

use crate::world::{World, net, part};

async fn give(
    w: &World,
    deposit: DepositId,
    to: PaymentId,
    price: AtPrice,
) -> Result<Attributed, AttributeError> {
    let mut tx = w.base.pool.begin().await?;
    let done = attribute_in(&mut tx, &w.base, deposit, to, price).await?;
    tx.commit().await?;
    Ok(done)
}

/// Late money to its own payment, at the rate of now; what is missing is topped up.
#[tokio::test]
async fn to_its_own_expired_payment_at_todays_rate() -> Result<()> {
    let w = World::open().await?;
    let asked = w.ask(100_000, Asset::Usdc).await?;
    w.until_expired(asked.id).await?;
    let late = w.pay(&asked.quote.address, asked.quote.payable).await?;
    assert_eq!(w.state(asked.id).await?, "in_review");
    w.price_of(Asset::Usdc, Decimal::from(60)).await?;
    let done = give(&w, late, asked.id, AtPrice::Today).await?;
    assert_eq!(done.state.name(), "confirming");
    assert!(done.due.is_positive());
    assert_eq!(w.outcome(late).await?.0, "attributed");
    w.pay(&done.quote.address, done.due).await?;
    assert_eq!(w.state(asked.id).await?, "accepted");
    assert_eq!(w.owed_to_shop().await?, net(100_000));
    assert!(w.cases(asked.id, true).await?.is_empty());
    w.sound().await
}

/// The payer paid an old payment's address: the money moves to the new one, and the old one is as
/// if nothing had come.
#[tokio::test]
async fn from_an_old_payment_to_the_new_one() -> Result<()> {
    let w = World::open().await?;
    let old = w.ask(100_000, Asset::Usdc).await?;
    w.until_expired(old.id).await?;
    w.price(Asset::Usdc, 1).await?;
    let new = w.ask(100_000, Asset::Usdc).await?;
    let sent = w.pay(&old.quote.address, new.quote.payable).await?;
    assert_eq!(w.state(old.id).await?, "in_review");
    let done = give(&w, sent, new.id, AtPrice::Quoted).await?;
    assert_eq!(done.state.name(), "accepted");
    assert_eq!(w.state(old.id).await?, "expired");
    assert_eq!(w.count("select count(*) from cases where closed_at is null").await?, 0);
    assert_eq!(w.owed_to_shop().await?, net(100_000));
    w.sound().await
}

/// What was promised back when the time was up counts again, and its promise is withdrawn.
#[tokio::test]
async fn together_with_what_had_come_before() -> Result<()> {
    let w = World::open().await?;
    let asked = w.ask(100_000, Asset::Usdc).await?;
    let first = part(asked.quote.payable, 6_000);
    w.pay(&asked.quote.address, first).await?;
    w.until_expired(asked.id).await?;
    assert_eq!(w.balance("refund:USDC").await?, first.minor());
    let rest = w.pay(&asked.quote.address, asked.quote.payable.checked_sub(first)?).await?;
    let done = give(&w, rest, asked.id, AtPrice::Quoted).await?;
    assert_eq!(done.state.name(), "accepted");
    assert_eq!(w.balance("refund:USDC").await?, 0);
    assert_eq!(w.count("select count(*) from refunds where state = 'withdrawn'").await?, 1);
    assert!(w.cases(asked.id, true).await?.is_empty());
    assert_eq!(w.owed_to_shop().await?, net(100_000));
    w.sound().await
}

/// Money that is promised back can still be given to a payment, while nothing was sent.
#[tokio::test]
async fn after_it_was_promised_back() -> Result<()> {
    let w = World::open().await?;
    let asked = w.ask(100_000, Asset::Usdc).await?;
    let stray = w.pay("0xaddress19", asked.quote.payable).await?;
    let mut tx = w.base.pool.begin().await?;
    refund::promise_deposit_in(&mut tx, &w.base, stray).await?;
    tx.commit().await?;
    assert_eq!(w.balance("refund:USDC").await?, asked.quote.payable.minor());
    give(&w, stray, asked.id, AtPrice::Quoted).await?;
    assert_eq!(w.state(asked.id).await?, "accepted");
    assert_eq!(w.balance("refund:USDC").await?, 0);
    w.sound().await
}

/// Everything that may not be done is refused, and changes nothing.
#[tokio::test]
async fn refused_where_it_makes_no_sense() -> Result<()> {
    let w = World::open().await?;
    let asked = w.ask(100_000, Asset::Usdc).await?;
    let stray = w.pay("0xaddress19", part(asked.quote.payable, 1_000)).await?;
    let nothing = give(&w, DepositId::from_uuid(w.base.uuid()), asked.id, AtPrice::Today).await;
    assert!(matches!(nothing, Err(AttributeError::NoDeposit)));
    let nobody = give(&w, stray, PaymentId::from_uuid(w.base.uuid()), AtPrice::Today).await;
    assert!(matches!(nobody, Err(AttributeError::NoPayment)));
    let unquoted = w.create(50_000, 900).await?;
    let never = give(&w, stray, unquoted, AtPrice::Quoted).await;
    assert!(matches!(never, Err(AttributeError::NeverQuoted)));
    let height = w.block(w.now()).await?;
    let seen = w.see(&w.sighting("0xaddress18", asked.quote.payable, height)).await?;
    let early = give(&w, seen, asked.id, AtPrice::Today).await;
    assert!(matches!(early, Err(AttributeError::NotFinal(_))));
    let counted = w.pay(&asked.quote.address, asked.quote.payable).await?;
    let twice = give(&w, counted, asked.id, AtPrice::Today).await;
    assert!(matches!(twice, Err(AttributeError::Counts)));
    let full = give(&w, stray, asked.id, AtPrice::Today).await;
    assert!(matches!(full, Err(AttributeError::TakesNone(_))));
    w.pass(300);
    let stale = give(&w, stray, unquoted, AtPrice::Today).await;
    assert!(matches!(stale, Err(AttributeError::NoPrice(_))));
    assert_eq!(w.balance("suspense:USDC").await?, part(asked.quote.payable, 1_000).minor());
    assert_eq!(
        w.count("select count(*) from deposit_outcomes where outcome = 'attributed'").await?,
        0
    );
    w.sound().await
}

/// Two people at once: it is given once.
#[tokio::test(flavor = "multi_thread")]
async fn given_once_by_two_at_once() -> Result<()> {
    let w = World::open().await?;
    let (one, two) = (w.ask(100_000, Asset::Usdc).await?, w.ask(100_000, Asset::Usdc).await?);
    let stray = w.pay("0xaddress19", one.quote.payable).await?;
    let (a, b) = tokio::join!(
        give(&w, stray, one.id, AtPrice::Quoted),
        give(&w, stray, two.id, AtPrice::Quoted),
    );
    assert_eq!(u32::from(a.is_ok()) + u32::from(b.is_ok()), 1, "{a:?} {b:?}");
    assert_eq!(w.owed_to_shop().await?, net(100_000));
    w.sound().await
}
