//! The synthetic order book: fifty levels a side around the true mid price, sizes from the seed.
//!
//! Invariant: bids stand below asks, prices and sizes are multiples of the market's steps, and
//! every arriving order meets the full book: the market makers of this world refill at once. The
//! account's own resting orders are deliberately not in it.

use chrono::{DateTime, Utc};
use rust_decimal::{Decimal, RoundingStrategy};

use super::{Market, Side, market::floor_to};
use crate::{
    World,
    prices::{Quote, draw},
};

const LEVELS: u64 = 50;
/// Tenths of a basis point between the mid price and the best level, and between levels.
const STEP_TENTHS: u64 = 10;

/// A price and how much is offered there.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Level {
    pub price: Decimal,
    pub quantity: Decimal,
}

/// Both sides, best first.
#[derive(Debug, Clone, Default)]
pub(crate) struct Ladder {
    pub(crate) bids: Vec<Level>,
    pub(crate) asks: Vec<Level>,
}

/// A part of an order that was executed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Fill {
    pub(crate) price: Decimal,
    pub(crate) quantity: Decimal,
}

/// How much to trade: in the base asset, or as much as this much of the quote asset buys.
#[derive(Debug, Clone, Copy)]
pub(crate) enum Size {
    Base(Decimal),
    Quote(Decimal),
}

impl Ladder {
    /// The book the engine trades against.
    pub(crate) fn true_one(
        world: &World,
        venue: &str,
        market: &Market,
        now: DateTime<Utc>,
    ) -> Self {
        let mid = world.prices.mid(venue, &market.pair(), now);
        mid.map(|mid| Self::around(world, venue, market, mid)).unwrap_or_default()
    }

    /// The book the public endpoints show.
    pub(crate) fn shown(world: &World, venue: &str, market: &Market, quote: Quote) -> Self {
        let mut ladder = Self::around(world, venue, market, quote.mid);
        if quote.crossed {
            std::mem::swap(&mut ladder.bids, &mut ladder.asks);
        }
        ladder
    }

    fn around(world: &World, venue: &str, market: &Market, mid: Decimal) -> Self {
        let pair = market.pair();
        let scale = world.prices.liquidity(venue, &pair);
        let rupees = world.prices.mid(venue, &format!("{}INR", market.base), world.now());
        let rupees = rupees.unwrap_or(Decimal::ONE);
        let mut ladder = Self::default();
        let (mut lowest, mut highest) = (None, None);
        for place in 1..=LEVELS {
            let away = Decimal::new(i64::try_from(place * STEP_TENTHS).unwrap_or(0), 5);
            let bid = floor_to(mid * (Decimal::ONE - away), market.tick);
            let bid = lowest.map_or(bid, |last: Decimal| bid.min(last - market.tick));
            let ask = ceil_to(mid * (Decimal::ONE + away), market.tick);
            let ask = highest.map_or(ask, |last: Decimal| ask.max(last + market.tick));
            (lowest, highest) = (Some(bid), Some(ask));
            let name = place.to_string();
            let size = |side: &str| {
                let thousands = 500 + draw(world.seed, &["size", venue, &pair, side, &name]) % 1000;
                let notional = Decimal::from(thousands) * Decimal::ONE_THOUSAND;
                floor_to(notional.checked_div(rupees).unwrap_or_default() * scale, market.step)
            };
            let (bid_size, ask_size) = (size("bid"), size("ask"));
            if bid > Decimal::ZERO && bid_size > Decimal::ZERO {
                ladder.bids.push(Level { price: bid, quantity: bid_size });
            }
            if ask_size > Decimal::ZERO {
                ladder.asks.push(Level { price: ask, quantity: ask_size });
            }
        }
        ladder
    }

    /// The side an order of ours trades against.
    pub(crate) fn against(&self, side: Side) -> &[Level] {
        match side {
            Side::Buy => &self.asks,
            Side::Sell => &self.bids,
        }
    }
}

fn ceil_to(value: Decimal, step: Decimal) -> Decimal {
    let floor = floor_to(value, step);
    if floor == value { floor } else { floor + step }
}

/// What executes at once: from the best level on, never beyond `limit`.
pub(crate) fn walk(
    ladder: &Ladder,
    side: Side,
    limit: Option<Decimal>,
    size: Size,
    step: Decimal,
) -> Vec<Fill> {
    let mut fills = Vec::new();
    let mut left = size;
    for level in ladder.against(side) {
        let beyond = limit.is_some_and(|limit| match side {
            Side::Buy => level.price > limit,
            Side::Sell => level.price < limit,
        });
        if beyond {
            break;
        }
        let wanted = match left {
            Size::Base(quantity) => quantity,
            Size::Quote(quote) => {
                floor_to(quote.checked_div(level.price).unwrap_or_default(), step)
            }
        };
        let quantity = wanted.min(level.quantity);
        if quantity <= Decimal::ZERO {
            break;
        }
        fills.push(Fill { price: level.price, quantity });
        left = match left {
            Size::Base(rest) => Size::Base(rest - quantity),
            Size::Quote(rest) => Size::Quote(rest - quantity * level.price),
        };
    }
    fills
}

/// `value` with exactly `places` decimals, cut off: the fixed form of prices and quantities.
pub(crate) fn fixed(value: Decimal, places: u32) -> String {
    let mut cut = value.round_dp_with_strategy(places, RoundingStrategy::ToZero);
    cut.rescale(places);
    cut.to_string()
}
