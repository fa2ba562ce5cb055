//! The quote: how much crypto pays a payment, and until when.
//!
//! Invariant: `payable` is a pure function of numbers in the quote's own row (rupees, levels
//! walked, spread by parts, rounding), so it recomputes to the same minor unit years later.

mod basis;
mod create;
mod store;

use chrono::{DateTime, Utc};
use primitives::{Amount, Asset, Bps, NetworkId, PaymentId, QuoteId, Rate, Rounding};
use rust_decimal::Decimal;

pub use basis::{Basis, Recomputed, SpreadParts, is_explained, recompute};
pub use create::{QuoteError, create_in, due_in, options};
pub(crate) use create::{bid_now_in, requote_in};
pub use store::{get_in, live_of, of_payment, unexplained_in};

use crate::rates::Level;

/// One quote as stored. Nothing of it ever changes.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Quote {
    pub id: QuoteId,
    pub payment: PaymentId,
    pub network: NetworkId,
    pub asset: Asset,
    pub address: String,
    /// What a wallet scans.
    pub uri: String,
    /// The rupees it pays.
    pub amount: Amount,
    /// The crypto that pays them.
    pub payable: Amount,
    /// Average price of the venue's bids for this size, rupees per unit, before the spread.
    pub price: Decimal,
    pub spread: Bps,
    /// The number of the tick it was made from, which may have been thinned away since.
    pub tick: i64,
    pub basis: Basis,
    pub created_at: DateTime<Utc>,
    pub valid_until: DateTime<Utc>,
}

/// The average price that selling for `amount` rupees gets from `bids`, best first. `None` when
/// they are too thin: there is no price for more than the book holds.
#[must_use]
pub fn executable_bid(bids: &[Level], amount: Amount) -> Option<Decimal> {
    basis::walk(bids, amount).map(|(price, _)| price)
}

/// `ceil(amount / (price × (1 − spread)))` in the asset's minor units. `None` when it does not fit
/// or the price is not positive.
#[must_use]
pub fn payable(amount: Amount, asset: Asset, price: Decimal, spread: Bps) -> Option<Amount> {
    let kept = Decimal::from(10_000_u32.checked_sub(spread.get())?);
    let net = price.checked_mul(kept)?.checked_div(Decimal::from(10_000))?;
    let rate = Rate::try_new(asset, amount.asset(), net).ok()?;
    rate.to_base(amount, Rounding::Up).ok().filter(|payable| payable.is_positive())
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn level(price: i64, quantity: i64) -> Level {
        Level { price: Decimal::new(price, 2), quantity: Decimal::new(quantity, 3) }
    }

    proptest! {
        // Selling what was quoted at the quoted price always brings at least the rupees promised.
        #[test]
        fn payable_covers(
            paise in 100_i128..10_000_000, price in 1_i64..1_000_000_000, spread in 0_u32..1000,
        ) {
            let amount = Amount::try_new(paise, Asset::Inr).unwrap();
            let (price, spread) = (Decimal::new(price, 2), Bps::new(spread).unwrap());
            let payable = payable(amount, Asset::Eth, price, spread).unwrap();
            let rate = Rate::try_new(Asset::Eth, Asset::Inr, price).unwrap();
            prop_assert!(rate.to_quote(payable, Rounding::Down).unwrap().minor() >= paise - 1);
            prop_assert_eq!(Some(payable), super::payable(amount, Asset::Eth, price, spread));
        }
    }

    #[test]
    fn walks_the_book() {
        let bids = [level(10_000, 1_000), level(9_000, 1_000)];
        let rupees = |n| Amount::try_new(n, Asset::Inr).unwrap();
        assert_eq!(executable_bid(&bids, rupees(5_000)), Some(Decimal::new(10_000, 2)));
        let deep = executable_bid(&bids, rupees(19_000)).unwrap();
        assert!(deep < Decimal::new(9_600, 2) && deep > Decimal::new(9_400, 2));
        assert_eq!(executable_bid(&bids, rupees(19_001)), None);
        assert_eq!(executable_bid(&[], rupees(1)), None);
    }
}
