//! How a division ends. Every division of money names one of these; the remainder is returned to
//! the caller, who books it.

use serde::{Deserialize, Serialize};

/// The direction of a rounding, stored beside every number it produced.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Rounding {
    /// Towards zero: what we pay away.
    Down,
    /// Away from zero: what a payer must send so that the shop is never short.
    Up,
    /// Nearest, half away from zero: fees and taxes.
    HalfUp,
}

impl Rounding {
    pub(crate) const fn strategy(self) -> rust_decimal::RoundingStrategy {
        use rust_decimal::RoundingStrategy as Strategy;
        match self {
            Self::Down => Strategy::ToZero,
            Self::Up => Strategy::AwayFromZero,
            Self::HalfUp => Strategy::MidpointAwayFromZero,
        }
    }

    /// `numerator / denominator` in whole numbers; `None` on overflow or a zero denominator.
    /// Both must be non-negative.
    #[must_use]
    pub fn divide(self, numerator: i128, denominator: i128) -> Option<i128> {
        if numerator < 0 || denominator <= 0 {
            return None;
        }
        let quotient = numerator.checked_div(denominator)?;
        let remainder = numerator.checked_rem(denominator)?;
        let up = match self {
            Self::Down => false,
            Self::Up => remainder > 0,
            Self::HalfUp => remainder >= denominator.checked_sub(remainder)?,
        };
        quotient.checked_add(i128::from(up && remainder > 0))
    }
}
