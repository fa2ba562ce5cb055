//! The engine without its HTTP side, for harnesses that place a million orders.
//!
//! Invariant: the vendor's rules of time, steps and references hold here as over HTTP, and the same
//! engine enters the same books. Faults of the wire are deliberately the caller's to play; what
//! only a venue can do behind everybody's back (late fills, trades taken back) is here.

use chrono::{DateTime, TimeDelta, Utc};
use rust_decimal::Decimal;

use super::{
    Duplicates, Exchange, State,
    engine::Appetite,
    market::market_of,
    order::{Cancelling, Order, Status},
    trading::check_steps,
    wire::{Refusal, check_window},
};
use crate::venue::Side;

/// A limit order to sell, as a request carries it.
#[derive(Debug, Clone)]
pub struct Sale {
    pub client_id: String,
    /// `usdcinr`.
    pub symbol: String,
    pub quantity: Decimal,
    pub price: Decimal,
    /// The signed time of the request, and how long after it the venue takes it.
    pub stamp: DateTime<Utc>,
    pub window: TimeDelta,
}

/// An order as the venue tells it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SaleOrder {
    pub id: u64,
    pub client_id: String,
    pub quantity: Decimal,
    pub executed: Decimal,
    pub is_open: bool,
}

/// One execution.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Execution {
    pub id: u64,
    pub order_id: u64,
    pub quantity: Decimal,
    pub at: DateTime<Utc>,
}

impl From<&Order> for SaleOrder {
    fn from(order: &Order) -> Self {
        Self {
            id: order.id,
            client_id: order.client_id.clone(),
            quantity: order.quantity,
            executed: order.executed,
            is_open: order.status.is_open(),
        }
    }
}

impl Exchange {
    /// Takes an order and lets it rest: it executes by `force_fill` only.
    ///
    /// # Errors
    /// The vendor's code of the refusal.
    pub fn place_resting(&self, sale: &Sale) -> Result<u64, i64> {
        let now = self.world.now();
        let (sent, window) = (sale.stamp.timestamp_millis(), sale.window.num_milliseconds());
        check_window(sent, window, now).map_err(|refusal| refusal.code())?;
        self.place_late(sale)
    }

    /// As [`Exchange::place_resting`], for a request whose time was checked before it waited in
    /// front of the engine.
    ///
    /// # Errors
    /// The vendor's code of the refusal.
    pub fn place_late(&self, sale: &Sale) -> Result<u64, i64> {
        let now = self.world.now();
        let mut state = self.state();
        state.settle_cancels(now);
        accept(&mut state, sale, now).map_err(|refusal| refusal.code())
    }

    /// The latest order with this client id.
    #[must_use]
    pub fn find_sale(&self, client_id: &str) -> Option<SaleOrder> {
        self.settled().find_by_client_id(client_id).map(SaleOrder::from)
    }

    /// Every order ever accepted, in order.
    #[must_use]
    pub fn sales(&self) -> Vec<SaleOrder> {
        self.settled().orders.values().map(SaleOrder::from).collect()
    }

    #[must_use]
    pub fn open_sales(&self) -> Vec<SaleOrder> {
        self.settled().open_orders().map(SaleOrder::from).collect()
    }

    /// Every execution that stands.
    #[must_use]
    pub fn executions(&self) -> Vec<Execution> {
        let told = |trade: &super::order::Trade| Execution {
            id: trade.id,
            order_id: trade.order_id,
            quantity: trade.quantity,
            at: trade.at,
        };
        self.settled().trades.iter().map(told).collect()
    }

    /// Begins a cancellation that takes effect after `delay`; so many basis points of the rest
    /// still execute before it does. `false` when the order is not open, or on its way out.
    pub fn cancel_sale(&self, id: u64, delay: TimeDelta, late_fill_bps: u32) -> bool {
        let now = self.world.now();
        let mut state = self.settled();
        let open = |order: &&Order| order.status.is_open() && order.cancelling.is_none();
        let Some(mut order) = state.orders.get(&id).filter(open).cloned() else { return false };
        order.cancelling = Some(Cancelling { due: now + delay, late_fill_bps });
        state.store(order);
        state.settle_cancels(now);
        true
    }

    /// Executes part of an order that was cancelled already; `false` when there is nothing to.
    pub fn fill_after_the_end(&self, id: u64, quantity: Decimal) -> bool {
        self.settled().fill_closed(id, quantity)
    }

    /// Takes an execution back; `false` when there is no such one.
    pub fn take_trade_back(&self, trade_id: u64) -> bool {
        self.settled().take_back(trade_id)
    }

    fn settled(&self) -> std::sync::MutexGuard<'_, State> {
        let mut state = self.state();
        state.settle_cancels(self.world.now());
        state
    }
}

fn accept(state: &mut State, sale: &Sale, now: DateTime<Utc>) -> Result<u64, Refusal> {
    let market = market_of(&sale.symbol).ok_or_else(Refusal::invalid_symbol)?;
    check_steps(market, Side::Sell, sale.quantity, sale.price)?;
    let known = state.find_by_client_id(&sale.client_id).is_some();
    if known && state.settings.duplicates == Duplicates::Reject {
        return Err(Refusal::invalid("clientOrderId already exists"));
    }
    let order = Order {
        id: state.next_order_id(),
        client_id: sale.client_id.clone(),
        market,
        side: Side::Sell,
        price: sale.price,
        stop_price: None,
        quantity: sale.quantity,
        executed: Decimal::ZERO,
        gross: Decimal::ZERO,
        status: Status::Wait,
        locked: Decimal::ZERO,
        created: now,
        updated: now,
        cancelling: None,
    };
    Ok(state.accept(order, Appetite(0))?.id)
}
