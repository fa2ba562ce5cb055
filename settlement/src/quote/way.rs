//! The way a quote is priced by: the one a sale of its size would take now.
//!
//! Invariant: the way is chosen by the very function that routes a sale (net of fees, taxes, with
//! freezes, caps, inventory and health as they are known), and priced from that way's own book.
//! Where a sale would find no way there is no quote, with two exceptions: a payment too small for
//! every venue waits for company, so the way of that company counts; and what a venue is short of
//! the treasury brings, so shelves that are empty everywhere count as full.

use std::collections::BTreeMap;

use chrono::TimeDelta;
use primitives::{Amount, Asset, Bps};
use rust_decimal::Decimal;
use sqlx::PgConnection;

use super::{QuoteError, basis::walk, payable};
use crate::{
    Base, Error,
    conversion::{
        self, Route,
        route::{Candidate, Question, Standing, Verdict, Why, choose},
    },
    rates::{self, BoardRate, Level},
};

/// So many times the size is doubled while it is too small for every venue.
const DOUBLINGS: usize = 40;

/// More than any sale asks for, of any asset.
const FULL: i128 = 1_000_000_000_000_000_000_000_000_000_000_000_000;

/// A way, its price for the size, and the choice that led to it.
#[derive(Debug, Clone)]
pub(super) struct Way {
    pub(super) venues: Vec<String>,
    /// Average price of its bids, rupees per unit.
    pub(super) price: Decimal,
    /// The levels walked for it, the last one whole.
    pub(super) levels: Vec<Level>,
    pub(super) route: Route,
}

/// What is known beside the tick.
pub(super) struct Known<'a> {
    pub(super) venues: &'a BTreeMap<String, Standing>,
    pub(super) prices: &'a BTreeMap<Asset, Decimal>,
    pub(super) slippage: Bps,
    pub(super) collar: Bps,
    pub(super) book_age_max: TimeDelta,
}

/// Why no way was taken.
#[derive(Debug, Clone)]
pub(super) enum NoWay {
    /// No book carries the size.
    TooThin,
    /// Nothing would sell it now: here is why, way by way.
    Unsellable(Box<Route>),
}

/// The way for so many rupees by a tick, as things are now.
///
/// # Errors
/// `QuoteError`: `TooThin`, `VenueFrozen`, `Unsellable`, `Internal`.
pub(super) async fn way_in(
    conn: &mut PgConnection,
    base: &Base,
    rate: &BoardRate,
    amount: Amount,
) -> Result<Way, QuoteError> {
    let venues = conversion::standings_in(conn, base, &rate.markets).await?;
    let prices = prices_in(conn, base, rate).await?;
    let known = Known {
        venues: &venues,
        prices: &prices,
        slippage: base.settings.slippage_bps,
        collar: base.settings.outlier_bps,
        book_age_max: TimeDelta::seconds(base.settings.source_max_age_s),
    };
    take(rate, amount, &known).map_err(|no_way| match no_way {
        NoWay::TooThin => QuoteError::TooThin,
        NoWay::Unsellable(route) => {
            let why = route.reasons();
            tracing::warn!(asset = %rate.base, why, "nothing would sell it: no quote");
            refusal(rate.base, &route)
        }
    })
}

fn refusal(asset: Asset, route: &Route) -> QuoteError {
    let is_thin = |c: &Candidate| {
        let why = match &c.verdict {
            Verdict::Refused { why, .. } => *why,
            Verdict::Taken | Verdict::Behind { .. } => return false,
        };
        matches!(why, Why::Barred | Why::NoDepth | Why::BelowMinimum)
    };
    if route.refused_for(Why::Frozen) {
        QuoteError::VenueFrozen(asset)
    } else if route.candidates.iter().all(is_thin) {
        QuoteError::TooThin
    } else {
        QuoteError::Unsellable(asset)
    }
}

/// What a sale compares a venue's bids with: this tick's middle, and of another asset on the way
/// the last one that could be used.
async fn prices_in(
    conn: &mut PgConnection,
    base: &Base,
    rate: &BoardRate,
) -> Result<BTreeMap<Asset, Decimal>, Error> {
    let mut prices = BTreeMap::new();
    for asset in rate.markets.iter().map(|offer| offer.sell) {
        if asset != rate.base && !prices.contains_key(&asset) {
            let price = rates::last_good_in(conn, base, asset).await?;
            prices.extend(price.map(|price| (asset, price)));
        }
    }
    let sum = rate.bid.zip(rate.ask).and_then(|(bid, ask)| bid.checked_add(ask));
    let middle = sum.and_then(|sum| sum.checked_div(Decimal::TWO));
    prices.extend(middle.map(|middle| (rate.base, middle)));
    Ok(prices)
}

/// Chooses the way, pure.
pub(super) fn take(rate: &BoardRate, amount: Amount, known: &Known<'_>) -> Result<Way, NoWay> {
    let mut barred = BTreeMap::new();
    let mut carrying = Vec::new();
    for route in &rate.routes {
        let why = match (&route.refused, walk(&route.bids, amount)) {
            (Some(refused), _) => refused.clone(),
            (None, None) => "its book does not carry the size".to_owned(),
            (None, Some((price, levels))) => {
                carrying.push((&route.venues, price, route.bids.iter().take(levels)));
                continue;
            }
        };
        barred.insert(route.venues.clone(), why);
    }
    let best = carrying.iter().map(|(_, price, _)| *price).max().ok_or(NoWay::TooThin)?;
    let size = payable(amount, rate.base, best, Bps::ZERO).ok_or(NoWay::TooThin)?;
    let mut route = ask(rate, size, known, &barred, known.venues);
    if route.taken().is_none() && route.refused_for(Why::Inventory) {
        route = ask(rate, size, known, &barred, &stocked(known.venues));
    }
    let taken = route.taken().map(Candidate::venues);
    let found = taken.and_then(|taken| carrying.into_iter().find(|(venues, ..)| **venues == taken));
    let Some((venues, price, levels)) = found else { return Err(NoWay::Unsellable(route.into())) };
    Ok(Way { venues: venues.clone(), price, levels: levels.copied().collect(), route })
}

/// The sale's own question, of as much as some venue takes at all.
fn ask(
    rate: &BoardRate,
    size: Amount,
    known: &Known<'_>,
    barred: &BTreeMap<Vec<String>, String>,
    venues: &BTreeMap<String, Standing>,
) -> Route {
    let question = |total| Question {
        total,
        offers: &rate.markets,
        venues,
        prices: known.prices,
        slippage: known.slippage,
        collar: known.collar,
        book_age_max: known.book_age_max,
        except: None,
        barred: Some(barred),
        // A tick is of its own moment, books included; how old it may be is asked elsewhere.
        now: rate.at,
    };
    let mut route = choose(&question(size));
    let mut total = size;
    for _ in 0..DOUBLINGS {
        if route.taken().is_some() || !route.refused_for(Why::BelowMinimum) {
            break;
        }
        let Ok(double) = total.checked_add(total) else { break };
        let next = choose(&question(double));
        // Company that no venue would take either changes nothing.
        (total, route) = (double, next);
    }
    route
}

/// The same venues, with full shelves.
fn stocked(venues: &BTreeMap<String, Standing>) -> BTreeMap<String, Standing> {
    let full = |asset| Amount::try_new(FULL, asset).ok().map(|amount| (asset, amount));
    let shelves: BTreeMap<Asset, Amount> = Asset::ALL.into_iter().filter_map(full).collect();
    let stock = |(name, venue): (&String, &Standing)| {
        (name.clone(), Standing { free: shelves.clone(), ..venue.clone() })
    };
    venues.iter().map(stock).collect()
}
