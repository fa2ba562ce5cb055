//! Orders and fills in our words. Venue quantities and prices are decimals, money is `Amount`.

use chrono::{DateTime, Utc};
use primitives::{Amount, Asset};
use rust_decimal::Decimal;

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

/// A limit order to sell `quantity` units of `sell` for rupees at `price` or better.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct NewOrder {
    pub client_ref: ClientRef,
    pub sell: Asset,
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
    pub sell: Asset,
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

/// One execution. `gross − fee − fee_gst − tds` is what reaches our rupee balance.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Fill {
    pub trade_id: String,
    pub venue_order_id: String,
    /// Crypto that left, in minor units of the asset sold.
    pub sold: Amount,
    /// Rupees for it before anything was taken.
    pub gross: Amount,
    pub fee: Amount,
    pub fee_gst: Amount,
    /// Tax withheld by the venue; computed where the venue's API does not show it.
    pub tds: Amount,
    pub price: Decimal,
    pub executed_at: DateTime<Utc>,
}
