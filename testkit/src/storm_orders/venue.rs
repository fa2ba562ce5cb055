//! A venue at its worst: the simulator's own engine behind a wire that loses answers, delays
//! requests, shows old pictures, fills after the end and takes trades back. In half of the runs its
//! orders execute at once and expire with what they have, as where they may not rest.
//!
//! Invariant: it keeps what a venue promises: a request is taken only within its receive window and
//! then within ten seconds, and nothing is added to an order later than fifteen seconds after it
//! closed. Everything is decided by the dice, so a seed replays.

use std::{collections::BTreeMap, sync::Arc};

use chrono::{DateTime, TimeDelta, Utc};
use primitives::{Clock, ManualClock};
use rust_decimal::Decimal;
use simulators::{
    Options, World,
    wazirx::{Duplicates, Exchange, Execution, Sale, SaleOrder, Settings},
};

/// Split-mix: small, fast, and the same everywhere.
#[derive(Debug)]
pub(super) struct Dice(u64);

impl Dice {
    pub(super) const fn new(seed: u64) -> Self {
        Self(seed)
    }

    pub(super) fn below(&mut self, n: u64) -> u64 {
        self.0 = self.0.wrapping_add(0x9E37_79B9_7F4A_7C15);
        let mut mixed = self.0;
        mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
        mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
        (mixed ^ (mixed >> 31)).checked_rem(n).unwrap_or(0)
    }

    pub(super) fn chance(&mut self, per_mille: u64) -> bool {
        self.below(1_000) < per_mille
    }

    /// A time up to so many seconds, in milliseconds.
    fn within(&mut self, seconds: u64) -> TimeDelta {
        TimeDelta::milliseconds(i64::try_from(self.below(seconds * 1_000)).unwrap_or(0))
    }
}

/// What a placing came to, as the caller learns it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Answer {
    Placed,
    Refused,
    NotSent,
    Lost,
}

/// A read that failed: nothing is known by it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Weather;

#[derive(Debug)]
enum Event {
    Arrive(Sale),
    Fill(u64, u64),
    Expire(u64),
    FillLate(u64, u64),
    TakeBack(u64),
}

#[derive(Debug)]
pub(super) struct Venue {
    pub(super) exchange: Exchange,
    pub(super) dice: Dice,
    clock: ManualClock,
    events: Vec<(DateTime<Utc>, Event)>,
    /// Reads show an order, or a trade, only from then on.
    order_shown: BTreeMap<u64, DateTime<Utc>>,
    trade_shown: BTreeMap<u64, DateTime<Utc>>,
    /// Orders whose end has had its chance of a late fill.
    ended: Vec<u64>,
    /// Orders never rest here: what is not executed at once expires.
    is_immediate: bool,
    /// How often an order expired with something executed, and how often one filled after its end.
    pub(super) expired_in_part: u64,
    pub(super) filled_late: u64,
}

impl Venue {
    pub(super) fn open(seed: u64) -> anyhow::Result<Self> {
        let clock =
            ManualClock::new(DateTime::from_timestamp(1_767_607_200, 0).unwrap_or_default());
        let shared: Arc<dyn Clock> = Arc::new(clock.clone());
        let world = World::new(&Options { limits: false, ..Options::new(shared) })?;
        let exchange = Exchange::without_http(world);
        let mut dice = Dice::new(seed);
        // The vendor does not say what a second order with a known reference gets: both happen.
        let duplicates = if dice.chance(500) { Duplicates::Accept } else { Duplicates::Reject };
        exchange.set_settings(Settings { duplicates, ..exchange.settings() });
        let (order_shown, trade_shown) = (BTreeMap::new(), BTreeMap::new());
        let is_immediate = dice.chance(500);
        Ok(Self {
            exchange,
            dice,
            clock,
            events: Vec::new(),
            order_shown,
            trade_shown,
            ended: Vec::new(),
            is_immediate,
            expired_in_part: 0,
            filled_late: 0,
        })
    }

    pub(super) fn now(&self) -> DateTime<Utc> {
        self.clock.now()
    }

    /// Lets time pass, event by event.
    pub(super) fn pass_until(&mut self, until: DateTime<Utc>) {
        loop {
            let due = self.events.iter().map(|(at, _)| *at).min().filter(|at| *at <= until);
            let at = due.unwrap_or(until).max(self.now());
            self.clock.advance(at.signed_duration_since(self.now()));
            self.watch_ends();
            let Some(due) = due else { return };
            let Some(next) = self.events.iter().position(|(at, _)| *at == due) else { return };
            let (_, event) = self.events.remove(next);
            self.happen(event);
        }
    }

    fn order(&self, id: u64) -> Option<SaleOrder> {
        self.exchange.sales().into_iter().find(|order| order.id == id)
    }

    fn later(&mut self, delay: TimeDelta, event: Event) {
        self.events.push((self.now() + delay, event));
    }

    fn happen(&mut self, event: Event) {
        match event {
            Event::Arrive(sale) => {
                if let Ok(id) = self.exchange.place_late(&sale) {
                    self.let_live(id);
                }
            }
            Event::Fill(id, bps) => {
                let order = self.order(id);
                let Some(order) = order else { return };
                let part = share(order.quantity - order.executed, bps);
                if self.exchange.force_fill(id, Some(part)) {
                    self.show_trades(true);
                }
            }
            Event::Expire(id) => {
                self.exchange.cancel_sale(id, TimeDelta::zero(), 0);
            }
            Event::FillLate(id, bps) => {
                let order = self.order(id);
                let Some(order) = order else { return };
                let part = share(order.quantity - order.executed, bps);
                if self.exchange.fill_after_the_end(id, part) {
                    self.filled_late += 1;
                    self.show_trades(false);
                }
            }
            Event::TakeBack(trade) => {
                self.exchange.take_trade_back(trade);
            }
        }
        self.watch_ends();
    }

    /// What becomes of an order that was taken.
    fn let_live(&mut self, id: u64) {
        let lag = if self.dice.chance(150) { self.dice.within(4) } else { TimeDelta::zero() };
        self.order_shown.insert(id, self.now() + lag);
        if self.is_immediate {
            return self.execute_at_once(id);
        }
        for _ in 0..self.dice.below(4) {
            let bps = if self.dice.chance(300) { 10_000 } else { self.dice.below(10_000) };
            let delay = self.dice.within(9);
            self.later(delay, Event::Fill(id, bps));
        }
        if self.dice.chance(80) {
            let delay = self.dice.within(9);
            self.later(delay, Event::Expire(id));
        }
    }

    /// All of it, a part or nothing is executed now, in up to three trades; the rest expires.
    fn execute_at_once(&mut self, id: u64) {
        let Some(order) = self.order(id) else { return };
        let bps = if self.dice.chance(500) { 10_000 } else { self.dice.below(10_001) };
        let mut left = share(order.quantity, bps);
        for _ in 0..self.dice.below(3) {
            let bps = self.dice.below(10_000);
            let part = share(left, bps);
            if self.exchange.force_fill(id, Some(part)) {
                left -= part;
            }
        }
        self.exchange.force_fill(id, Some(left));
        self.show_trades(true);
        self.exchange.cancel_sale(id, TimeDelta::zero(), 0);
        let executed = self.order(id).map_or(Decimal::ZERO, |order| order.executed);
        if executed > Decimal::ZERO && executed < order.quantity {
            self.expired_in_part += 1;
        }
        self.watch_ends();
    }

    /// New trades may be shown late, and may be taken back soon.
    fn show_trades(&mut self, may_go: bool) {
        for trade in self.exchange.executions() {
            if self.trade_shown.contains_key(&trade.id) {
                continue;
            }
            let lag = if self.dice.chance(150) { self.dice.within(3) } else { TimeDelta::zero() };
            self.trade_shown.insert(trade.id, self.now() + lag);
            if may_go && self.dice.chance(40) {
                let delay = self.dice.within(10);
                self.later(delay, Event::TakeBack(trade.id));
            }
        }
    }

    /// An order that has closed may fill once more for a while.
    fn watch_ends(&mut self) {
        self.show_trades(false);
        for order in self.exchange.sales() {
            if order.is_open || self.ended.contains(&order.id) {
                continue;
            }
            self.ended.push(order.id);
            if order.executed < order.quantity && self.dice.chance(250) {
                let (delay, bps) = (self.dice.within(15), 1 + self.dice.below(10_000));
                self.later(delay, Event::FillLate(order.id, bps));
            }
        }
    }

    pub(super) fn place(&mut self, sale: &Sale) -> Answer {
        match self.dice.below(100) {
            0..5 => Answer::NotSent,
            5..10 => Answer::Refused,
            10..18 => Answer::Lost,
            18..28 => {
                // Late on the way, then late in front of the engine; the time is checked between.
                let travel = self.dice.within(8);
                if travel <= sale.window {
                    let wait = self.dice.within(10);
                    self.later(travel + wait, Event::Arrive(sale.clone()));
                }
                Answer::Lost
            }
            drawn => match self.exchange.place_resting(sale) {
                Ok(id) => {
                    self.let_live(id);
                    if drawn < 40 { Answer::Lost } else { Answer::Placed }
                }
                Err(_) => Answer::Refused,
            },
        }
    }

    pub(super) fn find(&mut self, client_id: &str) -> Result<Option<SaleOrder>, Weather> {
        self.weather()?;
        let now = self.now();
        let shown = |order: &SaleOrder| self.order_shown.get(&order.id).is_none_or(|at| *at <= now);
        Ok(self.exchange.find_sale(client_id).filter(shown))
    }

    /// The executions of an order; weather while the list lags behind what the order says.
    pub(super) fn fills(&mut self, order: &SaleOrder) -> Result<Vec<Execution>, Weather> {
        self.weather()?;
        let fills: Vec<Execution> =
            self.shown_trades().into_iter().filter(|trade| trade.order_id == order.id).collect();
        let told: Decimal = fills.iter().map(|trade| trade.quantity).sum();
        if told < order.executed { Err(Weather) } else { Ok(fills) }
    }

    pub(super) fn trades_since(&mut self, at: DateTime<Utc>) -> Result<Vec<Execution>, Weather> {
        self.weather()?;
        Ok(self.shown_trades().into_iter().filter(|trade| trade.at >= at).collect())
    }

    pub(super) fn open_orders(&mut self) -> Result<Vec<SaleOrder>, Weather> {
        self.weather()?;
        let now = self.now();
        let shown = |order: &SaleOrder| self.order_shown.get(&order.id).is_none_or(|at| *at <= now);
        Ok(self.exchange.open_sales().into_iter().filter(shown).collect())
    }

    /// Half of the wishes are heard at once, some later, some never.
    pub(super) fn cancel(&mut self, client_id: &str) {
        let Some(order) = self.exchange.find_sale(client_id) else { return };
        if self.dice.chance(100) {
            return;
        }
        let delay = if self.dice.chance(500) { self.dice.within(3) } else { TimeDelta::zero() };
        let late = if self.dice.chance(300) { self.dice.below(10_001) } else { 0 };
        self.exchange.cancel_sale(order.id, delay, u32::try_from(late).unwrap_or(0));
    }

    fn shown_trades(&self) -> Vec<Execution> {
        let now = self.now();
        let shown = |trade: &Execution| self.trade_shown.get(&trade.id).is_none_or(|at| *at <= now);
        self.exchange.executions().into_iter().filter(shown).collect()
    }

    fn weather(&mut self) -> Result<(), Weather> {
        if self.dice.chance(40) { Err(Weather) } else { Ok(()) }
    }
}

fn share(rest: Decimal, bps: u64) -> Decimal {
    let part = rest * Decimal::from(bps) / Decimal::from(10_000);
    part.round_dp_with_strategy(2, rust_decimal::RoundingStrategy::ToZero)
}
