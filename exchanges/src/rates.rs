//! Rate sources: what somebody else says a coin is worth, with *their* time of saying it.

use async_trait::async_trait;
use chrono::{DateTime, Utc};
use primitives::{Asset, CallResult};
use rust_decimal::Decimal;

/// One price level: `quantity` units at `price` each, in the quote asset of the book.
#[derive(Debug, Clone, Copy, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
pub struct BookLevel {
    pub price: Decimal,
    pub quantity: Decimal,
}

/// An order book, best prices first on both sides.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Book {
    pub bids: Vec<BookLevel>,
    pub asks: Vec<BookLevel>,
    pub at: DateTime<Utc>,
}

/// What a source says about one pair, in units of `quote` for one `base`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Quotation {
    pub source: &'static str,
    pub base: Asset,
    pub quote: Asset,
    pub bid: Decimal,
    pub ask: Decimal,
    /// The source's own timestamp; the time of our receipt only where the source gives none.
    pub at: DateTime<Utc>,
}

/// Somebody who publishes prices. Read only: every failure is weather.
#[async_trait]
pub trait RateSource: Send + Sync {
    /// Short lower-case name stored with every quote: `binance`.
    fn name(&self) -> &'static str;

    /// Prices of the given bases in whatever quote assets this source has (INR, USDT, or both). A
    /// base it does not list is left out; it is never answered with zero.
    async fn quotations(&self, bases: &[Asset]) -> CallResult<Vec<Quotation>>;
}
