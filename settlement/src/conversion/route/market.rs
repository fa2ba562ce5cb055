//! One market of a venue as it was seen, and what its bids give for a quantity.
//!
//! Invariant: exact decimals, nothing is assumed that the venue did not say; what does not fit is
//! `None`, never zero.

use chrono::{DateTime, Utc};
use primitives::{Amount, Asset, Bps};
use rust_decimal::{Decimal, RoundingStrategy};
use serde::{Deserialize, Serialize};

use crate::{Error, rates::Level};

/// What a venue takes of a sale, as far as it or its settings tell.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Levies {
    pub fee: Bps,
    /// On the fee.
    pub gst: Bps,
    /// Of the gross. It comes back with the tax return; until then it is a cost.
    pub tds: Bps,
}

/// What the venue's market looks like now. Prices and notionals are in the quote asset.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Market {
    pub price_tick: Decimal,
    pub quantity_step: Decimal,
    pub quantity_min: Decimal,
    pub quantity_max: Option<Decimal>,
    pub notional_min: Decimal,
    pub is_open: bool,
    /// True when the venue has orders that execute at once or not at all.
    pub takes_immediate: bool,
    pub levies: Levies,
    /// Best first.
    pub bids: Vec<Level>,
    /// The book's own time.
    pub seen_at: DateTime<Utc>,
}

/// A market of a venue that could take a sale, or why it could not be looked at.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Offer {
    pub venue: String,
    pub sell: Asset,
    pub quote: Asset,
    pub market: Result<Market, String>,
}

/// What selling into the bids gives.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Walk {
    /// How much the bids take at the limit or better.
    pub executable: Decimal,
    /// What they pay for it.
    pub gross: Decimal,
    /// The bids used, the last one in part.
    pub bids: Vec<Level>,
}

impl Market {
    /// What a book alone tells: no rules, no levies, always open.
    #[must_use]
    pub fn of_book(bids: Vec<Level>, seen_at: DateTime<Utc>) -> Self {
        let finest = Decimal::new(1, 18);
        Self {
            price_tick: finest,
            quantity_step: finest,
            quantity_min: finest,
            quantity_max: None,
            notional_min: Decimal::ZERO,
            is_open: true,
            takes_immediate: false,
            levies: Levies { fee: Bps::ZERO, gst: Bps::ZERO, tds: Bps::ZERO },
            bids,
            seen_at,
        }
    }

    #[must_use]
    pub fn best_bid(&self) -> Option<Decimal> {
        self.bids.first().map(|level| level.price).filter(|price| *price > Decimal::ZERO)
    }

    /// The best bid less the slippage we accept, on the venue's tick.
    #[must_use]
    pub fn limit(&self, slippage: Bps) -> Option<Decimal> {
        let kept = Decimal::from(10_000_u32.checked_sub(slippage.get())?);
        let price = self.best_bid()?.checked_mul(kept)?.checked_div(Decimal::from(10_000))?;
        floor_to(price, self.price_tick).filter(|price| *price > Decimal::ZERO)
    }

    /// The largest quantity within `total` that one market takes, be it in several orders; zero
    /// when that is below what it takes at all.
    ///
    /// # Errors
    /// `Inconsistent` when the venue's numbers cannot be worked with.
    pub fn sellable(&self, total: Amount, slippage: Bps) -> Result<Amount, Error> {
        let odd = || Error::Inconsistent("the venue's steps do not fit the batch".into());
        let quantity = floor_to(units(total)?, self.quantity_step).ok_or_else(odd)?;
        // Without a bid there is no worth to compare; such a market is refused elsewhere.
        let value = self.limit(slippage).and_then(|limit| limit.checked_mul(quantity));
        let enough = value.is_none_or(|value| value >= self.notional_min);
        if quantity < self.quantity_min || !enough || quantity <= Decimal::ZERO {
            return Ok(Amount::zero(total.asset()));
        }
        amount(quantity, total.asset())
    }

    /// As much of a sellable quantity as one order may carry.
    ///
    /// # Errors
    /// As [`Market::sellable`].
    pub fn one_order(&self, sellable: Amount) -> Result<Amount, Error> {
        let most = self.quantity_max.and_then(|most| floor_to(most, self.quantity_step));
        match most.filter(|most| *most > Decimal::ZERO) {
            Some(most) if units(sellable)? > most => amount(most, sellable.asset()),
            _ => Ok(sellable),
        }
    }

    /// Sells `quantity` into the bids at `limit` or better.
    #[must_use]
    pub fn walk(&self, quantity: Decimal, limit: Decimal) -> Option<Walk> {
        Walk::of(&self.bids, quantity, limit)
    }
}

impl Walk {
    /// Sells `quantity` into `bids`, best first, at `limit` or better.
    #[must_use]
    pub fn of(bids: &[Level], quantity: Decimal, limit: Decimal) -> Option<Self> {
        let mut walk = Self { executable: Decimal::ZERO, gross: Decimal::ZERO, bids: Vec::new() };
        for level in bids.iter().take_while(|level| level.price >= limit) {
            let missing = quantity.checked_sub(walk.executable)?;
            if missing <= Decimal::ZERO {
                break;
            }
            let part = level.quantity.min(missing);
            walk.executable = walk.executable.checked_add(part)?;
            walk.gross = walk.gross.checked_add(part.checked_mul(level.price)?)?;
            walk.bids.push(*level);
        }
        Some(walk)
    }
}

impl Levies {
    /// What is left of a gross after the venue's fee, the tax on it and what is withheld.
    #[must_use]
    pub fn net(&self, gross: Decimal) -> Option<Decimal> {
        let of = |amount: Decimal, bps: Bps| {
            amount.checked_mul(Decimal::from(bps.get()))?.checked_div(Decimal::from(10_000))
        };
        let fee = of(gross, self.fee)?;
        let gst = of(fee, self.gst)?;
        let tds = of(gross, self.tds)?;
        gross.checked_sub(fee)?.checked_sub(gst)?.checked_sub(tds)
    }
}

/// The largest multiple of `step` within a value that is not negative.
pub(super) fn floor_to(value: Decimal, step: Decimal) -> Option<Decimal> {
    if step <= Decimal::ZERO || value < Decimal::ZERO {
        return None;
    }
    let steps = value.checked_div(step)?.round_dp_with_strategy(0, RoundingStrategy::ToZero);
    steps.checked_mul(step)
}

/// An amount as a venue counts it.
pub(in crate::conversion) fn units(amount: Amount) -> Result<Decimal, Error> {
    Decimal::try_from_i128_with_scale(amount.minor(), amount.asset().scale())
        .map_err(|_| Error::Inconsistent("quantity out of range".into()))
}

/// A venue's quantity as an amount, cut to the asset's smallest unit.
pub(in crate::conversion) fn amount(quantity: Decimal, asset: Asset) -> Result<Amount, Error> {
    let cut = quantity.round_dp_with_strategy(asset.scale(), RoundingStrategy::ToZero);
    Ok(Amount::parse_units(&cut.normalize().to_string(), asset)?)
}
