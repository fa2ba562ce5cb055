//! The venue that pays in dollars falls silent, or stops trading: what it cannot take goes the
//! other way, and what is on its way there waits for it; nobody is paid twice and nothing is lost.

use anyhow::{Context as _, Result};
use primitives::Asset;
use rust_decimal::Decimal;
use simulators::fault::Fault;
use testkit::{Fleet, Options};

use super::net;

fn silence(fleet: &Fleet) -> Result<()> {
    fleet.outside.queue(Fault { times: 100_000, ..Fault::new("binance", "*", "http_503") })
}

#[tokio::test]
async fn before_a_batch_closes() -> Result<()> {
    let fleet = Fleet::with(Options::with_binance()?).await?;
    let asked = fleet.ask(150_000, Asset::Eth).await?;
    silence(&fleet)?;
    fleet.pay(&asked, asked.payable()).await?;
    fleet.settle().await?;
    let story = fleet.story(&asked).await?;
    assert_eq!(story.state, "settled");
    let sale = story.sale.context("a sale")?;
    assert_eq!((sale.venue.as_str(), sale.legs.len()), ("wazirx", 1));
    let route = sale.legs[0].route.as_ref().context("a route")?.to_string();
    assert!(route.contains("does not answer"), "{route}");
    fleet.outside.sims.world.faults.clear();
    fleet.advance(61).await?;
    fleet.check_books().await
}

/// It trades no more when the order comes: the sale waits there with its reason, and goes on when
/// it trades again.
#[tokio::test]
async fn for_maintenance() -> Result<()> {
    let fleet = Fleet::with(Options::with_binance()?).await?;
    let asked = fleet.ask(400_000, Asset::Eth).await?;
    fleet.depth("wazirx", "ETHINR", Decimal::new(1, 5))?;
    let binance = &fleet.outside.sims.binance;
    let closed = simulators::binance::Settings { maintenance: true, ..binance.settings() };
    assert!(binance.set_settings(closed.clone()));
    fleet.pay(&asked, asked.payable()).await?;
    fleet.step(2).await?;
    fleet.mine(3).await?;
    fleet.advance(30).await?;
    assert_eq!(fleet.payouts_at_bank()?, 0);
    fleet.check_books().await?;
    assert!(binance.set_settings(simulators::binance::Settings { maintenance: false, ..closed }));
    fleet.settle().await?;
    assert_eq!(fleet.story(&asked).await?.state, "settled");
    assert_eq!(fleet.received_by(fleet.shop()?)?, net(400_000));
    fleet.check_books().await
}

/// It falls silent with an order of unknown fate: asking goes on until it answers.
#[tokio::test]
async fn with_an_order_on_its_way() -> Result<()> {
    let fleet = Fleet::with(Options::with_binance()?).await?;
    let asked = fleet.ask(400_000, Asset::Eth).await?;
    fleet.depth("wazirx", "ETHINR", Decimal::new(1, 5))?;
    fleet.fault("binance", "place_order", "reset_applied")?;
    fleet.pay(&asked, asked.payable()).await?;
    fleet.step(2).await?;
    fleet.mine(3).await?;
    for _ in 0..20 {
        if fleet.orders_at_binance()? == 1 {
            break;
        }
        fleet.step(1).await?;
    }
    silence(&fleet)?;
    fleet.advance(120).await?;
    assert_eq!((fleet.orders_at_binance()?, fleet.orders_at_venue()?), (1, 0));
    assert_eq!(fleet.story(&asked).await?.state, "settling");
    fleet.outside.sims.world.faults.clear();
    fleet.settle().await?;
    assert_eq!(fleet.story(&asked).await?.state, "settled");
    assert_eq!((fleet.orders_at_binance()?, fleet.orders_at_venue()?), (1, 1));
    assert_eq!(fleet.received_by(fleet.shop()?)?, net(400_000));
    fleet.check_books().await
}
