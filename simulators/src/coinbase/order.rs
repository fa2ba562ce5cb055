//! An order and an execution at Coinbase, and how the vendor writes them.
//!
//! Invariant: `executed` never exceeds the quantity; an order that is over has nothing locked and
//! may have executed in part. What may happen to an order is in `engine.rs`.

use chrono::{DateTime, Utc};
use rust_decimal::{Decimal, RoundingStrategy};
use serde_json::{Value, json};

use super::{
    market::Product,
    wire::{micros, plain},
};
use crate::venue::Side;

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Kind {
    Market,
    Limit,
}

/// How long an order lives.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum InForce {
    Gtc,
    Gtd(DateTime<Utc>),
    Ioc,
    Fok,
}

impl InForce {
    pub(crate) const fn name(self) -> &'static str {
        match self {
            Self::Gtc => "GOOD_UNTIL_CANCELLED",
            Self::Gtd(_) => "GOOD_UNTIL_DATE_TIME",
            Self::Ioc => "IMMEDIATE_OR_CANCEL",
            Self::Fok => "FILL_OR_KILL",
        }
    }
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Status {
    /// Taken, and not yet in the book.
    Pending,
    Open,
    /// Asked to be cancelled: it may still fill.
    CancelQueued,
    Filled,
    Cancelled,
    Expired,
    Failed,
}

impl Status {
    pub(crate) const fn name(self) -> &'static str {
        match self {
            Self::Pending => "PENDING",
            Self::Open => "OPEN",
            Self::CancelQueued => "CANCEL_QUEUED",
            Self::Filled => "FILLED",
            Self::Cancelled => "CANCELLED",
            Self::Expired => "EXPIRED",
            Self::Failed => "FAILED",
        }
    }

    pub(crate) const fn is_open(self) -> bool {
        matches!(self, Self::Pending | Self::Open | Self::CancelQueued)
    }
}

#[derive(Debug, Clone)]
pub(crate) struct Order {
    pub(crate) number: u64,
    pub(crate) id: String,
    pub(crate) client_id: String,
    pub(crate) product: &'static Product,
    pub(crate) side: Side,
    pub(crate) kind: Kind,
    pub(crate) in_force: InForce,
    pub(crate) post_only: bool,
    /// `None` for market orders.
    pub(crate) price: Option<Decimal>,
    /// Zero while a market order is sized by its quote amount.
    pub(crate) quantity: Decimal,
    /// What a market order may spend, fees included.
    pub(crate) quote_size: Option<Decimal>,
    /// As it was sent.
    pub(crate) configuration: Value,
    pub(crate) taker_rate: Decimal,
    pub(crate) maker_rate: Decimal,
    pub(crate) executed: Decimal,
    pub(crate) quote_executed: Decimal,
    pub(crate) fees: Decimal,
    pub(crate) fills: u32,
    pub(crate) status: Status,
    /// Still locked in the asset the order gives away.
    pub(crate) locked: Decimal,
    pub(crate) created: DateTime<Utc>,
    pub(crate) last_fill: Option<DateTime<Utc>>,
    /// When it meets the book, while it is pending.
    pub(crate) starts: DateTime<Utc>,
    /// The share of it that executes at once, in basis points.
    pub(crate) appetite: u32,
    /// It ends as `FAILED` when it would start.
    pub(crate) fails: bool,
    pub(crate) cancelled_at: Option<DateTime<Utc>>,
    /// Queries do not find the order before this moment: replication lag.
    pub(crate) visible_from: DateTime<Utc>,
    pub(crate) reject_reason: &'static str,
    pub(crate) cancel_message: &'static str,
}

impl Order {
    pub(crate) fn rest(&self) -> Decimal {
        (self.quantity - self.executed).max(Decimal::ZERO)
    }

    /// The asset the order gives away.
    pub(crate) const fn gives(&self) -> &'static str {
        match self.side {
            Side::Buy => self.product.market.quote,
            Side::Sell => self.product.market.base,
        }
    }

    /// What a resting rest of this size keeps locked.
    pub(crate) fn needs(&self, rest: Decimal) -> Decimal {
        match (self.side, self.price) {
            (Side::Sell, _) => rest,
            (Side::Buy, Some(price)) => {
                let value = price * rest;
                value + up(value * self.taker_rate)
            }
            (Side::Buy, None) => Decimal::ZERO,
        }
    }

    /// What an execution of this value costs.
    pub(crate) fn fee(&self, value: Decimal, is_maker: bool) -> Decimal {
        let rate = if is_maker { self.maker_rate } else { self.taker_rate };
        (value * rate).round_dp_with_strategy(PLACES, RoundingStrategy::ToZero).normalize()
    }

    pub(crate) fn to_json(&self) -> Value {
        let average = self.quote_executed.checked_div(self.executed).unwrap_or_default();
        let part = (self.executed * Decimal::ONE_HUNDRED).checked_div(self.quantity);
        let after_fees = match self.side {
            Side::Buy => self.quote_executed + self.fees,
            Side::Sell => self.quote_executed - self.fees,
        };
        let is_by_quote = self.quote_size.is_some();
        json!({
            "order_id": self.id,
            "product_id": self.product.id(),
            "user_id": USER,
            "order_configuration": self.configuration,
            "side": self.side.upper(),
            "client_order_id": self.client_id,
            "status": self.status.name(),
            "time_in_force": self.in_force.name(),
            "created_time": micros(self.created),
            "completion_percentage": plain(part.unwrap_or_default().round_dp(2)),
            "filled_size": plain(self.executed),
            "average_filled_price": plain(average.round_dp(16)),
            "fee": "",
            "number_of_fills": self.fills.to_string(),
            "filled_value": plain(self.quote_executed),
            "pending_cancel": self.status == Status::CancelQueued,
            "size_in_quote": is_by_quote,
            "total_fees": plain(self.fees),
            "size_inclusive_of_fees": is_by_quote,
            "total_value_after_fees": plain(after_fees),
            "trigger_status": "INVALID_ORDER_TYPE",
            "order_type": if self.kind == Kind::Market { "MARKET" } else { "LIMIT" },
            "reject_reason": self.reject_reason,
            "settled": !self.status.is_open() && self.executed > Decimal::ZERO,
            "product_type": "SPOT",
            "reject_message": "",
            "cancel_message": self.cancel_message,
            "order_placement_source": "RETAIL_ADVANCED",
            "outstanding_hold_amount": plain(self.locked),
            "is_liquidation": false,
            "last_fill_time": self.last_fill.map(micros),
            "edit_history": [],
            "leverage": "",
            "margin_type": "UNKNOWN_MARGIN_TYPE",
            "retail_portfolio_id": "",
            "originating_order_id": "",
            "attached_order_id": "",
            "attached_order_configuration": null,
        })
    }
}

const PLACES: u32 = 8;
/// The one user of the account.
const USER: &str = "4f5b1b54-5c3e-4e63-9d0a-2f6f2a7d9c11";

/// Eight places, upwards: what is locked is enough.
pub(crate) fn up(value: Decimal) -> Decimal {
    value.round_dp_with_strategy(PLACES, RoundingStrategy::AwayFromZero).normalize()
}

/// One execution of ours.
#[derive(Debug, Clone)]
pub(crate) struct Trade {
    pub(crate) number: u64,
    pub(crate) entry_id: String,
    pub(crate) id: String,
    pub(crate) order_id: String,
    pub(crate) product: &'static Product,
    pub(crate) side: Side,
    pub(crate) price: Decimal,
    pub(crate) quantity: Decimal,
    pub(crate) quote: Decimal,
    pub(crate) fee: Decimal,
    pub(crate) is_maker: bool,
    /// Sizes are quote amounts where the order was sized by one.
    pub(crate) in_quote: bool,
    pub(crate) is_reversal: bool,
    pub(crate) at: DateTime<Utc>,
    pub(crate) visible_from: DateTime<Utc>,
}

impl Trade {
    pub(crate) fn to_json(&self) -> Value {
        let size = if self.in_quote { self.quote } else { self.quantity };
        json!({
            "entry_id": self.entry_id,
            "trade_id": self.id,
            "order_id": self.order_id,
            "trade_time": micros(self.at),
            "trade_type": if self.is_reversal { "REVERSAL" } else { "FILL" },
            "price": plain(self.price),
            "size": plain(size),
            "commission": plain(self.fee),
            "product_id": self.product.id(),
            "sequence_timestamp": micros(self.at),
            "liquidity_indicator": if self.is_maker { "MAKER" } else { "TAKER" },
            "size_in_quote": self.in_quote,
            "user_id": USER,
            "side": self.side.upper(),
            "retail_portfolio_id": "",
        })
    }
}
