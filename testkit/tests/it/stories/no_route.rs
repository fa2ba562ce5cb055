//! No venue can take it: what was promised waits with the reason of every way, a person is called,
//! the exposure is there to see, and quotes narrow and stop. When one venue returns, all of it
//! settles by itself.

use anyhow::{Context as _, Result};
use primitives::{Amount, Asset};
use rust_decimal::Decimal;
use settlement::exposure::{self, Exposure, Room};
use simulators::fault::Fault;
use testkit::{Asked, Fleet, Options};

use super::net;

async fn pay(fleet: &Fleet, asked: &Asked) -> Result<()> {
    fleet.pay(asked, asked.payable()).await?;
    fleet.step(2).await?;
    fleet.mine(3).await?;
    fleet.advance(20).await
}

async fn open(fleet: &Fleet) -> Result<Exposure> {
    let mut conn = fleet.base.pool.acquire().await?;
    Ok(exposure::of_in(&mut conn, &fleet.base, Asset::Eth).await?)
}

async fn refusal(fleet: &Fleet) -> Result<String> {
    match fleet.ask(100_000, Asset::Eth).await {
        Ok(asked) => anyhow::bail!("quoted over {:?}", asked.quote.basis.venues),
        Err(why) => Ok(why.to_string()),
    }
}

/// Held, seen, and nothing ordered or paid.
async fn waits(fleet: &Fleet, asked: &Asked) -> Result<String> {
    let story = fleet.story(asked).await?;
    assert_eq!(story.state, "accepted");
    assert_eq!((fleet.orders_at_venue()?, fleet.orders_at_binance()?), (0, 0));
    assert_eq!(fleet.payouts_at_bank()?, 0);
    let line = open(fleet).await?;
    assert_eq!((line.accepted, line.in_orders.minor()), (asked.payable(), 0));
    story.held.context("a reason")
}

async fn settles(fleet: &Fleet, asked: &Asked, paise: i128) -> Result<()> {
    fleet.settle().await?;
    let story = fleet.story(asked).await?;
    assert_eq!((story.state, story.held), ("settled", None));
    assert_eq!(fleet.received_by(fleet.shop()?)?, net(paise));
    let crumbs = open(fleet).await?.accepted.minor();
    assert!(crumbs < asked.payable().minor() / 100, "below the venue's step");
    fleet.check_books().await
}

#[tokio::test]
async fn because_all_are_frozen() -> Result<()> {
    let fleet = Fleet::with(Options::with_binance()?).await?;
    let asked = fleet.ask(150_000, Asset::Eth).await?;
    fleet.freeze("wazirx", true).await?;
    fleet.freeze("binance", true).await?;
    pay(&fleet, &asked).await?;
    let why = waits(&fleet, &asked).await?;
    assert!(why.contains("takes no new orders since"), "{why}");
    let why = refusal(&fleet).await?;
    assert!(why.contains("is frozen"), "{why}");
    assert_eq!(fleet.cases().await?, ["venue_frozen", "venue_frozen"]);
    fleet.advance(1_000).await?;
    assert!(fleet.cases().await?.contains(&"no_route".to_owned()), "{:?}", fleet.cases().await?);
    fleet.check_books().await?;
    // The one that pays rupees is enough.
    fleet.freeze("wazirx", false).await?;
    fleet.advance(31).await?;
    fleet.ask(100_000, Asset::Eth).await?;
    settles(&fleet, &asked, 150_000).await
}

#[tokio::test]
async fn because_none_has_bids() -> Result<()> {
    let fleet = Fleet::with(Options::with_binance()?).await?;
    let asked = fleet.ask(150_000, Asset::Eth).await?;
    let books = [("wazirx", "ETHINR"), ("binance", "ETHUSDT")];
    let depth = |share| books.iter().try_for_each(|(venue, pair)| fleet.depth(venue, pair, share));
    depth(Decimal::new(1, 6))?;
    fleet.step(31).await?;
    pay(&fleet, &asked).await?;
    let why = waits(&fleet, &asked).await?;
    assert!(why.contains("wazirx ETH/INR: no bids"), "{why}");
    assert!(why.contains("binance ETH/USDT, wazirx USDT/INR: no bids"), "{why}");
    refusal(&fleet).await?;
    assert_eq!(fleet.cases().await?, ["price_collar"]);
    depth(Decimal::ONE)?;
    fleet.step(31).await?;
    fleet.ask(100_000, Asset::Eth).await?;
    settles(&fleet, &asked, 150_000).await
}

#[tokio::test]
async fn because_none_answers() -> Result<()> {
    let fleet = Fleet::with(Options::with_binance()?).await?;
    let asked = fleet.ask(150_000, Asset::Eth).await?;
    for venue in ["wazirx", "binance"] {
        fleet.outside.queue(Fault { times: 100_000, ..Fault::new(venue, "*", "http_503") })?;
    }
    pay(&fleet, &asked).await?;
    let why = waits(&fleet, &asked).await?;
    assert!(why.contains("wazirx ETH/INR: it does not answer"), "{why}");
    assert!(why.contains("binance ETH/USDT, wazirx USDT/INR: it does not answer"), "{why}");
    fleet.advance(1_000).await?;
    let cases = fleet.cases().await?;
    assert!(cases.contains(&"no_route".to_owned()), "{cases:?}");
    assert!(cases.contains(&"rate_unusable".to_owned()), "{cases:?}");
    refusal(&fleet).await?;
    fleet.outside.sims.world.faults.clear();
    fleet.advance(61).await?;
    fleet.ask(100_000, Asset::Eth).await?;
    settles(&fleet, &asked, 150_000).await
}

/// No venue holds any: the treasury would bring some, so quotes go on, as far as the exposure limit
/// goes. Near it they hold half as long, and at it there are none.
#[tokio::test]
async fn because_the_shelves_are_empty() -> Result<()> {
    let mut options = Options::new()?;
    options.venue = vec![(Asset::Eth, Decimal::ZERO)];
    options.settings.exposure_max_paise = [(Asset::Eth, 1_000_000)].into();
    let fleet = Fleet::with(options).await?;
    let asked = fleet.ask(700_000, Asset::Eth).await?;
    let whole = asked.quote.valid_until - asked.quote.created_at;
    pay(&fleet, &asked).await?;
    let why = waits(&fleet, &asked).await?;
    assert!(why.contains("it holds"), "{why}");
    assert_eq!(fleet.cases().await?, ["venue_inventory_short"]);
    let narrow = fleet.ask(150_000, Asset::Eth).await?.quote;
    let half = narrow.valid_until - narrow.created_at;
    assert!((half * 2 - whole).num_seconds().abs() <= 1, "{half} of {whole}");
    assert_eq!(open(&fleet).await?.room, Room::Narrow);
    let why = match fleet.ask(200_000, Asset::Eth).await {
        Ok(_) => anyhow::bail!("quoted beyond the limit"),
        Err(why) => why.to_string(),
    };
    assert!(why.contains("exposure limit"), "{why}");
    fleet.put_into_venue(Amount::parse_units("10", Asset::Eth)?).await?;
    settles(&fleet, &asked, 700_000).await
}
