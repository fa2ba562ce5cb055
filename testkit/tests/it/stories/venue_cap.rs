//! As much lies at a venue as may: it takes no more, the rest keeps running, and what can only be
//! sold there waits with its reason until there is room.

use anyhow::{Context as _, Result};
use primitives::{Amount, Asset};
use rust_decimal::Decimal;
use settlement::{chart, conversion::worth_in};
use testkit::{Fleet, Options};

use super::net;

/// Both venues sell; the one that pays rupees holds nothing whose rate we do not know.
async fn open(cap_paise: i64) -> Result<Fleet> {
    let mut options = Options::with_binance()?;
    options.venue = vec![(Asset::Btc, Decimal::ZERO), (Asset::Sol, Decimal::ZERO)];
    let cap = settlement::VenueSettings { cap_paise: Some(cap_paise), sells: true };
    options.settings.venues.insert("wazirx".to_owned(), cap);
    Fleet::with(options).await
}

async fn worth(fleet: &Fleet) -> Result<i64> {
    let mut conn = fleet.base.pool.acquire().await?;
    let worth = worth_in(&mut conn, "wazirx").await?.context("every rate is known")?;
    Ok(i64::try_from(worth.minor())?)
}

#[tokio::test]
async fn reached_and_relieved() -> Result<()> {
    // Every way ends at this venue: there is room for ten thousand rupees.
    let fleet = open(i64::MAX).await?;
    let held = worth(&fleet).await?;
    drop(fleet);
    let fleet = open(held + 1_000_000).await?;
    let asked = fleet.ask(150_000, Asset::Eth).await?;
    // Until somebody fills it.
    fleet.put_into_venue(Amount::try_new(900_000, Asset::Inr)?).await?;
    let refused = fleet.ask(150_000, Asset::Eth).await.map(|asked| asked.quote.basis.venues);
    let why = refused.expect_err("quoted what nobody may sell").to_string();
    assert!(why.contains("nothing would sell ETH now"), "{why}");
    fleet.pay(&asked, asked.payable()).await?;
    fleet.step(2).await?;
    fleet.mine(3).await?;
    fleet.advance(30).await?;
    let story = fleet.story(&asked).await?;
    assert_eq!(story.state, "accepted");
    let why = story.held.context("a reason")?;
    assert!(why.contains("lie there, and"), "{why}");
    assert_eq!(fleet.cases().await?, ["venue_cap_reached"]);
    assert_eq!((fleet.orders_at_venue()?, fleet.orders_at_binance()?), (0, 0));
    fleet.check_books().await?;
    // The owners take ten lakh away, and that is booked.
    let out = Decimal::from(1_000_000);
    assert!(fleet.outside.sims.wazirx.withdraw_inr(out, "to the owners"));
    let mut tx = fleet.base.pool.begin().await?;
    let amount = Amount::try_new(100_000_000, Asset::Inr)?;
    let (transit, free) =
        (chart::transit("wazirx", "bank", Asset::Inr), chart::venue_free("wazirx", Asset::Inr));
    let leg = ledger::Leg::new(transit, free, amount);
    let moved = ledger::Transfer {
        key: "a withdrawal".to_owned(),
        kind: "transfer.out",
        correlation: None,
        actor: "a story".to_owned(),
        effective_at: fleet.now(),
        meta: serde_json::json!({}),
        legs: vec![leg],
    };
    ledger::post(&mut tx, &moved).await?;
    tx.commit().await?;
    fleet.settle().await?;
    assert_eq!(fleet.story(&asked).await?.state, "settled");
    assert_eq!(fleet.received_by(fleet.shop()?)?, net(150_000));
    fleet.check_books().await
}

/// A rate that is missing counts as too much.
#[tokio::test]
async fn with_something_of_unknown_worth() -> Result<()> {
    let mut options = Options::with_binance()?;
    let cap = settlement::VenueSettings { cap_paise: Some(i64::MAX), sells: true };
    options.settings.venues.insert("wazirx".to_owned(), cap);
    options.venue = vec![(Asset::Btc, Decimal::ZERO), (Asset::Sol, Decimal::ZERO)];
    let fleet = Fleet::with(options).await?;
    let asked = fleet.ask(150_000, Asset::Eth).await?;
    fleet.put_into_venue(Amount::parse_units("1", Asset::Btc)?).await?;
    assert!(fleet.ask(150_000, Asset::Eth).await.is_err(), "nobody may sell it");
    fleet.pay(&asked, asked.payable()).await?;
    fleet.step(2).await?;
    fleet.mine(3).await?;
    fleet.advance(20).await?;
    let why = fleet.story(&asked).await?.held.context("a reason")?;
    assert!(why.contains("a rate is missing"), "{why}");
    assert_eq!(fleet.orders_at_venue()?, 0);
    fleet.check_books().await
}
