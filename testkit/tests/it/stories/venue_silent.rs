//! A venue falls silent with a sale of ours: what certainly was not sold there goes the other way
//! after a while; what may have been sold waits for it, with a reason that ops sees; nothing is
//! ever sold twice.

use anyhow::{Context as _, Result, bail};
use primitives::Asset;
use rust_decimal::Decimal;
use settlement::conversion;
use simulators::fault::Fault;
use testkit::{Asked, Fleet, Options};

use super::net;
use crate::storm_venues::SOLD_TWICE;

/// Binance answers nothing at all, or not to this.
fn silence(fleet: &Fleet, operation: &str, fault: &str) -> Result<()> {
    fleet.outside.queue(Fault { times: 100_000, ..Fault::new("binance", operation, fault) })
}

/// The rupee book of ETH, in hundred-thousandths of its usual depth.
fn rupee_book(fleet: &Fleet, share: i64) -> Result<()> {
    fleet.depth("wazirx", "ETHINR", Decimal::new(share, 5))
}

async fn pay(fleet: &Fleet, asked: &Asked) -> Result<()> {
    fleet.pay(asked, asked.payable()).await?;
    fleet.step(2).await?;
    fleet.mine(3).await
}

async fn until_count(fleet: &Fleet, sql: &'static str) -> Result<()> {
    for _ in 0..60 {
        if fleet.count(sql).await? > 0 {
            return Ok(());
        }
        fleet.step(1).await?;
    }
    bail!("never: {sql}; {:?}", fleet.failures());
}

async fn held(fleet: &Fleet, asked: &Asked) -> Result<String> {
    fleet.story(asked).await?.held.context("no reason is told")
}

async fn open_cases(fleet: &Fleet) -> Result<Vec<String>> {
    let sql = "select kind from cases where closed_at is null order by id";
    Ok(sqlx::query_scalar(sql).fetch_all(&fleet.db.owner).await?)
}

/// Everything that was paid came from sales that sold it once.
async fn sold_once(fleet: &Fleet, all: &[&Asked], paise: i128) -> Result<()> {
    for asked in all {
        let story = fleet.story(asked).await?;
        assert_eq!((story.state, story.held), ("settled", None));
        let sale = story.sale.context("a sale")?;
        let both = sale.gross_share.checked_add(sale.house_share)?;
        assert!(both.minor() <= sale.batch_gross.minor());
    }
    assert_eq!(fleet.count(SOLD_TWICE).await?, 0);
    assert_eq!(fleet.count("select count(*) from cases where kind = 'oversold'").await?, 0);
    assert_eq!(fleet.count("select count(*) from sale_holds where reason is not null").await?, 0);
    assert_eq!(fleet.received_by(fleet.shop()?)?, paise);
    assert_eq!(fleet.payouts_at_bank()?, all.len());
    fleet.check_books().await
}

/// No order ever reached it: the sale leaves, and pays.
#[tokio::test]
async fn with_nothing_sent() -> Result<()> {
    let fleet = Fleet::with(Options::with_binance()?).await?;
    let asked = fleet.ask(400_000, Asset::Eth).await?;
    rupee_book(&fleet, 1)?;
    silence(&fleet, "place_order", "rate_limited")?;
    pay(&fleet, &asked).await?;
    until_count(&fleet, "select count(*) from sale_holds where kind = 'silent'").await?;
    silence(&fleet, "*", "http_503")?;
    rupee_book(&fleet, 100_000)?;
    fleet.advance(60).await?;
    let why = held(&fleet, &asked).await?;
    assert!(why.contains("no order reaches the venue"), "{why}");
    assert_eq!((fleet.orders_at_binance()?, fleet.orders_at_venue()?), (0, 0), "patience");
    fleet.advance(120).await?;
    fleet.settle().await?;
    let sale = fleet.story(&asked).await?.sale.context("a sale")?;
    let parts: Vec<_> = sale.legs.iter().map(|leg| (leg.part, leg.venue.as_str())).collect();
    assert_eq!(parts, [("batch", "binance"), ("rest", "wazirx")]);
    assert!(sale.orders[0].contains("rejected"), "withdrawn: {:?}", sale.orders);
    assert_eq!((fleet.orders_at_binance()?, fleet.orders_at_venue()?), (0, 1));
    assert!(open_cases(&fleet).await?.is_empty());
    fleet.outside.sims.world.faults.clear();
    fleet.advance(61).await?;
    sold_once(&fleet, &[&asked], net(400_000)).await
}

/// Of an order there nobody knows what became: it holds the sale, however long, while other sales
/// go the other way; when the venue answers, the sale goes on by itself.
#[tokio::test]
async fn with_an_order_of_unknown_fate() -> Result<()> {
    for fault in ["reset_applied", "reset_not_applied"] {
        let fleet = Fleet::with(Options::with_binance()?).await?;
        let asked = fleet.ask(400_000, Asset::Eth).await?;
        rupee_book(&fleet, 1)?;
        fleet.fault("binance", "place_order", fault)?;
        pay(&fleet, &asked).await?;
        until_count(&fleet, "select count(*) from order_attempts where state = 'unknown'").await?;
        silence(&fleet, "*", "http_503")?;
        rupee_book(&fleet, 100_000)?;
        fleet.advance(400).await?;
        let why = held(&fleet, &asked).await?;
        assert!(why.contains("binance does not answer"), "{why}");
        assert!(why.contains("(unknown) may have sold there"), "{why}");
        assert_eq!(open_cases(&fleet).await?, ["venue_silent"]);
        let mut conn = fleet.base.pool.acquire().await?;
        let waiting = conversion::held_at_in(&mut conn, "binance").await?;
        drop(conn);
        assert_eq!(waiting.len(), 1);
        // A quote and its sale go the other way meanwhile.
        let other = fleet.ask(300_000, Asset::Eth).await?;
        assert_eq!(other.quote.basis.venues, ["wazirx"]);
        pay(&fleet, &other).await?;
        fleet.until(&other, "settled").await?;
        assert_eq!(fleet.story(&asked).await?.state, "settling");
        assert_eq!(fleet.orders_at_venue()?, 1, "{fault}: the held one was sold elsewhere");
        fleet.outside.sims.world.faults.clear();
        fleet.settle().await?;
        // What was applied is found; what was not is proven absent, and sold by a new order.
        assert_eq!(fleet.orders_at_binance()?, 1, "{fault}");
        assert!(!open_cases(&fleet).await?.contains(&"venue_silent".to_owned()));
        sold_once(&fleet, &[&asked, &other], net(400_000) + net(300_000)).await?;
    }
    Ok(())
}

/// No other way takes it, so a person is called; then the venue answers with a thin book, while the
/// other way opens: the sale leaves, and nobody waits for the venue any more.
#[tokio::test]
async fn until_it_answers_with_a_thin_book() -> Result<()> {
    let fleet = Fleet::with(Options::with_binance()?).await?;
    let asked = half_sold(&fleet).await?;
    rupee_book(&fleet, 0)?;
    silence(&fleet, "depth", "http_503")?;
    fleet.advance(400).await?;
    assert!(open_cases(&fleet).await?.contains(&"venue_silent".to_owned()));
    fleet.outside.sims.world.faults.clear();
    fleet.depth("binance", "ETHUSDT", Decimal::ZERO)?;
    rupee_book(&fleet, 100_000)?;
    fleet.settle().await?;
    fleet.advance(61).await?;
    assert!(!open_cases(&fleet).await?.contains(&"venue_silent".to_owned()));
    let sale = fleet.story(&asked).await?.sale.context("a sale")?;
    assert_eq!(sale.legs.iter().filter(|leg| leg.part == "rest").count(), 1);
    sold_once(&fleet, &[&asked], net(800_000)).await
}

/// Half of a payment is sold at Binance, and its order has ended.
async fn half_sold(fleet: &Fleet) -> Result<Asked> {
    let mut half = Fault::new("binance", "place_order", "partial_fill");
    half.value = Some("5000".to_owned());
    fleet.outside.queue(half)?;
    let asked = fleet.ask(800_000, Asset::Eth).await?;
    rupee_book(fleet, 1)?;
    pay(fleet, &asked).await?;
    until_count(fleet, "select count(*) from order_attempts where state = 'closed'").await?;
    Ok(asked)
}

/// Half of it is sold, and the order's last look is due when silence begins: the other half stays
/// until it is made.
#[tokio::test]
async fn before_the_last_look() -> Result<()> {
    let fleet = Fleet::with(Options::with_binance()?).await?;
    let asked = half_sold(&fleet).await?;
    silence(&fleet, "*", "http_503")?;
    rupee_book(&fleet, 100_000)?;
    fleet.advance(400).await?;
    let why = held(&fleet, &asked).await?;
    assert!(why.contains("(closed) waits for its last look"), "{why}");
    let sale = fleet.story(&asked).await?.sale.context("a sale")?;
    assert!(sale.legs.iter().all(|leg| leg.part != "rest"), "it left before the look");
    fleet.outside.sims.world.faults.clear();
    fleet.settle().await?;
    sold_once(&fleet, &[&asked], net(800_000)).await
}

/// After the last look only the market is silent, for long: the other half goes the other way.
#[tokio::test]
async fn after_the_last_look() -> Result<()> {
    let fleet = Fleet::with(Options::with_binance()?).await?;
    let asked = half_sold(&fleet).await?;
    silence(&fleet, "depth", "http_503")?;
    rupee_book(&fleet, 100_000)?;
    fleet.advance(240).await?;
    fleet.settle().await?;
    let sale = fleet.story(&asked).await?.sale.context("a sale")?;
    let rests = sale.legs.iter().filter(|leg| leg.part == "rest").count();
    assert_eq!((rests, fleet.orders_at_binance()?), (1, 1));
    fleet.outside.sims.world.faults.clear();
    fleet.advance(61).await?;
    sold_once(&fleet, &[&asked], net(800_000)).await
}

/// It takes no orders for longer than a maintenance should last.
#[tokio::test]
async fn by_its_own_word() -> Result<()> {
    let fleet = Fleet::with(Options::with_binance()?).await?;
    let asked = fleet.ask(400_000, Asset::Eth).await?;
    rupee_book(&fleet, 1)?;
    let binance = &fleet.outside.sims.binance;
    let closed = simulators::binance::Settings { maintenance: true, ..binance.settings() };
    silence(&fleet, "place_order", "rate_limited")?;
    pay(&fleet, &asked).await?;
    until_count(&fleet, "select count(*) from sale_holds where kind = 'silent'").await?;
    fleet.outside.sims.world.faults.clear();
    assert!(binance.set_settings(closed));
    rupee_book(&fleet, 100_000)?;
    fleet.advance(300).await?;
    fleet.settle().await?;
    assert_eq!(fleet.orders_at_binance()?, 0);
    sold_once(&fleet, &[&asked], net(400_000)).await
}
