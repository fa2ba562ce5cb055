//! Coinbase's words about prices into ours. Pure functions.
//!
//! Invariant: a rate for another currency than asked, or one that is not positive, is no rate.

use chrono::{DateTime, TimeDelta, Utc};
use primitives::Asset;
use rust_decimal::{Decimal, RoundingStrategy};

use super::{wallet_wire, wire};
use crate::{Quotation, decimal::parse_rounded};

/// One rate stands for both sides: this source publishes no spread.
pub(super) fn quotation(
    rates: &wallet_wire::Rates,
    base: Asset,
    at: DateTime<Utc>,
) -> Option<Quotation> {
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

/// The best prices of one dollar book.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Dollars {
    pub(super) bid: Decimal,
    pub(super) ask: Decimal,
    pub(super) at: DateTime<Utc>,
}

/// `BTC-USD`.
pub(super) fn product(base: Asset) -> String {
    format!("{base}-USD")
}

/// USDC is a dollar here by decree, which says nothing; USDT is the bridge itself.
pub(super) const fn has_dollar_book(base: Asset) -> bool {
    matches!(base, Asset::Btc | Asset::Eth | Asset::Sol)
}

/// `None` for an empty or crossed book, or one of another product.
pub(super) fn dollars(book: &wire::PriceBook, product: &str) -> Option<Dollars> {
    if book.product_id != product {
        return None;
    }
    let (bid, ask) = (book.bids.first()?.price.0, book.asks.first()?.price.0);
    let at = DateTime::parse_from_rfc3339(&book.time).ok()?.with_timezone(&Utc);
    (bid > Decimal::ZERO && ask >= bid).then_some(Dollars { bid, ask, at })
}

/// Finer than any tick.
const PLACES: u32 = 10;

/// What a coin sold for dollars is worth in USDT bought with them, and the other way.
pub(super) fn over_bridge(base: Asset, coin: &Dollars, bridge: &Dollars) -> Option<Quotation> {
    let bid = coin.bid.checked_div(bridge.ask)?;
    let ask = coin.ask.checked_div(bridge.bid)?;
    let bid = bid.round_dp_with_strategy(PLACES, RoundingStrategy::ToZero);
    let ask = ask.round_dp_with_strategy(PLACES, RoundingStrategy::AwayFromZero);
    let at = coin.at.min(bridge.at);
    (bid > Decimal::ZERO && ask >= bid).then_some(Quotation {
        source: super::NAME,
        base,
        quote: Asset::Usdt,
        bid,
        ask,
        at,
    })
}
