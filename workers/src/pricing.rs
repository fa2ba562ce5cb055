//! What the outside says of prices, brought to the judge: shared by the job that asks every half
//! minute and the one that listens to streams.
//!
//! Invariant: nothing is open during a call; who fails said nothing, and a book that could not be
//! read is a way that is there and not known, never an empty one. Judging is deliberately
//! elsewhere: `settlement::rates`.

use std::collections::{BTreeMap, BTreeSet};

use exchanges::{Book, Exchange, Pair, Quotation};
use futures::future::join_all;
use primitives::Asset;
use queue::Lease;
use settlement::rates::{self, Evidence, Leg, Level, Limits, Offered, SourcePrice};

use crate::{Ctx, WorkError};

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

/// The books of every way of every asset, each market read once.
pub(crate) async fn ask_books(ctx: &Ctx, assets: &[Asset]) -> BTreeMap<Asset, Vec<Offered>> {
    let ways: BTreeMap<Asset, Vec<Vec<Market>>> =
        assets.iter().map(|asset| (*asset, ways_of(ctx, *asset))).collect();
    let markets: BTreeSet<&Market> = ways.values().flatten().flatten().collect();
    let mut by_venue: BTreeMap<&str, Vec<&Market>> = BTreeMap::new();
    for market in markets {
        by_venue.entry(&market.0).or_default().push(market);
    }
    // One after the other at each venue: their limits are per second, and sales need them too.
    let read = join_all(by_venue.into_values().map(|markets| async move {
        let mut books = Vec::new();
        for market in markets {
            books.push((market.clone(), read_book(ctx, market).await));
        }
        books
    }));
    let books: BTreeMap<Market, Option<Book>> = read.await.into_iter().flatten().collect();
    let offer = |way: Vec<Market>| {
        let legs: Vec<Leg> = way
            .iter()
            .map(|market| leg(ctx, &market.0, books.get(market).and_then(Option::as_ref)))
            .collect();
        let unread = way.iter().any(|market| books.get(market).is_none_or(Option::is_none));
        Offered { legs, unread }
    };
    ways.into_iter().map(|(asset, ways)| (asset, ways.into_iter().map(offer).collect())).collect()
}

async fn read_book(ctx: &Ctx, (venue, pair): &Market) -> Option<Book> {
    let book = match ctx.connectors.exchange(venue) {
        Ok(exchange) => exchange.book(*pair).await.map_err(WorkError::from),
        Err(error) => Err(error),
    };
    if let Err(error) = &book {
        tracing::warn!(venue, %pair, %error, "a venue's book is unreadable");
    }
    book.ok()
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
    routes: Vec<Offered>,
) -> Result<(), WorkError> {
    let mut tx = ctx.begin(lease).await?;
    let rate = if routes.iter().all(|way| way.unread) {
        let why = "no venue's book could be read";
        rates::missing_in(&mut tx, &ctx.base, asset, why).await?
    } else {
        let last_good = rates::last_usable_in(&mut tx, asset).await?;
        let evidence = Evidence { sources, routes, last_good, now: ctx.now() };
        let (judged, routes) = rates::judge(&Limits::from(&*ctx.base.settings), evidence);
        Some(rates::record_in(&mut tx, &ctx.base, asset, judged, routes).await?)
    };
    tx.commit().await?;
    if let Some(rate) = rate {
        ctx.board.publish(&rate).await;
    }
    Ok(())
}
