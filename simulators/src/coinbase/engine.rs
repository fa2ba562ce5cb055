//! The matching engine of the simulated Coinbase: accept, start, execute, cancel, match again.
//!
//! Invariant: fees are taken from the quote side, cut off at eight places, beside what is bought or
//! out of what is earned; what an order no longer needs is released when it closes. A cancellation
//! takes effect after its wait, and until then the order may fill. Resting orders execute when
//! prices are set or `match` is asked for over control, never by the mere passing of time; what is
//! due by the clock happens when anybody looks. Behind the vendor's back is in `behind.rs`.

use std::{
    collections::{BTreeMap, BTreeSet},
    sync::Arc,
};

use chrono::{DateTime, TimeDelta, Utc};
use rust_decimal::Decimal;

use super::{
    NAME, Settings,
    order::{InForce, Kind, Order, Status, Trade, up},
    wire::{Rejection, uuid},
};
use crate::{
    World,
    journal::Movement,
    venue::{
        Change, Custody, Fill, Holdings, Ladder, Limiter, Side, Size, decimal, floor_to, lock,
        release, walk,
    },
};

/// Basis points of a whole.
pub(crate) const WHOLE: u32 = 10_000;

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
    pub(super) next_trade: u64,
    open: BTreeSet<u64>,
    by_id: BTreeMap<String, u64>,
    by_client_id: BTreeMap<String, u64>,
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
            limiter: Limiter::patient(),
            settings: Settings { limits: world.limits(), ..Settings::default() },
            custody: Custody::default(),
            next_trade: 1,
            open: BTreeSet::new(),
            by_id: BTreeMap::new(),
            by_client_id: BTreeMap::new(),
        }
    }

    pub(crate) fn next_number(&self) -> u64 {
        self.orders.last_key_value().map_or(1, |(number, _)| number.saturating_add(1))
    }

    pub(crate) fn by_id(&self, id: &str) -> Option<&Order> {
        self.orders.get(self.by_id.get(id)?)
    }

    pub(crate) fn by_client_id(&self, id: &str) -> Option<&Order> {
        self.orders.get(self.by_client_id.get(id)?)
    }

    /// The order with this id, the vendor's or the client's.
    pub(super) fn named(&self, name: &str) -> Option<&Order> {
        self.by_id(name).or_else(|| self.by_client_id(name))
    }

    /// Lets happen what the clock asks for.
    pub(crate) fn catch_up(&mut self, now: DateTime<Utc>) {
        let waiting: Vec<u64> = self.open.iter().copied().collect();
        for number in waiting {
            let Some(mut order) = self.orders.get(&number).cloned() else { continue };
            if order.status == Status::Pending && order.starts <= now {
                self.start(&mut order, now);
            }
            let is_cancelled = order.cancelled_at.is_some_and(|at| at <= now);
            let is_old = matches!(order.in_force, InForce::Gtd(end) if end <= now);
            if order.status.is_open() && is_cancelled {
                order.cancel_message = "User requested cancel";
                self.close(&mut order, Status::Cancelled, now);
            } else if order.status.is_open() && is_old {
                self.close(&mut order, Status::Expired, now);
            }
            self.store(order);
        }
    }

    /// Takes the order in: locks, enters it in the books, and starts it, now or when it is due.
    pub(crate) fn accept(&mut self, order: Order) -> Result<Order, Rejection> {
        let mut order = order;
        let now = order.created;
        if order.post_only && self.crosses(&order, now) {
            let text = "Invalid limit price for post-only order";
            return Err(Rejection::new("INVALID_LIMIT_PRICE_POST_ONLY", text));
        }
        order.locked = match (order.side, order.price, order.quote_size) {
            (Side::Sell, _, _) => order.quantity,
            (Side::Buy, Some(_), _) => order.needs(order.quantity),
            (Side::Buy, None, Some(spent)) => spent,
            (Side::Buy, None, None) => {
                let fills = self.fills(&order, now);
                let value: Decimal = fills.iter().map(|fill| fill.price * fill.quantity).sum();
                value + up(value * order.taker_rate)
            }
        };
        let taken = self.holdings.get(order.gives()).free >= order.locked
            && self.holdings.apply(Change {
                at: now,
                kind: "order_accepted",
                reference: order.id.clone(),
                movements: lock(order.gives(), order.locked),
                detail: order.to_json(),
            });
        if !taken {
            return Err(Rejection::new(
                "INSUFFICIENT_FUND",
                "Insufficient balance in source account",
            ));
        }
        self.by_id.insert(order.id.clone(), order.number);
        self.by_client_id.insert(order.client_id.clone(), order.number);
        if order.starts <= now {
            self.start(&mut order, now);
        }
        self.store(order.clone());
        Ok(order)
    }

    /// Whether a resting order would take what is there.
    fn crosses(&self, order: &Order, now: DateTime<Utc>) -> bool {
        let ladder = Ladder::true_one(&self.world, NAME, &order.product.market, now);
        let best = ladder.against(order.side).first().map(|level| level.price);
        best.zip(order.price).is_some_and(|(best, price)| match order.side {
            Side::Buy => price >= best,
            Side::Sell => price <= best,
        })
    }

    fn fills(&self, order: &Order, now: DateTime<Utc>) -> Vec<Fill> {
        let market = &order.product.market;
        let ladder = Ladder::true_one(&self.world, NAME, market, now);
        let part = Decimal::new(i64::from(order.appetite.min(WHOLE)), 4);
        let size = match order.quote_size {
            // What is spent has the fee in it.
            Some(spent) => {
                let value = spent.checked_div(Decimal::ONE + order.taker_rate);
                Size::Quote(value.unwrap_or_default() * part)
            }
            None => Size::Base(floor_to(order.quantity * part, market.step)),
        };
        walk(&ladder, order.side, order.price, size, market.step)
    }

    /// Meets the book: executes what can be, and closes or keeps the rest as its kind demands.
    fn start(&mut self, order: &mut Order, now: DateTime<Utc>) {
        if order.fails {
            order.reject_reason = "COMMANDER_REJECTED_NEW_ORDER";
            self.close(order, Status::Failed, now);
            return;
        }
        order.status = Status::Open;
        let fills = self.fills(order, now);
        let filled: Decimal = fills.iter().map(|fill| fill.quantity).sum();
        let is_by_quote = order.quote_size.is_some();
        if is_by_quote {
            order.quantity = filled;
        }
        let is_killed = order.in_force == InForce::Fok && filled < order.quantity;
        if !is_killed {
            for fill in fills {
                self.execute(order, fill, false, now);
            }
        }
        let is_short = is_by_quote && order.appetite < WHOLE && filled > Decimal::ZERO;
        if is_short && order.status == Status::Filled {
            order.status = Status::Cancelled;
        }
        let rests = matches!(order.in_force, InForce::Gtc | InForce::Gtd(_));
        if order.status == Status::Open && !rests {
            self.close(order, Status::Cancelled, now);
        }
    }

    pub(super) fn execute(
        &mut self,
        order: &mut Order,
        fill: Fill,
        is_maker: bool,
        now: DateTime<Utc>,
    ) {
        let product = order.product;
        let (base, money) = (product.market.base, product.market.quote);
        let quote = fill.price * fill.quantity;
        let fee = order.fee(quote, is_maker);
        let (movements, locked) = match order.side {
            Side::Sell => {
                let movements = vec![
                    Movement::new(base, "locked", -fill.quantity, "sold"),
                    Movement::new(money, "free", quote, "gross"),
                    Movement::new(money, "free", -fee, "fee"),
                ];
                (movements, order.locked - fill.quantity)
            }
            Side::Buy => {
                let mut movements = vec![
                    Movement::new(money, "locked", -quote, "gross"),
                    Movement::new(money, "locked", -fee, "fee"),
                    Movement::new(base, "free", fill.quantity, "bought"),
                ];
                let mut locked = order.locked - quote - fee;
                if order.kind == Kind::Limit {
                    // A better price than the limit frees the difference at once.
                    let needs = order.needs(order.rest() - fill.quantity);
                    movements.extend(release(money, locked - needs));
                    locked = needs;
                }
                (movements, locked)
            }
        };
        if locked < Decimal::ZERO {
            // The market moved away while the order waited: it cannot pay for this any more.
            return;
        }
        let id = uuid(self.world.entropy.bytes());
        let trade = Trade {
            number: self.next_trade,
            entry_id: hex::encode(self.world.entropy.bytes::<32>()),
            id: id.clone(),
            order_id: order.id.clone(),
            product,
            side: order.side,
            price: fill.price,
            quantity: fill.quantity,
            quote,
            fee,
            is_maker,
            in_quote: order.quote_size.is_some(),
            is_reversal: false,
            at: now,
            visible_from: order.visible_from,
        };
        let (kind, detail) = ("execution", trade.to_json());
        if !self.holdings.apply(Change { at: now, kind, reference: id, movements, detail }) {
            return;
        }
        self.next_trade = self.next_trade.saturating_add(1);
        self.trades.push(trade);
        order.locked = locked;
        order.executed += fill.quantity;
        order.quote_executed += quote;
        order.fees += fee;
        order.fills = order.fills.saturating_add(1);
        order.last_fill = Some(now);
        // A market order sized by its quote amount is complete with what that amount bought.
        if order.executed == order.quantity {
            self.close(order, Status::Filled, now);
        }
    }

    pub(super) fn close(&mut self, order: &mut Order, status: Status, now: DateTime<Utc>) {
        order.status = status;
        let movements = release(order.gives(), order.locked);
        order.locked = Decimal::ZERO;
        self.holdings.apply(Change {
            at: now,
            kind: "order_closed",
            reference: order.id.clone(),
            movements,
            detail: order.to_json(),
        });
    }

    pub(super) fn store(&mut self, order: Order) {
        if order.status.is_open() {
            self.open.insert(order.number);
        } else {
            self.open.remove(&order.number);
        }
        self.orders.insert(order.number, order);
    }

    /// Asks for the cancellation of an open order: it takes effect after `wait`.
    pub(crate) fn queue_cancel(&mut self, number: u64, wait: TimeDelta, now: DateTime<Utc>) {
        let Some(mut order) = self.orders.get(&number).cloned() else { return };
        order.status = Status::CancelQueued;
        order.cancelled_at = Some(now.checked_add_signed(wait).unwrap_or(now));
        self.store(order);
        self.catch_up(now);
    }

    /// Executes part of a resting order at its own price, whatever the market says.
    pub(crate) fn force_fill(&mut self, name: &str, quantity: Option<Decimal>) -> bool {
        let now = self.world.now();
        let resting = |order: &&Order| matches!(order.status, Status::Open | Status::CancelQueued);
        let Some(mut order) = self.named(name).filter(resting).cloned() else { return false };
        let wanted = quantity.unwrap_or_else(|| order.rest()).min(order.rest());
        let quantity = floor_to(wanted, order.product.market.step);
        let Some(price) = order.price.filter(|_| quantity > Decimal::ZERO) else { return false };
        self.execute(&mut order, Fill { price, quantity }, true, now);
        self.store(order);
        true
    }

    /// Executes, as makers at their own price, the resting orders the market now reaches.
    pub(crate) fn match_resting(&mut self, now: DateTime<Utc>) {
        let open: Vec<Order> =
            self.open.iter().filter_map(|number| self.orders.get(number)).cloned().collect();
        for order in open {
            let market = &order.product.market;
            let ladder = Ladder::true_one(&self.world, NAME, market, now);
            let size = Size::Base(order.rest());
            let fills = walk(&ladder, order.side, order.price, size, market.step);
            let quantity: Decimal = fills.iter().map(|fill| fill.quantity).sum();
            self.force_fill(&order.id, Some(quantity));
        }
    }
}
