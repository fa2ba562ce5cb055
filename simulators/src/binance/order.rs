//! An order and a trade at Binance, and how the vendor writes them.
//!
//! Invariant: `executed` never exceeds the quantity; a closed order has nothing locked and may
//! have executed in part. What may happen to an order is in `engine.rs`.

use chrono::{DateTime, Utc};
use rust_decimal::Decimal;
use serde_json::{Value, json};

use super::wire::fixed;
use crate::venue::{Market, Side};

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Kind {
    Limit,
    LimitMaker,
    Market,
}

impl Kind {
    pub(crate) const fn name(self) -> &'static str {
        match self {
            Self::Limit => "LIMIT",
            Self::LimitMaker => "LIMIT_MAKER",
            Self::Market => "MARKET",
        }
    }
}

/// How long an order lives.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum InForce {
    Gtc,
    Ioc,
    Fok,
}

impl InForce {
    pub(crate) const fn name(self) -> &'static str {
        match self {
            Self::Gtc => "GTC",
            Self::Ioc => "IOC",
            Self::Fok => "FOK",
        }
    }
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Status {
    New,
    PartiallyFilled,
    Filled,
    Canceled,
    Expired,
}

impl Status {
    pub(crate) const fn name(self) -> &'static str {
        match self {
            Self::New => "NEW",
            Self::PartiallyFilled => "PARTIALLY_FILLED",
            Self::Filled => "FILLED",
            Self::Canceled => "CANCELED",
            Self::Expired => "EXPIRED",
        }
    }

    pub(crate) const fn is_open(self) -> bool {
        matches!(self, Self::New | Self::PartiallyFilled)
    }
}

#[derive(Debug, Clone)]
pub(crate) struct Order {
    pub(crate) id: u64,
    pub(crate) client_id: String,
    pub(crate) market: &'static Market,
    pub(crate) side: Side,
    pub(crate) kind: Kind,
    pub(crate) in_force: InForce,
    /// `None` for market orders.
    pub(crate) price: Option<Decimal>,
    /// Zero while a market order is sized by its quote amount.
    pub(crate) quantity: Decimal,
    pub(crate) quote_quantity: Option<Decimal>,
    pub(crate) executed: Decimal,
    pub(crate) quote_executed: Decimal,
    pub(crate) status: Status,
    pub(crate) expiry_reason: Option<&'static str>,
    /// Still locked in the asset the order gives away.
    pub(crate) locked: Decimal,
    pub(crate) created: DateTime<Utc>,
    pub(crate) updated: DateTime<Utc>,
    /// Queries do not find the order before this moment: replication lag.
    pub(crate) visible_from: DateTime<Utc>,
}

impl Order {
    pub(crate) fn rest(&self) -> Decimal {
        (self.quantity - self.executed).max(Decimal::ZERO)
    }

    /// The asset the order gives away.
    pub(crate) const fn gives(&self) -> &'static str {
        match self.side {
            Side::Buy => self.market.quote,
            Side::Sell => self.market.base,
        }
    }

    /// The fields every reply about an order shares.
    fn core(&self) -> Value {
        json!({
            "symbol": self.market.pair(),
            "orderId": self.id,
            "orderListId": -1,
            "clientOrderId": self.client_id,
            "price": fixed(self.price.unwrap_or_default()),
            "origQty": fixed(self.quantity),
            "executedQty": fixed(self.executed),
            "origQuoteOrderQty": fixed(self.quote_quantity.unwrap_or_default()),
            "cummulativeQuoteQty": fixed(self.quote_executed),
            "status": self.status.name(),
            "timeInForce": self.in_force.name(),
            "type": self.kind.name(),
            "side": self.side.upper(),
            "workingTime": self.created.timestamp_millis(),
            "selfTradePreventionMode": "EXPIRE_MAKER",
        })
    }

    /// The reply to a query.
    pub(crate) fn to_json(&self) -> Value {
        self.with(json!({
            "stopPrice": fixed(Decimal::ZERO),
            "icebergQty": fixed(Decimal::ZERO),
            "time": self.created.timestamp_millis(),
            "updateTime": self.updated.timestamp_millis(),
            "isWorking": true,
        }))
    }

    /// The FULL and RESULT replies to a placement.
    pub(crate) fn to_result(&self, fills: Option<Vec<Value>>) -> Value {
        let mut further = json!({"transactTime": self.created.timestamp_millis()});
        if let Some(fields) = further.as_object_mut() {
            if let Some(fills) = fills {
                fields.insert("fills".to_owned(), Value::Array(fills));
            }
            if let Some(reason) = self.expiry_reason {
                fields.insert("expiryReason".to_owned(), Value::from(reason));
            }
        }
        self.with(further)
    }

    /// The ACK reply to a placement.
    pub(crate) fn to_ack(&self) -> Value {
        json!({
            "symbol": self.market.pair(),
            "orderId": self.id,
            "orderListId": -1,
            "clientOrderId": self.client_id,
            "transactTime": self.created.timestamp_millis(),
        })
    }

    /// The reply to a cancellation, which has a client id of its own.
    pub(crate) fn to_cancelled(&self, own_id: &str) -> Value {
        self.with(json!({
            "origClientOrderId": self.client_id,
            "clientOrderId": own_id,
            "transactTime": self.updated.timestamp_millis(),
        }))
    }

    fn with(&self, further: Value) -> Value {
        let mut body = self.core();
        if let (Some(fields), Value::Object(further)) = (body.as_object_mut(), further) {
            fields.extend(further);
        }
        body
    }
}

/// One execution of ours.
#[derive(Debug, Clone)]
pub(crate) struct Trade {
    pub(crate) id: u64,
    pub(crate) order_id: u64,
    pub(crate) market: &'static Market,
    pub(crate) side: Side,
    pub(crate) price: Decimal,
    pub(crate) quantity: Decimal,
    pub(crate) quote: Decimal,
    pub(crate) commission: Decimal,
    pub(crate) commission_asset: &'static str,
    pub(crate) is_maker: bool,
    pub(crate) at: DateTime<Utc>,
    pub(crate) visible_from: DateTime<Utc>,
}

impl Trade {
    pub(crate) fn to_json(&self) -> Value {
        json!({
            "symbol": self.market.pair(),
            "id": self.id,
            "orderId": self.order_id,
            "orderListId": -1,
            "price": fixed(self.price),
            "qty": fixed(self.quantity),
            "quoteQty": fixed(self.quote),
            "commission": fixed(self.commission),
            "commissionAsset": self.commission_asset,
            "time": self.at.timestamp_millis(),
            "isBuyer": self.side == Side::Buy,
            "isMaker": self.is_maker,
            "isBestMatch": true,
        })
    }

    /// As it stands in `fills` of a placement.
    pub(crate) fn to_fill(&self) -> Value {
        json!({
            "price": fixed(self.price),
            "qty": fixed(self.quantity),
            "commission": fixed(self.commission),
            "commissionAsset": self.commission_asset,
            "tradeId": self.id,
        })
    }
}
