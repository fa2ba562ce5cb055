//! Amounts in and out of `numeric(38,0)` columns, as text: no driver type holds 38 digits.

use primitives::{Amount, Asset};

use crate::Error;

/// Reads `column::text` of a row as an amount of `asset`.
pub(crate) fn amount(text: &str, asset: Asset) -> Result<Amount, Error> {
    Amount::parse_minor(text, asset).map_err(Into::into)
}

/// Reads an asset code column.
pub(crate) fn asset(code: &str) -> Result<Asset, Error> {
    code.parse().map_err(|_| Error::Inconsistent(format!("asset {code}")))
}

/// Writes an amount's minor units for a `$n::text::numeric` parameter.
pub(crate) fn minor(amount: Amount) -> String {
    amount.minor().to_string()
}
