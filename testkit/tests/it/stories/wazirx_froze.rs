//! The drill: the venue that pays rupees freezes in the middle of a day. Payouts of what is sold go
//! on; coins that were sold for dollars, and those that were not sold, wait with a reason; nothing
//! is lost, and after the thaw all of it settles. And the other drill: the venue that pays dollars
//! freezes, and its sales go the other way.

use anyhow::{Context as _, Result, bail};
use primitives::Asset;
use rust_decimal::Decimal;
use settlement::conversion::dust;
use simulators::fault::Fault;
use testkit::{Asked, Fleet, Options};

use super::net;

fn thin() -> Decimal {
    Decimal::new(1, 5)
}

async fn until(fleet: &Fleet, what: &str, is: impl Fn(&Fleet) -> Result<bool>) -> Result<()> {
    for _ in 0..60 {
        if is(fleet)? {
            return Ok(());
        }
        fleet.step(1).await?;
    }
    bail!("never: {what}; {:?}", fleet.failures());
}

async fn pay(fleet: &Fleet, all: &[&Asked]) -> Result<()> {
    for asked in all {
        fleet.pay(asked, asked.payable()).await?;
    }
    fleet.step(2).await?;
    fleet.mine(3).await
}

#[tokio::test]
async fn in_the_middle_of_a_day() -> Result<()> {
    let fleet = Fleet::with(Options::with_binance()?).await?;
    let funded = fleet.ask(180_000, Asset::Usdc).await?;
    let halfway = fleet.ask(400_000, Asset::Eth).await?;
    let accepted = fleet.ask(160_000, Asset::Usdc).await?;
    let dollars = fleet.ask(150_000, Asset::Usdt).await?;
    // One is sold, and its payout is on its way.
    pay(&fleet, &[&funded]).await?;
    for _ in 0..60 {
        if fleet.story(&funded).await?.payout.is_some() {
            break;
        }
        fleet.step(1).await?;
    }
    // Another one's first leg is sold, and its dollars wait for rupees when the venue freezes.
    fleet.depth("wazirx", "ETHINR", thin())?;
    fleet.outside.queue(Fault { times: 3, ..Fault::new("wazirx", "place_order", "http_503") })?;
    pay(&fleet, &[&halfway]).await?;
    until(&fleet, "the first leg", |fleet| Ok(fleet.orders_at_binance()? == 1)).await?;
    fleet.freeze("wazirx", true).await?;
    fleet.outside.sims.world.faults.clear();
    let before = fleet.orders_at_venue()?;
    pay(&fleet, &[&accepted, &dollars]).await?;
    fleet.advance(200).await?;
    assert_eq!(fleet.story(&funded).await?.state, "settled", "payouts do not ask a venue");
    let story = fleet.story(&halfway).await?;
    assert_eq!(story.state, "settling");
    assert!(story.held.context("a reason")?.starts_with("wazirx takes no new orders since"));
    assert!(story.sale.context("a sale")?.slippage.is_none(), "not sold to the end");
    for waiting in [&accepted, &dollars] {
        let story = fleet.story(waiting).await?;
        assert_eq!(story.state, "accepted");
        assert!(story.held.context("a reason")?.starts_with("wazirx takes no new orders since"));
    }
    assert_eq!(fleet.orders_at_venue()?, before, "an order reached a frozen venue");
    assert!(fleet.ask(100_000, Asset::Eth).await.is_err(), "every way ends there");
    fleet.check_books().await?;

    fleet.freeze("wazirx", false).await?;
    fleet.depth("wazirx", "ETHINR", Decimal::ONE)?;
    fleet.settle().await?;
    for asked in [&funded, &halfway, &accepted, &dollars] {
        let story = fleet.story(asked).await?;
        assert_eq!((story.state, story.held), ("settled", None));
    }
    assert_eq!(fleet.payouts_at_bank()?, 4);
    let all = net(180_000) + net(400_000) + net(160_000) + net(150_000);
    assert_eq!(fleet.received_by(fleet.shop()?)?, all);
    fleet.check_books().await
}

/// Half of the coins are sold for dollars when that venue freezes: the other half is sold for
/// rupees directly, and the payment is paid once, when both are.
#[tokio::test]
async fn the_other_one_and_its_sales_go_elsewhere() -> Result<()> {
    let fleet = Fleet::with(Options::with_binance()?).await?;
    let mut half = Fault::new("binance", "place_order", "partial_fill");
    half.value = Some("5000".to_owned());
    fleet.outside.queue(half)?;
    let asked = fleet.ask(800_000, Asset::Eth).await?;
    fleet.depth("wazirx", "ETHINR", thin())?;
    pay(&fleet, &[&asked]).await?;
    until(&fleet, "half of it", |fleet| Ok(fleet.orders_at_binance()? == 1)).await?;
    fleet.freeze("binance", true).await?;
    fleet.depth("wazirx", "ETHINR", Decimal::ONE)?;
    fleet.settle().await?;
    let story = fleet.story(&asked).await?;
    assert_eq!((story.state, story.held), ("settled", None));
    let sale = story.sale.context("a sale")?;
    let parts: Vec<_> = sale.legs.iter().map(|leg| (leg.part, leg.venue.as_str())).collect();
    assert_eq!(sale.legs.len(), 3, "{parts:?}");
    assert!(parts.contains(&("leg", "wazirx")) && parts.contains(&("rest", "wazirx")));
    assert_eq!(sale.gross_share, sale.batch_gross);
    assert_eq!((fleet.orders_at_binance()?, fleet.payouts_at_bank()?), (1, 1));
    assert_eq!(fleet.received_by(fleet.shop()?)?, net(800_000));
    let mut conn = fleet.base.pool.acquire().await?;
    for line in dust::list_in(&mut conn).await? {
        assert_eq!(line.lies, line.books);
    }
    drop(conn);
    fleet.check_books().await
}
