//! An order and a trade at WazirX, and how the vendor writes them.
//!
//! Invariant: `executed` never exceeds `quantity`; a closed order has nothing locked. What may
//! happen to an order is in `engine.rs`.

use chrono::{DateTime, TimeDelta, Utc};
use rust_decimal::Decimal;
use serde_json::{Value, json};

use super::wire::amount;
use crate::venue::{Market, Side};

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Status {
    /// A stop order whose stop has not been hit.
    Idle,
    Wait,
    Done,
    Cancel,
}

impl Status {
    pub(crate) const fn name(self) -> &'static str {
        match self {
            Self::Idle => "idle",
            Self::Wait => "wait",
            Self::Done => "done",
            Self::Cancel => "cancel",
        }
    }

    pub(crate) const fn is_open(self) -> bool {
        matches!(self, Self::Idle | Self::Wait)
    }
}

/// A cancellation on its way.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Cancelling {
    pub(crate) due: DateTime<Utc>,
    /// Basis points of the rest that still execute before the cancellation takes effect.
    pub(crate) late_fill_bps: u32,
}

#[derive(Debug, Clone)]
pub(crate) struct Order {
    pub(crate) id: u64,
    pub(crate) client_id: String,
    pub(crate) market: &'static Market,
    pub(crate) side: Side,
    pub(crate) price: Decimal,
    pub(crate) stop_price: Option<Decimal>,
    pub(crate) quantity: Decimal,
    pub(crate) executed: Decimal,
    pub(crate) gross: Decimal,
    pub(crate) status: Status,
    /// Still locked in the asset the order gives away.
    pub(crate) locked: Decimal,
    pub(crate) created: DateTime<Utc>,
    pub(crate) updated: DateTime<Utc>,
    pub(crate) cancelling: Option<Cancelling>,
}

impl Order {
    pub(crate) fn rest(&self) -> Decimal {
        self.quantity - self.executed
    }

    /// The asset the order gives away.
    pub(crate) fn gives(&self) -> &'static str {
        match self.side {
            Side::Buy => self.market.quote,
            Side::Sell => self.market.base,
        }
    }

    pub(crate) fn symbol(&self) -> String {
        self.market.pair().to_ascii_lowercase()
    }

    pub(crate) fn to_json(&self) -> Value {
        let average = self.gross.checked_div(self.executed).unwrap_or_default().round_dp(8);
        let kind = if self.stop_price.is_some() { "stop_limit" } else { "limit" };
        let mut body = json!({
            "id": self.id,
            "clientOrderId": self.client_id,
            "symbol": self.symbol(),
            "price": amount(self.price),
            "origQty": amount(self.quantity),
            "executedQty": amount(self.executed),
            "avgPrice": amount(average),
            "status": self.status.name(),
            "type": kind,
            "side": self.side.lower(),
            "createdTime": self.created.timestamp_millis(),
            "updatedTime": self.updated.timestamp_millis(),
        });
        if let (Some(stop), Some(fields)) = (self.stop_price, body.as_object_mut()) {
            fields.insert("stopPrice".to_owned(), Value::from(amount(stop)));
        }
        body
    }
}

/// One execution. GST and TDS are in the books, not in what the vendor shows.
#[derive(Debug, Clone)]
pub(crate) struct Trade {
    pub(crate) id: u64,
    pub(crate) order_id: u64,
    pub(crate) market: &'static Market,
    pub(crate) side: Side,
    pub(crate) price: Decimal,
    pub(crate) quantity: Decimal,
    pub(crate) charges: Charges,
    pub(crate) is_maker: bool,
    pub(crate) at: DateTime<Utc>,
}

impl Trade {
    pub(crate) fn to_json(&self) -> Value {
        let is_buyer_maker = self.is_maker == (self.side == Side::Buy);
        json!({
            "id": self.id,
            "symbol": self.market.pair().to_ascii_lowercase(),
            "fee": amount(self.charges.fee),
            "feeCurrency": self.market.quote.to_ascii_lowercase(),
            "quoteQty": amount(self.charges.gross),
            "price": amount(self.price),
            "qty": amount(self.quantity),
            "orderId": self.order_id,
            "side": self.side.lower(),
            "isBuyerMaker": is_buyer_maker,
            "time": self.at.timestamp_millis(),
        })
    }

    /// Everything, for the books.
    pub(crate) fn to_book(&self) -> Value {
        let mut body = self.to_json();
        if let Some(fields) = body.as_object_mut() {
            fields.insert("gst".to_owned(), Value::from(amount(self.charges.gst)));
            fields.insert("tds".to_owned(), Value::from(amount(self.charges.tds)));
            fields.insert("credit".to_owned(), Value::from(amount(self.charges.credit())));
        }
        body
    }
}

/// What one execution is worth and what is withheld, all in the quote asset.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Charges {
    pub(crate) gross: Decimal,
    pub(crate) fee: Decimal,
    pub(crate) gst: Decimal,
    pub(crate) tds: Decimal,
}

impl Charges {
    /// What a seller gets.
    pub(crate) fn credit(&self) -> Decimal {
        self.gross - self.withheld()
    }

    pub(crate) fn withheld(&self) -> Decimal {
        self.fee + self.gst + self.tds
    }
}

/// Basis points of a whole.
pub(crate) const WHOLE: u32 = 10_000;

pub(crate) fn millis(delay: std::time::Duration) -> TimeDelta {
    TimeDelta::from_std(delay).unwrap_or_default()
}
