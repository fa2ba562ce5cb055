//! Money: whole minor units of one asset.
//!
//! Invariants: arithmetic is checked, never mixes assets and never meets a float. The absolute
//! value stays below 10^38, the width of `numeric(38,0)` in the books.

use std::fmt;

use serde::{Deserialize, Deserializer, Serialize, Serializer, de::Error as _};

use crate::Asset;

const LIMIT: i128 = 100_000_000_000_000_000_000_000_000_000_000_000_000;

/// `minor` units of `asset`: paise, satoshi, wei, lamport, millionths of a dollar coin.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct Amount {
    minor: i128,
    asset: Asset,
}

/// Why an amount could not be made.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum AmountError {
    #[error("amount is outside the range of the books")]
    OutOfRange,
    #[error("two assets in one sum")]
    AssetMismatch,
    #[error("not a decimal number")]
    NotANumber,
    #[error("more decimal places than the asset has")]
    TooPrecise,
}

impl Amount {
    /// # Errors
    /// `OutOfRange` when the absolute value is 10^38 or more.
    pub const fn try_new(minor: i128, asset: Asset) -> Result<Self, AmountError> {
        if minor <= -LIMIT || minor >= LIMIT {
            return Err(AmountError::OutOfRange);
        }
        Ok(Self { minor, asset })
    }

    #[must_use]
    pub const fn zero(asset: Asset) -> Self {
        Self { minor: 0, asset }
    }

    #[must_use]
    pub const fn minor(self) -> i128 {
        self.minor
    }

    #[must_use]
    pub const fn asset(self) -> Asset {
        self.asset
    }

    #[must_use]
    pub const fn is_positive(self) -> bool {
        self.minor > 0
    }

    #[must_use]
    pub const fn is_zero(self) -> bool {
        self.minor == 0
    }

    /// # Errors
    /// `AssetMismatch`, or `OutOfRange` on overflow.
    pub fn checked_add(self, other: Self) -> Result<Self, AmountError> {
        if self.asset != other.asset {
            return Err(AmountError::AssetMismatch);
        }
        let sum = self.minor.checked_add(other.minor).ok_or(AmountError::OutOfRange)?;
        Self::try_new(sum, self.asset)
    }

    /// # Errors
    /// `AssetMismatch`, or `OutOfRange` on overflow. The result may be negative.
    pub fn checked_sub(self, other: Self) -> Result<Self, AmountError> {
        if self.asset != other.asset {
            return Err(AmountError::AssetMismatch);
        }
        let difference = self.minor.checked_sub(other.minor).ok_or(AmountError::OutOfRange)?;
        Self::try_new(difference, self.asset)
    }

    /// Reads whole minor units, as the API and the database write them.
    ///
    /// # Errors
    /// `NotANumber` for anything but an optional minus and digits, `OutOfRange` beyond 10^38.
    pub fn parse_minor(text: &str, asset: Asset) -> Result<Self, AmountError> {
        let digits = text.strip_prefix('-').unwrap_or(text);
        if digits.is_empty() || !digits.bytes().all(|b| b.is_ascii_digit()) {
            return Err(AmountError::NotANumber);
        }
        let minor = text.parse::<i128>().map_err(|_| AmountError::OutOfRange)?;
        Self::try_new(minor, asset)
    }

    /// Reads units with a decimal point (`"1499.00"` rupees), refusing precision the asset lacks.
    ///
    /// # Errors
    /// `NotANumber`, `TooPrecise` when a non-zero digit would be lost, `OutOfRange`.
    pub fn parse_units(text: &str, asset: Asset) -> Result<Self, AmountError> {
        let (sign, rest) = text.strip_prefix('-').map_or((1, text), |rest| (-1, rest));
        let (whole, fraction) = rest.split_once('.').unwrap_or((rest, ""));
        let all_digits = |s: &str| s.bytes().all(|b| b.is_ascii_digit());
        if whole.is_empty() || !all_digits(whole) || !all_digits(fraction) {
            return Err(AmountError::NotANumber);
        }
        let scale = usize::try_from(asset.scale()).map_err(|_| AmountError::OutOfRange)?;
        let (kept, lost) = fraction.split_at_checked(scale).unwrap_or((fraction, ""));
        if lost.bytes().any(|b| b != b'0') {
            return Err(AmountError::TooPrecise);
        }
        let digits = format!("{whole}{kept:0<scale$}");
        let minor = digits.parse::<i128>().map_err(|_| AmountError::OutOfRange)?;
        let minor = minor.checked_mul(sign).ok_or(AmountError::OutOfRange)?;
        Self::try_new(minor, asset)
    }

    /// Units with a decimal point and every place of the asset, without its code.
    #[must_use]
    pub fn to_units(self) -> String {
        let scale = usize::try_from(self.asset.scale()).unwrap_or(0);
        let sign = if self.minor < 0 { "-" } else { "" };
        let digits = format!("{:0>width$}", self.minor.unsigned_abs(), width = scale + 1);
        match digits.split_at_checked(digits.len() - scale) {
            Some((whole, fraction)) if scale > 0 => format!("{sign}{whole}.{fraction}"),
            _ => format!("{sign}{digits}"),
        }
    }
}

impl fmt::Display for Amount {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} {}", self.to_units(), self.asset)
    }
}

#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Wire {
    amount_minor: String,
    asset: Asset,
}

impl Serialize for Amount {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        Wire { amount_minor: self.minor.to_string(), asset: self.asset }.serialize(serializer)
    }
}

impl<'de> Deserialize<'de> for Amount {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let wire = Wire::deserialize(deserializer)?;
        Self::parse_minor(&wire.amount_minor, wire.asset).map_err(D::Error::custom)
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    proptest! {
        // What is written can be read back: units and minor units agree for every asset.
        #[test]
        fn units_round_trip(minor in -(LIMIT - 1)..LIMIT, which in 0..Asset::ALL.len()) {
            let asset = Asset::ALL[which];
            let amount = Amount::try_new(minor, asset).unwrap();
            prop_assert_eq!(Amount::parse_units(&amount.to_units(), asset), Ok(amount));
            prop_assert_eq!(Amount::parse_minor(&minor.to_string(), asset), Ok(amount));
        }

        // Adding and taking away again changes nothing, and never panics.
        #[test]
        fn add_then_sub(a in any::<i64>(), b in any::<i64>()) {
            let a = Amount::try_new(i128::from(a), Asset::Inr).unwrap();
            let b = Amount::try_new(i128::from(b), Asset::Inr).unwrap();
            prop_assert_eq!(a.checked_add(b).unwrap().checked_sub(b), Ok(a));
        }
    }

    #[test]
    fn refuses_what_is_not_whole_minor_units() {
        for bad in ["", "-", "+1", "1.0", "1e3", " 1", "１", "0x1"] {
            assert_eq!(Amount::parse_minor(bad, Asset::Inr), Err(AmountError::NotANumber), "{bad}");
        }
        let wide = "9".repeat(39);
        assert_eq!(Amount::parse_minor(&wide, Asset::Inr), Err(AmountError::OutOfRange));
        assert_eq!(Amount::parse_units("1.001", Asset::Inr), Err(AmountError::TooPrecise));
        assert_eq!(Amount::parse_units("1.10", Asset::Inr).unwrap().minor(), 110);
        let inr = Amount::zero(Asset::Inr);
        assert_eq!(inr.checked_add(Amount::zero(Asset::Eth)), Err(AmountError::AssetMismatch));
    }
}
