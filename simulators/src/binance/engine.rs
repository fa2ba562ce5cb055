//! The matching engine of the simulated Binance: accept, execute, expire, cancel, match again.
//!
//! Invariant: commission is taken from the received asset, cut off at eight places; what an order
//! no longer needs is released when it closes. Resting orders execute when prices are set or
//! `match` is asked for over control, never by the mere passing of time.

use std::{
    collections::{BTreeMap, BTreeSet},
    sync::Arc,
};

use chrono::{DateTime, Utc};
use rust_decimal::{Decimal, RoundingStrategy};

use super::{
    NAME, Settings,
    limits::Limits,
    market::received,
    order::{InForce, Kind, Order, Status, Trade},
    wire::Refusal,
};
use crate::{
    World,
    journal::Movement,
    venue::{Change, Fill, Holdings, Ladder, Side, Size, decimal, floor_to, lock, release, walk},
};

const FIRST_ORDER: u64 = 28_000_000_001;
const FIRST_TRADE: u64 = 3_000_000_001;
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
    pub(crate) deposits: Vec<Deposit>,
    open: BTreeSet<u64>,
    by_client_id: BTreeMap<String, Vec<u64>>,
}

/// A credited deposit, for the deposit history.
#[derive(Debug, Clone)]
pub(crate) struct Deposit {
    pub(crate) asset: String,
    pub(crate) amount: Decimal,
    pub(crate) reference: String,
    pub(crate) at: DateTime<Utc>,
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
            deposits: Vec::new(),
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
    }

    fn execute(&mut self, order: &mut Order, fill: Fill, is_maker: bool, now: DateTime<Utc>) {
        let market = order.market;
        let quote = fill.price * fill.quantity;
        let gained = if order.side == Side::Buy { fill.quantity } else { quote };
        let commission = (gained * Decimal::new(i64::from(self.settings.commission_bps), 4))
            .round_dp_with_strategy(8, RoundingStrategy::ToZero);
        let commission_asset = received(market, order.side);
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
        let id = self.trades.last().map_or(FIRST_TRADE, |last| last.id.saturating_add(1));
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
        self.trades.push(trade);
        order.locked -= given;
        order.executed += fill.quantity;
        order.quote_executed += quote;
        order.updated = now;
        order.status = Status::PartiallyFilled;
        // A market order sized by its quote amount is complete with what that amount bought.
        if order.executed == order.quantity {
            self.close(order, Status::Filled, now);
        }
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
}
