//! What is recorded of a rate: ticks, what changed with them, and the case of one that stays away.

use anyhow::Result;
use primitives::Asset;
use rust_decimal::Decimal;
use settlement::{
    conversion::{Market, Offer},
    rates::{self, BoardRate, Judgement, Level, RouteBook, Routes, Verdict},
};

use crate::world::World;

impl World {
    async fn tick(&self, verdict: Verdict) -> Result<BoardRate> {
        let price = Decimal::from(200_000);
        let usable = !matches!(verdict, Verdict::Unusable(_));
        let judged = Judgement {
            verdict,
            bid: usable.then_some(price),
            ask: usable.then_some(price),
            sources: Vec::new(),
        };
        let bids = vec![Level { price, quantity: Decimal::from(1_000) }];
        let mut tx = self.base.pool.begin().await?;
        let rate = rates::record_in(&mut tx, &self.base, Asset::Eth, judged, bids).await?;
        tx.commit().await?;
        Ok(rate)
    }

    /// Changes so far, the oldest first: `good → degraded`.
    async fn changes(&self) -> Result<Vec<String>> {
        let mut conn = self.base.pool.acquire().await?;
        let mut events = rates::events_in(&mut conn, 100).await?;
        events.reverse();
        let tell = |from: &Option<String>, to: &str, reason: &Option<String>| {
            let from = from.as_deref().unwrap_or("·");
            format!("{from} → {to} {}", reason.as_deref().unwrap_or("")).trim_end().to_owned()
        };
        Ok(events.iter().map(|e| tell(&e.from, &e.to, &e.reason)).collect())
    }
}

fn bad(why: &str) -> Verdict {
    Verdict::Unusable(why.to_owned())
}

fn fair(why: &str) -> Verdict {
    Verdict::Degraded(why.to_owned())
}

#[tokio::test]
async fn every_change_is_an_event_and_nothing_else() -> Result<()> {
    let w = World::open().await?;
    assert!(w.changes().await?.is_empty(), "a first word that is good is no news");
    for verdict in [
        Verdict::Good,
        fair("without a"),
        fair("without b"),
        Verdict::Good,
        bad("crossed"),
        bad("crossed"),
        bad("stale"),
        fair("without a"),
        Verdict::Good,
    ] {
        w.pass(30);
        w.tick(verdict).await?;
    }
    assert_eq!(
        w.changes().await?,
        [
            "good → degraded without a",
            "degraded → good",
            "good → unusable crossed",
            "unusable → unusable stale",
            "unusable → degraded without a",
            "degraded → good",
        ]
    );
    let mut conn = w.base.pool.acquire().await?;
    let today = w.now() - chrono::TimeDelta::hours(1);
    assert_eq!(rates::changes_since_in(&mut conn, today).await?, (4, 2));
    assert_eq!(rates::changes_since_in(&mut conn, w.now()).await?, (0, 0));
    assert!(w.cases_of_rates().await?.is_empty(), "not for long enough");
    Ok(())
}

impl World {
    async fn cases_of_rates(&self) -> Result<Vec<String>> {
        let sql = "select subject from cases where kind = 'rate_unusable' and closed_at is null";
        Ok(sqlx::query_scalar(sql).fetch_all(&self.db.owner).await?)
    }
}

/// An asset without a price for five minutes calls a person, once; the case stays when the price
/// comes back, and a later outage opens it again only after it was closed.
#[tokio::test]
async fn a_person_is_called_when_it_stays_away() -> Result<()> {
    let w = World::open().await?;
    for _ in 0..10 {
        w.tick(bad("crossed")).await?;
        assert!(w.cases_of_rates().await?.is_empty());
        w.pass(30);
    }
    // Another reason is the same outage.
    w.tick(bad("stale")).await?;
    assert_eq!(w.cases_of_rates().await?, ["ETH"]);
    w.pass(30);
    w.tick(bad("stale")).await?;
    w.tick(Verdict::Good).await?;
    assert_eq!(w.cases_of_rates().await?, ["ETH"], "a person has not looked yet");
    sqlx::query("update cases set closed_at = now()").execute(&w.db.owner).await?;
    w.tick(bad("crossed")).await?;
    w.pass(299);
    w.tick(bad("crossed")).await?;
    assert!(w.cases_of_rates().await?.is_empty(), "counted from this outage");
    w.pass(1);
    w.tick(bad("crossed")).await?;
    assert_eq!(w.cases_of_rates().await?, ["ETH"]);
    Ok(())
}

/// Nothing could be read: what is known holds until it is too old, and then its end is on record.
#[tokio::test]
async fn silence_ends_a_rate_when_it_is_old() -> Result<()> {
    let w = World::open().await?;
    let silent = async || -> Result<Option<BoardRate>> {
        let mut tx = w.base.pool.begin().await?;
        let rate = rates::missing_in(&mut tx, &w.base, Asset::Eth, "no book").await?;
        tx.commit().await?;
        Ok(rate)
    };
    w.tick(fair("a")).await?;
    w.pass(90);
    assert_eq!(silent().await?, None, "ninety seconds are what a quote takes");
    w.pass(1);
    let ended = silent().await?.unwrap();
    assert_eq!((ended.verdict, ended.bid), (bad("no book"), None));
    assert!(silent().await?.is_some(), "each look is on record");
    assert_eq!(w.changes().await?.last().unwrap(), "degraded → unusable no book");
    // An asset that never had a rate.
    let mut tx = w.base.pool.begin().await?;
    let never = rates::missing_in(&mut tx, &w.base, Asset::Sol, "no book").await?;
    tx.commit().await?;
    assert_eq!(never.unwrap().verdict, bad("no book"));
    assert_eq!(w.changes().await?.last().unwrap(), "· → unusable no book");
    Ok(())
}

#[tokio::test]
async fn a_tick_comes_back_as_it_was_written() -> Result<()> {
    let w = World::open().await?;
    let level = |price: i64| Level { price: Decimal::new(price, 2), quantity: Decimal::new(1, 8) };
    let route = |venues: &[&str], price, refused: Option<&str>| RouteBook {
        venues: venues.iter().map(ToString::to_string).collect(),
        bids: vec![level(price), level(price - 1)],
        refused: refused.map(str::to_owned),
    };
    let books = vec![
        route(&["wazirx"], 19_990_000, Some("stale")),
        route(&["binance", "wazirx"], 20_000_000, None),
    ];
    let offer = |venue: &str, market| Offer {
        venue: venue.to_owned(),
        sell: Asset::Eth,
        quote: Asset::Inr,
        market,
    };
    let seen = Market::of_book(books[0].bids.clone(), w.base.now());
    let markets = vec![offer("wazirx", Ok(seen)), offer("coindcx", Err("no answer".to_owned()))];
    let routes = Routes { books: books.clone(), markets: markets.clone() };
    let judged = Judgement {
        verdict: fair("not over wazirx"),
        bid: Some(Decimal::from(199_999)),
        ask: Some(Decimal::from(200_001)),
        sources: Vec::new(),
    };
    let mut tx = w.base.pool.begin().await?;
    let written = rates::record_in(&mut tx, &w.base, Asset::Eth, judged, routes).await?;
    tx.commit().await?;
    assert_eq!((&written.routes, &written.markets), (&books, &markets));
    assert_eq!(written.bids, books[0].bids, "what the version before reads");
    let mut conn = w.base.pool.acquire().await?;
    assert_eq!(rates::latest_in(&mut conn, Asset::Eth).await?, Some(written.clone()));
    let text = serde_json::to_string(&written)?;
    assert_eq!(serde_json::from_str::<BoardRate>(&text)?, written, "as Redis keeps it");
    // A book alone is the way over the venue of the settings.
    let alone = w.price(Asset::Eth, 1).await?;
    assert_eq!(alone.routes[0].venues, ["wazirx"]);
    Ok(())
}

/// The range is of ten minutes, whatever is older.
#[tokio::test]
async fn a_tick_knows_how_far_the_price_went() -> Result<()> {
    let w = World::open().await?;
    let range = |rate: BoardRate| {
        let (low, high) = rate.range.unwrap();
        (low.normalize().to_string(), high.normalize().to_string())
    };
    for (price, low, high) in [(1, "80", "80"), (3, "80", "240"), (2, "80", "240")] {
        w.pass(60);
        let rate = w.price(Asset::Usdc, price).await?;
        assert_eq!(range(rate), (low.to_owned(), high.to_owned()));
    }
    w.pass(541);
    let later = w.price(Asset::Usdc, 2).await?;
    assert_eq!(range(later), ("160".to_owned(), "160".to_owned()));
    assert_eq!(w.tick(bad("crossed")).await?.range, None);
    Ok(())
}

/// The median is of the ticks of ten minutes that could be used; with none there is none.
#[tokio::test]
async fn the_median_of_ten_minutes() -> Result<()> {
    let w = World::open().await?;
    let median = async || -> Result<Option<i64>> {
        let mut conn = w.base.pool.acquire().await?;
        let median = rates::median_in(&mut conn, &w.base, Asset::Usdc).await?;
        Ok(median.map(|m| i64::try_from(m).unwrap()))
    };
    w.pass(1_000);
    assert_eq!(median().await?, None, "the first tick is long ago");
    for (times, is) in [(3, 240), (1, 80), (9, 240), (8, 240), (7, 560)] {
        w.pass(60);
        w.price(Asset::Usdc, times).await?;
        assert_eq!(median().await?, Some(is), "{times}");
    }
    w.pass(30);
    w.tick(bad("crossed")).await?;
    assert_eq!(median().await?, Some(560), "no price is no member");
    w.pass(570);
    assert_eq!(median().await?, Some(560), "of the last one");
    w.pass(1);
    assert_eq!(median().await?, None);
    Ok(())
}
