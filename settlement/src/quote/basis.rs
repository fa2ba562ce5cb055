//! What a quote was made from, and making it again.
//!
//! Invariant: a quote's row alone gives its price, its spread and its crypto, to the minor unit,
//! however long ago: [`recompute`] reads nothing else, and making a quote goes through the same
//! functions. Where the row keeps the choice of the way, that is reckoned again with it. Finding
//! the numbers is deliberately elsewhere: `create.rs`, and choosing the way: `way.rs`.

use chrono::{DateTime, Utc};
use primitives::{Amount, Bps, Rounding};
use rust_decimal::Decimal;
use serde::{Deserialize, Serialize};

use super::{Quote, payable};
use crate::{
    conversion::{Route, route::Candidate},
    rates::{Level, Moved, SourcePrice, Volatility},
};

/// No quote keeps back more: the database says so too.
const SPREAD_MAX: u32 = 1_000;
/// Digits of a price that means something.
const PRICE_DIGITS: u32 = 18;

/// How the spread of a quote came about.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct SpreadParts {
    /// What the rule for this merchant and asset says.
    pub rule: Bps,
    /// The rule's number; absent where the settings were the rule.
    #[serde(default)]
    pub rule_id: Option<i64>,
    /// Added because the price was restless.
    pub moved: Bps,
    /// What that was made from; absent where nothing is ever added.
    #[serde(default)]
    pub volatility: Option<Volatility>,
    #[serde(default)]
    pub range: Option<Moved>,
}

impl SpreadParts {
    #[must_use]
    pub fn new(
        (rule, rule_id): (Bps, Option<i64>),
        volatility: Volatility,
        range: Option<Moved>,
    ) -> Self {
        let (moved, on) = (volatility.spread(range), volatility.share_percent > 0);
        let (volatility, range) = (on.then_some(volatility), range.filter(|_| on));
        Self { rule, rule_id, moved, volatility, range }
    }

    /// Both parts together, as far as a spread may go.
    #[must_use]
    pub fn total(&self) -> Bps {
        let sum = self.rule.get().saturating_add(self.moved.get()).min(SPREAD_MAX);
        Bps::new(sum).unwrap_or(self.rule)
    }

    /// True when the part for restlessness follows from what is stored beside it.
    fn holds(&self) -> bool {
        self.moved == self.volatility.map_or(Bps::ZERO, |rule| rule.spread(self.range))
    }
}

/// Everything a quote rests on, copied into its row: ticks are thinned, quotes are not.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Basis {
    /// When the tick was judged, and how.
    pub tick_at: DateTime<Utc>,
    pub verdict: String,
    /// The venues a sale would pass at this price; none where an older version did not say.
    pub venues: Vec<String>,
    /// The levels of the book that were walked, the last one whole.
    pub levels: Vec<Level>,
    /// The choice of that way, as a sale makes it; absent in quotes of an older version.
    pub route: Option<Route>,
    pub sources: Vec<SourcePrice>,
    pub spread: SpreadParts,
    pub rounding: Rounding,
    /// Of the merchant, when it is settled; absent in quotes of an older version.
    pub fee: Option<Bps>,
    pub gst: Option<Bps>,
}

/// What a quote's own row says it must be.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Recomputed {
    pub price: Decimal,
    pub spread: Bps,
    pub payable: Amount,
}

/// Makes the numbers of a quote again, from what it stores. `None` when they cannot be made.
#[must_use]
pub fn recompute(quote: &Quote) -> Option<Recomputed> {
    let basis = &quote.basis;
    if basis.rounding != Rounding::Up || !basis.spread.holds() || !is_its_way(basis) {
        return None;
    }
    let (price, _) = walk(&basis.levels, quote.amount)?;
    let spread = basis.spread.total();
    Some(Recomputed { price, spread, payable: payable(quote.amount, quote.asset, price, spread)? })
}

/// True when the choice that is kept gives its own numbers again, and took the way of the quote.
fn is_its_way(basis: &Basis) -> bool {
    let Some(route) = &basis.route else { return true };
    let taken = route.taken().map(Candidate::venues);
    taken.as_ref() == Some(&basis.venues) && route.is_explained()
}

/// True when a quote is what its row says it must be.
#[must_use]
pub fn is_explained(quote: &Quote) -> bool {
    let said = Recomputed { price: quote.price, spread: quote.spread, payable: quote.payable };
    recompute(quote) == Some(said)
}

/// The average price that selling for `amount` rupees gets from `bids`, best first, and how many
/// levels that takes. `None` when they are too thin: there is no price for more than the book has.
/// The price has eighteen digits: what a division leaves beyond them is nobody's offer.
pub(super) fn walk(bids: &[Level], amount: Amount) -> Option<(Decimal, usize)> {
    let scale = amount.asset().scale();
    let wanted = Decimal::try_from_i128_with_scale(amount.minor(), scale).ok()?;
    let (mut rupees, mut quantity) = (Decimal::ZERO, Decimal::ZERO);
    for (place, level) in bids.iter().enumerate() {
        let missing = wanted.checked_sub(rupees)?;
        let value = level.price.checked_mul(level.quantity)?;
        if value >= missing {
            let last = missing.checked_div(level.price)?;
            let price = wanted.checked_div(quantity.checked_add(last)?)?;
            let price = price.round_sf(PRICE_DIGITS)?.normalize();
            return Some((price, place.saturating_add(1)));
        }
        rupees = rupees.checked_add(value)?;
        quantity = quantity.checked_add(level.quantity)?;
    }
    None
}
