//! Coinbase's words into ours. Pure functions.
//!
//! Invariant: a rate for another currency than asked, or one that is not positive, is no rate.

use chrono::{DateTime, TimeDelta, Utc};
use primitives::Asset;
use rust_decimal::Decimal;

use super::wire;
use crate::{Quotation, decimal::parse_rounded};

/// One rate stands for both sides: this source publishes no spread.
pub(super) fn quotation(rates: &wire::Rates, base: Asset, at: DateTime<Utc>) -> Option<Quotation> {
    if rates.currency != base.code() {
        return None;
    }
    let rate = parse_rounded(rates.rates.get("INR")?)?;
    if rate <= Decimal::ZERO {
        return None;
    }
    Some(Quotation { source: super::NAME, base, quote: Asset::Inr, bid: rate, ask: rate, at })
}

/// The source gives no time. The answer was made after we asked, unless a cache says otherwise.
pub(super) fn spoken_at(asked_at: DateTime<Utc>, age: Option<&str>) -> Option<DateTime<Utc>> {
    let Some(age) = age else {
        return Some(asked_at);
    };
    let age = TimeDelta::try_seconds(age.trim().parse().ok()?)?;
    asked_at.checked_sub_signed(age)
}
