//! UPI addresses: parsed, not validated against a bank.

use std::fmt;

use serde::{Deserialize, Serialize};

/// A virtual payment address, lower case: `name@handle`. UPI treats case as equal.
#[derive(Clone, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct Vpa(String);

#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("not a UPI address")]
pub struct VpaError;

impl Vpa {
    /// Accepts what both the rail's rule (3–100 of letters, digits, `.`, `-`) and the common rule
    /// of the field (2–256 before, letters after) accept.
    ///
    /// # Errors
    /// `VpaError` for anything else, bidi controls and look-alike letters included.
    pub fn parse(text: &str) -> Result<Self, VpaError> {
        let (name, handle) = text.split_once('@').ok_or(VpaError)?;
        let name_fits = (2..=256).contains(&name.len())
            && name.bytes().all(|b| b.is_ascii_alphanumeric() || matches!(b, b'.' | b'-'));
        let handle_fits =
            (2..=64).contains(&handle.len()) && handle.bytes().all(|b| b.is_ascii_alphabetic());
        if !name_fits || !handle_fits || text.len() > 100 {
            return Err(VpaError);
        }
        Ok(Self(text.to_ascii_lowercase()))
    }

    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// For logs and screens of others: `ra***@okaxis`.
    #[must_use]
    pub fn masked(&self) -> String {
        let (name, handle) = self.0.split_once('@').unwrap_or((&self.0, ""));
        let shown: String = name.chars().take(2).collect();
        format!("{shown}***@{handle}")
    }
}

impl fmt::Debug for Vpa {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.masked())
    }
}

impl TryFrom<String> for Vpa {
    type Error = VpaError;

    fn try_from(text: String) -> Result<Self, Self::Error> {
        Self::parse(&text)
    }
}

impl From<Vpa> for String {
    fn from(vpa: Vpa) -> Self {
        vpa.0
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn parses_upi_addresses() {
        assert_eq!(Vpa::parse("Ravi.Stores@okAxis").unwrap().as_str(), "ravi.stores@okaxis");
        assert_eq!(format!("{:?}", Vpa::parse("ravi@okaxis").unwrap()), "ra***@okaxis");
        for bad in ["", "ravi", "r@okaxis", "ravi@", "ra vi@ok", "ravi@ok@x", "ravi@ok1", "rаvi@ok"]
        {
            assert!(Vpa::parse(bad).is_err(), "{bad}");
        }
    }
}
