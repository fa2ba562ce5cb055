//! A trading pair and its steps. The tables of pairs are in each exchange's folder.

use rust_decimal::Decimal;
use serde::Serialize;

/// One pair as its venue lists it.
#[derive(Debug)]
pub struct Market {
    pub base: &'static str,
    pub quote: &'static str,
    /// Prices are multiples of this.
    pub tick: Decimal,
    /// Quantities are multiples of this.
    pub step: Decimal,
    pub min_notional: Decimal,
}

impl Market {
    /// `BTCINR`: the name the price table and the journal use.
    #[must_use]
    pub fn pair(&self) -> String {
        format!("{}{}", self.base, self.quote)
    }
}

/// A small decimal constant: `digits` with `scale` places.
pub(crate) const fn decimal(digits: u32, scale: u32) -> Decimal {
    Decimal::from_parts(digits, 0, 0, false, scale)
}

/// Which way the account trades.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Side {
    Buy,
    Sell,
}

impl Side {
    #[must_use]
    pub const fn lower(self) -> &'static str {
        match self {
            Self::Buy => "buy",
            Self::Sell => "sell",
        }
    }

    #[must_use]
    pub const fn upper(self) -> &'static str {
        match self {
            Self::Buy => "BUY",
            Self::Sell => "SELL",
        }
    }
}

/// Whether `value` is a whole multiple of `step`.
pub(crate) fn is_multiple(value: Decimal, step: Decimal) -> bool {
    value.checked_rem(step).is_some_and(|rest| rest.is_zero())
}

/// The largest multiple of `step` that is not above `value`.
pub(crate) fn floor_to(value: Decimal, step: Decimal) -> Decimal {
    value.checked_rem(step).map_or(value, |rest| value - rest).normalize()
}
