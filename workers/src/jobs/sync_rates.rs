//! Ask every source for prices, join the dollar world to the rupee world, judge, and publish.

use std::collections::BTreeMap;

use exchanges::{Book, Quotation};
use futures::future::join_all;
use primitives::Asset;
use queue::{Lease, Outcome};
use settlement::{
    jobs::SyncRates,
    rates::{self, Evidence, Level, Limits, SourcePrice, Verdict},
};

use crate::{Ctx, WorkError};

const BOOK_LEVELS: usize = 20;

pub(crate) async fn run(ctx: Ctx, _: SyncRates, lease: Lease) -> Result<Outcome, WorkError> {
    let mut assets: Vec<Asset> =
        ctx.base.settings.networks.values().flat_map(|n| n.assets.iter().copied()).collect();
    assets.sort_unstable();
    assets.dedup();
    let mut asked = assets.clone();
    if !asked.contains(&Asset::Usdt) {
        asked.push(Asset::Usdt);
    }
    let said = ask_sources(&ctx, &asked).await;
    let books = ask_books(&ctx, &assets).await?;
    for asset in assets {
        let Some(book) = books.get(&asset) else { continue };
        let sources = in_rupees(asset, &said);
        judge_one(&ctx, &lease, asset, sources, book).await?;
    }
    Ok(Outcome::Done)
}

/// What every source says. A source that fails is left out: it said nothing.
async fn ask_sources(ctx: &Ctx, assets: &[Asset]) -> Vec<Quotation> {
    let answers = join_all(ctx.connectors.rate_sources.iter().map(|source| async move {
        source.quotations(assets).await.unwrap_or_else(|error| {
            tracing::warn!(source = source.name(), %error, "rate source failed");
            Vec::new()
        })
    }));
    answers.await.into_iter().flatten().collect()
}

/// The venue's books. A book that cannot be read leaves the last tick to grow stale.
async fn ask_books(ctx: &Ctx, assets: &[Asset]) -> Result<BTreeMap<Asset, Book>, WorkError> {
    let venue = ctx.connectors.exchange(&ctx.base.settings.venue)?;
    let mut books = BTreeMap::new();
    for asset in assets {
        match venue.book(*asset).await {
            Ok(book) => drop(books.insert(*asset, book)),
            Err(error) => tracing::warn!(%asset, %error, "venue book unreadable"),
        }
    }
    Ok(books)
}

/// Each source's price in rupees: told as such, or dollars times the rupee price of USDT. Every
/// rupee price of USDT is a way of its own, so that no single one of them carries all the others;
/// what ways have in common is for the judge.
fn in_rupees(asset: Asset, said: &[Quotation]) -> Vec<SourcePrice> {
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
    })
}

async fn judge_one(
    ctx: &Ctx,
    lease: &Lease,
    asset: Asset,
    sources: Vec<SourcePrice>,
    book: &Book,
) -> Result<(), WorkError> {
    let bids: Vec<Level> = book
        .bids
        .iter()
        .take(BOOK_LEVELS)
        .map(|level| Level { price: level.price, quantity: level.quantity })
        .collect();
    let mut tx = ctx.begin(lease).await?;
    let last_good = rates::last_usable_in(&mut tx, asset).await?;
    let evidence = Evidence {
        sources,
        bids: &bids,
        best_ask: book.asks.first().map(|ask| ask.price),
        book_at: book.at,
        last_good,
        now: ctx.now(),
    };
    let judged = rates::judge(Limits::from(&*ctx.base.settings), evidence);
    let rate = rates::record_in(&mut tx, &ctx.base, asset, judged, bids).await?;
    tx.commit().await?;
    if let Verdict::Unusable(why) = &rate.verdict {
        tracing::warn!(%asset, why, "rate unusable: quotes stop");
    }
    ctx.board.publish(&rate).await;
    Ok(())
}
