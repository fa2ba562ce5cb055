//! The price: sources that fall silent degrade it, then stop it; a price that cannot be true stops
//! it at once. What was quoted stays as it was.

use anyhow::Result;
use primitives::Asset;
use rust_decimal::Decimal;
use settlement::rates::{RateRefusal, Verdict};
use simulators::prices::{Mode, ModeRequest};
use testkit::Fleet;

fn show(fleet: &Fleet, source: &str, mode: Mode) -> Result<()> {
    show_of(fleet, source, mode, None)
}

fn show_of(fleet: &Fleet, source: &str, mode: Mode, pair: Option<&str>) -> Result<()> {
    let pair = pair.map(str::to_owned);
    let request = ModeRequest { source: source.to_owned(), mode, pair, value: None };
    fleet.outside.sims.world.prices.set_mode(&request, fleet.now())
}

async fn verdict(fleet: &Fleet) -> Result<String> {
    fleet.step(31).await?;
    Ok(match fleet.board.latest(Asset::Eth).await {
        Ok(rate) => match rate.verdict {
            Verdict::Good => "good".to_owned(),
            Verdict::Degraded(_) => "degraded".to_owned(),
            Verdict::Unusable(_) => "unusable".to_owned(),
        },
        Err(RateRefusal::Unusable(_)) => "stopped".to_owned(),
        Err(error) => error.to_string(),
    })
}

#[tokio::test]
async fn with_fewer_and_fewer_sources() -> Result<()> {
    let fleet = Fleet::open().await?;
    let quoted = fleet.ask(140_000, Asset::Eth).await?;
    assert_eq!(verdict(&fleet).await?, "good");
    show(&fleet, "binance", Mode::Missing)?;
    assert_eq!(verdict(&fleet).await?, "degraded");
    fleet.ask(140_000, Asset::Eth).await?;
    show(&fleet, "coinbase", Mode::Missing)?;
    assert_eq!(verdict(&fleet).await?, "stopped");
    // Dollars from one house times its neighbour's rupees: both ways go through the neighbour.
    show(&fleet, "binance", Mode::Normal)?;
    assert_eq!(verdict(&fleet).await?, "stopped");
    assert!(fleet.ask(140_000, Asset::Eth).await.is_err(), "no rate, and yet a quote");
    // What was quoted before is honoured all the same.
    fleet.pay(&quoted, quoted.payable()).await?;
    fleet.settle().await?;
    assert_eq!(fleet.story(&quoted).await?.state, "settled");
    show(&fleet, "coinbase", Mode::Normal)?;
    assert_eq!(verdict(&fleet).await?, "good");
    fleet.check_books().await
}

/// ₹1,400 at ₹2,70,000 the ether, and half a percent.
async fn is_fair(fleet: &Fleet) -> Result<bool> {
    let asked = fleet.ask(140_000, Asset::Eth).await?;
    let ratio = asked.payable().to_units().parse::<f64>()? * 270_000_f64 / 1_400_f64;
    Ok((0.99..1.02).contains(&ratio))
}

const LIES: [Mode; 4] = [Mode::Inverted, Mode::Scaled, Mode::Stale, Mode::Crossed];

/// One source is wrong about one asset: it does not count, and the others do.
#[tokio::test]
async fn with_a_source_that_lies() -> Result<()> {
    let fleet = Fleet::open().await?;
    for lie in LIES {
        show_of(&fleet, "coinbase", lie, Some("ETHINR"))?;
        let verdict = verdict(&fleet).await?;
        assert!(["good", "degraded"].contains(&verdict.as_str()), "{lie:?}: {verdict}");
        assert!(is_fair(&fleet).await?, "{lie:?} made the price");
        show_of(&fleet, "coinbase", Mode::Normal, Some("ETHINR"))?;
    }
    show(&fleet, "wazirx", Mode::Crossed)?;
    assert_eq!(verdict(&fleet).await?, "stopped", "the book we sell into is crossed");
    fleet.check_books().await
}

/// One source is wrong about everything, dollars included: a fair price or none.
#[tokio::test]
async fn with_a_source_that_lies_about_everything() -> Result<()> {
    let fleet = Fleet::open().await?;
    for source in ["coinbase", "binance", "wazirx"] {
        for lie in LIES {
            show(&fleet, source, lie)?;
            let verdict = verdict(&fleet).await?;
            assert!(verdict == "stopped" || is_fair(&fleet).await?, "{source} {lie:?}");
            show(&fleet, source, Mode::Normal)?;
        }
    }
    fleet.check_books().await
}

#[tokio::test]
async fn that_jumped() -> Result<()> {
    let fleet = Fleet::open().await?;
    assert_eq!(verdict(&fleet).await?, "good");
    fleet.outside.sims.world.prices.pin("ETHINR", Decimal::from(540_000))?;
    assert_eq!(verdict(&fleet).await?, "stopped");
    assert!(fleet.ask(140_000, Asset::Eth).await.is_err());
    assert!(fleet.ask(140_000, Asset::Usdc).await.is_ok(), "the others go on");
    // A true move does not stop quotes for ever.
    fleet.advance(700).await?;
    assert_eq!(verdict(&fleet).await?, "good");
    fleet.check_books().await
}

/// Nobody asks the sources: the last price grows too old to be used.
#[tokio::test]
async fn that_is_old() -> Result<()> {
    let fleet = Fleet::open().await?;
    fleet.pass(91).await?;
    let refusal = fleet.board.latest(Asset::Eth).await;
    assert!(matches!(refusal, Err(RateRefusal::Stale { .. })), "{refusal:?}");
    Ok(())
}
