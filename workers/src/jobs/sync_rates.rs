//! Ask every source for prices, join the dollar world to the rupee world, judge, and publish.

use std::collections::BTreeMap;

use exchanges::{Book, Quotation};
use futures::future::join_all;
use primitives::Asset;
use queue::{Lease, Outcome};
use rust_decimal::Decimal;
use settlement::{
    jobs::SyncRates,
    rates::{self, Evidence, Level, SourcePrice, Verdict},
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

/// Each source's price in rupees: told as such, or dollars times the rupee price of USDT.
fn in_rupees(asset: Asset, said: &[Quotation]) -> Vec<SourcePrice> {
    let leg = rupee_leg(said);
    let of_asset = said.iter().filter(|q| q.base == asset);
    of_asset
        .filter_map(|q| match (q.quote, &leg) {
            (Asset::Inr, _) => Some(SourcePrice {
                source: q.source.to_owned(),
                bid: q.bid,
                ask: q.ask,
                at: q.at,
                refused: None,
            }),
            (Asset::Usdt, Some(leg)) => Some(SourcePrice {
                source: format!("{}×usdt", q.source),
                bid: q.bid.checked_mul(leg.bid)?,
                ask: q.ask.checked_mul(leg.ask)?,
                at: q.at.min(leg.at),
                refused: None,
            }),
            _ => None,
        })
        .collect()
}

/// The rupee price of USDT that the lower of the sources gives: the cautious one, as told.
fn rupee_leg(said: &[Quotation]) -> Option<&Quotation> {
    said.iter()
        .filter(|q| q.base == Asset::Usdt && q.quote == Asset::Inr && q.bid > Decimal::ZERO)
        .min_by(|a, b| a.bid.cmp(&b.bid))
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
    let last_good = rates::last_good_in(&mut tx, &ctx.base, asset).await?;
    let evidence = Evidence {
        sources,
        bids: &bids,
        best_ask: book.asks.first().map(|ask| ask.price),
        last_good,
        now: ctx.now(),
    };
    let judged = rates::judge(&ctx.base.settings, evidence);
    let rate = rates::record_in(&mut tx, &ctx.base, asset, judged, bids).await?;
    tx.commit().await?;
    if let Verdict::Unusable(why) = &rate.verdict {
        tracing::warn!(%asset, why, "rate unusable: quotes stop");
    }
    ctx.board.publish(&rate).await;
    Ok(())
}
