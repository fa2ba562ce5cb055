//! The middle of several prices, and how far two are apart. Pure and exact: overflow is "too far",
//! never a wrong number.

use primitives::Bps;
use rust_decimal::Decimal;

/// The lower middle of an even number: a price that somebody really said.
pub(super) fn median(mut prices: Vec<Decimal>) -> Option<Decimal> {
    prices.sort_unstable();
    let middle = prices.len().checked_sub(1)? / 2;
    prices.get(middle).copied()
}

/// True when `a` is further from `b` than `limit`. Overflow counts as beyond.
pub(super) fn is_beyond(a: Decimal, b: Decimal, limit: Bps) -> bool {
    let distance = a.checked_sub(b).and_then(|d| d.abs().checked_mul(Decimal::from(10_000)));
    let allowed = b.checked_mul(Decimal::from(limit.get()));
    !matches!((distance, allowed), (Some(distance), Some(allowed)) if distance <= allowed)
}
