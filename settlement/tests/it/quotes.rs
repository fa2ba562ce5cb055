//! Quotes: the best way a sale can take, the spread by its parts, and every stored one made again
//! from its own row.

use std::sync::Arc;

use anyhow::Result;
use primitives::{Asset, Bps, MerchantId};
use rust_decimal::Decimal;
use settlement::{
    conversion::{Levies, Market, Offer, route::Why},
    quote::{self, Quote, QuoteError},
    rates::{
        self, BoardRate, Judgement, Level, NewSpread, RouteBook, Routes, Scope, SpreadRefused,
        Verdict,
    },
    venue_freeze,
};

use crate::world::{World, settings};

/// Venues, price, quantity in thousandths, fault.
type Way<'a> = (&'a [&'a str], i64, i64, Option<&'a str>);

impl World {
    /// A tick with these ways: venues, price, quantity, fault. A dollar is ₹ 80.
    async fn ways(&self, ways: &[Way<'_>]) -> Result<BoardRate> {
        self.ways_with(ways, |_| {}).await
    }

    /// As [`World::ways`], with something of the markets changed.
    async fn ways_with(&self, ways: &[Way<'_>], change: impl Fn(&mut Offer)) -> Result<BoardRate> {
        self.price(Asset::Usdt, 1).await?;
        let price = Decimal::from(200_000);
        let mut routes = Routes::default();
        for (venues, price, thousandths, fault) in ways {
            let (price, quantity) = (Decimal::from(*price), Decimal::new(*thousandths, 3));
            routes.markets.extend(self.markets_of(venues, price, quantity));
            routes.books.push(RouteBook {
                venues: venues.iter().map(ToString::to_string).collect(),
                bids: vec![Level { price, quantity }],
                refused: fault.map(str::to_owned),
            });
        }
        routes.markets.iter_mut().for_each(change);
        let judged = Judgement {
            verdict: Verdict::Good,
            bid: Some(price),
            ask: Some(price),
            sources: Vec::new(),
        };
        let mut tx = self.base.pool.begin().await?;
        let rate = rates::record_in(&mut tx, &self.base, Asset::Eth, judged, routes).await?;
        tx.commit().await?;
        Ok(rate)
    }

    fn markets_of(&self, venues: &[&str], price: Decimal, quantity: Decimal) -> Vec<Offer> {
        let market = |venue: &str, (sell, quote), price, quantity| Offer {
            venue: venue.to_owned(),
            sell,
            quote,
            market: Ok(Market::of_book(vec![Level { price, quantity }], self.base.now())),
        };
        let (eth, usdt, dollar) = (Asset::Eth, Asset::Usdt, Decimal::from(80));
        match venues {
            [first, last] => vec![
                market(first, (eth, usdt), price / dollar, quantity),
                market(last, (usdt, Asset::Inr), dollar, Decimal::from(10_000_000)),
            ],
            all => all.iter().map(|v| market(v, (eth, Asset::Inr), price, quantity)).collect(),
        }
    }

    async fn freeze(&self, venue: &str) -> Result<()> {
        // A venue is known once it was decided about, or holds something.
        sqlx::query(
            "insert into venue_freezes (venue, frozen, actor, reason, at)
             values ($1, true, 'ops', 'a test', now())",
        )
        .bind(venue)
        .execute(&self.db.owner)
        .await?;
        let mut conn = self.base.pool.acquire().await?;
        assert!(venue_freeze::is_frozen_in(&mut conn, venue).await?);
        Ok(())
    }

    async fn spread(
        &self,
        merchant: Option<MerchantId>,
        asset: Option<Asset>,
        bps: Option<u32>,
    ) -> Result<i64, SpreadRefused> {
        let mut tx = self.base.pool.begin().await?;
        let new = NewSpread {
            scope: Scope { merchant, asset },
            bps: bps.and_then(Bps::new),
            actor: "ops",
            reason: "a test",
        };
        let id = rates::set_in(&mut tx, &self.base, &new).await?;
        tx.commit().await?;
        Ok(id)
    }

    /// Every quote of the database, made again from its own row.
    async fn all_explained(&self) -> Result<usize> {
        let mut conn = self.base.pool.acquire().await?;
        let (mut after, mut seen) = (None, 0);
        loop {
            let (wrong, last) = quote::unexplained_in(&mut conn, after, 1).await?;
            assert!(wrong.is_empty(), "{wrong:?}");
            let Some(last) = last else { return Ok(seen) };
            (after, seen) = (Some(last), seen + 1);
        }
    }
}

const DIRECT: &[&str] = &["wazirx"];
const JOINED: &[&str] = &["binance", "wazirx"];

fn venues(quote: &Quote) -> Vec<&str> {
    quote.basis.venues.iter().map(String::as_str).collect()
}

#[tokio::test]
async fn the_best_way_that_carries_the_size_makes_the_price() -> Result<()> {
    let w = World::open().await?;
    w.ways(&[(DIRECT, 199_000, 1_000, None), (JOINED, 200_000, 20, None)]).await?;
    // 4,000 rupees fit the better book, 5,000 do not.
    for (paise, way, price) in [(400_000, JOINED, 200_000), (500_000, DIRECT, 199_000)] {
        let quote = w.ask(paise, Asset::Eth).await?.quote;
        assert_eq!((venues(&quote), quote.price.round_dp(9)), (way.to_vec(), price.into()));
        assert_eq!(quote.basis.levels.len(), 1);
    }
    // A way with a fault is never quoted from, however good its price looks.
    w.ways(&[(DIRECT, 199_000, 1_000, None), (JOINED, 900_000, 1_000, Some("stale"))]).await?;
    assert_eq!(venues(&w.ask(400_000, Asset::Eth).await?.quote), DIRECT);
    w.ways(&[(DIRECT, 199_000, 1, None), (JOINED, 200_000, 1, None)]).await?;
    let id = w.create(400_000, 3_600).await?;
    assert!(matches!(w.quote(id, Asset::Eth).await, Err(QuoteError::TooThin)));
    assert_eq!(w.all_explained().await?, 3);
    Ok(())
}

/// Of two ways the one that leaves more after fees and taxes makes the price, as it will make the
/// sale; the better gross of the other is no promise.
#[tokio::test]
async fn the_way_is_chosen_by_what_it_leaves() -> Result<()> {
    let w = World::open().await?;
    let ways: [Way<'_>; 2] = [(DIRECT, 199_800, 1_000, None), (JOINED, 200_000, 1_000, None)];
    w.ways(&ways).await?;
    assert_eq!(venues(&w.ask(400_000, Asset::Eth).await?.quote), JOINED);
    // Half a percent of the dollars is the venue's.
    let fee = |offer: &mut Offer| {
        if let (Ok(market), Asset::Usdt) = (&mut offer.market, offer.quote) {
            let fee = Bps::new(50).unwrap();
            market.levies = Levies { fee, gst: Bps::ZERO, tds: Bps::ZERO };
        }
    };
    w.ways_with(&ways, fee).await?;
    let quote = w.ask(400_000, Asset::Eth).await?.quote;
    assert_eq!((venues(&quote), quote.price.round_dp(9)), (DIRECT.to_vec(), 199_800.into()));
    let told = quote.basis.route.expect("the choice").reasons();
    assert!(told.contains("binance ETH/USDT, wazirx USDT/INR: leaves "), "{told}");
    // A market that takes no orders sells nothing, whatever its book says; nor does a silent one.
    let closed = |offer: &mut Offer| {
        if let (Ok(market), Asset::Inr) = (&mut offer.market, offer.quote) {
            market.is_open = offer.sell != Asset::Eth;
        }
    };
    w.ways_with(&ways, closed).await?;
    assert_eq!(venues(&w.ask(400_000, Asset::Eth).await?.quote), JOINED);
    // Nor does a book that claims to be of tomorrow, or of yesterday.
    for hours in [24, -24] {
        let dated = |offer: &mut Offer| {
            if let (Ok(market), Asset::Usdt) = (&mut offer.market, offer.quote) {
                market.seen_at += chrono::TimeDelta::hours(hours);
            }
        };
        w.ways_with(&[(DIRECT, 199_000, 1_000, None), ways[1]], dated).await?;
        let quote = w.ask(400_000, Asset::Eth).await?.quote;
        assert_eq!(venues(&quote), DIRECT, "{hours}");
        let told = quote.basis.route.expect("the choice").reasons();
        assert!(told.contains("its book is 86400 s"), "{told}");
    }
    w.ways_with(&ways, |offer| offer.market = Err("no answer".to_owned())).await?;
    let id = w.create(400_000, 3_600).await?;
    let refused = w.quote(id, Asset::Eth).await;
    assert!(matches!(refused, Err(QuoteError::Unsellable(Asset::Eth))), "{refused:?}");
    assert_eq!(w.all_explained().await?, 5);
    Ok(())
}

/// A cup of tea is below every venue's minimum and is quoted all the same: by the way that it will
/// go in company.
#[tokio::test]
async fn what_waits_for_company_is_quoted() -> Result<()> {
    let w = World::open().await?;
    let minimum = |offer: &mut Offer| {
        if let Ok(market) = &mut offer.market {
            market.notional_min = Decimal::from(if offer.sell == Asset::Eth { 500 } else { 1 });
        }
    };
    w.ways_with(&[(DIRECT, 199_000, 1_000, None)], minimum).await?;
    let quote = w.ask(10_000, Asset::Eth).await?.quote;
    assert_eq!(venues(&quote), DIRECT);
    let route = quote.basis.route.expect("the choice");
    assert!(!route.refused_for(Why::BelowMinimum) && route.total.minor() > quote.payable.minor());
    assert_eq!(w.all_explained().await?, 1);
    Ok(())
}

/// A frozen venue takes its ways with it; the other way goes on.
#[tokio::test]
async fn a_way_over_a_frozen_venue_is_closed() -> Result<()> {
    let w = World::open().await?;
    w.ways(&[(DIRECT, 199_000, 1_000, None), (JOINED, 200_000, 1_000, None)]).await?;
    w.freeze("binance").await?;
    assert_eq!(venues(&w.ask(400_000, Asset::Eth).await?.quote), DIRECT);
    w.freeze("wazirx").await?;
    let id = w.create(400_000, 3_600).await?;
    let refused = w.quote(id, Asset::Eth).await;
    assert!(matches!(refused, Err(QuoteError::VenueFrozen(Asset::Eth))), "{refused:?}");
    Ok(())
}

#[tokio::test]
async fn the_most_specific_newest_spread_counts() -> Result<()> {
    let w = World::open().await?;
    let (shop, eth) = (Some(w.merchant), Some(Asset::Eth));
    let now = async || -> Result<(u32, Option<i64>)> {
        let quote = w.ask(100_000, Asset::Eth).await?.quote;
        assert_eq!(quote.spread, quote.basis.spread.total());
        Ok((quote.spread.get(), quote.basis.spread.rule_id))
    };
    assert_eq!(now().await?, (50, None), "the settings");
    let everybody = w.spread(None, None, Some(60)).await?;
    assert_eq!(now().await?, (60, Some(everybody)));
    let coin = w.spread(None, eth, Some(70)).await?;
    assert_eq!(now().await?, (70, Some(coin)));
    let of_shop = w.spread(shop, None, Some(80)).await?;
    assert_eq!(now().await?, (80, Some(of_shop)));
    let both = w.spread(shop, eth, Some(90)).await?;
    w.spread(None, None, Some(10)).await?;
    w.spread(shop, Some(Asset::Usdc), Some(20)).await?;
    assert_eq!(now().await?, (90, Some(both)), "newer ones of a wider scope do not count");
    let newer = w.spread(shop, eth, Some(0)).await?;
    assert_eq!(now().await?, (0, Some(newer)));
    w.spread(shop, eth, None).await?;
    w.spread(shop, None, None).await?;
    assert_eq!(now().await?, (70, Some(coin)), "what was withdrawn gives way");
    let mut conn = w.base.pool.acquire().await?;
    let all = rates::list_in(&mut conn).await?;
    assert_eq!((all.len(), all.iter().filter(|rule| rule.counts).count()), (9, 5));
    assert!(!all.iter().any(|rule| rule.id == everybody && rule.counts));
    drop(conn);
    let refused = w.spread(None, None, Some(1_001)).await;
    assert!(matches!(refused, Err(SpreadRefused::Range)), "{refused:?}");
    let nobody = Some(MerchantId::from_uuid(w.base.uuid()));
    assert!(matches!(w.spread(nobody, None, Some(1)).await, Err(SpreadRefused::UnknownMerchant)));
    let rupees = w.spread(None, Some(Asset::Inr), Some(1)).await;
    assert!(matches!(rupees, Err(SpreadRefused::NotCrypto)));
    for sql in ["update spreads set bps = 1", "delete from spreads"] {
        assert!(sqlx::query(sql).execute(&w.db.owner).await.is_err(), "{sql}");
    }
    assert_eq!(w.all_explained().await?, 7);
    Ok(())
}

/// A restless price is quoted wider, up to the most; the parts stand in the quote.
#[tokio::test]
async fn a_restless_price_widens_the_spread() -> Result<()> {
    let mut w = World::open().await?;
    w.base.settings = Arc::new(settings(|s| {
        s["volatility_share_percent"] = 25.into();
        s["volatility_max_bps"] = 100.into();
    }));
    w.pass(700);
    let quoted = async |price: i64| -> Result<(u32, u32)> {
        w.price_of(Asset::Eth, Decimal::from(price)).await?;
        let quote = w.ask(100_000, Asset::Eth).await?.quote;
        let parts = quote.basis.spread;
        assert_eq!(quote.spread.get(), parts.rule.get() + parts.moved.get());
        Ok((parts.rule.get(), parts.moved.get()))
    };
    assert_eq!(quoted(200_000).await?, (50, 0));
    w.pass(60);
    assert_eq!(quoted(202_000).await?, (50, 25), "a quarter of one percent");
    w.pass(60);
    assert_eq!(quoted(200_500).await?, (50, 25), "it has been there");
    w.pass(60);
    assert_eq!(quoted(230_000).await?, (50, 100), "no more than the most");
    w.pass(601);
    assert_eq!(quoted(230_000).await?, (50, 0), "calm again");
    w.spread(None, None, Some(950)).await?;
    w.pass(60);
    w.price_of(Asset::Eth, Decimal::from(260_000)).await?;
    let widest = w.ask(100_000, Asset::Eth).await?.quote;
    assert_eq!(widest.spread.get(), 1_000, "no spread is wider");
    assert_eq!(w.all_explained().await?, 6);
    Ok(())
}

/// Ticks may go: what was quoted is in the quote, also where a process of the version before wrote
/// it.
#[tokio::test]
async fn a_quote_needs_no_tick_to_be_explained() -> Result<()> {
    let w = World::open().await?;
    let asked = w.ask(123_456, Asset::Eth).await?;
    let stored = quote::of_payment(&mut *w.base.pool.acquire().await?, asked.id).await?;
    assert_eq!(stored, std::slice::from_ref(&asked.quote));
    let again = quote::recompute(&stored[0]).unwrap();
    assert_eq!((again.price, again.payable), (asked.quote.price, asked.quote.payable));
    assert_eq!(stored[0].basis.fee.map(Bps::get), Some(100));
    assert_eq!(stored[0].basis.gst.map(Bps::get), Some(1_800));
    // As the version before does it: without evidence.
    sqlx::query(
        "insert into quotes (id, payment_id, network, asset, address, uri, amount_minor,
           payable_minor, price, spread_bps, rounding, tick_id, created_at, valid_until)
         select gen_random_uuid(), payment_id, network, asset, address, uri, amount_minor,
           payable_minor, price, spread_bps, rounding, tick_id, created_at, valid_until
         from quotes",
    )
    .execute(&w.db.app)
    .await?;
    assert_eq!(w.all_explained().await?, 2);
    // A number that was changed behind the rules' back is found.
    let mut tx = w.db.owner.begin().await?;
    sqlx::query("alter table quotes disable trigger facts_never_change").execute(&mut *tx).await?;
    sqlx::query("update quotes set payable_minor = payable_minor + 1").execute(&mut *tx).await?;
    let (wrong, _) = quote::unexplained_in(&mut tx, None, 10).await?;
    assert_eq!(wrong.len(), 2);
    Ok(())
}
