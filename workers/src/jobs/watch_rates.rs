//! Listen to the price streams, and judge an asset anew as soon as its price moves.
//!
//! One run listens for a while and asks to run again; the lease of the job makes it one listener in
//! the whole fleet. What is heard is one source's word: the others' last words and the venues'
//! books go to the judge with it. A tick is made when a price moved, or when the last one is some
//! seconds old, and never sooner after another than the settings say. Without a stream, or with one
//! that is silent, `sync_rates` goes on every half minute.

use std::{
    collections::{BTreeMap, BTreeSet},
    time::{Duration, Instant},
};

use chrono::{DateTime, TimeDelta, Utc};
use exchanges::Quotation;
use futures::future::join_all;
use primitives::{Asset, Bps};
use queue::{Lease, Outcome};
use rust_decimal::Decimal;
use settlement::{
    Settings,
    jobs::WatchRates,
    rates::{self, Last},
};

use crate::{Ctx, WorkError, pricing};

/// How long one look at the streams takes at most.
const SLICE: Duration = Duration::from_millis(250);
/// The next run begins so soon after one that listened.
const PAUSE_MS: i64 = 200;

pub(crate) async fn run(ctx: Ctx, _: WatchRates, lease: Lease) -> Result<Outcome, WorkError> {
    let last = last_ticks(&ctx, &lease).await?;
    let linger = Duration::from_millis(ctx.base.settings.rate_stream_linger_ms);
    if ctx.connectors.price_streams.is_empty() || linger.is_zero() {
        return Ok(Outcome::Done);
    }
    let assets = pricing::assets(&ctx);
    let said = pricing::ask_sources(&ctx, &assets).await;
    let mut watch = Watch { said, last, marks: BTreeMap::new() };
    let until = Instant::now() + linger;
    while Instant::now() < until {
        watch.hear(listen(&ctx).await);
        let due = watch.due(&ctx.base.settings, &assets, ctx.now());
        if due.is_empty() {
            continue;
        }
        // Somebody else may have made a tick meanwhile.
        watch.last = last_ticks(&ctx, &lease).await?;
        let due = watch.due(&ctx.base.settings, &assets, ctx.now());
        for (asset, ways) in pricing::ask_books(&ctx, &due).await {
            let sources = pricing::in_rupees(asset, &watch.said);
            pricing::judge(&ctx, &lease, asset, sources, ways).await?;
            watch.judged(asset, ctx.now());
        }
    }
    Ok(Outcome::Again(ctx.now() + TimeDelta::milliseconds(PAUSE_MS)))
}

/// The newest tick of each asset, read as the one who listens.
async fn last_ticks(ctx: &Ctx, lease: &Lease) -> Result<BTreeMap<Asset, Last>, WorkError> {
    let mut tx = ctx.begin(lease).await?;
    let last = rates::last_ticks_in(&mut tx, &ctx.base).await?;
    tx.commit().await?;
    Ok(last)
}

/// What every stream says within a slice of time. One without a connection answers at once: the
/// slice is waited for all the same.
async fn listen(ctx: &Ctx) -> Vec<Quotation> {
    let begun = Instant::now();
    let heard = join_all(ctx.connectors.price_streams.iter().map(|stream| stream.next(SLICE)));
    let heard: Vec<Quotation> = heard.await.into_iter().flatten().collect();
    if heard.is_empty() {
        tokio::time::sleep(SLICE.saturating_sub(begun.elapsed())).await;
    }
    heard
}

/// A market of a source, by what it is called there.
type Heard = (&'static str, Asset, Asset);

/// What is known while one run listens.
struct Watch {
    /// The last word of every source about every market.
    said: Vec<Quotation>,
    last: BTreeMap<Asset, Last>,
    /// What each stream said when the last tick of its asset was made, and what it says now.
    marks: BTreeMap<Heard, (Option<Decimal>, Decimal)>,
}

impl Watch {
    /// Takes a stream's words for the source's own; an older one than is known changes nothing.
    fn hear(&mut self, news: Vec<Quotation>) {
        for q in news {
            let Some(middle) = middle(&q) else { continue };
            let same = |s: &&mut Quotation| (s.source, s.base, s.quote) == key(&q);
            match self.said.iter_mut().find(same) {
                Some(known) if known.at > q.at => continue,
                Some(known) => *known = q.clone(),
                None => self.said.push(q.clone()),
            }
            self.marks.entry(key(&q)).or_insert((None, middle)).1 = middle;
        }
    }

    /// Assets that a stream speaks of and that want a tick now.
    fn due(&mut self, settings: &Settings, assets: &[Asset], now: DateTime<Utc>) -> Vec<Asset> {
        let mut due = BTreeSet::new();
        for ((_, base, _), (mark, middle)) in &mut self.marks {
            let age = self.last.get(base).map(|last| now.signed_duration_since(last.at));
            let age_ms = age.map_or(i64::MAX, |age| age.num_milliseconds());
            // The first word of a run is what the next ones are compared with.
            let moved = has_moved(*mark.get_or_insert(*middle), *middle, settings.rate_stream_bps);
            let wanted = moved || age_ms >= settings.rate_stream_max_ms;
            if wanted && age_ms >= settings.rate_stream_min_ms && assets.contains(base) {
                due.insert(*base);
            }
        }
        due.into_iter().collect()
    }

    fn judged(&mut self, asset: Asset, now: DateTime<Utc>) {
        self.last.insert(asset, Last { at: now, middle: None });
        for ((_, base, _), (mark, middle)) in &mut self.marks {
            if *base == asset {
                *mark = Some(*middle);
            }
        }
    }
}

const fn key(q: &Quotation) -> Heard {
    (q.source, q.base, q.quote)
}

fn middle(q: &Quotation) -> Option<Decimal> {
    q.bid.checked_add(q.ask)?.checked_div(Decimal::TWO)
}

/// True when a price is further from another than the limit. Overflow is far.
fn has_moved(from: Decimal, to: Decimal, limit: Bps) -> bool {
    let distance = to.checked_sub(from).and_then(|d| d.abs().checked_mul(Decimal::from(10_000)));
    let allowed = from.checked_mul(Decimal::from(limit.get()));
    !matches!((distance, allowed), (Some(distance), Some(allowed)) if distance <= allowed)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(ms: i64) -> DateTime<Utc> {
        DateTime::from_timestamp_millis(1_800_000_000_000 + ms).unwrap()
    }

    fn says(bid: i64, ms: i64) -> Vec<Quotation> {
        let price = Decimal::from(bid);
        let (base, quote) = (Asset::Eth, Asset::Usdt);
        vec![Quotation { source: "binance", base, quote, bid: price, ask: price, at: at(ms) }]
    }

    fn settings() -> Settings {
        let mut settings = testkit::settings().unwrap();
        settings.rate_stream_bps = Bps::new(10).unwrap();
        settings.rate_stream_max_ms = 10_000;
        settings.rate_stream_min_ms = 2_000;
        settings
    }

    fn watch() -> Watch {
        let last = BTreeMap::from([(Asset::Eth, Last { at: at(0), middle: None })]);
        Watch { said: says(1_000, 0), last, marks: BTreeMap::new() }
    }

    // A move makes a tick, but not sooner than the settings say; calm makes one now and then.
    #[test]
    fn a_price_that_moves_is_judged_soon_and_not_too_often() {
        let (settings, assets) = (settings(), [Asset::Eth]);
        let mut watch = watch();
        assert!(watch.due(&settings, &assets, at(60_000)).is_empty(), "no stream has spoken");
        watch.hear(says(1_000, 100));
        assert!(watch.due(&settings, &assets, at(3_000)).is_empty(), "nothing moved");
        watch.hear(says(1_002, 1_500));
        assert!(watch.due(&settings, &assets, at(1_999)).is_empty(), "too soon");
        assert_eq!(watch.due(&settings, &assets, at(2_000)), [Asset::Eth]);
        watch.judged(Asset::Eth, at(2_000));
        assert!(watch.due(&settings, &assets, at(11_999)).is_empty(), "compared with the new tick");
        assert_eq!(watch.due(&settings, &assets, at(12_000)), [Asset::Eth], "it has grown old");
        assert!(watch.due(&settings, &[Asset::Btc], at(12_000)).is_empty(), "not offered");
    }

    #[test]
    fn a_late_word_changes_nothing() {
        let mut watch = watch();
        watch.hear(says(1_100, 500));
        watch.hear(says(900, 400));
        assert_eq!(watch.said.len(), 1);
        assert_eq!(watch.said[0].bid, Decimal::from(1_100));
        assert_eq!(watch.marks.values().next().unwrap().1, Decimal::from(1_100));
    }
}
