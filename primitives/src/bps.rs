//! Hundredths of a percent: fees, spreads and tax rates.

use serde::{Deserialize, Serialize};

use crate::{Amount, AmountError, Rounding};

/// Basis points, 1/10 000. Never above 10 000.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(try_from = "u32", into = "u32")]
pub struct Bps(u32);

impl Bps {
    pub const ZERO: Self = Self(0);

    /// `None` above 100 %.
    #[must_use]
    pub const fn new(bps: u32) -> Option<Self> {
        if bps > 10_000 { None } else { Some(Self(bps)) }
    }

    #[must_use]
    pub const fn get(self) -> u32 {
        self.0
    }

    /// This share of a non-negative amount.
    ///
    /// # Errors
    /// `OutOfRange` for a negative amount or on overflow.
    pub fn of(self, amount: Amount, rounding: Rounding) -> Result<Amount, AmountError> {
        let product =
            amount.minor().checked_mul(i128::from(self.0)).ok_or(AmountError::OutOfRange)?;
        let share = rounding.divide(product, 10_000).ok_or(AmountError::OutOfRange)?;
        Amount::try_new(share, amount.asset())
    }
}

impl TryFrom<u32> for Bps {
    type Error = &'static str;

    fn try_from(bps: u32) -> Result<Self, Self::Error> {
        Self::new(bps).ok_or("basis points above 10000")
    }
}

impl From<Bps> for u32 {
    fn from(bps: Bps) -> Self {
        bps.0
    }
}
