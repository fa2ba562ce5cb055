//! What a venue does to orders behind everybody's back: late executions, and executions undone.
//!
//! Invariant: what a late execution gives comes out of what is free, and an execution is undone
//! once, with its fee.

use rust_decimal::Decimal;

use super::{
    engine::State,
    order::{Kind, Order, Status, Trade, up},
    settings::Reversals,
};
use crate::{
    journal::Movement,
    venue::{Change, Fill, Side, floor_to, lock},
};

impl State {
    /// Executes part of an order that is over already: the venue's own race.
    pub(crate) fn fill_closed(&mut self, name: &str, quantity: Decimal) -> bool {
        let now = self.world.now();
        let over = |order: &&Order| matches!(order.status, Status::Cancelled | Status::Expired);
        let Some(mut order) = self.named(name).filter(over).cloned() else { return false };
        let quantity = floor_to(quantity.min(order.rest()), order.product.market.step);
        let Some(price) = order.price.filter(|_| quantity > Decimal::ZERO) else { return false };
        let value = price * quantity;
        let gives = match order.side {
            Side::Buy => value + up(value * order.taker_rate),
            Side::Sell => quantity,
        };
        let taken = self.holdings.apply(Change {
            at: now,
            kind: "order_late",
            reference: order.id.clone(),
            movements: lock(order.gives(), gives),
            detail: order.to_json(),
        });
        if taken {
            let ended = order.status;
            // Only this part of it is alive for a moment.
            let whole = order.quantity;
            order.quantity = order.executed + quantity;
            order.locked = gives;
            self.execute(&mut order, Fill { price, quantity }, true, now);
            order.quantity = whole;
            if order.executed < whole {
                order.status = ended;
            }
            self.store(order);
        }
        taken
    }

    /// Takes an execution back, as venues do with trades made in error. An order that was filled is
    /// closed short by it.
    pub(crate) fn take_back(&mut self, trade_id: &str) -> bool {
        let now = self.world.now();
        let real = |trade: &Trade| trade.id == trade_id && !trade.is_reversal;
        let undone = |trade: &Trade| trade.id == trade_id && trade.is_reversal;
        let Some(at) = self.trades.iter().position(real) else { return false };
        if self.trades.iter().any(undone) {
            return false;
        }
        let Some(trade) = self.trades.get(at).cloned() else { return false };
        let Some(mut order) = self.by_id(&trade.order_id).cloned() else { return false };
        let is_open = order.status.is_open();
        let market = &trade.product.market;
        let rest = order.rest() + trade.quantity;
        let locked = match (is_open, order.kind) {
            (true, Kind::Limit) => order.needs(rest),
            _ => order.locked,
        };
        let mut movements = match trade.side {
            Side::Sell => vec![
                Movement::new(market.base, "free", trade.quantity, "taken_back"),
                Movement::new(market.quote, "free", -trade.quote, "taken_back"),
                Movement::new(market.quote, "free", trade.fee, "taken_back"),
            ],
            Side::Buy => vec![
                Movement::new(market.quote, "free", trade.quote, "taken_back"),
                Movement::new(market.quote, "free", trade.fee, "taken_back"),
                Movement::new(market.base, "free", -trade.quantity, "taken_back"),
            ],
        };
        if locked != order.locked {
            movements.extend(lock(order.gives(), locked - order.locked));
        }
        let (kind, reference, detail) = ("taken_back", trade_id.to_owned(), trade.to_json());
        if !self.holdings.apply(Change { at: now, kind, reference, movements, detail }) {
            return false;
        }
        order.locked = locked;
        order.executed -= trade.quantity;
        order.quote_executed -= trade.quote;
        order.fees -= trade.fee;
        if order.status == Status::Filled {
            order.status = Status::Cancelled;
        }
        self.show_reversal(at, trade, &mut order);
        self.store(order);
        true
    }

    fn show_reversal(&mut self, at: usize, trade: Trade, order: &mut Order) {
        if self.settings.reversals == Reversals::Removed {
            self.trades.remove(at);
            order.fills = order.fills.saturating_sub(1);
            return;
        }
        let (number, now) = (self.next_trade, self.world.now());
        self.next_trade = number.saturating_add(1);
        let entry_id = hex::encode(self.world.entropy.bytes::<32>());
        self.trades.push(Trade {
            number,
            entry_id,
            is_reversal: true,
            at: now,
            visible_from: now,
            ..trade
        });
    }
}
