//! A seller with its books in memory, who decides by the product's own functions: `judge`, and the
//! conversion's state machine.
//!
//! Invariant: it mirrors what the worker does, beat by beat, and forgets an answer wherever a
//! process may die between a call and its record. What it may not do is know more than it was told.

use std::collections::{BTreeMap, BTreeSet};

use anyhow::{Result, ensure};
use chrono::{DateTime, TimeDelta, Utc};
use primitives::{Amount, Asset};
use rust_decimal::Decimal;
use settlement::conversion::{
    AttemptState, ConversionEvent as Event, ConversionState,
    judge::{self, Absence, Missing, Standing, Traces},
};
use simulators::wazirx::{Execution, Sale, SaleOrder};

use super::{
    Planted,
    venue::{Answer, Venue, Weather},
};

const WINDOW: TimeDelta = TimeDelta::seconds(5);
const FENCE: TimeDelta = TimeDelta::seconds(20);
const GAP: TimeDelta = TimeDelta::seconds(6);
const ORDER_WAIT: TimeDelta = TimeDelta::seconds(10);
const SECOND: TimeDelta = TimeDelta::seconds(1);
const ORDERS_MAX: usize = 12;
/// A hundredth of a dollar coin is the venue's step; less than one whole is not worth an order.
const STEP: i128 = 10_000;
const LEAST: i128 = 1_000_000;

#[derive(Debug)]
struct Order {
    reference: String,
    quantity: Amount,
    state: AttemptState,
    sent_at: DateTime<Utc>,
    closed_at: Option<DateTime<Utc>>,
    looked: bool,
    send_after: DateTime<Utc>,
    sends: i64,
    sighted: Option<DateTime<Utc>>,
    missing_since: Option<DateTime<Utc>>,
    turned: Option<DateTime<Utc>>,
    booked: BTreeMap<u64, Amount>,
    taken_back: BTreeSet<u64>,
}

impl Order {
    fn total(&self) -> Result<Amount> {
        let mut total = Amount::zero(Asset::Usdc);
        for amount in self.booked.values() {
            total = total.checked_add(*amount)?;
        }
        Ok(total)
    }

    fn is_unlooked(&self) -> bool {
        let ended = [AttemptState::Filled, AttemptState::Closed, AttemptState::Absent];
        ended.contains(&self.state) && !self.looked
    }
}

#[derive(Debug)]
pub(super) struct Client {
    name: String,
    planted: Planted,
    target: Amount,
    sold: Amount,
    opening: Amount,
    pub(super) state: ConversionState,
    orders: Vec<Order>,
    pub(super) cases: BTreeSet<&'static str>,
}

/// What one look told of an order.
struct Told {
    closed: bool,
    executed: Amount,
    fills: Vec<(u64, Amount)>,
}

impl Told {
    fn listed(&self) -> Result<Amount> {
        let mut sum = Amount::zero(Asset::Usdc);
        for (_, sold) in &self.fills {
            sum = sum.checked_add(*sold)?;
        }
        Ok(sum)
    }
}

impl Client {
    pub(super) fn new(name: String, target: i128, venue: &Venue, planted: Planted) -> Result<Self> {
        let pockets = venue.exchange.balance("USDC");
        Ok(Self {
            name,
            planted,
            target: Amount::try_new(target, Asset::Usdc)?,
            sold: Amount::zero(Asset::Usdc),
            opening: units(pockets.free + pockets.locked)?,
            state: ConversionState::Rejected,
            orders: Vec::new(),
            cases: BTreeSet::new(),
        })
    }

    pub(super) fn orders(&self) -> usize {
        self.orders.len()
    }

    pub(super) fn target(&self) -> Amount {
        self.target
    }

    /// Every trade that is booked and was not taken back.
    pub(super) fn booked(&self) -> BTreeMap<u64, Amount> {
        self.orders.iter().flat_map(|o| o.booked.iter().map(|(id, sold)| (*id, *sold))).collect()
    }

    /// One run of the job. Answers when to run again; `None` when all is certain.
    pub(super) fn turn(&mut self, venue: &mut Venue) -> Result<Option<DateTime<Utc>>> {
        let now = venue.now();
        let next = match self.resolve(venue, now)? {
            Ok(next) => next,
            Err(Weather) => Some(now + SECOND),
        };
        Ok(next.map(|at| at.max(now + TimeDelta::milliseconds(1))))
    }

    fn resolve(
        &mut self,
        venue: &mut Venue,
        now: DateTime<Utc>,
    ) -> Result<Result<Option<DateTime<Utc>>, Weather>> {
        let ended = self.orders.iter().enumerate().filter(|(_, order)| order.is_unlooked());
        let due = |order: &Order| order.closed_at.unwrap_or(now) + FENCE;
        let next = ended.map(|(n, order)| (due(order), n)).min();
        if let Some((at, n)) = next
            && at <= now
        {
            return self.look_again(venue, n);
        }
        if matches!(self.state, ConversionState::Filled | ConversionState::InReview) {
            return Ok(Ok(next.map(|(at, _)| at)));
        }
        let Some(n) = self.orders.iter().position(|order| order.state.is_live()) else {
            return Ok(Ok(Some(self.plan(venue, now)?)));
        };
        let Some(order) = self.orders.get(n) else { return Ok(Ok(None)) };
        if order.state == AttemptState::Planned {
            let later = order.send_after > now;
            return Ok(Ok(Some(if later { order.send_after } else { self.send(venue, n)? })));
        }
        self.follow(venue, n)
    }

    fn step(&mut self, event: Event) -> Result<()> {
        self.state = self.state.next(event)?;
        Ok(())
    }

    fn plan(&mut self, venue: &mut Venue, now: DateTime<Utc>) -> Result<DateTime<Utc>> {
        let missing = self.target.checked_sub(self.sold)?.minor();
        let quantity = missing - missing.checked_rem(STEP).unwrap_or(0);
        if quantity < LEAST {
            self.step(Event::NextOrderPlanned)?;
            self.step(Event::AllSold)?;
            return Ok(now);
        }
        if self.orders.len() >= ORDERS_MAX {
            self.step(Event::NeedsPerson)?;
            return Ok(now);
        }
        let short = self.orders.iter().any(|o| o.state == AttemptState::Closed && o.is_unlooked());
        if short && self.planted != Planted::NoLookAgain {
            return Ok(now + SECOND);
        }
        let refused =
            self.orders.iter().rev().take_while(|o| o.state == AttemptState::Rejected).count();
        let pause = judge::pause_after_refusals(i64::try_from(refused)?);
        let last = self.orders.last().and_then(|order| order.closed_at);
        if let Some(at) = last.map(|at| at + pause).filter(|at| *at > now && refused > 0) {
            return Ok(at);
        }
        self.step(Event::NextOrderPlanned)?;
        self.orders.push(Order {
            reference: self.next_reference(),
            quantity: Amount::try_new(quantity, Asset::Usdc)?,
            state: AttemptState::Planned,
            sent_at: now,
            closed_at: None,
            looked: false,
            send_after: now,
            sends: 0,
            sighted: None,
            missing_since: None,
            turned: None,
            booked: BTreeMap::new(),
            taken_back: BTreeSet::new(),
        });
        self.send(venue, self.orders.len() - 1)
    }

    fn next_reference(&self) -> String {
        let reuses = self.planted == Planted::SameReference;
        let number = if reuses { 1 } else { self.orders.len() + 1 };
        format!("{}-{number}", self.name)
    }

    fn send(&mut self, venue: &mut Venue, n: usize) -> Result<DateTime<Utc>> {
        let now = venue.now();
        self.step(Event::OrderSent)?;
        let Some(order) = self.orders.get_mut(n) else { return Ok(now) };
        order.state = AttemptState::Sent;
        (order.sent_at, order.sends) = (now, order.sends + 1);
        let sale = Sale {
            client_id: order.reference.clone(),
            symbol: "usdcinr".to_owned(),
            quantity: Decimal::try_from_i128_with_scale(order.quantity.minor(), 6)?.normalize(),
            price: Decimal::new(8_500, 2),
            stamp: now,
            window: WINDOW,
        };
        // The process may die before the call, and after it.
        if venue.dice.chance(20) {
            return Ok(now + SECOND);
        }
        let answer = venue.place(&sale);
        if venue.dice.chance(30) {
            return Ok(now + SECOND);
        }
        let event = match answer {
            Answer::Placed => return Ok(now + SECOND),
            Answer::Refused => {
                (order.state, order.closed_at) = (AttemptState::Rejected, Some(now));
                Event::OrderRefused
            }
            Answer::NotSent => {
                order.state = AttemptState::Planned;
                order.send_after = now + judge::pause_after_sends(order.sends);
                Event::NotSent
            }
            Answer::Lost => {
                order.state = AttemptState::Unknown;
                Event::AnswerLost
            }
        };
        self.step(event)?;
        Ok(now + SECOND)
    }

    fn follow(
        &mut self,
        venue: &mut Venue,
        n: usize,
    ) -> Result<Result<Option<DateTime<Utc>>, Weather>> {
        let now = venue.now();
        let Some(order) = self.orders.get(n) else { return Ok(Ok(None)) };
        let (reference, sent_at) = (order.reference.clone(), order.sent_at);
        let found = match venue.find(&reference) {
            Ok(Some(found)) => found,
            Ok(None) => return self.prove_absent(venue, n),
            Err(weather) => return Ok(Err(weather)),
        };
        let told = match tell(venue, &found)? {
            Ok(told) => told,
            Err(weather) => return Ok(Err(weather)),
        };
        if venue.dice.chance(30) {
            return Ok(Ok(Some(now + SECOND)));
        }
        let again = self.book(n, &told, now)?;
        let Some(order) = self.orders.get_mut(n) else { return Ok(Ok(None)) };
        let said = (told.executed, told.closed);
        let standing = judge::standing(order.quantity, order.total()?, said)?;
        ensure!(standing != Standing::Contradiction, "executed more than was ordered");
        order.state = AttemptState::Open;
        let rest = order.quantity.checked_sub(told.executed)?;
        if self.state == ConversionState::Unknown {
            self.step(Event::OrderFound)?;
        }
        let ended = if again.is_none() { standing } else { Standing::Open };
        let Standing::Ended(left) = ended else {
            let too_much = judge::is_too_much(rest, self.target, self.sold)?;
            if !told.closed && (too_much || now >= sent_at + ORDER_WAIT) {
                venue.cancel(&reference);
            }
            return Ok(Ok(Some(now + SECOND)));
        };
        if let Some(order) = self.orders.get_mut(n) {
            let end = if left.is_zero() { AttemptState::Filled } else { AttemptState::Closed };
            (order.state, order.closed_at) = (end, Some(now));
        }
        let all = self.sold == self.target;
        self.step(if all { Event::AllSold } else { Event::ClosedShort })?;
        Ok(Ok(Some(now)))
    }

    /// Books what is new, takes back what is missing twice, and counts what is sold.
    fn book(&mut self, n: usize, told: &Told, now: DateTime<Utc>) -> Result<Option<DateTime<Utc>>> {
        let Some(order) = self.orders.get_mut(n) else { return Ok(None) };
        let listed: BTreeSet<u64> = told.fills.iter().map(|(id, _)| *id).collect();
        let missing: Vec<u64> =
            order.booked.keys().copied().filter(|id| !listed.contains(id)).collect();
        let mut again = None;
        if missing.is_empty() {
            order.missing_since = None;
        } else {
            let adds_up = told.closed && told.listed()? == told.executed;
            match judge::missing(adds_up, order.missing_since, now, GAP) {
                Missing::NotTold => (order.missing_since, again) = (None, Some(now + GAP)),
                Missing::Since(since, due) => {
                    (order.missing_since, again) = (Some(since), Some(due));
                }
                Missing::TakenBack => {
                    (order.missing_since, order.turned) = (None, Some(now));
                    for id in missing {
                        order.booked.remove(&id);
                        order.taken_back.insert(id);
                    }
                    self.cases.insert("fill_reversed");
                }
            }
        }
        let new = if again.is_none() { told.fills.as_slice() } else { &[] };
        for (id, sold) in new {
            ensure!(!order.taken_back.contains(id), "a trade that was taken back is listed again");
            let before = order.booked.insert(*id, *sold);
            ensure!(before.is_none_or(|before| before == *sold), "a trade changed its content");
        }
        let mut total = Amount::zero(Asset::Usdc);
        for order in &self.orders {
            total = total.checked_add(order.total()?)?;
        }
        let sold = judge::sold(self.target, total)?;
        self.sold = sold.counted;
        if sold.beyond.is_positive() && again.is_none() {
            self.cases.insert("oversold");
        }
        Ok(again)
    }

    fn prove_absent(
        &mut self,
        venue: &mut Venue,
        n: usize,
    ) -> Result<Result<Option<DateTime<Utc>>, Weather>> {
        let now = venue.now();
        let Some(order) = self.orders.get(n) else { return Ok(Ok(None)) };
        let length = judge::fence_length(WINDOW, FENCE);
        let wait = judge::fence_wait(order.sent_at, length, (now, now));
        if let Some(at) = wait.filter(|_| self.planted != Planted::NoFence) {
            return Ok(Ok(Some(at)));
        }
        if order.state == AttemptState::Open {
            return Ok(Ok(Some(now + SECOND)));
        }
        let since = order.sent_at - TimeDelta::seconds(5);
        let traces = match self.traces(venue, since)? {
            Ok(traces) => traces,
            Err(weather) => return Ok(Err(weather)),
        };
        if venue.dice.chance(30) {
            return Ok(Ok(Some(now + SECOND)));
        }
        let clean = traces.is_clean() || self.planted == Planted::NoFence;
        if self.state == ConversionState::Submitted {
            self.step(Event::AnswerLost)?;
        }
        let Some(order) = self.orders.get_mut(n) else { return Ok(Ok(None)) };
        order.state = AttemptState::Unknown;
        let next = match judge::absence(clean, order.sighted, now, GAP) {
            Absence::Unclean => {
                order.sighted = None;
                now + SECOND
            }
            Absence::First(at) => {
                order.sighted = Some(now);
                at
            }
            Absence::TooSoon(at) => at,
            Absence::Proven => {
                (order.state, order.closed_at) = (AttemptState::Absent, Some(now));
                self.step(Event::OrderAbsent)?;
                now
            }
        };
        Ok(Ok(Some(next)))
    }

    fn traces(&self, venue: &mut Venue, at: DateTime<Utc>) -> Result<Result<Traces, Weather>> {
        let (open, trades) = match (venue.open_orders(), venue.trades_since(at)) {
            (Ok(open), Ok(trades)) => (open, trades),
            _ => return Ok(Err(Weather)),
        };
        let booked = self.booked();
        let mut books = self.opening;
        for sold in booked.values() {
            books = books.checked_sub(*sold)?;
        }
        let mut resting = Decimal::ZERO;
        for order in &open {
            resting += order.quantity - order.executed;
        }
        let pockets = venue.exchange.balance("USDC");
        Ok(Ok(Traces {
            trades: trades.len(),
            strange_trades: trades.iter().filter(|trade| !booked.contains_key(&trade.id)).count(),
            // One order of a conversion is alive at most: whatever rests is this one or nobody's.
            strange_orders: open.len(),
            resting: units(resting)?,
            locked: units(pockets.locked)?,
            held: units(pockets.free + pockets.locked)?,
            books,
            arrived: None,
        }))
    }

    fn look_again(
        &mut self,
        venue: &mut Venue,
        n: usize,
    ) -> Result<Result<Option<DateTime<Utc>>, Weather>> {
        let now = venue.now();
        let Some(order) = self.orders.get(n) else { return Ok(Ok(None)) };
        let (reference, was_absent) =
            (order.reference.clone(), order.state == AttemptState::Absent);
        let told = match venue.find(&reference) {
            Ok(Some(found)) => match tell(venue, &found)? {
                Ok(told) => told,
                Err(weather) => return Ok(Err(weather)),
            },
            Ok(None) if was_absent => {
                if let Some(order) = self.orders.get_mut(n) {
                    order.looked = true;
                }
                return Ok(Ok(Some(now)));
            }
            Ok(None) => return Ok(Ok(Some(now + SECOND))),
            Err(weather) => return Ok(Err(weather)),
        };
        if venue.dice.chance(30) {
            return Ok(Ok(Some(now + SECOND)));
        }
        if was_absent {
            self.cases.insert("order_came_late");
        }
        let again = self.book(n, &told, now)?;
        if !told.closed {
            venue.cancel(&reference);
            return Ok(Ok(Some(now + SECOND)));
        }
        let adds_up = told.listed()? == told.executed;
        if let Some(order) = self.orders.get_mut(n)
            && again.is_none()
            && adds_up
            && order.total()? == told.executed
        {
            let turned = order.turned.map(|turned| turned + FENCE).filter(|at| *at > now);
            let Some(at) = turned else {
                order.looked = true;
                return Ok(Ok(Some(now)));
            };
            return Ok(Ok(Some(at)));
        }
        Ok(Ok(Some(again.unwrap_or(now + SECOND))))
    }
}

fn tell(venue: &mut Venue, order: &SaleOrder) -> Result<Result<Told, Weather>> {
    let fills = match venue.fills(order) {
        Ok(fills) => fills,
        Err(weather) => return Ok(Err(weather)),
    };
    let fill = |trade: &Execution| Ok((trade.id, units(trade.quantity)?));
    Ok(Ok(Told {
        closed: !order.is_open,
        executed: units(order.executed)?,
        fills: fills.iter().map(fill).collect::<Result<_>>()?,
    }))
}

pub(super) fn units(value: Decimal) -> Result<Amount> {
    Ok(Amount::parse_units(&value.normalize().to_string(), Asset::Usdc)?)
}
