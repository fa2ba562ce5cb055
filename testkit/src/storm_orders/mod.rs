//! The storm of orders: randomised sales against the simulator's engine in process, by the very
//! functions the worker decides with. A million of them fit into a coffee.
//!
//! Invariants checked after every turn and at the end, from the venue's own books: at most one
//! order of a sale is alive, no reference is accepted twice, never more is sold than was to be
//! sold, and what is booked is what was traded, once each. A seed replays a run exactly.

mod client;
mod venue;

use std::collections::{BTreeMap, BTreeSet};

use anyhow::{Context as _, Result, ensure};
use chrono::TimeDelta;
use primitives::Amount;
use settlement::conversion::ConversionState;

use client::{Client, units};
use venue::{Dice, Venue};

/// Turns after which a sale that is not certain yet is stuck.
const TURNS_MAX: usize = 3_000;

/// A bug put in on purpose: the storm must see it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Planted {
    #[default]
    None,
    /// An order is called absent without waiting, and whatever else is seen.
    NoFence,
    /// The next order does not wait for the last look at the one before.
    NoLookAgain,
    /// Every order of a sale carries the same reference: a venue that forgets takes it again.
    SameReference,
}

/// What the runs came to.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Tally {
    pub runs: u64,
    pub orders: u64,
    pub filled: u64,
    pub in_review: u64,
    pub taken_back: u64,
    /// Orders that expired with a part executed, and executions after an order's end.
    pub expired_in_part: u64,
    pub filled_late: u64,
}

impl Tally {
    #[must_use]
    pub const fn plus(self, other: Self) -> Self {
        Self {
            runs: self.runs + other.runs,
            orders: self.orders + other.orders,
            filled: self.filled + other.filled,
            in_review: self.in_review + other.in_review,
            taken_back: self.taken_back + other.taken_back,
            expired_in_part: self.expired_in_part + other.expired_in_part,
            filled_late: self.filled_late + other.filled_late,
        }
    }
}

/// Runs the sales `first..first + runs` of a seed.
///
/// # Errors
/// A sentence naming the run, and the first thing that must not happen.
pub fn storm(seed: u64, first: u64, runs: u64, planted: Planted) -> Result<Tally> {
    let mut tally = Tally::default();
    for run in first..first.saturating_add(runs) {
        let one = sale(seed, run, planted).with_context(|| format!("seed {seed}, run {run}"))?;
        tally = tally.plus(one);
    }
    Ok(tally)
}

fn sale(seed: u64, run: u64, planted: Planted) -> Result<Tally> {
    let mixed = Dice::new(seed ^ run.wrapping_mul(0xD6E8_FEB8_6659_FD93)).below(u64::MAX);
    let mut venue = Venue::open(mixed)?;
    let cents = 100 + venue.dice.below(50_000);
    let mut client = Client::new(format!("s{run}"), i128::from(cents) * 10_000, &venue, planted)?;
    for _ in 0..TURNS_MAX {
        let next = client.turn(&mut venue)?;
        check(&venue, &client)?;
        let Some(next) = next else { return end(&mut venue, &client) };
        venue.pass_until(next);
        check(&venue, &client)?;
    }
    anyhow::bail!("the sale is stuck in {}", client.state)
}

/// What must be true at every moment, by the venue's own books.
fn check(venue: &Venue, client: &Client) -> Result<()> {
    let alive = venue.exchange.open_sales().len();
    ensure!(alive <= 1, "S2: {alive} orders are alive");
    let mut references = BTreeSet::new();
    for order in venue.exchange.sales() {
        ensure!(references.insert(order.client_id.clone()), "S1: {} twice", order.client_id);
    }
    let mut sold = Amount::zero(client.target().asset());
    for trade in venue.exchange.executions() {
        sold = sold.checked_add(units(trade.quantity)?)?;
    }
    ensure!(sold.minor() <= client.target().minor(), "S4: double sale: {sold} sold");
    Ok(())
}

/// Long after the end: nothing moves any more, and both books are the same.
fn end(venue: &mut Venue, client: &Client) -> Result<Tally> {
    let later = venue.now() + TimeDelta::minutes(2);
    venue.pass_until(later);
    check(venue, client)?;
    ensure!(venue.exchange.open_sales().is_empty(), "an order was left alive");
    let mut traded = BTreeMap::new();
    for trade in venue.exchange.executions() {
        traded.insert(trade.id, units(trade.quantity)?);
    }
    ensure!(traded == client.booked(), "S5: traded {traded:?}, booked {:?}", client.booked());
    for kind in ["oversold", "order_came_late"] {
        ensure!(!client.cases.contains(kind), "a case that cannot be: {kind}");
    }
    Ok(Tally {
        runs: 1,
        orders: u64::try_from(client.orders())?,
        filled: u64::from(client.state == ConversionState::Filled),
        in_review: u64::from(client.state == ConversionState::InReview),
        taken_back: u64::from(client.cases.contains("fill_reversed")),
        expired_in_part: venue.expired_in_part,
        filled_late: venue.filled_late,
    })
}
