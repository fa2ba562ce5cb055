//! Exchanges: where crypto is sold, and sources of rates.
//!
//! Invariants: no database, no retries, no clock of its own but the one given. Every call that
//! moves something has a twin that finds it by our own reference. A status we do not know is
//! *open*, never done and never refused.

pub mod binance;
pub mod coinbase;
pub mod coingecko;
pub mod conformance;
pub mod custody;
mod decimal;
mod listening;
mod mapping;
mod order;
mod rates;
pub mod registry;
mod shelf;
mod socket;
mod streams;
mod venue_clock;
pub mod wazirx;

use async_trait::async_trait;
use chrono::{DateTime, TimeDelta, Utc};
use primitives::{Amount, Asset, CallError, CallResult};
use rust_decimal::Decimal;

pub use custody::Custody;
pub use order::{ClientRef, Fill, Levies, NewOrder, Order, OrderKind, OrderState, Pair, Resting};
pub use rates::{Book, BookLevel, Quotation, RateSource};
pub use socket::WsUrl;
pub use streams::{News, OrderNews, PriceStream};

const ACCESS_REFUSED: &str = "access refused";

/// The venue does not let us in (401, 403): nothing happened, nothing will until somebody acts.
fn access_refused(venue: &str, why: &str) -> CallError {
    CallError::NotSent(format!("{venue}: {ACCESS_REFUSED}: {why}"))
}

/// True when a call was not taken because of our key, its rights, or our address.
#[must_use]
pub fn is_access_refusal(error: &CallError) -> bool {
    matches!(error, CallError::NotSent(why) if why.contains(ACCESS_REFUSED))
}

/// What we hold at a venue.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Holding {
    pub asset: Asset,
    pub free: Amount,
    pub locked: Amount,
}

/// What a venue demands of an order in one market. Prices and notionals are in the quote asset.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct MarketRules {
    pub price_tick: Decimal,
    pub quantity_step: Decimal,
    pub quantity_min: Decimal,
    /// `None` where the venue names no limit.
    pub quantity_max: Option<Decimal>,
    pub notional_min: Decimal,
    /// False while the venue takes no new orders here.
    pub is_open: bool,
}

/// A venue that sells crypto. `client_ref` is ours, unique, and stored before the call.
#[async_trait]
pub trait Exchange: Send + Sync {
    /// Short lower-case name, part of account codes: `wazirx`.
    fn venue(&self) -> &'static str;

    /// The market this venue sells an asset in; `None` where it does not sell it.
    fn market(&self, sell: Asset) -> Option<Pair>;

    /// True when orders of this kind exist here.
    fn takes(&self, kind: OrderKind) -> bool;

    /// How long after its stamp the venue takes a request of ours: the length of the fence.
    fn recv_window(&self) -> TimeDelta;

    /// The venue's clock, for the fence of an unknown order.
    async fn server_time(&self) -> CallResult<DateTime<Utc>>;

    async fn rules(&self, pair: Pair) -> CallResult<MarketRules>;

    async fn levies(&self, pair: Pair) -> CallResult<Levies>;

    /// Bids and asks for one unit of the base in the quote asset, best first.
    async fn book(&self, pair: Pair) -> CallResult<Book>;

    /// Places an order once. Never retried here.
    async fn place_order(&self, order: &NewOrder) -> CallResult<Order>;

    /// The order with our reference. `None` is not proof of absence: see the resolver.
    async fn find_order(&self, pair: Pair, client_ref: &ClientRef) -> CallResult<Option<Order>>;

    /// Asks for the rest of an order to be cancelled; the answer may still be open.
    async fn cancel_order(&self, pair: Pair, client_ref: &ClientRef) -> CallResult<Order>;

    /// Every execution of the order, with the fee and tax the venue takes from the credit.
    async fn fills(&self, order: &Order) -> CallResult<Vec<Fill>>;

    /// Executions in the market since a time, for the proof that an unknown order never was.
    async fn fills_since(&self, pair: Pair, since: DateTime<Utc>) -> CallResult<Vec<Fill>>;

    /// Every sale that rests in the market, whoever placed it.
    async fn open_orders(&self, pair: Pair) -> CallResult<Vec<Resting>>;

    async fn holdings(&self) -> CallResult<Vec<Holding>>;
}
