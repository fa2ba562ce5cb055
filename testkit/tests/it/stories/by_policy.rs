//! What a shop's own policy does by itself, from the chain to the UTR: late, short and wrong money
//! that settles, a refund that leaves, a payer who is given time.

use anyhow::{Context as _, Result};
use primitives::{Amount, Asset, Bps};
use settlement::{
    merchant_policy::{self, Action, Choices},
    payment::{self, AtPrice},
};
use testkit::Fleet;

use super::{net, open_cases};

async fn choose(fleet: &Fleet, change: impl FnOnce(&mut Choices)) -> Result<i32> {
    let merchant = fleet.shop()?.merchant;
    let mut tx = fleet.base.pool.begin().await?;
    let mut choices = merchant_policy::current_in(&mut tx, merchant).await?.choices;
    change(&mut choices);
    let set = merchant_policy::set_in(&mut tx, &fleet.base, merchant, choices, "a story").await?;
    tx.commit().await?;
    Ok(set.version)
}

#[tokio::test]
async fn late_and_honoured() -> Result<()> {
    let fleet = Fleet::open().await?;
    choose(&fleet, |c| c.late = Action::Honour).await?;
    let asked = fleet.ask(75_000, Asset::Eth).await?;
    fleet.advance(1_000).await?;
    assert_eq!(fleet.story(&asked).await?.state, "expired");
    fleet.pay(&asked, asked.payable()).await?;
    fleet.settle().await?;
    let story = fleet.story(&asked).await?;
    assert_eq!((story.state, story.flags.as_slice()), ("settled", &["late"][..]));
    assert_eq!(story.cases, ["late_deposit (closed)"]);
    assert_eq!(fleet.received_by(fleet.shop()?)?, net(75_000));
    fleet.check_books().await
}

#[tokio::test]
async fn late_and_quoted_anew() -> Result<()> {
    let fleet = Fleet::open().await?;
    choose(&fleet, |c| c.late = Action::Requote).await?;
    let asked = fleet.ask(75_000, Asset::Usdc).await?;
    fleet.advance(1_000).await?;
    fleet.pay(&asked, asked.percent(150)?).await?;
    fleet.settle().await?;
    let story = fleet.story(&asked).await?;
    assert_eq!(story.state, "settled", "{story:?}");
    assert_eq!(story.quotes.len(), 2);
    assert_eq!(open_cases(&story), ["overpaid"]);
    assert_eq!(fleet.received_by(fleet.shop()?)?, net(75_000));
    fleet.check_books().await
}

/// Half a percent short, and the shop takes it as it came: every sum follows.
#[tokio::test]
async fn short_and_honoured() -> Result<()> {
    let fleet = Fleet::open().await?;
    choose(&fleet, |c| {
        c.short = Action::Honour;
        c.tolerance_bps = Bps::new(100).unwrap();
    })
    .await?;
    let asked = fleet.ask(75_000, Asset::Usdc).await?;
    let sent = Amount::try_new(asked.payable().minor() * 995 / 1_000, Asset::Usdc)?;
    fleet.pay(&asked, sent).await?;
    fleet.settle().await?;
    let story = fleet.story(&asked).await?;
    assert_eq!((story.state, story.flags.as_slice()), ("settled", &["partial"][..]));
    let credited = 75_000 * sent.minor() / asked.payable().minor();
    assert_eq!(story.sums.credited.minor(), credited);
    assert_eq!(fleet.received_by(fleet.shop()?)?, net(credited));
    fleet.check_books().await
}

#[tokio::test]
async fn the_wrong_asset_taken_at_its_own_rate() -> Result<()> {
    let fleet = Fleet::open().await?;
    choose(&fleet, |c| c.wrong_asset = Action::Requote).await?;
    let asked = fleet.ask(60_000, Asset::Usdc).await?;
    let more = asked.percent(120)?.minor();
    fleet.pay(&asked, Amount::try_new(more, Asset::Usdt)?).await?;
    fleet.settle().await?;
    let story = fleet.story(&asked).await?;
    assert_eq!(story.state, "settled", "{story:?}");
    let sale = story.sale.context("a sale")?;
    assert_eq!(sale.share.asset(), Asset::Usdt);
    assert_eq!(fleet.received_by(fleet.shop()?)?, net(60_000));
    fleet.check_books().await
}

/// To an old payment's address: a person gives it to the new one, and the shop is paid once.
#[tokio::test]
async fn to_an_old_address_and_given_to_the_new_payment() -> Result<()> {
    let fleet = Fleet::open().await?;
    let old = fleet.ask(60_000, Asset::Usdc).await?;
    fleet.advance(1_000).await?;
    let new = fleet.ask(60_000, Asset::Usdc).await?;
    fleet.pay(&old, new.payable()).await?;
    fleet.settle().await?;
    assert_eq!(fleet.story(&old).await?.state, "in_review");
    let deposit = fleet.story(&old).await?.deposits[0].id;
    let mut tx = fleet.base.pool.begin().await?;
    let (to, at) = (new.payment, AtPrice::Quoted);
    payment::attribute_in(&mut tx, &fleet.base, deposit, to, at).await?;
    tx.commit().await?;
    fleet.settle().await?;
    assert_eq!(fleet.story(&new).await?.state, "settled");
    assert_eq!(fleet.story(&old).await?.state, "expired");
    assert_eq!(fleet.payouts_at_bank()?, 1);
    assert_eq!(fleet.received_by(fleet.shop()?)?, net(60_000));
    fleet.check_books().await
}
