//! The ways a sale can take, as books in rupees: one venue's own, or two venues' joined over USDT.
//!
//! Invariant: pure and exact; a joined level is never larger than what both books carry, and what
//! overflows ends the book. Which way a sale takes in the end is deliberately elsewhere:
//! `conversion` chooses anew when it sells.

use chrono::{DateTime, Utc};
use rust_decimal::{Decimal, RoundingStrategy};
use serde::{Deserialize, Serialize};

use super::Level;
use crate::conversion::Offer;

/// Levels kept of one way.
const LEVELS_MAX: usize = 40;

/// One market's book as it was read.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Leg {
    pub venue: String,
    /// Best first.
    pub bids: Vec<Level>,
    pub best_ask: Option<Decimal>,
    /// The venue's own time.
    pub at: DateTime<Utc>,
}

/// A way a sale can take: one market in rupees, or one in dollars and one from there to rupees.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Offered {
    pub legs: Vec<Leg>,
    /// A book of it could not be read: it is there, and nothing is known of it now.
    pub unread: bool,
}

/// A way as one book in rupees for one unit, with the venues that it passes.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct RouteBook {
    /// In the order of the sale; none where a tick of an older version did not say.
    pub venues: Vec<String>,
    pub bids: Vec<Level>,
    /// Why no quote may be made from it, when none may.
    #[serde(default)]
    pub refused: Option<String>,
}

/// Every way of one moment with the markets it passes; one book alone is the way over the venue of
/// the settings.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Routes {
    pub books: Vec<RouteBook>,
    pub markets: Vec<Offer>,
}

impl From<Vec<Level>> for Routes {
    fn from(bids: Vec<Level>) -> Self {
        let books = vec![RouteBook { venues: Vec::new(), bids, refused: None }];
        Self { books, markets: Vec::new() }
    }
}

impl Routes {
    /// The bids of the direct way, as readers of the version before this one know them.
    pub(super) fn direct(&self) -> Vec<Level> {
        let direct = self.books.iter().find(|route| route.venues.len() < 2);
        direct.map_or_else(Vec::new, |route| route.bids.clone())
    }
}

impl Offered {
    pub(super) fn venues(&self) -> Vec<String> {
        self.legs.iter().map(|leg| leg.venue.clone()).collect()
    }

    /// The way as one book.
    pub(super) fn bids(&self) -> Vec<Level> {
        let mut legs = self.legs.iter();
        let Some(first) = legs.next() else { return Vec::new() };
        let whole: Vec<Level> = first.bids.iter().take(LEVELS_MAX).copied().collect();
        legs.fold(whole, |joined, leg| join(&joined, &leg.bids))
    }

    pub(super) fn best_ask(&self) -> Option<Decimal> {
        self.legs.iter().try_fold(Decimal::ONE, |product, leg| product.checked_mul(leg.best_ask?))
    }
}

/// Selling into `first` and what it brings into `then`, level by level.
fn join(first: &[Level], then: &[Level]) -> Vec<Level> {
    let mut joined: Vec<Level> = Vec::new();
    let (mut firsts, mut thens) = (first.iter(), then.iter());
    let (mut a, mut b) = (firsts.next().copied(), thens.next().copied());
    while let (Some(sell), Some(bring)) = (a, b) {
        if joined.len() >= LEVELS_MAX {
            break;
        }
        let Some((level, rest, left)) = step(sell, bring) else { break };
        if level.quantity > Decimal::ZERO {
            match joined.last_mut().filter(|last| last.price == level.price) {
                Some(last) => last.quantity = last.quantity.saturating_add(level.quantity),
                None => joined.push(level),
            }
        }
        a = rest.or_else(|| firsts.next().copied());
        b = left.or_else(|| thens.next().copied());
    }
    joined
}

/// What two levels carry together, and what is left of each. `None` when it does not fit a number.
fn step(sell: Level, bring: Level) -> Option<(Level, Option<Level>, Option<Level>)> {
    let price = sell.price.checked_mul(bring.price)?;
    let dollars = sell.price.checked_mul(sell.quantity)?;
    if dollars <= bring.quantity {
        let left = bring.quantity.checked_sub(dollars)?;
        let left = (left > Decimal::ZERO).then_some(Level { quantity: left, ..bring });
        return Some((Level { price, quantity: sell.quantity }, None, left));
    }
    // Down, to the finest unit that any asset has: never more than both carry.
    let quantity = bring.quantity.checked_div(sell.price)?;
    let quantity = quantity.round_dp_with_strategy(18, RoundingStrategy::ToZero);
    let rest = sell.quantity.checked_sub(quantity)?;
    let rest = (rest > Decimal::ZERO).then_some(Level { quantity: rest, ..sell });
    Some((Level { price, quantity }, rest, None))
}

/// Rupees that a book carries in all.
pub(super) fn depth(bids: &[Level]) -> Decimal {
    bids.iter().fold(Decimal::ZERO, |sum, level| {
        let value = level.price.checked_mul(level.quantity);
        value.and_then(|value| sum.checked_add(value)).unwrap_or(Decimal::MAX)
    })
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn level(price: i64, quantity: i64) -> Level {
        Level { price: Decimal::from(price), quantity: Decimal::from(quantity) }
    }

    #[test]
    fn two_books_are_walked_together() {
        // 2 at 10 bring 20 dollars: 15 of them at 80, 5 at 70; then 3 at 9 bring 27, of which 5.
        let joined = join(&[level(10, 2), level(9, 3)], &[level(80, 15), level(70, 10)]);
        let first = Level { price: Decimal::from(800), quantity: Decimal::new(15, 1) };
        let second = Level { price: Decimal::from(700), quantity: Decimal::new(5, 1) };
        assert_eq!(joined.get(..2), Some([first, second].as_slice()));
        assert_eq!(joined.len(), 3);
        assert_eq!(joined.last().unwrap().price, Decimal::from(630));
        assert!(join(&[], &[level(80, 1)]).is_empty() && join(&[level(1, 1)], &[]).is_empty());
    }

    proptest! {
        // A joined book carries no more than either, and its best price is the best of both.
        #[test]
        fn a_joined_book_carries_what_both_carry(
            mut first in proptest::collection::vec((1_i64..5_000, 1_i64..1_000), 1..12),
            mut then in proptest::collection::vec((1_i64..200, 1_i64..1_000_000), 1..12),
        ) {
            first.sort_unstable_by(|a, b| b.cmp(a));
            then.sort_unstable_by(|a, b| b.cmp(a));
            let first: Vec<Level> = first.into_iter().map(|(p, q)| level(p, q)).collect();
            let then: Vec<Level> = then.into_iter().map(|(p, q)| level(p, q)).collect();
            let joined = join(&first, &then);
            let sum = |levels: &[Level]| levels.iter().map(|l| l.quantity).sum::<Decimal>();
            prop_assert!(sum(&joined) <= sum(&first));
            // Divisions are exact to some 28 digits.
            let most = depth(&then) + Decimal::new(1, 9);
            prop_assert!(depth(&joined) <= most);
            prop_assert_eq!(joined[0].price, first[0].price * then[0].price);
            prop_assert!(joined.windows(2).all(|pair| pair[0].price >= pair[1].price));
        }
    }
}
