//! Judging a set of prices: pure, so that a stored tick can be judged again years later.
//!
//! Rules (RELIABILITY Q2): at least two sources that agree and share no origin, each fresh by its
//! own clock; distance from the median trims outliers; of the ways a sale can take at least one
//! must be fresh, deep, not crossed and not wide; a jump from the last good price, or its
//! reciprocal (an inverted feed), is an anomaly, and so is a price far from the median of the last
//! minutes, however small the steps that led there. A jump while nobody looked needs a third house.

use std::collections::{BTreeMap, BTreeSet};

use chrono::{DateTime, TimeDelta, Utc};
use primitives::Bps;
use rust_decimal::Decimal;

use super::{
    Leg, Offered, RouteBook, SourcePrice, Verdict,
    book::depth,
    median::{is_beyond, median},
};
use crate::Settings;

/// A last good price older than this is a hint: what happened since was not watched.
const WATCHED: TimeDelta = TimeDelta::minutes(10);

/// What the judge demands.
#[derive(Debug, Clone)]
pub struct Limits {
    pub source_max_age_s: i64,
    /// Slow opinions, by the name of their origin, with the age up to which each counts.
    pub slow_max_age_s: BTreeMap<String, i64>,
    pub outlier_bps: Bps,
    pub book_spread_max_bps: Bps,
    pub jump_max_bps: Bps,
    pub median_max_bps: Bps,
    /// Rupees of the smallest and of the largest payment: what a book must carry, and should.
    pub smallest: Decimal,
    pub largest: Decimal,
}

impl From<&Settings> for Limits {
    fn from(settings: &Settings) -> Self {
        Self {
            source_max_age_s: settings.source_max_age_s,
            slow_max_age_s: settings.source_max_age_by_s.clone(),
            outlier_bps: settings.outlier_bps,
            book_spread_max_bps: settings.book_spread_max_bps,
            jump_max_bps: settings.jump_max_bps,
            median_max_bps: settings.median_max_bps,
            smallest: Decimal::new(settings.payment_min_paise, 2),
            largest: Decimal::new(settings.payment_max_paise, 2),
        }
    }
}

/// What the judge looks at.
#[derive(Debug)]
pub struct Evidence {
    pub sources: Vec<SourcePrice>,
    /// Every way a sale can take now, the direct one first.
    pub routes: Vec<Offered>,
    /// The middle of the last tick that could be used, and when that was.
    pub last_good: Option<(Decimal, DateTime<Utc>)>,
    /// The median of the ticks of the last ten minutes that could be used; none, none.
    pub median: Option<Decimal>,
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

/// Judges the evidence by the limits. The ways come back as books, each with the reason why no
/// quote may be made from it, where there is one.
#[must_use]
pub fn judge(limits: &Limits, evidence: Evidence) -> (Judgement, Vec<RouteBook>) {
    let mut sources = evidence.sources;
    refuse_unfit(&mut sources, evidence.now, limits);
    refuse_outliers(&mut sources, limits.outlier_bps);
    let houses = houses(&sources);
    let quick = sources.iter().filter(|s| is_quick(s));
    let bid = median(quick.clone().map(|s| s.bid).collect());
    let ask = median(quick.clone().map(|s| s.ask).collect());
    let middle = median(quick.map(mid).collect());
    let routes = books(limits, &evidence.routes, middle, evidence.now);
    let (Some(middle), Some(bid), Some(ask)) = (middle, bid, ask) else {
        return (unusable("no source counts", sources), routes);
    };
    if independent(&sources) < 2 {
        return (unusable("fewer than two independent sources agree", sources), routes);
    }
    if routes.iter().all(|route| route.refused.is_some()) {
        let why = routes.iter().find_map(|route| route.refused.clone());
        return (unusable(&why.unwrap_or_else(|| "there is no book".to_owned()), sources), routes);
    }
    if let Some((last, at)) = evidence.last_good {
        let watched = evidence.now.signed_duration_since(at) <= WATCHED;
        if let Some(fault) = jump_fault(limits, last, middle)
            && (watched || houses < 3)
        {
            return (unusable(fault, sources), routes);
        }
    }
    // Not while nobody looked: then there is no median.
    if evidence.median.is_some_and(|usual| is_beyond(middle, usual, limits.median_max_bps)) {
        return (unusable("the price is far from the median of ten minutes", sources), routes);
    }
    let verdict = shade(limits, &sources, &routes, houses);
    (Judgement { verdict, bid: Some(bid), ask: Some(ask), sources }, routes)
}

/// Good, or what is less than good about a price that can be used.
fn shade(limits: &Limits, sources: &[SourcePrice], routes: &[RouteBook], houses: usize) -> Verdict {
    // A slow opinion that has grown old is silent, as it is half of the time; one that contradicts
    // is told.
    let is_told = |s: &&SourcePrice| match s.refused.as_deref() {
        Some("stale") => !s.slow,
        refused => refused.is_some(),
    };
    let refused: Vec<&str> = sources.iter().filter(is_told).map(|s| s.source.as_str()).collect();
    let mut less = Vec::new();
    if !refused.is_empty() {
        less.push(format!("without {}", refused.join(", ")));
    } else if houses < 3 {
        less.push("only two sources".to_owned());
    }
    for route in routes {
        if let Some(why) = &route.refused {
            less.push(format!("not over {}: {why}", route.venues.join(" and ")));
        }
    }
    let usable = routes.iter().filter(|route| route.refused.is_none());
    let deepest = usable.map(|route| depth(&route.bids)).max().unwrap_or_default();
    if deepest < limits.largest {
        let (has, of) = (deepest.round_dp(0), limits.largest.round_dp(0));
        less.push(format!("the deepest book carries ₹{has}, the largest payment is ₹{of}"));
    }
    if less.is_empty() { Verdict::Good } else { Verdict::Degraded(less.join("; ")) }
}

fn refuse_outliers(sources: &mut [SourcePrice], limit: Bps) {
    let quick = sources.iter().filter(|s| is_quick(s));
    let Some(middle) = median(quick.map(mid).collect()) else { return };
    for source in sources.iter_mut().filter(|s| s.refused.is_none()) {
        if is_beyond(mid(source), middle, limit) {
            source.refused = Some("outlier".into());
        }
    }
}

/// Every way as one book, with what is wrong with it.
fn books(
    limits: &Limits,
    offered: &[Offered],
    middle: Option<Decimal>,
    now: DateTime<Utc>,
) -> Vec<RouteBook> {
    let judged = |way: &Offered| {
        let bids = way.bids();
        let unread = way.unread.then_some("the venue's book could not be read");
        let of_legs = || way.legs.iter().find_map(|leg| leg_fault(limits, leg, now));
        let fault = unread.or_else(of_legs).or_else(|| {
            let best = bids.first()?.price;
            if way.best_ask().is_none_or(|ask| is_beyond(ask, best, limits.book_spread_max_bps)) {
                return Some("the venue's book is too wide");
            }
            if middle.is_some_and(|middle| is_beyond(best, middle, limits.outlier_bps)) {
                return Some("the venue's bid is far from the market");
            }
            (depth(&bids) < limits.smallest).then_some("the venue's book is too thin")
        });
        let empty = bids.is_empty().then_some("the venue has no bids");
        let refused = fault.or(empty).map(str::to_owned);
        RouteBook { venues: way.venues(), bids, refused }
    };
    offered.iter().map(judged).collect()
}

fn unusable(why: &str, sources: Vec<SourcePrice>) -> Judgement {
    Judgement { verdict: Verdict::Unusable(why.to_owned()), bid: None, ask: None, sources }
}

fn refuse_unfit(sources: &mut [SourcePrice], now: DateTime<Utc>, limits: &Limits) {
    for source in sources.iter_mut().filter(|s| s.refused.is_none()) {
        let slow = source.origins.iter().filter_map(|name| limits.slow_max_age_s.get(name)).max();
        source.slow = slow.is_some();
        let max_age_s = slow.copied().unwrap_or(limits.source_max_age_s);
        let age = now.signed_duration_since(source.at);
        if age > TimeDelta::seconds(max_age_s) {
            source.refused = Some("stale".into());
        } else if age < TimeDelta::seconds(-limits.source_max_age_s) {
            source.refused = Some("from the future".into());
        } else if source.bid <= Decimal::ZERO || source.ask < source.bid {
            source.refused = Some("crossed or empty".into());
        }
    }
}

/// Counts, and makes the price.
const fn is_quick(source: &SourcePrice) -> bool {
    source.refused.is_none() && !source.slow
}

/// Older than `max_age_s`, or further in the future: a clock that is wrong proves no freshness.
fn is_old(at: DateTime<Utc>, now: DateTime<Utc>, max_age_s: i64) -> bool {
    now.signed_duration_since(at).abs() > TimeDelta::seconds(max_age_s)
}

/// How many houses stand behind what counts, slow ones too: one that tells two prices is one.
fn houses(sources: &[SourcePrice]) -> usize {
    let counting = sources.iter().filter(|s| s.refused.is_none());
    counting.flat_map(|s| s.origins.iter()).collect::<BTreeSet<_>>().len()
}

/// How many of the quick sources that count share no origin with one another: the largest such
/// set, found by trying every one (there are a handful of sources).
fn independent(sources: &[SourcePrice]) -> usize {
    let counting: Vec<&[String]> =
        sources.iter().filter(|s| is_quick(s)).map(|s| s.origins.as_slice()).collect();
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

/// What is wrong with one market's book by itself.
fn leg_fault(limits: &Limits, leg: &Leg, now: DateTime<Utc>) -> Option<&'static str> {
    if is_old(leg.at, now, limits.source_max_age_s) {
        return Some("the venue's book is stale");
    }
    let Some(best_bid) = leg.bids.first() else { return Some("the venue has no bids") };
    let Some(best_ask) = leg.best_ask else { return Some("the venue has no asks") };
    if best_bid.price <= Decimal::ZERO || best_ask < best_bid.price {
        return Some("the venue's book is crossed");
    }
    let wide = is_beyond(best_ask, best_bid.price, limits.book_spread_max_bps);
    wide.then_some("the venue's book is too wide")
}

fn jump_fault(limits: &Limits, last: Decimal, middle: Decimal) -> Option<&'static str> {
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
