//! The price: sources that fall silent degrade it, then stop it; a price that cannot be true stops
//! it at once. What was quoted stays as it was.

use anyhow::Result;
use primitives::Asset;
use rust_decimal::Decimal;
use settlement::{
    quote,
    rates::{RateRefusal, Verdict},
};
use simulators::{
    fault::Fault,
    prices::{Mode, ModeRequest},
};
use testkit::{Fleet, Options};

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
    show(&fleet, "coingecko", Mode::Missing)?;
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

/// A house that answers nothing at all any more.
fn kill(fleet: &Fleet, name: &str) -> Result<()> {
    let dead = Fault { times: 100_000, ..Fault::new(name, "*", "http_503") };
    fleet.outside.queue(dead)
}

/// Verdict and reason of ETH after the next round, as the board tells them.
async fn told(fleet: &Fleet) -> Result<String> {
    fleet.step(31).await?;
    Ok(match fleet.board.latest(Asset::Eth).await {
        Ok(rate) => match rate.verdict {
            Verdict::Good => "good".to_owned(),
            Verdict::Degraded(why) | Verdict::Unusable(why) => why,
        },
        Err(error) => error.to_string(),
    })
}

async fn changes(fleet: &Fleet) -> Result<Vec<(Option<String>, String, Option<String>)>> {
    Ok(sqlx::query_as(
        "select from_verdict, to_verdict, reason from rate_events where asset = 'ETH' order by id",
    )
    .fetch_all(&fleet.db.owner)
    .await?)
}

const BINANCE_GONE: &str = "not over binance and wazirx: the venue's book could not be read";
const ALONE: &str = "fewer than two independent sources agree";

/// Whole houses die, one after the other, and come back: worse, stopped, and good again, with the
/// reason told each time, and each change an event.
#[tokio::test]
async fn with_houses_that_die_one_by_one() -> Result<()> {
    let fleet = Fleet::with(Options::with_binance()?).await?;
    assert_eq!(told(&fleet).await?, "good");
    // The slow opinion is told again until it is old; nobody waits for it.
    kill(&fleet, "coingecko")?;
    for _ in 0..12 {
        assert_eq!(told(&fleet).await?, "good");
    }
    kill(&fleet, "binance")?;
    assert_eq!(told(&fleet).await?, format!("only two sources; {BINANCE_GONE}"));
    let quote = fleet.ask(140_000, Asset::Eth).await?.quote;
    assert_eq!(quote.basis.venues, ["wazirx"], "the way that is left");
    kill(&fleet, "coinbase")?;
    assert_eq!(told(&fleet).await?, format!("the rate is unusable: {ALONE}"));
    assert!(fleet.ask(140_000, Asset::Eth).await.is_err(), "no rate, and yet a quote");
    // All of them come back.
    fleet.outside.sims.world.faults.clear();
    assert_eq!(told(&fleet).await?, "good");
    fleet.ask(140_000, Asset::Eth).await?;
    // The venue we sell at answers nothing: its last book holds until it is old, and then its end
    // is on record, and called for.
    kill(&fleet, "wazirx")?;
    for _ in 0..2 {
        assert_eq!(told(&fleet).await?, "good");
    }
    assert_eq!(told(&fleet).await?, "the rate is unusable: no venue's book could be read");
    assert!(fleet.cases().await?.is_empty());
    for _ in 0..11 {
        told(&fleet).await?;
    }
    assert!(fleet.cases().await?.contains(&"rate_unusable".to_owned()));
    fleet.outside.sims.world.faults.clear();
    assert_eq!(told(&fleet).await?, "good");
    let changes = changes(&fleet).await?;
    let steps: Vec<&str> = changes.iter().map(|(_, to, _)| to.as_str()).collect();
    assert_eq!(steps, ["degraded", "unusable", "good", "unusable", "good"], "{changes:?}");
    assert_eq!(changes[1].2.as_deref(), Some(ALONE));
    assert_eq!(explained(&fleet).await?, 2);
    fleet.check_books().await
}

/// Every stored quote gives its own numbers again; answers how many there are.
async fn explained(fleet: &Fleet) -> Result<usize> {
    let mut conn = fleet.base.pool.acquire().await?;
    let (wrong, _) = quote::unexplained_in(&mut conn, None, 1_000).await?;
    assert!(wrong.is_empty(), "{wrong:?}");
    Ok(usize::try_from(fleet.count("select count(*) from quotes").await?)?)
}

/// A fleet that listened to one stream for so long while the price moved thirty times; the bid
/// before that, and how many ticks of ETH it made.
async fn listened_for(linger_ms: u64) -> Result<(Fleet, Option<Decimal>, i64)> {
    let mut options = Options::new()?;
    options.settings.rate_stream_linger_ms = linger_ms;
    options.settings.rate_stream_min_ms = 0;
    let fleet = Fleet::with(options).await?;
    let before = fleet.board.latest(Asset::Eth).await?.bid;
    let pause = std::time::Duration::from_millis(linger_ms / 40);
    let prices = &fleet.outside.sims.world.prices;
    let moving = async {
        // Once the listener has heard the first word, which it may take a moment to hear.
        let started = "select count(*) from jobs.job_attempts where kind = 'watch_rates'";
        while fleet.count(started).await? < 2 {
            tokio::task::yield_now().await;
        }
        for step in 1..=30_i64 {
            let up = Decimal::from(270_000 + step * 150);
            prices.pin("ETHINR", up)?;
            prices.pin("ETHUSDT", up / Decimal::new(8_850, 2))?;
            tokio::time::sleep(pause).await;
        }
        anyhow::Ok(())
    };
    let (stepped, moved) = tokio::join!(fleet.step(31), moving);
    stepped?;
    moved?;
    let ticks = "select count(*) from rate_ticks where base = 'ETH' and at >= $1";
    let made = sqlx::query_scalar(ticks).bind(fleet.now()).fetch_one(&fleet.db.owner).await?;
    Ok((fleet, before, made))
}

/// The price moves between two rounds: a tick comes at once, and quotes follow. Without a stream
/// the half minute goes on as before.
#[tokio::test]
async fn that_moves_on_the_stream() -> Result<()> {
    let mut linger_ms = 4_000;
    let (mut fleet, mut before, mut made) = listened_for(linger_ms).await?;
    // A busy machine may make too little of four seconds: then the same at half the speed.
    while made < 3 {
        linger_ms *= 2;
        assert!(linger_ms <= 16_000, "{made} ticks in one round");
        (fleet, before, made) = listened_for(linger_ms).await?;
    }
    let after = fleet.board.latest(Asset::Eth).await?;
    assert!(after.bid > before, "{:?} after {before:?}", after.bid);
    assert!(after.range.is_some_and(|(low, high)| low < high));
    let others = "select count(*) from rate_ticks where base = 'USDT' and at >= $1";
    let others: i64 =
        sqlx::query_scalar(others).bind(fleet.now()).fetch_one(&fleet.db.owner).await?;
    assert!(others <= 2, "nothing moved there, and yet {others} ticks");
    assert!(fleet.ask(140_000, Asset::Eth).await?.quote.tick >= after.tick);
    explained(&fleet).await?;
    fleet.check_books().await
}

/// The house behind the stream dies while it is listened to: the half minute goes on without it,
/// worse and said to be so, every change counted for ops; the stream is heard again afterwards.
#[tokio::test]
async fn whose_stream_dies() -> Result<()> {
    let mut options = Options::with_binance()?;
    options.settings.rate_stream_linger_ms = 600;
    let fleet = Fleet::with(options).await?;
    let begun = fleet.now();
    assert_eq!(told(&fleet).await?, "good");
    kill(&fleet, "binance")?;
    for _ in 0..3 {
        let before = fleet.board.latest(Asset::Eth).await?.tick;
        assert!(told(&fleet).await?.contains(BINANCE_GONE));
        assert!(fleet.board.latest(Asset::Eth).await?.tick > before, "no tick without the stream");
    }
    fleet.ask(140_000, Asset::Eth).await?;
    kill(&fleet, "coinbase")?;
    kill(&fleet, "coingecko")?;
    assert_eq!(told(&fleet).await?, format!("the rate is unusable: {ALONE}"));
    assert!(fleet.ask(140_000, Asset::Eth).await.is_err(), "no rate, and yet a quote");
    let mut conn = fleet.base.pool.acquire().await?;
    let (worse, lost) = settlement::rates::changes_since_in(&mut conn, begun).await?;
    drop(conn);
    assert!(worse >= 5 && lost >= 3, "{worse} anomalies, {lost} of them without a price");
    fleet.outside.sims.world.faults.clear();
    assert_eq!(told(&fleet).await?, "good");
    fleet.ask(140_000, Asset::Eth).await?;
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
