//! The matching engine of the simulated WazirX: accept, execute, cancel, match again.
//!
//! Invariant: gross is price × quantity rounded down to the quote's minor unit; fee, 18 % GST on
//! the fee and 1 % TDS are rounded half up per execution and taken from the seller's credit. Only
//! the fee is ever shown. Resting orders execute when prices are set or `match` is asked for over
//! control, never by the mere passing of time.

use std::{
    collections::{BTreeMap, BTreeSet},
    sync::Arc,
};

use chrono::{DateTime, Utc};
use rust_decimal::{Decimal, RoundingStrategy};

use super::{
    NAME, Settings,
    order::{Charges, Order, Status, Trade, WHOLE},
    wallet::Contact,
    wire::Refusal,
};
use crate::{
    World,
    journal::Movement,
    venue::{
        Change, Custody, Fill, Holdings, Ladder, Limiter, Market, Side, Size, decimal, floor_to,
        lock, release, walk,
    },
};

const FIRST_ORDER: u64 = 4_000_000_001;
const FIRST_TRADE: u64 = 700_000_001;

/// Everything the exchange knows about the account.
#[derive(Debug)]
pub(crate) struct State {
    pub(crate) world: Arc<World>,
    pub(crate) holdings: Holdings,
    pub(crate) orders: BTreeMap<u64, Order>,
    pub(crate) trades: Vec<Trade>,
    pub(crate) limiter: Limiter,
    pub(crate) settings: Settings,
    pub(crate) custody: Custody,
    pub(crate) address_book: Vec<Contact>,
    open: BTreeSet<u64>,
    by_client_id: BTreeMap<String, u64>,
    next_trade: u64,
}

/// How much of an arriving order the engine lets execute: bent by faults.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Appetite(pub(crate) u32);

impl State {
    pub(crate) fn open(world: &Arc<World>) -> Self {
        let opening = [
            ("BTC", decimal(5, 0)),
            ("ETH", decimal(200, 0)),
            ("SOL", decimal(20_000, 0)),
            ("USDT", decimal(2_000_000, 0)),
            ("USDC", decimal(2_000_000, 0)),
            ("INR", decimal(10_000_000, 0)),
        ];
        Self {
            world: Arc::clone(world),
            holdings: Holdings::open(world, NAME, &opening),
            orders: BTreeMap::new(),
            trades: Vec::new(),
            limiter: Limiter::default(),
            settings: Settings { limits: world.limits(), ..Settings::default() },
            custody: Custody::default(),
            address_book: Vec::new(),
            open: BTreeSet::new(),
            by_client_id: BTreeMap::new(),
            next_trade: FIRST_TRADE,
        }
    }

    pub(crate) fn next_order_id(&self) -> u64 {
        self.orders.last_key_value().map_or(FIRST_ORDER, |(id, _)| id.saturating_add(1))
    }

    /// The latest order with this client id.
    pub(crate) fn find_by_client_id(&self, client_id: &str) -> Option<&Order> {
        self.by_client_id.get(client_id).and_then(|id| self.orders.get(id))
    }

    pub(crate) fn open_orders(&self) -> impl Iterator<Item = &Order> {
        self.open.iter().filter_map(|id| self.orders.get(id))
    }

    /// Locks what the order gives away, enters it in the books and executes what can be.
    pub(crate) fn accept(&mut self, order: Order, appetite: Appetite) -> Result<Order, Refusal> {
        let mut order = order;
        order.locked = match order.side {
            Side::Sell => order.quantity,
            Side::Buy => self.reserve(&order),
        };
        let now = order.created;
        let taken = self.holdings.apply(Change {
            at: now,
            kind: "order_accepted",
            reference: order.id.to_string(),
            movements: lock(order.gives(), order.locked),
            detail: order.to_json(),
        });
        if !taken {
            let asset = order.gives();
            let message = format!("Not enough {asset} balance to execute self order");
            return Err(Refusal::new(2002, message));
        }
        self.by_client_id.insert(order.client_id.clone(), order.id);
        if order.status == Status::Idle && !self.is_triggered(&order, now) {
            self.store(order.clone());
            return Ok(order);
        }
        order.status = Status::Wait;
        let allowed = share(order.quantity, appetite.0, order.market.step);
        if allowed.is_zero() {
            self.store(order.clone());
            return Ok(order);
        }
        let ladder = Ladder::true_one(&self.world, NAME, order.market, now);
        let limit = Some(order.price);
        let fills = walk(&ladder, order.side, limit, Size::Base(allowed), order.market.step);
        for fill in fills {
            self.execute(&mut order, fill, false, now);
        }
        self.store(order.clone());
        Ok(order)
    }

    /// What a buyer must have: the gross at the limit price, charges, and room for roundings.
    fn reserve(&self, order: &Order) -> Decimal {
        let fill = Fill { price: order.price, quantity: order.quantity };
        let charges = self.charges(order.market, order.side, fill);
        let room = Decimal::new(1, places(order.market)) * Decimal::ONE_HUNDRED;
        charges.gross + charges.withheld() + room
    }

    fn charges(&self, market: &Market, side: Side, fill: Fill) -> Charges {
        let gross = (fill.price * fill.quantity)
            .round_dp_with_strategy(places(market), RoundingStrategy::ToZero);
        let part = |of: Decimal, bps: u32| {
            (of * Decimal::new(i64::from(bps), 4))
                .round_dp_with_strategy(places(market), RoundingStrategy::MidpointAwayFromZero)
        };
        let fee = part(gross, self.settings.fee_bps);
        let gst = part(fee, self.settings.gst_bps);
        // The buyer in a rupee market gives rupees, which is no transfer of a virtual asset.
        let is_transfer = side == Side::Sell || market.quote != "INR";
        let tds = if is_transfer { part(gross, self.settings.tds_bps) } else { Decimal::ZERO };
        Charges { gross, fee, gst, tds }
    }

    fn execute(&mut self, order: &mut Order, fill: Fill, is_maker: bool, now: DateTime<Utc>) {
        let market = order.market;
        let charges = self.charges(market, order.side, fill);
        let quote = |pocket, amount, what| Movement::new(market.quote, pocket, amount, what);
        let (movements, given) = match order.side {
            Side::Sell => (
                vec![
                    Movement::new(market.base, "locked", -fill.quantity, "sold"),
                    quote("free", charges.gross, "gross"),
                    quote("free", -charges.fee, "fee"),
                    quote("free", -charges.gst, "gst"),
                    quote("free", -charges.tds, "tds"),
                ],
                fill.quantity,
            ),
            Side::Buy => (
                vec![
                    quote("locked", -charges.gross, "gross"),
                    quote("locked", -charges.fee, "fee"),
                    quote("locked", -charges.gst, "gst"),
                    quote("locked", -charges.tds, "tds"),
                    Movement::new(market.base, "free", fill.quantity, "bought"),
                ],
                charges.gross + charges.withheld(),
            ),
        };
        let id = self.next_trade;
        let trade = Trade {
            id,
            order_id: order.id,
            market,
            side: order.side,
            price: fill.price,
            quantity: fill.quantity,
            charges,
            is_maker,
            at: now,
        };
        let (kind, reference, detail) = ("execution", id.to_string(), trade.to_book());
        if !self.holdings.apply(Change { at: now, kind, reference, movements, detail }) {
            return;
        }
        self.next_trade = id.saturating_add(1);
        self.trades.push(trade);
        order.locked -= given;
        order.executed += fill.quantity;
        order.gross += charges.gross;
        order.updated = now;
        if order.executed == order.quantity {
            self.close(order, Status::Done, now);
        }
    }

    fn close(&mut self, order: &mut Order, status: Status, now: DateTime<Utc>) {
        order.status = status;
        order.updated = now;
        order.cancelling = None;
        let movements = release(order.gives(), order.locked);
        order.locked = Decimal::ZERO;
        self.holdings.apply(Change {
            at: now,
            kind: "order_closed",
            reference: order.id.to_string(),
            movements,
            detail: order.to_json(),
        });
    }

    pub(crate) fn store(&mut self, order: Order) {
        if order.status.is_open() {
            self.open.insert(order.id);
        } else {
            self.open.remove(&order.id);
        }
        self.orders.insert(order.id, order);
    }

    /// Finishes the cancellations that have come due, late fills first.
    pub(crate) fn settle_cancels(&mut self, now: DateTime<Utc>) {
        let due: Vec<Order> = self
            .open_orders()
            .filter(|order| order.cancelling.is_some_and(|c| c.due <= now))
            .cloned()
            .collect();
        for mut order in due {
            self.finish_cancel(&mut order, now);
            self.store(order);
        }
    }

    /// The end of a cancellation: late fill, then close what is left.
    pub(crate) fn finish_cancel(&mut self, order: &mut Order, now: DateTime<Utc>) {
        let late = order.cancelling.map_or(0, |cancelling| cancelling.late_fill_bps);
        let quantity = share(order.rest(), late, order.market.step);
        if quantity > Decimal::ZERO && order.status == Status::Wait {
            let fill = Fill { price: order.price, quantity };
            self.execute(order, fill, true, now);
        }
        if order.status.is_open() {
            self.close(order, Status::Cancel, now);
        }
    }

    /// Executes, as makers at their own price, the resting orders the market now reaches; stop
    /// orders it reaches become open first.
    pub(crate) fn match_resting(&mut self, now: DateTime<Utc>) {
        let resting: Vec<Order> =
            self.open_orders().filter(|order| order.cancelling.is_none()).cloned().collect();
        for mut order in resting {
            if order.status == Status::Idle {
                if !self.is_triggered(&order, now) {
                    continue;
                }
                order.status = Status::Wait;
            }
            let ladder = Ladder::true_one(&self.world, NAME, order.market, now);
            let size = Size::Base(order.rest());
            let fills = walk(&ladder, order.side, Some(order.price), size, order.market.step);
            let quantity: Decimal = fills.iter().map(|fill| fill.quantity).sum();
            if quantity > Decimal::ZERO {
                let fill = Fill { price: order.price, quantity };
                self.execute(&mut order, fill, true, now);
            }
            self.store(order);
        }
    }

    /// Executes part of a resting order at its own price, whatever the market says.
    pub(crate) fn force_fill(&mut self, id: u64, quantity: Option<Decimal>) -> bool {
        let now = self.world.now();
        let Some(mut order) = self.orders.get(&id).filter(|o| o.status == Status::Wait).cloned()
        else {
            return false;
        };
        let wanted = quantity.unwrap_or_else(|| order.rest()).min(order.rest());
        let quantity = floor_to(wanted, order.market.step);
        if quantity <= Decimal::ZERO {
            return false;
        }
        let fill = Fill { price: order.price, quantity };
        self.execute(&mut order, fill, true, now);
        self.store(order);
        true
    }

    /// Executes part of an order that was cancelled already: the venue's own race. Its crypto is
    /// taken from what is free.
    pub(crate) fn fill_closed(&mut self, id: u64, quantity: Decimal) -> bool {
        let now = self.world.now();
        let cancelled = |order: &&Order| order.status == Status::Cancel && order.side == Side::Sell;
        let Some(mut order) = self.orders.get(&id).filter(cancelled).cloned() else { return false };
        let quantity = floor_to(quantity.min(order.rest()), order.market.step);
        let taken = quantity > Decimal::ZERO
            && self.holdings.apply(Change {
                at: now,
                kind: "order_late",
                reference: id.to_string(),
                movements: lock(order.gives(), quantity),
                detail: order.to_json(),
            });
        if taken {
            order.locked += quantity;
            let fill = Fill { price: order.price, quantity };
            self.execute(&mut order, fill, true, now);
            self.store(order);
        }
        taken
    }

    /// Takes an execution of a sale back, as venues do with trades made in error. An order that was
    /// done is closed short by it.
    pub(crate) fn take_back(&mut self, trade_id: u64) -> bool {
        let now = self.world.now();
        let Some(at) = self.trades.iter().position(|t| t.id == trade_id && t.side == Side::Sell)
        else {
            return false;
        };
        let Some(trade) = self.trades.get(at).cloned() else { return false };
        let Some(mut order) = self.orders.get(&trade.order_id).cloned() else { return false };
        let pocket = if order.status.is_open() { "locked" } else { "free" };
        let (market, credit) = (trade.market, trade.charges.credit());
        let movements = vec![
            Movement::new(market.base, pocket, trade.quantity, "taken_back"),
            Movement::new(market.quote, "free", -credit, "taken_back"),
        ];
        let (kind, reference, detail) = ("taken_back", trade_id.to_string(), trade.to_book());
        if !self.holdings.apply(Change { at: now, kind, reference, movements, detail }) {
            return false;
        }
        self.trades.remove(at);
        order.executed -= trade.quantity;
        order.gross -= trade.charges.gross;
        order.updated = now;
        if order.status.is_open() {
            order.locked += trade.quantity;
        } else {
            order.status = Status::Cancel;
        }
        self.store(order);
        true
    }

    fn is_triggered(&self, order: &Order, now: DateTime<Utc>) -> bool {
        let mid = self.world.prices.mid(NAME, &order.market.pair(), now);
        match (order.stop_price, mid) {
            (Some(stop), Some(mid)) if order.side == Side::Sell => mid <= stop,
            (Some(stop), Some(mid)) => mid >= stop,
            _ => true,
        }
    }
}

/// Decimal places of the quote asset's minor unit.
fn places(market: &Market) -> u32 {
    if market.quote == "INR" { 2 } else { 6 }
}

fn share(quantity: Decimal, bps: u32, step: Decimal) -> Decimal {
    if bps >= WHOLE {
        return quantity;
    }
    floor_to(quantity * Decimal::new(i64::from(bps), 4), step)
}
