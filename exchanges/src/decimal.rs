//! Vendors' numbers as decimals, and decimals as money.
//!
//! Invariants: text stays text until it is a decimal, so no float is ever in between; what does not
//! fit exactly is refused, unless the caller names a rounding.

use primitives::{Amount, Asset, Rounding};
use rust_decimal::{Decimal, RoundingStrategy};
use serde::{Deserialize, Deserializer, de::Error as _};
use serde_json::value::RawValue;

/// A decimal that a vendor writes as `"210.0"`, `210` or `1e-7`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct WireDecimal(pub(crate) Decimal);

impl<'de> Deserialize<'de> for WireDecimal {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        // The raw text, because a JSON number would pass through a float.
        let raw = Box::<RawValue>::deserialize(deserializer)?;
        let text = raw.get();
        let text = text.strip_prefix('"').and_then(|t| t.strip_suffix('"')).unwrap_or(text);
        parse(text).map(Self).ok_or_else(|| D::Error::custom("not a decimal"))
    }
}

fn unquoted(raw: &RawValue) -> &str {
    let text = raw.get();
    text.strip_prefix('"').and_then(|t| t.strip_suffix('"')).unwrap_or(text)
}

/// A price with perhaps more digits than a decimal holds: the last of thirty does not matter.
pub(crate) fn parse_rounded(raw: &RawValue) -> Option<Decimal> {
    let text = unquoted(raw);
    let plain = text.len() <= DIGITS_MAX && text.bytes().all(|b| b.is_ascii_digit() || b == b'.');
    parse(text).or_else(|| text.parse().ok().filter(|_| plain))
}

const DIGITS_MAX: usize = 64;

/// Digits, one point and perhaps an exponent; `None` for anything else or too many digits.
pub(crate) fn parse(text: &str) -> Option<Decimal> {
    let plain = text.bytes().all(|b| b.is_ascii_digit() || matches!(b, b'.' | b'-'));
    let scientific = || {
        text.bytes().all(|b| b.is_ascii_digit() || matches!(b, b'.' | b'-' | b'+' | b'e' | b'E'))
    };
    if text.is_empty() || text.len() > DIGITS_MAX {
        None
    } else if plain {
        Decimal::from_str_exact(text).ok()
    } else if scientific() {
        Decimal::from_scientific(text).ok()
    } else {
        None
    }
}

/// Units as a vendor and a person write them: no exponent, no needless zeros.
pub(crate) fn print(units: Decimal) -> String {
    units.normalize().to_string()
}

/// `units` of an asset in its minor units, rounded as named; `None` when it does not fit.
pub(crate) fn to_amount(units: Decimal, asset: Asset, rounding: Rounding) -> Option<Amount> {
    let strategy = match rounding {
        Rounding::Down => RoundingStrategy::ToZero,
        Rounding::Up => RoundingStrategy::AwayFromZero,
        Rounding::HalfUp => RoundingStrategy::MidpointAwayFromZero,
    };
    let rounded = units.round_dp_with_strategy(asset.scale(), strategy).normalize();
    let missing = asset.scale().checked_sub(rounded.scale())?;
    let minor = rounded.mantissa().checked_mul(10_i128.checked_pow(missing)?)?;
    Amount::try_new(minor, asset).ok()
}

/// An amount in units.
pub(crate) fn units(amount: Amount) -> Option<Decimal> {
    Decimal::try_from_i128_with_scale(amount.minor(), amount.asset().scale()).ok()
}

/// As [`to_amount`], refusing a rest.
pub(crate) fn to_amount_exact(units: Decimal, asset: Asset) -> Option<Amount> {
    if units.normalize().scale() > asset.scale() {
        return None;
    }
    to_amount(units, asset, Rounding::Down)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn reads_every_spelling_exactly() {
        let read = |json: &str| serde_json::from_str::<WireDecimal>(json).map(|d| d.0);
        for (json, expected) in [
            ("\"210.0\"", "210"),
            ("210.50", "210.5"),
            ("0.1", "0.1"),
            ("1e-7", "0.0000001"),
            ("\"1E+3\"", "1000"),
            ("\"-3\"", "-3"),
            ("\"0.000000000000000001\"", "0.000000000000000001"),
        ] {
            assert_eq!(print(read(json).unwrap()), expected, "{json}");
        }
        for bad in ["\"\"", "null", "\"NaN\"", "\"1,5\"", "true", "[]", "\"१\"", "\" 1\""] {
            assert!(read(bad).is_err(), "{bad}");
        }
        assert!(read(&"9".repeat(40)).is_err());
    }

    #[test]
    fn rounds_only_when_told() {
        let units = parse("1.005").unwrap();
        let minor = |rounding| to_amount(units, Asset::Inr, rounding).unwrap().minor();
        assert_eq!((minor(Rounding::Down), minor(Rounding::HalfUp)), (100, 101));
        assert_eq!(to_amount_exact(units, Asset::Inr), None);
        let wei = to_amount_exact(parse("0.25").unwrap(), Asset::Eth).unwrap();
        assert_eq!(wei.minor(), 250_000_000_000_000_000);
    }
}
