//! More than was asked for.

use anyhow::Result;
use primitives::{Asset, Bps};
use settlement::merchant_policy::Action;

use crate::world::{World, net, part};

#[tokio::test]
async fn owed_back_by_the_house() -> Result<()> {
    let w = World::open().await?;
    let asked = w.ask(100_000, Asset::Usdc).await?;
    let sent = part(asked.quote.payable, 12_000);
    w.pay(&asked.quote.address, sent).await?;
    let payment = w.payment(asked.id).await?;
    assert_eq!((payment.state.name(), payment.flags.over), ("accepted", true));
    assert_eq!(w.cases(asked.id, true).await?, ["overpaid"]);
    let spare = sent.checked_sub(asked.quote.payable)?;
    assert_eq!(w.balance("refund:USDC").await?, spare.minor());
    assert_eq!(w.owed_to_shop().await?, net(100_000));
    w.sound().await
}

#[tokio::test]
async fn honoured_within_the_tolerance_as_rupees_for_the_shop() -> Result<()> {
    let w = World::open().await?;
    w.choose(|c| {
        c.surplus = Action::Honour;
        c.tolerance_bps = Bps::new(500).unwrap();
    })
    .await?;
    let asked = w.ask(100_000, Asset::Usdc).await?;
    let sent = part(asked.quote.payable, 10_400);
    w.pay(&asked.quote.address, sent).await?;
    assert_eq!(w.state(asked.id).await?, "accepted");
    let credited = 100_000 * sent.minor() / asked.quote.payable.minor();
    assert_eq!(w.owed_to_shop().await?, net(credited));
    assert_eq!(w.balance("refund:USDC").await?, 0);
    assert_eq!(w.cases(asked.id, false).await?, ["overpaid"]);
    assert!(w.cases(asked.id, true).await?.is_empty());
    w.sound().await
}

#[tokio::test]
async fn beyond_the_tolerance_it_is_the_payers() -> Result<()> {
    let w = World::open().await?;
    w.choose(|c| {
        c.surplus = Action::Honour;
        c.tolerance_bps = Bps::new(500).unwrap();
    })
    .await?;
    let asked = w.ask(100_000, Asset::Usdc).await?;
    let sent = part(asked.quote.payable, 11_000);
    w.pay(&asked.quote.address, sent).await?;
    assert_eq!(w.owed_to_shop().await?, net(100_000));
    let spare = sent.checked_sub(asked.quote.payable)?;
    assert_eq!(w.balance("refund:USDC").await?, spare.minor());
    w.sound().await
}

/// One payment is one payout: no policy lifts it above what the rail carries.
#[tokio::test]
async fn never_above_the_largest_payment() -> Result<()> {
    let w = World::open().await?;
    w.choose(|c| {
        c.surplus = Action::Honour;
        c.tolerance_bps = Bps::new(500).unwrap();
    })
    .await?;
    let asked = w.ask(10_000_000, Asset::Usdc).await?;
    w.pay(&asked.quote.address, part(asked.quote.payable, 10_400)).await?;
    assert_eq!(w.owed_to_shop().await?, net(10_000_000));
    assert_eq!(w.cases(asked.id, true).await?, ["overpaid"]);
    w.sound().await
}

#[tokio::test]
async fn kept_for_a_person_where_the_shop_wants_that() -> Result<()> {
    let w = World::open().await?;
    w.choose(|c| c.surplus = Action::Review).await?;
    let asked = w.ask(100_000, Asset::Usdc).await?;
    let sent = part(asked.quote.payable, 12_000);
    w.pay(&asked.quote.address, sent).await?;
    assert_eq!(w.cases(asked.id, true).await?, ["overpaid"]);
    let spare = sent.checked_sub(asked.quote.payable)?.minor();
    assert_eq!((w.balance("refund:USDC").await?, w.of_shop(Asset::Usdc).await?), (0, spare));
    w.sound().await
}

/// Two full payments at once: seen for the same quote, one pays.
#[tokio::test]
async fn two_payments_at_once() -> Result<()> {
    let w = World::open().await?;
    let asked = w.ask(100_000, Asset::Usdc).await?;
    let height = w.block(w.now()).await?;
    let (address, payable) = (&asked.quote.address, asked.quote.payable);
    let one = w.see(&w.sighting(address, payable, height)).await?;
    let two = w.see(&w.sighting(address, payable, height)).await?;
    w.confirm(one).await?;
    assert_eq!(w.state(asked.id).await?, "accepted");
    w.confirm(two).await?;
    assert_eq!(w.balance("refund:USDC").await?, payable.minor());
    assert_eq!(w.cases(asked.id, true).await?, ["overpaid"]);
    assert_eq!(w.owed_to_shop().await?, net(100_000));
    w.sound().await
}

/// What was paid in another way that was quoted too is owed back when the payment is covered.
#[tokio::test]
async fn the_other_asset_goes_back() -> Result<()> {
    let w = World::open().await?;
    let asked = w.ask(100_000, Asset::Usdc).await?;
    let other = w.quote(asked.id, Asset::Usdt).await?;
    let half = part(other.payable, 5_000);
    w.pay(&other.address, half).await?;
    w.pay(&asked.quote.address, asked.quote.payable).await?;
    assert_eq!(w.state(asked.id).await?, "accepted");
    assert_eq!(w.balance("refund:USDT").await?, half.minor());
    assert_eq!(w.cases(asked.id, true).await?, ["overpaid"]);
    w.sound().await
}
