//! What a restless price adds to the spread: a share of how far it went in the last minutes.
//!
//! Invariant: pure, and a function of numbers that the quote stores; a range that is unknown while
//! the setting wants one counts as the most, never as calm.

use primitives::Bps;
use rust_decimal::{Decimal, RoundingStrategy, prelude::ToPrimitive};
use serde::{Deserialize, Serialize};

use crate::Settings;

/// The rule: so many percent of the range, and never more than `most`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Volatility {
    pub share_percent: u32,
    pub most: Bps,
}

/// The range it was applied to.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Moved {
    pub low: Decimal,
    pub high: Decimal,
}

impl From<&Settings> for Volatility {
    fn from(settings: &Settings) -> Self {
        Self { share_percent: settings.volatility_share_percent, most: settings.volatility_max_bps }
    }
}

impl Volatility {
    /// Hundredths of a percent to add for a range, rounded up.
    #[must_use]
    pub fn spread(self, moved: Option<Moved>) -> Bps {
        if self.share_percent == 0 {
            return Bps::ZERO;
        }
        let wanted = moved.and_then(|moved| self.share_of(moved)).and_then(Bps::new);
        wanted.filter(|wanted| wanted.get() <= self.most.get()).unwrap_or(self.most)
    }

    fn share_of(self, Moved { low, high }: Moved) -> Option<u32> {
        if low <= Decimal::ZERO || high < low {
            return None;
        }
        let range = high.checked_sub(low)?.checked_mul(Decimal::from(100))?.checked_div(low)?;
        let share = range.checked_mul(Decimal::from(self.share_percent))?;
        share.round_dp_with_strategy(0, RoundingStrategy::AwayFromZero).to_u32()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_quarter_of_the_range_and_no_more_than_the_most() {
        let rule = Volatility { share_percent: 25, most: Bps::new(100).unwrap() };
        let range = |low, high| Some(Moved { low: Decimal::from(low), high: Decimal::from(high) });
        for (moved, bps) in [
            (range(1_000, 1_000), 0),
            (range(1_000, 1_010), 25),
            (range(100_000, 100_001), 1),
            (range(1_000, 1_039), 98),
            (range(1_000, 9_000), 100),
            (range(0, 1), 100),
            (range(2, 1), 100),
            (None, 100),
        ] {
            assert_eq!(rule.spread(moved).get(), bps, "{moved:?}");
        }
        let huge = Some(Moved { low: Decimal::new(1, 28), high: Decimal::MAX });
        assert_eq!(rule.spread(huge).get(), 100);
        assert_eq!(Volatility { share_percent: 0, ..rule }.spread(None), Bps::ZERO, "switched off");
    }
}
