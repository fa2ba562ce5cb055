//! What a quote was made from, and making it again.
//!
//! Invariant: a quote's row alone gives its price, its spread and its crypto, to the minor unit,
//! however long ago: [`recompute`] reads nothing else, and making a quote goes through the same
//! functions. Finding the numbers is deliberately elsewhere: `create.rs`.

use chrono::{DateTime, Utc};
use primitives::{Amount, Bps, Rounding};
use rust_decimal::Decimal;
use serde::{Deserialize, Serialize};

use super::{Quote, payable};
use crate::rates::{Level, Moved, RouteBook, SourcePrice, Volatility};

/// No quote keeps back more: the database says so too.
const SPREAD_MAX: u32 = 1_000;

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
    if basis.rounding != Rounding::Up || !basis.spread.holds() {
        return None;
    }
    let (price, _) = walk(&basis.levels, quote.amount)?;
    let spread = basis.spread.total();
    Some(Recomputed { price, spread, payable: payable(quote.amount, quote.asset, price, spread)? })
}

/// True when a quote is what its row says it must be.
#[must_use]
pub fn is_explained(quote: &Quote) -> bool {
    let said = Recomputed { price: quote.price, spread: quote.spread, payable: quote.payable };
    recompute(quote) == Some(said)
}

/// The average price that selling for `amount` rupees gets from `bids`, best first, and how many
/// levels that takes. `None` when they are too thin: there is no price for more than the book has.
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
            return Some((price, place.saturating_add(1)));
        }
        rupees = rupees.checked_add(value)?;
        quantity = quantity.checked_add(level.quantity)?;
    }
    None
}

/// The best price among the ways, with the levels it takes; of equal ones the first.
pub(super) fn best<'a>(
    routes: impl IntoIterator<Item = &'a RouteBook>,
    amount: Amount,
) -> Option<(&'a RouteBook, Decimal, Vec<Level>)> {
    let mut best: Option<(&RouteBook, Decimal, usize)> = None;
    for route in routes.into_iter().filter(|route| route.refused.is_none()) {
        let Some((price, levels)) = walk(&route.bids, amount) else { continue };
        if best.is_none_or(|(_, so_far, _)| price > so_far) {
            best = Some((route, price, levels));
        }
    }
    let (route, price, levels) = best?;
    Some((route, price, route.bids.iter().take(levels).copied().collect()))
}

#[cfg(test)]
mod tests {
    use primitives::{Asset, NetworkId, PaymentId, QuoteId};
    use proptest::prelude::*;

    use super::*;

    fn bps(bps: u32) -> Bps {
        Bps::new(bps).unwrap()
    }

    /// A quote as it is made: the best way, its levels, the spread by parts.
    fn made(routes: &[RouteBook], amount: Amount, spread: SpreadParts) -> Option<Quote> {
        let asset = Asset::Eth;
        let (route, price, levels) = best(routes, amount)?;
        let id = uuid::Uuid::nil();
        let at = DateTime::UNIX_EPOCH;
        Some(Quote {
            id: QuoteId::from_uuid(id),
            payment: PaymentId::from_uuid(id),
            network: NetworkId::new("lab").unwrap(),
            asset,
            address: String::new(),
            uri: String::new(),
            amount,
            payable: payable(amount, asset, price, spread.total())?,
            price,
            spread: spread.total(),
            tick: 1,
            basis: Basis {
                tick_at: at,
                verdict: "good".to_owned(),
                venues: route.venues.clone(),
                levels,
                sources: Vec::new(),
                spread,
                rounding: Rounding::Up,
                fee: Some(bps(100)),
                gst: Some(bps(1_800)),
            },
            created_at: at,
            valid_until: at,
        })
    }

    /// As the database keeps it: text of JSON, and numbers of 28 digits.
    fn stored(quote: &Quote) -> Quote {
        let through = |levels: &Vec<Level>| {
            serde_json::from_str(&serde_json::to_string(levels).unwrap()).unwrap()
        };
        let spread = serde_json::to_value(quote.basis.spread).unwrap();
        let mut again = quote.clone();
        again.basis.levels = through(&quote.basis.levels);
        again.basis.spread = serde_json::from_value(spread).unwrap();
        again.price = quote.price.to_string().parse().unwrap();
        again
    }

    fn books() -> impl Strategy<Value = Vec<RouteBook>> {
        let level = (1_i64..1_000_000_000, 1_i64..1_000_000_000);
        let bids = proptest::collection::vec(level, 0..25);
        proptest::collection::vec((bids, any::<bool>()), 1..4).prop_map(|books| {
            let book = |(mut bids, fine): (Vec<(i64, i64)>, bool)| {
                bids.sort_unstable_by(|a, b| b.cmp(a));
                let level = |(price, quantity)| Level {
                    price: Decimal::new(price, 2),
                    quantity: Decimal::new(quantity, 6),
                };
                let bids = bids.into_iter().map(level).collect();
                let refused = (!fine).then(|| "stale".to_owned());
                RouteBook { venues: vec!["wazirx".to_owned()], bids, refused }
            };
            books.into_iter().map(book).collect()
        })
    }

    proptest! {
        // Whatever the books, the amount and the spread: what is stored gives the same numbers.
        #[test]
        fn recomputes_from_its_own_row(
            routes in books(),
            paise in 1_i128..10_000_000_000,
            rule in 0_u32..=1_000,
            share in 0_u32..=200,
            most in 0_u32..=1_000,
            range in proptest::option::of((1_i64..1_000_000, 0_i64..100_000)),
        ) {
            let amount = Amount::try_new(paise, Asset::Inr).unwrap();
            let range = range.map(|(low, more)| Moved {
                low: Decimal::from(low),
                high: Decimal::from(low + more),
            });
            let rule_of_moves = Volatility { share_percent: share, most: bps(most) };
            let spread = SpreadParts::new((bps(rule), Some(7)), rule_of_moves, range);
            prop_assert!(spread.total().get() <= 1_000 && spread.total() >= bps(rule));
            if let Some(quote) = made(&routes, amount, spread) {
                prop_assert!(is_explained(&quote));
                let stored = stored(&quote);
                prop_assert_eq!(&stored, &quote);
                prop_assert!(is_explained(&stored));
                let all = routes.iter().filter(|route| route.refused.is_none());
                for other in all.filter_map(|route| walk(&route.bids, amount)) {
                    prop_assert!(quote.price >= other.0, "a better way was left");
                }
                // Nothing of it can be another: each number is bound by the others.
                let more = Amount::try_new(quote.payable.minor() + 1, Asset::Eth).unwrap();
                let dearer = Quote { payable: more, ..quote.clone() };
                prop_assert!(!is_explained(&dearer));
                let mut wider = quote;
                wider.basis.spread.moved = bps(wider.basis.spread.moved.get() + 1);
                prop_assert!(!is_explained(&wider));
            }
        }
    }
}
