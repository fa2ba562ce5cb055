//! The choice of a route: which venue takes a batch, and whether in one leg or in two.
//!
//! Invariant: a pure function of what was seen and of what the books say. Every candidate that is
//! not taken has its reason, and all of it is stored with the sale, bids walked included, so that
//! the choice can be explained and reckoned again years later. Asking venues is elsewhere.

mod market;
mod proof;
#[cfg(test)]
mod tests;

use std::collections::BTreeMap;

use chrono::{DateTime, TimeDelta, Utc};
use primitives::{Amount, Asset, Bps};
use rust_decimal::Decimal;
use serde::{Deserialize, Serialize};

pub use market::{Levies, Market, Offer, Walk};
pub(super) use market::{amount, units};

use crate::Error;

/// A venue as our books and rows know it.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Standing {
    /// Why it takes no new orders of ours.
    pub frozen: Option<String>,
    /// What the books say is free there.
    pub free: BTreeMap<Asset, Amount>,
    /// What everything there is worth in rupees by the last usable rates; `None` when a rate is
    /// missing: unknown is not nothing.
    pub held: Option<Amount>,
    /// What may lie there at most.
    pub cap: Option<Amount>,
    /// What makes another venue the better one while there is another.
    pub unwell: Option<String>,
}

/// What is asked of [`choose`].
#[derive(Debug, Clone)]
pub struct Question<'a> {
    /// What there is to sell, before it is cut to a venue's step.
    pub total: Amount,
    pub offers: &'a [Offer],
    pub venues: &'a BTreeMap<String, Standing>,
    /// Rupees per unit that can be believed now; a price that is not here cannot.
    pub prices: &'a BTreeMap<Asset, Decimal>,
    pub slippage: Bps,
    /// A bid this far below the price that can be believed is refused.
    pub collar: Bps,
    pub book_age_max: TimeDelta,
    /// A venue that is not to be taken, whatever it offers.
    pub except: Option<&'a str>,
    /// Ways that are not to be taken, by the venues they pass, with the reason.
    pub barred: Option<&'a BTreeMap<Vec<String>, String>>,
    pub now: DateTime<Utc>,
}

/// Why a candidate was refused.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Why {
    /// The venue did not answer, or not in a way that can be used.
    Unreachable,
    Stale,
    Closed,
    /// Below what the market takes at all: it waits for company.
    BelowMinimum,
    Frozen,
    OffMarket,
    Cap,
    Inventory,
    /// Whoever asks does not want this way.
    Barred,
    /// The bids at the limit or better take less than a hundredth: that many orders help nobody.
    NoDepth,
    OutOfRange,
}

/// One leg of a candidate, with the numbers it was judged by.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Leg {
    pub venue: String,
    pub sell: Asset,
    pub quote: Asset,
    /// What it would sell, cut to the venue's step.
    pub quantity: Amount,
    pub limit: Decimal,
    pub walk: Walk,
    pub levies: Levies,
    /// What it would leave us, in the quote asset.
    pub net: Decimal,
}

/// What became of a candidate.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case", tag = "verdict")]
pub enum Verdict {
    Taken,
    /// It could have been taken, and another one is better.
    Behind {
        reason: String,
    },
    Refused {
        why: Why,
        reason: String,
    },
}

/// One way to rupees.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Candidate {
    /// `wazirx ETH/INR`, or `binance ETH/USDT, wazirx USDT/INR`.
    pub path: String,
    /// As far as they could be reckoned.
    pub legs: Vec<Leg>,
    /// Rupees it would leave us, whole paise; what the bids do not take counts nothing.
    pub net: Option<Amount>,
    /// What speaks against it while another one is to be had.
    pub unwell: Option<String>,
    #[serde(flatten)]
    pub verdict: Verdict,
}

/// Every candidate, and at most one of them taken.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Route {
    pub total: Amount,
    pub at: DateTime<Utc>,
    pub slippage: Bps,
    pub candidates: Vec<Candidate>,
}

impl Candidate {
    /// The venues it passes, in the order of the sale; none where it could not be reckoned.
    #[must_use]
    pub fn venues(&self) -> Vec<String> {
        self.legs.iter().map(|leg| leg.venue.clone()).collect()
    }

    /// The better of two: well before unwell, then the most rupees.
    fn rank(&self) -> (bool, i128) {
        (self.unwell.is_none(), self.net.map_or(0, Amount::minor))
    }
}

impl Route {
    #[must_use]
    pub fn taken(&self) -> Option<&Candidate> {
        self.candidates.iter().find(|candidate| candidate.verdict == Verdict::Taken)
    }

    /// True when every market that is not frozen could be reckoned with and calls it too small. One
    /// that was not seen may take it: a missed look makes nothing small.
    #[must_use]
    pub fn is_below_minimum(&self) -> bool {
        let mut small = false;
        for candidate in &self.candidates {
            match candidate.verdict {
                Verdict::Refused { why: Why::BelowMinimum, .. } => small = true,
                Verdict::Refused { why: Why::Frozen, .. } => {}
                _ => return false,
            }
        }
        small
    }

    /// True when a candidate was refused for this.
    #[must_use]
    pub fn refused_for(&self, this: Why) -> bool {
        let is = |c: &Candidate| matches!(c.verdict, Verdict::Refused { why, .. } if why == this);
        self.candidates.iter().any(is)
    }

    /// Why nothing was taken, candidate by candidate.
    #[must_use]
    pub fn reasons(&self) -> String {
        let told = |candidate: &Candidate| {
            let reason = match &candidate.verdict {
                Verdict::Taken => "taken",
                Verdict::Behind { reason } | Verdict::Refused { reason, .. } => reason,
            };
            format!("{}: {reason}", candidate.path)
        };
        let all: Vec<String> = self.candidates.iter().map(told).collect();
        if all.is_empty() { "no venue sells it".to_owned() } else { all.join("; ") }
    }
}

type Refusal = (Why, String);

/// Chooses the candidate that leaves the most rupees. One that something speaks against is taken
/// only where no other is to be had; of equals, the one with fewer legs, then by name.
#[must_use]
pub fn choose(question: &Question<'_>) -> Route {
    let mut candidates: Vec<Candidate> =
        paths(question).into_iter().map(|path| judge(question, &path)).collect();
    candidates.sort_by(|a, b| (a.legs.len(), &a.path).cmp(&(b.legs.len(), &b.path)));
    let able = |c: &&Candidate| matches!(c.verdict, Verdict::Taken);
    let best = candidates.iter().filter(able).map(Candidate::rank).max();
    let mut is_taken = false;
    for candidate in candidates.iter_mut().filter(|c| c.verdict == Verdict::Taken) {
        let mine = candidate.rank();
        if Some(mine) == best && !is_taken {
            is_taken = true;
            continue;
        }
        let ahead = best.map_or(0, |best| best.1.saturating_sub(mine.1));
        let reason = match &candidate.unwell {
            Some(unwell) if best.is_some_and(|best| best.0) => unwell.clone(),
            _ => format!("leaves {ahead} paise less"),
        };
        candidate.verdict = Verdict::Behind { reason };
    }
    Route { total: question.total, at: question.now, slippage: question.slippage, candidates }
}

/// Judges each market for itself, whatever it pays in.
#[must_use]
pub fn choose_one(question: &Question<'_>) -> Route {
    let of = |offer: &Offer| judge(question, &[offer]);
    let candidates = question.offers.iter().map(of).collect();
    Route { total: question.total, at: question.now, slippage: question.slippage, candidates }
}

/// Every way of one or two legs that ends in rupees.
fn paths<'a>(question: &Question<'a>) -> Vec<Vec<&'a Offer>> {
    let asset = question.total.asset();
    let mut paths = Vec::new();
    for first in question.offers.iter().filter(|offer| offer.sell == asset) {
        if first.quote == Asset::Inr {
            paths.push(vec![first]);
            continue;
        }
        let ends = |offer: &&Offer| offer.sell == first.quote && offer.quote == Asset::Inr;
        paths.extend(question.offers.iter().filter(ends).map(|second| vec![first, second]));
    }
    paths
}

fn judge(question: &Question<'_>, path: &[&Offer]) -> Candidate {
    let step = |o: &&Offer| format!("{} {}/{}", o.venue, o.sell, o.quote);
    let mut candidate = Candidate {
        path: path.iter().map(step).collect::<Vec<_>>().join(", "),
        legs: Vec::new(),
        net: None,
        unwell: None,
        verdict: Verdict::Taken,
    };
    let passes = || path.iter().map(|offer| offer.venue.clone()).collect::<Vec<_>>();
    if let Some(reason) = question.barred.and_then(|barred| barred.get(&passes())) {
        candidate.verdict = Verdict::Refused { why: Why::Barred, reason: reason.clone() };
        return candidate;
    }
    let mut total = question.total;
    for offer in path {
        let leg = match leg(question, offer, total) {
            Ok(leg) => leg,
            Err((why, reason)) => {
                candidate.verdict = Verdict::Refused { why, reason };
                return candidate;
            }
        };
        let unwell = question.venues.get(&offer.venue).and_then(|v| v.unwell.clone());
        candidate.unwell = candidate.unwell.take().or(unwell);
        let Ok(net) = amount(leg.net, leg.quote) else {
            let reason = "its numbers are out of range".to_owned();
            candidate.verdict = Verdict::Refused { why: Why::OutOfRange, reason };
            return candidate;
        };
        candidate.legs.push(leg);
        total = net;
    }
    candidate.net = Some(total);
    candidate
}

/// One leg, reckoned; or the first thing that is wrong with it.
fn leg(question: &Question<'_>, offer: &Offer, total: Amount) -> Result<Leg, Refusal> {
    let out = |_: Error| (Why::OutOfRange, "its numbers are out of range".to_owned());
    let range = || (Why::OutOfRange, "its numbers are out of range".to_owned());
    let unknown = Standing::default();
    let venue = question.venues.get(&offer.venue).unwrap_or(&unknown);
    let frozen = match &venue.frozen {
        _ if question.except == Some(offer.venue.as_str()) => {
            Some("the sale is leaving it".to_owned())
        }
        reason => reason.as_ref().map(|reason| format!("frozen: {reason}")),
    };
    // Of a frozen one it does not matter whether it could be seen, or what its book looks like.
    let unseen = |refusal: Refusal| match &frozen {
        Some(frozen) => (Why::Frozen, frozen.clone()),
        None => refusal,
    };
    let market = offer.market.as_ref().map_err(|why| unseen((Why::Unreachable, why.clone())))?;
    if !market.is_open {
        return Err(unseen((Why::Closed, "the market takes no orders".to_owned())));
    }
    let age = question.now.signed_duration_since(market.seen_at);
    // Ahead of us is no better: a clock that is wrong proves no freshness.
    if age.abs() > question.book_age_max {
        let when = if age < TimeDelta::zero() { "ahead of us" } else { "old" };
        let seconds = age.abs().num_seconds();
        return Err(unseen((Why::Stale, format!("its book is {seconds} s {when}"))));
    }
    // Before anything is called too small: a lying book must not turn a batch into dust.
    near_market(question, offer, market).map_err(unseen)?;
    let quantity = market.sellable(total, question.slippage).map_err(|e| unseen(out(e)))?;
    if quantity.is_zero() {
        return Err((Why::BelowMinimum, format!("{total} is below the venue's minimum")));
    }
    if let Some(frozen) = frozen {
        return Err((Why::Frozen, frozen));
    }
    let limit = market.limit(question.slippage).ok_or((Why::NoDepth, "no bids".to_owned()))?;
    let wanted = units(quantity).map_err(out)?;
    let walk = market.walk(wanted, limit).ok_or_else(range)?;
    let share = walk.executable.checked_mul(Decimal::ONE_HUNDRED).ok_or_else(range)?;
    if walk.gross <= Decimal::ZERO || share < wanted {
        let reason = format!("no bids for more than {} of it within the slippage", walk.executable);
        return Err((Why::NoDepth, reason));
    }
    let net = market.levies.net(walk.gross).ok_or_else(range)?;
    let leg = Leg {
        venue: offer.venue.clone(),
        sell: offer.sell,
        quote: offer.quote,
        quantity,
        limit,
        walk,
        levies: market.levies,
        net,
    };
    within_cap(question, venue, &leg)?;
    let free = venue.free.get(&offer.sell).copied().unwrap_or_else(|| Amount::zero(offer.sell));
    if free.minor() < quantity.minor() {
        return Err((Why::Inventory, format!("it holds {free} and {quantity} is to be sold")));
    }
    Ok(leg)
}

/// An emptied or lying book must not take the batch for nothing: its best bid is compared with a
/// price that can be believed, in the market's own quote asset.
fn near_market(question: &Question<'_>, offer: &Offer, market: &Market) -> Result<(), Refusal> {
    let kept = Decimal::from(10_000_u32.saturating_sub(question.collar.get()));
    let rupees = question.prices.get(&offer.sell).copied();
    let believed = if offer.quote == Asset::Inr {
        rupees
    } else {
        let per_quote = question.prices.get(&offer.quote).copied();
        rupees.zip(per_quote).and_then(|(sell, quote)| sell.checked_div(quote))
    };
    let floor = believed
        .and_then(|price| price.checked_mul(kept))
        .and_then(|price| price.checked_div(Decimal::from(10_000)));
    let Some(floor) = floor else {
        return Err((Why::OffMarket, "no price that can be believed to compare with".to_owned()));
    };
    match market.best_bid() {
        Some(bid) if bid >= floor => Ok(()),
        Some(bid) => {
            let floor = floor.round_dp(8).normalize();
            Err((Why::OffMarket, format!("its best bid {bid} is below the collar {floor}")))
        }
        None => Err((Why::NoDepth, "no bids".to_owned())),
    }
}

/// What lies at the venue and what the sale adds. The coins sold are not taken off: the treasury
/// brings others in their place.
fn within_cap(question: &Question<'_>, venue: &Standing, leg: &Leg) -> Result<(), Refusal> {
    let Some(cap) = venue.cap else { return Ok(()) };
    let unknown = || (Why::Cap, "a rate is missing: what lies there counts as too much".to_owned());
    let held = venue.held.ok_or_else(unknown)?;
    let added = if leg.quote == Asset::Inr {
        Some(leg.net)
    } else {
        question.prices.get(&leg.quote).and_then(|price| price.checked_mul(leg.net))
    };
    let added = added.and_then(|added| amount(added, Asset::Inr).ok()).ok_or_else(unknown)?;
    let after = held.checked_add(added).map_err(|_| unknown())?;
    if after.minor() > cap.minor() {
        return Err((Why::Cap, format!("{held} lie there, and {cap} may with what this adds")));
    }
    Ok(())
}
