//! The rupee book is thin and Binance is frozen: the coins are sold for dollars at Coinbase, and
//! the dollars for rupees at WazirX. Our books equal all three venues'.

use anyhow::{Context as _, Result};
use primitives::Asset;
use rust_decimal::Decimal;
use testkit::{Asked, Fleet, Options, Other};

use super::net;

/// A hundred-thousandth of the usual depth.
fn thin() -> Decimal {
    Decimal::new(1, 5)
}

async fn sold_by_coinbase(fleet: &Fleet, asked: &Asked) -> Result<()> {
    let story = fleet.story(asked).await?;
    assert_eq!((story.state, story.held), ("settled", None));
    let sale = story.sale.context("a sale")?;
    let venues: Vec<&str> = sale.legs.iter().map(|leg| leg.venue.as_str()).collect();
    assert_eq!((sale.state, venues), ("filled", vec!["coinbase", "wazirx"]));
    assert_eq!(sale.legs[1].sells, Asset::Usdt);
    let told = sale.legs[0].route.as_ref().context("a route")?.to_string();
    assert!(told.contains("frozen"), "{told}");
    assert!(story.ledger.iter().any(|line| line.debit.contains("venue:coinbase:USDT:free")));
    Ok(())
}

#[tokio::test]
async fn for_bitcoin_and_ether() -> Result<()> {
    let others = vec![Other::bitcoin().await?];
    let fleet = Fleet::with(Options { others, ..Options::with_coinbase()? }).await?;
    let bitcoin = fleet.other("bitcoin")?;
    fleet.freeze("binance", true).await?;
    let in_btc = fleet.ask_on(bitcoin, 5_000_000, Asset::Btc).await?;
    let in_eth = fleet.ask(400_000, Asset::Eth).await?;
    for pair in ["BTCINR", "ETHINR"] {
        fleet.depth("wazirx", pair, thin())?;
    }
    bitcoin.sandbox.pay(&in_btc.quote.address, in_btc.payable()).await?;
    bitcoin.sandbox.mine(2).await?;
    fleet.pay(&in_eth, in_eth.payable()).await?;
    fleet.settle().await?;
    for asked in [&in_btc, &in_eth] {
        sold_by_coinbase(&fleet, asked).await?;
    }
    assert_eq!((fleet.orders_at_coinbase()?, fleet.orders_at_binance()?), (2, 0));
    // The dollars of both may be sold together.
    assert!((1..=2).contains(&fleet.orders_at_venue()?));
    assert_eq!(fleet.payouts_at_bank()?, 2);
    assert_eq!(fleet.received_by(fleet.shop()?)?, net(5_000_000) + net(400_000));
    fleet.check_books().await
}

/// Its answer is lost, or half is sold: found by our reference, and sold once.
#[tokio::test]
async fn with_a_lost_answer_and_half_of_it() -> Result<()> {
    let fleet = Fleet::with(Options::with_coinbase()?).await?;
    fleet.freeze("binance", true).await?;
    fleet.fault("coinbase", "place_order", "reset_applied")?;
    let lost = fleet.ask(400_000, Asset::Eth).await?;
    fleet.depth("wazirx", "ETHINR", thin())?;
    fleet.pay(&lost, lost.payable()).await?;
    fleet.settle().await?;
    assert_eq!(fleet.outside.sims.world.faults.struck().len(), 1);
    sold_by_coinbase(&fleet, &lost).await?;
    assert_eq!((fleet.orders_at_coinbase()?, fleet.orders_at_venue()?), (1, 1));
    fleet.check_books().await?;
    fleet.depth("wazirx", "ETHINR", Decimal::ONE)?;
    fleet.step(31).await?;
    let mut half = simulators::fault::Fault::new("coinbase", "place_order", "partial_fill");
    half.value = Some("5000".to_owned());
    fleet.outside.queue(half)?;
    let halved = fleet.ask(800_000, Asset::Eth).await?;
    fleet.depth("wazirx", "ETHINR", thin())?;
    fleet.pay(&halved, halved.payable()).await?;
    fleet.settle().await?;
    sold_by_coinbase(&fleet, &halved).await?;
    assert_eq!((fleet.orders_at_coinbase()?, fleet.orders_at_venue()?), (3, 2));
    assert_eq!(fleet.received_by(fleet.shop()?)?, net(400_000) + net(800_000));
    fleet.check_books().await
}
