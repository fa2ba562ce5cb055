//! Judging a set of prices: pure, so that a stored tick can be judged again years later.
//!
//! Rules (RELIABILITY Q2): at least two sources that agree, each fresh by its own clock; distance
//! from the median trims outliers; the venue's book must not be crossed or wide; a jump from the
//! last good price, or its reciprocal (an inverted feed), is an anomaly.

use chrono::{DateTime, TimeDelta, Utc};
use primitives::Bps;
use rust_decimal::Decimal;

use super::{Level, SourcePrice, Verdict};
use crate::Settings;

/// What the judge looks at.
#[derive(Debug)]
pub struct Evidence<'a> {
    pub sources: Vec<SourcePrice>,
    pub bids: &'a [Level],
    pub best_ask: Option<Decimal>,
    pub last_good: Option<Decimal>,
    pub now: DateTime<Utc>,
}

/// The verdict with the median bid and ask of the sources that counted.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Judgement {
    pub verdict: Verdict,
    pub bid: Option<Decimal>,
    pub ask: Option<Decimal>,
    pub sources: Vec<SourcePrice>,
}

/// Judges the evidence by the settings.
#[must_use]
pub fn judge(settings: &Settings, evidence: Evidence<'_>) -> Judgement {
    let mut sources = evidence.sources;
    refuse_stale(&mut sources, evidence.now, settings.source_max_age_s);
    let counted = |sources: &[SourcePrice]| -> Vec<Decimal> {
        sources.iter().filter(|s| s.refused.is_none()).map(mid).collect()
    };
    if let Some(middle) = median(counted(&sources)) {
        for source in sources.iter_mut().filter(|s| s.refused.is_none()) {
            if is_beyond(mid(source), middle, settings.outlier_bps) {
                source.refused = Some("outlier".into());
            }
        }
    }
    let mids = counted(&sources);
    let live = sources.iter().filter(|s| s.refused.is_none());
    let bid = median(live.clone().map(|s| s.bid).collect());
    let ask = median(live.map(|s| s.ask).collect());
    let (Some(middle), Some(bid), Some(ask)) = (median(mids.clone()), bid, ask) else {
        return unusable("no source counts", sources);
    };
    if mids.len() < 2 {
        return unusable("fewer than two sources agree", sources);
    }
    let book = book_fault(settings, evidence.bids, evidence.best_ask, middle);
    if let Some(fault) = book {
        return unusable(fault, sources);
    }
    if let Some(fault) = evidence.last_good.and_then(|last| jump_fault(settings, last, middle)) {
        return unusable(fault, sources);
    }
    let refused: Vec<&str> =
        sources.iter().filter(|s| s.refused.is_some()).map(|s| s.source.as_str()).collect();
    let verdict = if refused.is_empty() && sources.len() >= 3 {
        Verdict::Good
    } else if refused.is_empty() {
        Verdict::Degraded("only two sources".into())
    } else {
        Verdict::Degraded(format!("without {}", refused.join(", ")))
    };
    Judgement { verdict, bid: Some(bid), ask: Some(ask), sources }
}

fn unusable(why: &str, sources: Vec<SourcePrice>) -> Judgement {
    Judgement { verdict: Verdict::Unusable(why.to_owned()), bid: None, ask: None, sources }
}

fn refuse_stale(sources: &mut [SourcePrice], now: DateTime<Utc>, max_age_s: i64) {
    for source in sources.iter_mut().filter(|s| s.refused.is_none()) {
        let age = now.signed_duration_since(source.at);
        if age > TimeDelta::seconds(max_age_s) {
            source.refused = Some("stale".into());
        } else if age < TimeDelta::seconds(-max_age_s) {
            source.refused = Some("from the future".into());
        } else if source.bid <= Decimal::ZERO || source.ask < source.bid {
            source.refused = Some("crossed or empty".into());
        }
    }
}

fn mid(source: &SourcePrice) -> Decimal {
    source
        .bid
        .checked_add(source.ask)
        .and_then(|sum| sum.checked_div(Decimal::TWO))
        .unwrap_or(source.bid)
}

/// The lower middle of an even number: a price that somebody really said.
fn median(mut prices: Vec<Decimal>) -> Option<Decimal> {
    prices.sort_unstable();
    let middle = prices.len().checked_sub(1)? / 2;
    prices.get(middle).copied()
}

/// True when `a` is further from `b` than `limit`. Overflow counts as beyond.
fn is_beyond(a: Decimal, b: Decimal, limit: Bps) -> bool {
    let distance = (a - b).abs().checked_mul(Decimal::from(10_000));
    let allowed = b.checked_mul(Decimal::from(limit.get()));
    !matches!((distance, allowed), (Some(distance), Some(allowed)) if distance <= allowed)
}

fn book_fault(
    settings: &Settings,
    bids: &[Level],
    best_ask: Option<Decimal>,
    middle: Decimal,
) -> Option<&'static str> {
    let Some(best_bid) = bids.first() else { return Some("the venue has no bids") };
    let Some(best_ask) = best_ask else { return Some("the venue has no asks") };
    if best_ask < best_bid.price {
        return Some("the venue's book is crossed");
    }
    if is_beyond(best_ask, best_bid.price, settings.book_spread_max_bps) {
        return Some("the venue's book is too wide");
    }
    if is_beyond(best_bid.price, middle, settings.outlier_bps) {
        return Some("the venue's bid is far from the market");
    }
    None
}

fn jump_fault(settings: &Settings, last: Decimal, middle: Decimal) -> Option<&'static str> {
    let inverted = Decimal::ONE.checked_div(last);
    if inverted.is_some_and(|inverted| !is_beyond(middle, inverted, settings.outlier_bps))
        && is_beyond(middle, last, settings.outlier_bps)
    {
        return Some("the feed looks inverted");
    }
    is_beyond(middle, last, settings.jump_max_bps).then_some("the price jumped")
}
