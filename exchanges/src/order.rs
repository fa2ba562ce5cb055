//! Orders and fills in our words. Venue quantities and prices are decimals, money is `Amount`.

use std::fmt;

use chrono::{DateTime, Utc};
use primitives::{Amount, Asset, Bps};
use rust_decimal::Decimal;
use serde::{Deserialize, Serialize};

/// Our own reference of an order attempt: 1–36 of `[A-Za-z0-9_-]`, derived, stored before sending.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct ClientRef(String);

impl ClientRef {
    /// `None` when the text does not fit every venue's rule.
    #[must_use]
    pub fn new(text: &str) -> Option<Self> {
        let fits = (1..=36).contains(&text.len())
            && text.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'-' || b == b'_');
        fits.then(|| Self(text.to_owned()))
    }

    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

/// One market of a venue: `base` is sold for `quote`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
pub struct Pair {
    pub base: Asset,
    pub quote: Asset,
}

impl fmt::Display for Pair {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}/{}", self.base, self.quote)
    }
}

/// How an order waits. Which of them a venue has is told by [`crate::Exchange::takes`].
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum OrderKind {
    /// At `price` or better; the rest stays in the book until it is cancelled.
    Limit,
    /// At `price` or better, at once; the rest is never in the book.
    ImmediateOrCancel,
    /// At whatever the book gives, at once. `price` is not sent.
    Market,
}

/// An order to sell `quantity` units of the pair's base at `price` or better.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct NewOrder {
    pub client_ref: ClientRef,
    pub pair: Pair,
    pub kind: OrderKind,
    pub quantity: Decimal,
    pub price: Decimal,
    /// When it was marked as sent: the signed time of the request. A process that wakes up late
    /// sends an old stamp, and the venue's receive window refuses it.
    pub stamp: DateTime<Utc>,
}

/// Only explicit success is done and only explicit refusal is closed without a fill.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum OrderState {
    /// Accepted, perhaps partly executed; also every status we do not know.
    Open,
    /// Executed in full.
    Filled,
    /// Closed by cancel, expiry or refusal: `executed` may still be above zero.
    Closed,
}

/// An order as the venue tells it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Order {
    pub venue_order_id: String,
    pub client_ref: ClientRef,
    pub pair: Pair,
    pub state: OrderState,
    pub quantity: Decimal,
    pub executed: Decimal,
    pub price: Decimal,
}

/// A sale that rests at the venue; its reference may be anybody's.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Resting {
    pub venue_order_id: String,
    pub client_ref: Option<String>,
    /// What is not executed yet, and therefore locked.
    pub rest: Decimal,
}

/// One execution. `gross − fee − fee_gst − tds` is what reaches our balance of the quote asset,
/// where the fee is taken from it; a fee in another asset leaves that asset's balance.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Fill {
    pub trade_id: String,
    pub venue_order_id: String,
    /// Crypto that left, in minor units of the asset sold.
    pub sold: Amount,
    /// What came for it before anything was taken, in the quote asset.
    pub gross: Amount,
    /// In whatever asset the venue took it.
    pub fee: Amount,
    /// In the quote asset, like the tax below.
    pub fee_gst: Amount,
    /// Tax withheld by the venue; computed where the venue's API does not show it.
    pub tds: Amount,
    pub price: Decimal,
    pub executed_at: DateTime<Utc>,
}

/// What a venue takes of a sale, as far as it or its settings tell: for choosing a route, never for
/// booking.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Levies {
    pub fee: Bps,
    /// On the fee.
    pub gst: Bps,
    /// Of the gross.
    pub tds: Bps,
}
