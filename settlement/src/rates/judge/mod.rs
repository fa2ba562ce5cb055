//! Judging a set of prices: pure, so that a stored tick can be judged again years later.
//!
//! Rules (RELIABILITY Q2): at least two sources that agree and share no origin, each fresh by its
//! own clock; distance from the median trims outliers; the venue's book must be fresh, not crossed
//! and not wide; a jump from the last good price, or its reciprocal (an inverted feed), is an
//! anomaly. A jump while nobody looked needs a third word.

use chrono::{DateTime, TimeDelta, Utc};
use primitives::Bps;
use rust_decimal::Decimal;

use super::{
    Level, SourcePrice, Verdict,
    median::{is_beyond, median},
};
use crate::Settings;

/// A last good price older than this is a hint: what happened since was not watched.
const WATCHED: TimeDelta = TimeDelta::minutes(10);

/// What the judge demands.
#[derive(Debug, Clone, Copy)]
pub struct Limits {
    pub source_max_age_s: i64,
    pub outlier_bps: Bps,
    pub book_spread_max_bps: Bps,
    pub jump_max_bps: Bps,
}

impl From<&Settings> for Limits {
    fn from(settings: &Settings) -> Self {
        Self {
            source_max_age_s: settings.source_max_age_s,
            outlier_bps: settings.outlier_bps,
            book_spread_max_bps: settings.book_spread_max_bps,
            jump_max_bps: settings.jump_max_bps,
        }
    }
}

/// What the judge looks at.
#[derive(Debug)]
pub struct Evidence<'a> {
    pub sources: Vec<SourcePrice>,
    pub bids: &'a [Level],
    pub best_ask: Option<Decimal>,
    /// The time of the venue's book.
    pub book_at: DateTime<Utc>,
    /// The middle of the last tick that could be used, and when that was.
    pub last_good: Option<(Decimal, DateTime<Utc>)>,
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

/// Judges the evidence by the limits.
#[must_use]
pub fn judge(limits: Limits, evidence: Evidence<'_>) -> Judgement {
    let mut sources = evidence.sources;
    refuse_stale(&mut sources, evidence.now, limits.source_max_age_s);
    let counted = |sources: &[SourcePrice]| -> Vec<Decimal> {
        sources.iter().filter(|s| s.refused.is_none()).map(mid).collect()
    };
    if let Some(middle) = median(counted(&sources)) {
        for source in sources.iter_mut().filter(|s| s.refused.is_none()) {
            if is_beyond(mid(source), middle, limits.outlier_bps) {
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
    let words = independent(&sources);
    if words < 2 {
        return unusable("fewer than two independent sources agree", sources);
    }
    if is_old(evidence.book_at, evidence.now, limits.source_max_age_s) {
        return unusable("the venue's book is stale", sources);
    }
    let book = book_fault(limits, evidence.bids, evidence.best_ask, middle);
    if let Some(fault) = book {
        return unusable(fault, sources);
    }
    if let Some((last, at)) = evidence.last_good {
        let watched = evidence.now.signed_duration_since(at) <= WATCHED;
        if let Some(fault) = jump_fault(limits, last, middle)
            && (watched || mids.len() < 3)
        {
            return unusable(fault, sources);
        }
    }
    let refused: Vec<&str> =
        sources.iter().filter(|s| s.refused.is_some()).map(|s| s.source.as_str()).collect();
    let verdict = if refused.is_empty() && mids.len() >= 3 {
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

/// Older than `max_age_s`, or further in the future: a clock that is wrong proves no freshness.
fn is_old(at: DateTime<Utc>, now: DateTime<Utc>, max_age_s: i64) -> bool {
    now.signed_duration_since(at).abs() > TimeDelta::seconds(max_age_s)
}

/// How many of the counting sources share no origin with one another: the largest such set, found
/// by trying every one (there are a handful of sources).
fn independent(sources: &[SourcePrice]) -> usize {
    let counting: Vec<&[String]> =
        sources.iter().filter(|s| s.refused.is_none()).map(|s| s.origins.as_slice()).collect();
    largest(&counting, &[])
}

fn largest(rest: &[&[String]], taken: &[&str]) -> usize {
    let Some((first, rest)) = rest.split_first() else { return 0 };
    let without = largest(rest, taken);
    if first.is_empty() || first.iter().any(|origin| taken.contains(&origin.as_str())) {
        return without;
    }
    let mut more = taken.to_vec();
    more.extend(first.iter().map(String::as_str));
    without.max(largest(rest, &more).saturating_add(1))
}

fn mid(source: &SourcePrice) -> Decimal {
    source
        .bid
        .checked_add(source.ask)
        .and_then(|sum| sum.checked_div(Decimal::TWO))
        .unwrap_or(source.bid)
}

fn book_fault(
    limits: Limits,
    bids: &[Level],
    best_ask: Option<Decimal>,
    middle: Decimal,
) -> Option<&'static str> {
    let Some(best_bid) = bids.first() else { return Some("the venue has no bids") };
    let Some(best_ask) = best_ask else { return Some("the venue has no asks") };
    if best_ask < best_bid.price {
        return Some("the venue's book is crossed");
    }
    if is_beyond(best_ask, best_bid.price, limits.book_spread_max_bps) {
        return Some("the venue's book is too wide");
    }
    if is_beyond(best_bid.price, middle, limits.outlier_bps) {
        return Some("the venue's bid is far from the market");
    }
    None
}

fn jump_fault(limits: Limits, last: Decimal, middle: Decimal) -> Option<&'static str> {
    let inverted = Decimal::ONE.checked_div(last);
    if inverted.is_some_and(|inverted| !is_beyond(middle, inverted, limits.outlier_bps))
        && is_beyond(middle, last, limits.outlier_bps)
    {
        return Some("the feed looks inverted");
    }
    is_beyond(middle, last, limits.jump_max_bps).then_some("the price jumped")
}

#[cfg(test)]
mod tests;
