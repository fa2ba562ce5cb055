//! The quote: how much crypto pays a payment, and until when.
//!
//! Invariant: `payable` is a pure function of numbers in the quote's own row (rupees, levels
//! walked, spread by parts, rounding), so it recomputes to the same minor unit years later. The way
//! it is priced by is the way a sale of its size would take.

mod basis;
mod create;
mod store;
mod way;

use chrono::{DateTime, Utc};
use primitives::{Amount, Asset, Bps, NetworkId, PaymentId, QuoteId, Rate, Rounding};
use rust_decimal::Decimal;

pub use basis::{Basis, Recomputed, SpreadParts, is_explained, recompute};
pub use create::{QuoteError, create_in, due_in, options, preview_in};
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
mod tests;
