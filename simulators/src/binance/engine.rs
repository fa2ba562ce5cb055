//! The matching engine of the simulated Binance: accept, execute, expire, cancel, match again.
//!
//! Invariant: commission is taken from the received asset, or from BNB where that is set and there
//! is enough of it, cut off at eight places; what an order no longer needs is released when it
//! closes. Whatever changes is told to the user-data stream, in the order it happened. Resting
//! orders execute when prices are set or `match` is asked for over control, never by the mere
//! passing of time.

use std::{
    collections::{BTreeMap, BTreeSet},
    sync::Arc,
};

use chrono::{DateTime, Utc};
use rust_decimal::{Decimal, RoundingStrategy};
use serde_json::Value;
use tokio::sync::broadcast;

use super::{
    FeeAsset, NAME, Settings, events,
    hub::{self, Note},
    limits::Limits,
    market::received,
    order::{InForce, Kind, Order, Status, Trade},
    wire::Refusal,
};
use crate::{
    World,
    journal::Movement,
    venue::{
        Change, Custody, Fill, Holdings, Ladder, Market, Moved, Side, Size, decimal, floor_to,
        lock, release, walk,
    },
};

const FIRST_ORDER: u64 = 28_000_000_001;
const FIRST_TRADE: u64 = 3_000_000_001;
/// The asset fees can be paid with, and what is left of a fee then.
pub(crate) const BNB: &str = "BNB";
pub(crate) const BNB_DISCOUNT: Decimal = decimal(75, 2);
/// Basis points of a whole.
pub(crate) const WHOLE: u32 = 10_000;

/// Everything the exchange knows about the account.
#[derive(Debug)]
pub(crate) struct State {
    pub(crate) world: Arc<World>,
    pub(crate) holdings: Holdings,
    pub(crate) orders: BTreeMap<u64, Order>,
    pub(crate) trades: Vec<Trade>,
    pub(crate) limits: Limits,
    pub(crate) settings: Settings,
    pub(crate) custody: Custody,
    /// Who listens to the account.
    pub(crate) notes: broadcast::Sender<Note>,
    next_trade: u64,
    open: BTreeSet<u64>,
    by_client_id: BTreeMap<String, Vec<u64>>,
}

impl State {
    pub(crate) fn open(world: &Arc<World>) -> Self {
        let opening = [
            ("BTC", decimal(5, 0)),
            ("ETH", decimal(200, 0)),
            ("SOL", decimal(20_000, 0)),
            ("USDT", decimal(2_000_000, 0)),
            ("USDC", decimal(2_000_000, 0)),
        ];
        Self {
            world: Arc::clone(world),
            holdings: Holdings::open(world, NAME, &opening),
            orders: BTreeMap::new(),
            trades: Vec::new(),
            limits: Limits::default(),
            settings: Settings { limits: world.limits(), ..Settings::default() },
            custody: Custody::default(),
            notes: hub::sender(),
            next_trade: FIRST_TRADE,
            open: BTreeSet::new(),
            by_client_id: BTreeMap::new(),
        }
    }

    pub(crate) fn next_order_id(&self) -> u64 {
        self.orders.last_key_value().map_or(FIRST_ORDER, |(id, _)| id.saturating_add(1))
    }

    pub(crate) fn open_orders(&self) -> impl Iterator<Item = &Order> {
        self.open.iter().filter_map(|id| self.orders.get(id))
    }

    /// The open order with this client id, else the latest closed one.
    pub(crate) fn find_by_client_id(&self, symbol: &str, client_id: &str) -> Option<&Order> {
        let ids = self.by_client_id.get(client_id)?;
        let orders = || {
            ids.iter()
                .rev()
                .filter_map(|id| self.orders.get(id))
                .filter(|order| order.market.pair() == symbol)
        };
        orders().find(|order| order.status.is_open()).or_else(|| orders().next())
    }

    /// Takes the order in: locks, enters it in the books, executes what can be, and closes or
    /// keeps the rest as its kind demands. `appetite` is the share that may execute, in basis
    /// points: bent by faults.
    pub(crate) fn accept(&mut self, order: Order, appetite: u32) -> Result<Order, Refusal> {
        let mut order = order;
        let now = order.created;
        let fills = self.fills(&order, appetite, now);
        let filled: Decimal = fills.iter().map(|fill| fill.quantity).sum();
        if order.kind == Kind::LimitMaker && filled > Decimal::ZERO {
            return Err(Refusal::new(-2010, "Order would immediately match and take."));
        }
        if order.quote_quantity.is_some() {
            order.quantity = filled;
        }
        order.locked = match (order.side, order.price) {
            (Side::Sell, _) => order.quantity,
            (Side::Buy, Some(price)) => price * order.quantity,
            (Side::Buy, None) => fills.iter().map(|fill| fill.price * fill.quantity).sum(),
        };
        if self.holdings.get(order.gives()).free < order.locked {
            return Err(Refusal::insufficient());
        }
        self.limits.count_order(self.settings.limits, now)?;
        let taken = self.holdings.apply(Change {
            at: now,
            kind: "order_accepted",
            reference: order.id.to_string(),
            movements: lock(order.gives(), order.locked),
            detail: order.to_json(),
        });
        if !taken {
            return Err(Refusal::insufficient());
        }
        self.by_client_id.entry(order.client_id.clone()).or_default().push(order.id);
        self.tell(events::report(&order, "NEW", None, now));
        self.tell_balances(&[order.gives()], now);
        let is_killed = order.in_force == InForce::Fok && filled < order.quantity;
        if !is_killed {
            for fill in fills {
                self.execute(&mut order, fill, false, now);
            }
        }
        self.expire(&mut order, now);
        if order.executed > Decimal::ZERO {
            self.limits.discount_order();
        }
        self.store(order.clone());
        Ok(order)
    }

    fn fills(&self, order: &Order, appetite: u32, now: DateTime<Utc>) -> Vec<Fill> {
        let market = order.market;
        let ladder = Ladder::true_one(&self.world, NAME, market, now);
        let part = Decimal::new(i64::from(appetite.min(WHOLE)), 4);
        let size = match order.quote_quantity {
            Some(quote) => Size::Quote(quote * part),
            None => Size::Base(floor_to(order.quantity * part, market.step)),
        };
        walk(&ladder, order.side, order.price, size, market.step)
    }

    /// Market, IOC and FOK orders do not rest.
    fn expire(&mut self, order: &mut Order, now: DateTime<Utc>) {
        if !order.status.is_open() {
            return;
        }
        let reason = match (order.kind, order.in_force) {
            (Kind::Market, _) => "INSUFFICIENT_LIQUIDITY",
            (_, InForce::Ioc) => "UNFILLED_IOC_QUANTITY_EXPIRED",
            (_, InForce::Fok) => "UNFILLED_FOK_ORDER_EXPIRED",
            (_, InForce::Gtc) => return,
        };
        order.expiry_reason = Some(reason);
        self.close(order, Status::Expired, now);
        self.tell(events::report(order, "EXPIRED", None, now));
        self.tell_balances(&[order.gives()], now);
    }

    fn execute(&mut self, order: &mut Order, fill: Fill, is_maker: bool, now: DateTime<Utc>) {
        let market = order.market;
        let quote = fill.price * fill.quantity;
        let (commission, commission_asset) = self.commission(market, order.side, fill, now);
        let mut movements = match order.side {
            Side::Sell => vec![
                Movement::new(market.base, "locked", -fill.quantity, "sold"),
                Movement::new(market.quote, "free", quote, "gross"),
            ],
            Side::Buy => vec![
                Movement::new(market.quote, "locked", -quote, "gross"),
                Movement::new(market.base, "free", fill.quantity, "bought"),
            ],
        };
        movements.push(Movement::new(commission_asset, "free", -commission, "fee"));
        let mut given = if order.side == Side::Buy { quote } else { fill.quantity };
        if let (Side::Buy, Some(limit)) = (order.side, order.price) {
            // A better price than the limit frees the difference at once.
            let better = (limit - fill.price) * fill.quantity;
            movements.extend(release(market.quote, better));
            given += better;
        }
        let id = self.next_trade;
        let trade = Trade {
            id,
            order_id: order.id,
            market,
            side: order.side,
            price: fill.price,
            quantity: fill.quantity,
            quote,
            commission,
            commission_asset,
            is_maker,
            at: now,
            visible_from: order.visible_from,
        };
        let (kind, reference, detail) = ("execution", id.to_string(), trade.to_json());
        if !self.holdings.apply(Change { at: now, kind, reference, movements, detail }) {
            return;
        }
        self.next_trade = id.saturating_add(1);
        self.trades.push(trade.clone());
        order.locked -= given;
        order.executed += fill.quantity;
        order.quote_executed += quote;
        order.updated = now;
        order.status = Status::PartiallyFilled;
        // A market order sized by its quote amount is complete with what that amount bought.
        if order.executed == order.quantity {
            self.close(order, Status::Filled, now);
        }
        self.tell(events::report(order, "TRADE", Some(&trade), now));
        self.tell_balances(&[market.base, market.quote, commission_asset], now);
    }

    /// What an execution costs and in which asset: BNB at its fixed price with a quarter off where
    /// that is set and there is enough of it, otherwise a part of what is received.
    fn commission(
        &self,
        market: &Market,
        side: Side,
        fill: Fill,
        now: DateTime<Utc>,
    ) -> (Decimal, &'static str) {
        let quote = fill.price * fill.quantity;
        let rate = Decimal::new(i64::from(self.settings.commission_bps), 4);
        let cut = |value: Decimal| value.round_dp_with_strategy(8, RoundingStrategy::ToZero);
        if self.settings.fee_asset == FeeAsset::Bnb {
            let pair = format!("{}USDT", market.quote);
            let dollars = self.world.prices.mid(NAME, &pair, now).unwrap_or(Decimal::ONE);
            let worth = quote * dollars * rate * BNB_DISCOUNT;
            let bnb = worth.checked_div(self.settings.bnb_price).map(cut).unwrap_or_default();
            if self.holdings.get(BNB).free >= bnb {
                return (bnb, BNB);
            }
        }
        let gained = if side == Side::Buy { fill.quantity } else { quote };
        (cut(gained * rate), received(market, side))
    }

    /// Puts an event on the user-data stream, unless a fault loses or repeats it.
    pub(crate) fn tell(&self, event: Value) {
        if self.notes.receiver_count() == 0 {
            return;
        }
        let struck = |name| self.world.faults.take_named(NAME, "user_event", name).is_some();
        if struck("lost_event") {
            return;
        }
        if struck("repeated_event") {
            // An error means that nobody listens, here and below.
            let _ = self.notes.send(Note::User(event.clone()));
        }
        let _ = self.notes.send(Note::User(event));
    }

    /// Tells what is left of these assets.
    pub(crate) fn tell_balances(&self, assets: &[&str], now: DateTime<Utc>) {
        self.tell(events::position(&self.holdings, assets, now));
    }

    /// Tells a deposit or a withdrawal.
    pub(crate) fn tell_moved(&self, moved: &Moved, now: DateTime<Utc>) {
        self.tell(events::balance_update(&moved.asset, moved.amount, now));
        self.tell_balances(&[moved.asset.as_str()], now);
    }

    pub(crate) fn close(&mut self, order: &mut Order, status: Status, now: DateTime<Utc>) {
        order.status = status;
        order.updated = now;
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

    /// Executes part of a resting order at its own price, whatever the market says.
    pub(crate) fn force_fill(&mut self, id: u64, quantity: Option<Decimal>) -> bool {
        let now = self.world.now();
        let Some(mut order) = self.orders.get(&id).filter(|o| o.status.is_open()).cloned() else {
            return false;
        };
        let wanted = quantity.unwrap_or_else(|| order.rest()).min(order.rest());
        let quantity = floor_to(wanted, order.market.step);
        let Some(price) = order.price.filter(|_| quantity > Decimal::ZERO) else {
            return false;
        };
        self.execute(&mut order, Fill { price, quantity }, true, now);
        self.store(order);
        true
    }

    /// Executes, as makers at their own price, the resting orders the market now reaches.
    pub(crate) fn match_resting(&mut self, now: DateTime<Utc>) {
        let resting: Vec<Order> = self.open_orders().cloned().collect();
        for order in resting {
            let ladder = Ladder::true_one(&self.world, NAME, order.market, now);
            let size = Size::Base(order.rest());
            let fills = walk(&ladder, order.side, order.price, size, order.market.step);
            let quantity: Decimal = fills.iter().map(|fill| fill.quantity).sum();
            self.force_fill(order.id, Some(quantity));
        }
    }

    /// Executes part of an order that is over already: the venue's own race. What it gives is taken
    /// from what is free.
    pub(crate) fn fill_closed(&mut self, id: u64, quantity: Decimal) -> bool {
        let now = self.world.now();
        let over = |order: &&Order| matches!(order.status, Status::Canceled | Status::Expired);
        let Some(mut order) = self.orders.get(&id).filter(over).cloned() else { return false };
        let quantity = floor_to(quantity.min(order.rest()), order.market.step);
        let Some(price) = order.price.filter(|_| quantity > Decimal::ZERO) else { return false };
        let gives = if order.side == Side::Buy { price * quantity } else { quantity };
        let taken = self.holdings.apply(Change {
            at: now,
            kind: "order_late",
            reference: id.to_string(),
            movements: lock(order.gives(), gives),
            detail: order.to_json(),
        });
        if taken {
            let ended = order.status;
            order.locked += gives;
            self.execute(&mut order, Fill { price, quantity }, true, now);
            if order.status == Status::PartiallyFilled {
                order.status = ended;
            }
            self.store(order);
        }
        taken
    }

    /// Takes an execution back, as venues do with trades made in error. An order that was filled is
    /// closed short by it.
    pub(crate) fn take_back(&mut self, trade_id: u64) -> bool {
        let now = self.world.now();
        let Some(at) = self.trades.iter().position(|trade| trade.id == trade_id) else {
            return false;
        };
        let Some(trade) = self.trades.get(at).cloned() else { return false };
        let Some(mut order) = self.orders.get(&trade.order_id).cloned() else { return false };
        let is_open = order.status.is_open();
        let pocket = if is_open { "locked" } else { "free" };
        let market = trade.market;
        let (given, gave, gained, gain) = match trade.side {
            Side::Sell => (market.base, trade.quantity, market.quote, trade.quote),
            Side::Buy => (market.quote, trade.quote, market.base, trade.quantity),
        };
        let movements = vec![
            Movement::new(given, pocket, gave, "taken_back"),
            Movement::new(gained, "free", -gain, "taken_back"),
            Movement::new(trade.commission_asset, "free", trade.commission, "taken_back"),
        ];
        let (kind, reference, detail) = ("taken_back", trade_id.to_string(), trade.to_json());
        if !self.holdings.apply(Change { at: now, kind, reference, movements, detail }) {
            return false;
        }
        self.trades.remove(at);
        order.executed -= trade.quantity;
        order.quote_executed -= trade.quote;
        order.updated = now;
        if is_open {
            order.locked += gave;
            if order.executed.is_zero() {
                order.status = Status::New;
            }
        } else if order.status == Status::Filled {
            order.status = Status::Canceled;
        }
        self.store(order);
        self.tell_balances(&[market.base, market.quote, trade.commission_asset], now);
        true
    }
}
