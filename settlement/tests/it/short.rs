//! Less than was asked for.

use anyhow::Result;
use primitives::{Amount, Asset};
use settlement::{merchant_policy::Action, payment::Expiry};

use crate::world::{World, net, part};

#[tokio::test]
async fn honoured_within_the_tolerance_for_what_came() -> Result<()> {
    let w = World::open().await?;
    w.choose(|c| {
        c.short = Action::Honour;
        c.tolerance_bps = primitives::Bps::new(100).unwrap();
    })
    .await?;
    let asked = w.ask(100_000, Asset::Usdc).await?;
    let sent = part(asked.quote.payable, 9_950);
    w.pay(&asked.quote.address, sent).await?;
    let payment = w.payment(asked.id).await?;
    assert_eq!((payment.state.name(), payment.flags.partial), ("accepted", true));
    let credited = 100_000 * sent.minor() / asked.quote.payable.minor();
    assert_eq!(w.owed_to_shop().await?, net(credited), "the shop bears what it tolerates");
    let kept = w.count("select credited_minor::bigint from payments").await?;
    assert_eq!(i128::from(kept), credited);
    assert_eq!(w.cases(asked.id, false).await?, ["underpaid"]);
    assert!(w.cases(asked.id, true).await?.is_empty());
    assert_eq!(w.of_shop(Asset::Usdc).await?, 0, "all that came is for sale");
    w.sound().await
}

#[tokio::test]
async fn not_honoured_beyond_the_tolerance() -> Result<()> {
    let w = World::open().await?;
    w.choose(|c| {
        c.short = Action::Honour;
        c.tolerance_bps = primitives::Bps::new(100).unwrap();
    })
    .await?;
    let asked = w.ask(100_000, Asset::Usdc).await?;
    w.pay(&asked.quote.address, part(asked.quote.payable, 9_899)).await?;
    assert_eq!(w.state(asked.id).await?, "confirming");
    w.until_expired(asked.id).await?;
    assert_eq!(w.state(asked.id).await?, "in_review");
    assert_eq!(w.cases(asked.id, true).await?, ["underpaid"]);
    assert_eq!(w.owed_to_shop().await?, 0);
    w.sound().await
}

#[tokio::test]
async fn promised_back_when_the_time_is_up() -> Result<()> {
    let w = World::open().await?;
    let asked = w.ask(100_000, Asset::Usdc).await?;
    let sent = part(asked.quote.payable, 6_000);
    w.pay(&asked.quote.address, sent).await?;
    w.until_expired(asked.id).await?;
    assert_eq!(w.state(asked.id).await?, "in_review");
    assert_eq!(w.balance("refund:USDC").await?, sent.minor());
    assert_eq!(w.count("select count(*) from refunds where state = 'promised'").await?, 1);
    // Again, by a job that runs twice.
    assert_eq!(w.expire(asked.id).await?, Expiry::Ended);
    assert_eq!(w.balance("refund:USDC").await?, sent.minor());
    w.sound().await
}

#[tokio::test]
async fn kept_for_a_person_where_the_shop_wants_that() -> Result<()> {
    let w = World::open().await?;
    w.choose(|c| c.short = Action::Review).await?;
    let asked = w.ask(100_000, Asset::Usdc).await?;
    let sent = part(asked.quote.payable, 6_000);
    w.pay(&asked.quote.address, sent).await?;
    w.until_expired(asked.id).await?;
    assert_eq!(w.state(asked.id).await?, "in_review");
    assert_eq!(w.cases(asked.id, true).await?, ["underpaid"]);
    assert_eq!((w.balance("refund:USDC").await?, w.of_shop(Asset::Usdc).await?), (0, sent.minor()));
    w.sound().await
}

/// Parts in two assets are two debts to the payer, each named with its network.
#[tokio::test]
async fn in_two_assets() -> Result<()> {
    let w = World::open().await?;
    let asked = w.ask(100_000, Asset::Usdc).await?;
    let other = w.quote(asked.id, Asset::Usdt).await?;
    w.pay(&asked.quote.address, part(asked.quote.payable, 4_000)).await?;
    w.pay(&other.address, part(other.payable, 4_000)).await?;
    assert_eq!(w.state(asked.id).await?, "confirming");
    w.until_expired(asked.id).await?;
    let owed = "select count(distinct asset) from refunds where network = 'anvil'";
    assert_eq!(w.count(owed).await?, 2);
    assert_eq!(w.cases(asked.id, true).await?, ["underpaid", "underpaid"]);
    w.sound().await
}

/// Split over several transactions: nothing odd about it.
#[tokio::test]
async fn split_and_complete_is_not_short() -> Result<()> {
    let w = World::open().await?;
    let asked = w.ask(100_000, Asset::Eth).await?;
    let third = part(asked.quote.payable, 3_333);
    w.pay(&asked.quote.address, third).await?;
    w.pay(&asked.quote.address, third).await?;
    assert_eq!(w.state(asked.id).await?, "confirming");
    let rest = asked.quote.payable.minor() - 2 * third.minor();
    w.pay(&asked.quote.address, Amount::try_new(rest, Asset::Eth)?).await?;
    let payment = w.payment(asked.id).await?;
    assert_eq!((payment.state.name(), payment.flags.partial), ("accepted", false));
    assert!(w.cases(asked.id, false).await?.is_empty());
    assert_eq!(
        w.count("select count(*) from deposit_outcomes where outcome = 'counted'").await?,
        3
    );
    w.sound().await
}
