//! What the outside says of prices, brought to the judge: shared by the job that asks every half
//! minute and the one that listens to streams.
//!
//! Invariant: nothing is open during a call; who fails said nothing, and a book that could not be
//! read is a way that is there and not known, never an empty one. Judging is deliberately
//! elsewhere: `settlement::rates`.

use std::collections::{BTreeMap, BTreeSet};

use exchanges::{Book, Exchange, OrderKind, Pair, Quotation};
use futures::future::join_all;
use primitives::Asset;
use queue::Lease;
use settlement::{
    conversion::{Market as Terms, Offer},
    rates::{self, Evidence, Leg, Level, Limits, Offered, Routes, SourcePrice},
};

use crate::{Ctx, WorkError, in_our_words};

const BOOK_LEVELS: usize = 20;

/// Every asset that may be paid with.
pub(crate) fn assets(ctx: &Ctx) -> Vec<Asset> {
    let networks = ctx.base.settings.networks.values();
    let offered: BTreeSet<Asset> = networks.flat_map(|n| n.assets.iter().copied()).collect();
    offered.into_iter().collect()
}

/// What every source says. A source that fails is left out: it said nothing.
pub(crate) async fn ask_sources(ctx: &Ctx, assets: &[Asset]) -> Vec<Quotation> {
    let mut asked = assets.to_vec();
    if !asked.contains(&Asset::Usdt) {
        asked.push(Asset::Usdt);
    }
    let asked = &asked;
    let answers = join_all(ctx.connectors.rate_sources.iter().map(|source| async move {
        source.quotations(asked).await.unwrap_or_else(|error| {
            tracing::warn!(source = source.name(), %error, "rate source failed");
            Vec::new()
        })
    }));
    answers.await.into_iter().flatten().collect()
}

/// One market of one venue.
type Market = (String, Pair);

/// The ways a sale of an asset can take: a market in rupees, the one of the settings first; or one
/// in USDT, and one from there to rupees.
fn ways_of(ctx: &Ctx, asset: Asset) -> Vec<Vec<Market>> {
    let settled = &ctx.base.settings.venue;
    // A way that no sale may take makes no price.
    let sells = ctx.base.settings.selling_venues();
    let connected = ctx.connectors.exchanges.iter().map(|(name, venue)| (name, venue.as_ref()));
    let mut venues: Vec<(&String, &dyn Exchange)> =
        connected.filter(|(name, _)| sells.contains(&name.as_str())).collect();
    venues.sort_by_key(|(name, _)| *name != settled);
    let selling = |asset: Asset, quote: Asset| -> Vec<Market> {
        let markets = venues.iter().filter_map(|(name, venue)| {
            let market = venue.market(asset)?;
            (market.quote == quote).then(|| ((*name).clone(), market))
        });
        markets.collect()
    };
    let direct = selling(asset, Asset::Inr).into_iter().map(|market| vec![market]);
    let mut ways: Vec<Vec<Market>> = direct.collect();
    for first in selling(asset, Asset::Usdt) {
        for then in selling(Asset::Usdt, Asset::Inr) {
            ways.push(vec![first.clone(), then]);
        }
    }
    ways
}

/// What the venues show of one asset: every way as books, and the markets those pass.
#[derive(Debug)]
pub(crate) struct Shown {
    ways: Vec<Offered>,
    markets: Vec<Offer>,
}

/// The ways of every asset, each market read once.
pub(crate) async fn ask_books(ctx: &Ctx, assets: &[Asset]) -> BTreeMap<Asset, Shown> {
    let ways: BTreeMap<Asset, Vec<Vec<Market>>> =
        assets.iter().map(|asset| (*asset, ways_of(ctx, *asset))).collect();
    let markets: BTreeSet<&Market> = ways.values().flatten().flatten().collect();
    let mut by_venue: BTreeMap<&str, Vec<&Market>> = BTreeMap::new();
    for market in markets {
        by_venue.entry(&market.0).or_default().push(market);
    }
    // One after the other at each venue: their limits are per second, and sales need them too.
    let read = join_all(by_venue.into_values().map(|markets| async move {
        let mut read = Vec::new();
        for market in markets {
            read.push((market.clone(), read_market(ctx, market).await));
        }
        read
    }));
    let read: BTreeMap<Market, Read> = read.await.into_iter().flatten().collect();
    ways.into_iter().map(|(asset, ways)| (asset, shown(ctx, &ways, &read))).collect()
}

fn shown(ctx: &Ctx, ways: &[Vec<Market>], read: &BTreeMap<Market, Read>) -> Shown {
    let book = |market: &Market| read.get(market).and_then(|read| read.book.as_ref());
    let offered = ways.iter().map(|way| Offered {
        legs: way.iter().map(|market| leg(ctx, &market.0, book(market))).collect(),
        unread: way.iter().any(|market| book(market).is_none()),
    });
    let passed: BTreeSet<&Market> = ways.iter().flatten().collect();
    let offer = |market: &Market| {
        let unread = || Err("it was not read".to_owned());
        Offer {
            venue: market.0.clone(),
            sell: market.1.base,
            quote: market.1.quote,
            market: read.get(market).map_or_else(unread, |read| read.terms.clone()),
        }
    };
    Shown { ways: offered.collect(), markets: passed.into_iter().map(offer).collect() }
}

/// One market as it was read: its book, and what a sale would reckon with.
struct Read {
    book: Option<Book>,
    terms: Result<Terms, String>,
}

async fn read_market(ctx: &Ctx, (venue, pair): &Market) -> Read {
    let read = async {
        let exchange = ctx.connectors.exchange(venue)?;
        let book = exchange.book(*pair).await?;
        let terms = terms(exchange, *pair, &book).await;
        Ok::<_, WorkError>((book, terms))
    };
    match read.await {
        Ok((book, terms)) => {
            let terms = terms.map_err(|error| format!("it does not answer: {error}"));
            if let Err(why) = &terms {
                tracing::warn!(venue, %pair, why, "a venue's terms are unreadable");
            }
            Read { book: Some(book), terms }
        }
        Err(error) => {
            tracing::warn!(venue, %pair, %error, "a venue's book is unreadable");
            Read { book: None, terms: Err(format!("it does not answer: {error}")) }
        }
    }
}

/// What the venue's rules and levies make of its book: as a sale sees it, and as deep as is kept.
async fn terms(exchange: &dyn Exchange, pair: Pair, book: &Book) -> Result<Terms, WorkError> {
    let rules = exchange.rules(pair).await?;
    let levies = in_our_words::levies(exchange.levies(pair).await?);
    let immediate = exchange.takes(OrderKind::ImmediateOrCancel);
    let mut terms = in_our_words::market(&rules, levies, immediate, book);
    terms.bids.truncate(BOOK_LEVELS);
    Ok(terms)
}

fn leg(ctx: &Ctx, venue: &str, book: Option<&Book>) -> Leg {
    let bids = book.map_or(&[][..], |book| book.bids.as_slice()).iter().take(BOOK_LEVELS);
    Leg {
        venue: venue.to_owned(),
        bids: bids.map(|bid| Level { price: bid.price, quantity: bid.quantity }).collect(),
        best_ask: book.and_then(|book| book.asks.first()).map(|ask| ask.price),
        at: book.map_or(ctx.now(), |book| book.at),
    }
}

/// Each source's price in rupees: told as such, or dollars times the rupee price of USDT. Every
/// rupee price of USDT is a way of its own, so that no single one of them carries all the others;
/// what ways have in common is for the judge.
pub(crate) fn in_rupees(asset: Asset, said: &[Quotation]) -> Vec<SourcePrice> {
    let legs = || said.iter().filter(|q| q.base == Asset::Usdt && q.quote == Asset::Inr);
    let mut prices = Vec::new();
    for q in said.iter().filter(|q| q.base == asset) {
        match q.quote {
            Asset::Inr => prices.push(told(q)),
            Asset::Usdt => prices.extend(legs().filter_map(|leg| joined(q, leg))),
            _ => {}
        }
    }
    prices
}

fn told(q: &Quotation) -> SourcePrice {
    SourcePrice {
        source: q.source.to_owned(),
        origins: vec![q.source.to_owned()],
        bid: q.bid,
        ask: q.ask,
        at: q.at,
        refused: None,
        slow: false,
    }
}

fn joined(q: &Quotation, leg: &Quotation) -> Option<SourcePrice> {
    let mut origins = vec![q.source.to_owned(), leg.source.to_owned()];
    origins.sort_unstable();
    origins.dedup();
    Some(SourcePrice {
        source: format!("{}×{}", q.source, leg.source),
        origins,
        bid: q.bid.checked_mul(leg.bid)?,
        ask: q.ask.checked_mul(leg.ask)?,
        at: q.at.min(leg.at),
        refused: None,
        slow: false,
    })
}

/// Judges one asset by what was said, records the tick, and shows it to readers. Where no book at
/// all could be read the last tick stands until it is too old, and then its end is recorded.
pub(crate) async fn judge(
    ctx: &Ctx,
    lease: &Lease,
    asset: Asset,
    sources: Vec<SourcePrice>,
    shown: Shown,
) -> Result<(), WorkError> {
    let Shown { ways: routes, markets } = shown;
    let mut tx = ctx.begin(lease).await?;
    let rate = if routes.iter().all(|way| way.unread) {
        let why = "no venue's book could be read";
        rates::missing_in(&mut tx, &ctx.base, asset, why).await?
    } else {
        let last_good = rates::last_usable_in(&mut tx, asset).await?;
        let median = rates::median_in(&mut tx, &ctx.base, asset).await?;
        let evidence = Evidence { sources, routes, last_good, median, now: ctx.now() };
        let (judged, books) = rates::judge(&Limits::from(&*ctx.base.settings), evidence);
        let routes = Routes { books, markets };
        Some(rates::record_in(&mut tx, &ctx.base, asset, judged, routes).await?)
    };
    tx.commit().await?;
    if let Some(rate) = rate {
        ctx.board.publish(&rate).await;
    }
    Ok(())
}
