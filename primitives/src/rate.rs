//! The price of one unit of a base asset in units of a quote asset.
//!
//! Invariant: a rate is positive; there is no zero rate and no default rate. Converting names its
//! rounding and goes through decimals wide enough for every amount the product accepts, or fails.

use rust_decimal::Decimal;
use serde::{Deserialize, Serialize};

use crate::{Amount, Asset, Rounding};

/// `price` units of `quote` for one unit of `base`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Rate {
    pub base: Asset,
    pub quote: Asset,
    price: Decimal,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum RateError {
    #[error("a rate must be positive")]
    NotPositive,
    #[error("the amount is not in the asset this rate converts")]
    AssetMismatch,
    #[error("the result does not fit")]
    OutOfRange,
}

impl Rate {
    /// # Errors
    /// `NotPositive` for zero and below: unknown is never zero.
    pub fn try_new(base: Asset, quote: Asset, price: Decimal) -> Result<Self, RateError> {
        if price.is_sign_negative() || price.is_zero() {
            return Err(RateError::NotPositive);
        }
        Ok(Self { base, quote, price })
    }

    #[must_use]
    pub const fn price(self) -> Decimal {
        self.price
    }

    /// What `amount` of base is worth in quote.
    ///
    /// # Errors
    /// `AssetMismatch` or `OutOfRange`.
    pub fn to_quote(self, amount: Amount, rounding: Rounding) -> Result<Amount, RateError> {
        if amount.asset() != self.base {
            return Err(RateError::AssetMismatch);
        }
        let units = units(amount)?;
        minor(units.checked_mul(self.price), self.quote, rounding)
    }

    /// How much base is worth `amount` of quote.
    ///
    /// # Errors
    /// `AssetMismatch` or `OutOfRange`.
    pub fn to_base(self, amount: Amount, rounding: Rounding) -> Result<Amount, RateError> {
        if amount.asset() != self.quote {
            return Err(RateError::AssetMismatch);
        }
        let units = units(amount)?;
        minor(units.checked_div(self.price), self.base, rounding)
    }
}

fn units(amount: Amount) -> Result<Decimal, RateError> {
    Decimal::try_from_i128_with_scale(amount.minor(), amount.asset().scale())
        .map_err(|_| RateError::OutOfRange)
}

fn minor(units: Option<Decimal>, asset: Asset, rounding: Rounding) -> Result<Amount, RateError> {
    let rounded = units
        .ok_or(RateError::OutOfRange)?
        .round_dp_with_strategy(asset.scale(), rounding.strategy())
        .normalize();
    let missing = asset.scale().checked_sub(rounded.scale()).ok_or(RateError::OutOfRange)?;
    let shift = 10_i128.checked_pow(missing).ok_or(RateError::OutOfRange)?;
    let minor = rounded.mantissa().checked_mul(shift).ok_or(RateError::OutOfRange)?;
    Amount::try_new(minor, asset).map_err(|_| RateError::OutOfRange)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    proptest! {
        // Rounding up never leaves the shop short, and by less than one minor unit's worth.
        #[test]
        fn up_covers_and_is_tight(
            paise in 1_i128..1_000_000_000_000, price in 1_i64..2_000_000_000,
        ) {
            let rate = Rate::try_new(Asset::Usdc, Asset::Inr, Decimal::new(price, 4)).unwrap();
            let inr = Amount::try_new(paise, Asset::Inr).unwrap();
            let base = rate.to_base(inr, Rounding::Up).unwrap();
            let exact = |minor: i128| Decimal::from_i128_with_scale(minor, 6) * rate.price();
            prop_assert!(exact(base.minor()) >= Decimal::from_i128_with_scale(paise, 2));
            prop_assert!(exact(base.minor() - 1) < Decimal::from_i128_with_scale(paise, 2));
        }
    }

    #[test]
    fn converts_wei() {
        let rate = Rate::try_new(Asset::Eth, Asset::Inr, Decimal::new(250_000, 0)).unwrap();
        let inr = Amount::try_new(149_900, Asset::Inr).unwrap();
        let eth = rate.to_base(inr, Rounding::Up).unwrap();
        assert_eq!(eth.minor(), 5_996_000_000_000_000);
        assert_eq!(rate.to_quote(eth, Rounding::Down), Ok(inr));
        assert_eq!(rate.to_quote(inr, Rounding::Down), Err(RateError::AssetMismatch));
        assert!(Rate::try_new(Asset::Eth, Asset::Inr, Decimal::ZERO).is_err());
    }
}
