//! WazirX freezes in the middle of everything: what is funded is paid out, orders under way are
//! followed to their end, everything else waits with a reason; after the thaw all of it settles.

use anyhow::{Result, bail};
use primitives::Asset;
use settlement::{exposure, venue_freeze};
use testkit::{Asked, Fleet};

use super::net;

async fn decide(fleet: &Fleet, frozen: bool) -> Result<()> {
    let mut tx = fleet.base.pool.begin().await?;
    let signed = ("a story", "withdrawals are kept back");
    venue_freeze::set_in(&mut tx, &fleet.base, "wazirx", frozen, signed).await?;
    tx.commit().await?;
    Ok(())
}

/// Lets time pass until a payment's rupees are on their way.
async fn until_funded(fleet: &Fleet, asked: &Asked) -> Result<()> {
    for _ in 0..60 {
        if fleet.story(asked).await?.payout.is_some() {
            return Ok(());
        }
        fleet.step(1).await?;
    }
    bail!("{} was not sold", asked.payment);
}

async fn open(fleet: &Fleet, asset: Asset) -> Result<exposure::Exposure> {
    let mut conn = fleet.base.pool.acquire().await?;
    Ok(exposure::of_in(&mut conn, &fleet.base, asset).await?)
}

#[tokio::test]
async fn in_the_middle() -> Result<()> {
    let fleet = Fleet::open().await?;
    let funded = fleet.ask(180_000, Asset::Eth).await?;
    let unanswered = fleet.ask(170_000, Asset::Usdc).await?;
    let accepted = fleet.ask(160_000, Asset::Eth).await?;
    let quoted = fleet.ask(150_000, Asset::Usdt).await?;
    // One is sold, and its payout is on its way.
    fleet.pay(&funded, funded.payable()).await?;
    fleet.step(2).await?;
    fleet.mine(3).await?;
    until_funded(&fleet, &funded).await?;
    // Of another one's order the answer is lost.
    fleet.fault("wazirx", "place_order", "reset_applied")?;
    fleet.pay(&unanswered, unanswered.payable()).await?;
    fleet.step(2).await?;
    fleet.mine(3).await?;
    for _ in 0..20 {
        if fleet.orders_at_venue()? == 2 {
            break;
        }
        fleet.step(1).await?;
    }
    decide(&fleet, true).await?;
    let orders = fleet.orders_at_venue()?;
    assert_eq!(orders, 2);
    // Two are paid while it is frozen: what was quoted is a promise.
    fleet.pay(&accepted, accepted.payable()).await?;
    fleet.pay(&quoted, quoted.payable()).await?;
    fleet.step(2).await?;
    fleet.mine(3).await?;
    fleet.advance(200).await?;
    assert_eq!(fleet.story(&funded).await?.state, "settled", "payouts do not ask the venue");
    assert_eq!(fleet.story(&unanswered).await?.state, "settled", "the resolver went on");
    for waiting in [&accepted, &quoted] {
        let story = fleet.story(waiting).await?;
        assert_eq!(story.state, "accepted");
        assert!(story.held.unwrap().starts_with("wazirx takes no new orders"));
    }
    assert_eq!(fleet.orders_at_venue()?, orders, "an order reached a frozen venue");
    assert_eq!(fleet.cases().await?, ["venue_frozen"]);
    for asset in [Asset::Eth, Asset::Usdc, Asset::Usdt] {
        assert!(fleet.ask(100_000, asset).await.is_err(), "{asset} was quoted");
    }
    let line = open(&fleet, Asset::Usdt).await?;
    assert_eq!((line.accepted, line.in_orders.minor()), (quoted.payable(), 0));
    fleet.check_books().await?;

    decide(&fleet, false).await?;
    fleet.settle().await?;
    for asked in [&funded, &unanswered, &accepted, &quoted] {
        let story = fleet.story(asked).await?;
        assert_eq!((story.state, story.held), ("settled", None));
        assert!(story.sale.unwrap().slippage.is_some());
    }
    assert_eq!((fleet.orders_at_venue()?, fleet.payouts_at_bank()?), (4, 4));
    let all = net(180_000) + net(170_000) + net(160_000) + net(150_000);
    assert_eq!(fleet.received_by(fleet.shop()?)?, all);
    assert_eq!(open(&fleet, Asset::Usdt).await?.in_orders.minor(), 0);
    fleet.ask(100_000, Asset::Eth).await?;
    fleet.check_books().await
}

/// Half of an order is sold when the venue freezes: the rest waits for the thaw.
#[tokio::test]
async fn between_two_orders_of_one_sale() -> Result<()> {
    let fleet = Fleet::open().await?;
    let mut half = simulators::fault::Fault::new("wazirx", "place_order", "partial_fill");
    half.value = Some("5000".to_owned());
    fleet.outside.queue(half)?;
    let asked = fleet.ask(400_000, Asset::Usdt).await?;
    fleet.pay(&asked, asked.payable()).await?;
    fleet.step(2).await?;
    fleet.mine(3).await?;
    for _ in 0..20 {
        if fleet.orders_at_venue()? == 1 {
            break;
        }
        fleet.step(1).await?;
    }
    decide(&fleet, true).await?;
    fleet.advance(120).await?;
    let story = fleet.story(&asked).await?;
    assert_eq!((story.state, story.sale.unwrap().state), ("settling", "partly_filled"));
    assert!(story.held.is_some());
    assert_eq!((fleet.orders_at_venue()?, fleet.payouts_at_bank()?), (1, 0));
    fleet.check_books().await?;
    decide(&fleet, false).await?;
    fleet.settle().await?;
    assert_eq!(fleet.story(&asked).await?.state, "settled");
    assert_eq!((fleet.orders_at_venue()?, fleet.payouts_at_bank()?), (2, 1));
    assert_eq!(fleet.received_by(fleet.shop()?)?, net(400_000));
    fleet.check_books().await
}
