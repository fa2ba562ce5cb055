//! The rupee book is thin: a coin is sold for dollars at one venue, and the dollars for rupees at
//! the other, from what it holds already. Every payment is explained over both legs, and our books
//! equal both venues'.

use anyhow::{Context as _, Result};
use primitives::{Amount, Asset};
use rust_decimal::Decimal;
use settlement::conversion::dust;
use simulators::binance;
use testkit::{Asked, Fleet, Options, Other};

use super::net;

/// A hundred-thousandth of the usual depth.
fn thin() -> Decimal {
    Decimal::new(1, 5)
}

async fn sold_in_two_legs(fleet: &Fleet, asked: &Asked, paise: i128) -> Result<()> {
    let story = fleet.story(asked).await?;
    assert_eq!(story.state, "settled");
    let sale = story.sale.context("a sale")?;
    let venues: Vec<&str> = sale.legs.iter().map(|leg| leg.venue.as_str()).collect();
    assert_eq!((sale.state, venues), ("filled", vec!["binance", "wazirx"]));
    assert_eq!(sale.legs[1].sells, Asset::Usdt);
    let both = sale.gross_share.checked_add(sale.house_share)?;
    assert_eq!(both, sale.batch_gross, "one payment, and perhaps dust");
    let slippage = sale.slippage.context("slippage")?;
    assert!(slippage.difference.minor().abs() < paise / 25, "{slippage:?}");
    let route = sale.legs[0].route.as_ref().context("a route")?;
    let told = route.to_string();
    assert!(told.contains("leaves") || told.contains("no bids"), "{told}");
    assert!(story.ledger.iter().any(|line| line.debit.contains("venue:binance:USDT:free")));
    Ok(())
}

#[tokio::test]
async fn for_bitcoin() -> Result<()> {
    let others = vec![Other::bitcoin().await?];
    let fleet = Fleet::with(Options { others, ..Options::with_binance()? }).await?;
    let bitcoin = fleet.other("bitcoin")?;
    let asked = fleet.ask_on(bitcoin, 5_000_000, Asset::Btc).await?;
    fleet.depth("wazirx", "BTCINR", thin())?;
    bitcoin.sandbox.pay(&asked.quote.address, asked.payable()).await?;
    bitcoin.sandbox.mine(2).await?;
    fleet.settle().await?;
    sold_in_two_legs(&fleet, &asked, 5_000_000).await?;
    assert_eq!((fleet.orders_at_binance()?, fleet.orders_at_venue()?), (1, 1));
    assert_eq!(fleet.received_by(fleet.shop()?)?, net(5_000_000));
    fleet.check_books().await
}

/// The deep book goes on taking the direct way, and both are right side by side.
#[tokio::test]
async fn for_one_asset_and_not_the_other() -> Result<()> {
    let fleet = Fleet::with(Options::with_binance()?).await?;
    let thin_one = fleet.ask(400_000, Asset::Eth).await?;
    let deep_one = fleet.ask(300_000, Asset::Usdc).await?;
    let dollars = fleet.ask(200_000, Asset::Usdt).await?;
    fleet.depth("wazirx", "ETHINR", thin())?;
    for asked in [&thin_one, &deep_one, &dollars] {
        fleet.pay(asked, asked.payable()).await?;
    }
    fleet.settle().await?;
    sold_in_two_legs(&fleet, &thin_one, 400_000).await?;
    for asked in [&deep_one, &dollars] {
        let story = fleet.story(asked).await?;
        assert_eq!((story.state, story.sale.context("a sale")?.legs.len()), ("settled", 1));
    }
    assert_eq!((fleet.orders_at_binance()?, fleet.orders_at_venue()?), (1, 3));
    assert_eq!(fleet.received_by(fleet.shop()?)?, net(400_000) + net(300_000) + net(200_000));
    let mut conn = fleet.base.pool.acquire().await?;
    for line in dust::list_in(&mut conn).await? {
        assert_eq!(line.lies, line.books);
    }
    drop(conn);
    fleet.check_books().await
}

/// Many payments, so that what Binance counts finer than we do adds up to whole units.
#[tokio::test]
async fn for_many() -> Result<()> {
    let fleet = Fleet::with(Options::with_binance()?).await?;
    let mut all = Vec::new();
    for n in 0..6 {
        all.push(fleet.ask(300_000 + n * 7_919, Asset::Eth).await?);
    }
    fleet.depth("wazirx", "ETHINR", thin())?;
    for asked in &all {
        fleet.pay(asked, asked.payable()).await?;
        fleet.step(2).await?;
        fleet.mine(3).await?;
        fleet.advance(8).await?;
    }
    fleet.settle().await?;
    for asked in &all {
        assert_eq!(fleet.story(asked).await?.state, "settled");
    }
    assert!(fleet.orders_at_binance()? >= 2);
    fleet.check_books().await
}

/// The first leg's answer is lost: found by our reference, sold once.
#[tokio::test]
async fn with_a_lost_answer() -> Result<()> {
    for fault in ["reset_applied", "http_500_not_applied", "malformed"] {
        let fleet = Fleet::with(Options::with_binance()?).await?;
        fleet.fault("binance", "place_order", fault)?;
        let asked = fleet.ask(400_000, Asset::Eth).await?;
        fleet.depth("wazirx", "ETHINR", thin())?;
        fleet.pay(&asked, asked.payable()).await?;
        fleet.settle().await?;
        assert_eq!(fleet.outside.sims.world.faults.struck().len(), 1, "{fault}");
        sold_in_two_legs(&fleet, &asked, 400_000).await?;
        assert_eq!((fleet.orders_at_binance()?, fleet.orders_at_venue()?), (1, 1), "{fault}");
        fleet.check_books().await?;
    }
    Ok(())
}

/// An order that executes at once or not at all ends with half executed: what is left is sold by
/// the next one, after the last look.
#[tokio::test]
async fn with_half_of_it_expired() -> Result<()> {
    let fleet = Fleet::with(Options::with_binance()?).await?;
    let mut half = simulators::fault::Fault::new("binance", "place_order", "partial_fill");
    half.value = Some("5000".to_owned());
    fleet.outside.queue(half)?;
    let asked = fleet.ask(800_000, Asset::Eth).await?;
    fleet.depth("wazirx", "ETHINR", thin())?;
    fleet.pay(&asked, asked.payable()).await?;
    fleet.settle().await?;
    sold_in_two_legs(&fleet, &asked, 800_000).await?;
    assert_eq!((fleet.orders_at_binance()?, fleet.orders_at_venue()?), (2, 1));
    fleet.check_books().await
}

/// Binance takes its fee in a third asset: it is booked in that asset, and what came is whole.
#[tokio::test]
async fn with_fees_in_bnb() -> Result<()> {
    let fleet = Fleet::with(Options::with_binance()?).await?;
    fleet.put_into_binance(Amount::parse_units("5", Asset::Bnb)?).await?;
    let binance = &fleet.outside.sims.binance;
    let in_bnb = binance::Settings { fee_asset: binance::FeeAsset::Bnb, ..binance.settings() };
    assert!(binance.set_settings(in_bnb));
    let asked = fleet.ask(400_000, Asset::Eth).await?;
    fleet.depth("wazirx", "ETHINR", thin())?;
    fleet.pay(&asked, asked.payable()).await?;
    fleet.settle().await?;
    sold_in_two_legs(&fleet, &asked, 400_000).await?;
    let first = fleet.story(&asked).await?.sale.context("a sale")?.legs.swap_remove(0);
    let [fee] = first.fees.as_slice() else { panic!("{:?}", first.fees) };
    assert!(fee.asset() == Asset::Bnb && fee.is_positive());
    let mut conn = fleet.base.pool.acquire().await?;
    let booked = ledger::balance(&mut conn, "venue.fee:BNB").await?.context("an account")?;
    assert_eq!(booked.posted, *fee);
    drop(conn);
    fleet.check_books().await
}
