//! The closed list of assets the product knows, with their scales.
//!
//! Invariant: the scale of an asset never changes; the ledger's asset table holds the same.
//! Which contract an asset is on a network is deliberately not here: see the network tables.

use std::{fmt, str::FromStr};

use serde::{Deserialize, Serialize};

/// An asset the books can hold. Tokens are known by contract at the edge and by this name inside.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "UPPERCASE")]
pub enum Asset {
    Inr,
    Btc,
    Eth,
    Sol,
    Usdc,
    Usdt,
    /// Held at a venue alone, to pay its fees. Never offered, never received.
    Bnb,
}

/// The text is not the code of an asset we know.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("unknown asset")]
pub struct UnknownAsset;

impl Asset {
    pub const ALL: [Self; 7] =
        [Self::Inr, Self::Btc, Self::Eth, Self::Sol, Self::Usdc, Self::Usdt, Self::Bnb];

    /// The upper-case code used in books, APIs and configuration.
    #[must_use]
    pub const fn code(self) -> &'static str {
        match self {
            Self::Inr => "INR",
            Self::Btc => "BTC",
            Self::Eth => "ETH",
            Self::Sol => "SOL",
            Self::Usdc => "USDC",
            Self::Usdt => "USDT",
            Self::Bnb => "BNB",
        }
    }

    /// Decimal places between one unit and one minor unit (paise, satoshi, wei, lamport).
    #[must_use]
    pub const fn scale(self) -> u32 {
        match self {
            Self::Inr => 2,
            // BNB is kept as the venue keeps it; no network of ours carries it.
            Self::Btc | Self::Bnb => 8,
            Self::Eth => 18,
            Self::Sol => 9,
            Self::Usdc | Self::Usdt => 6,
        }
    }

    /// What payers can send over a chain. Rupees are fiat; BNB is a venue's means of paying fees.
    #[must_use]
    pub const fn is_crypto(self) -> bool {
        !matches!(self, Self::Inr | Self::Bnb)
    }
}

impl fmt::Display for Asset {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.code())
    }
}

impl FromStr for Asset {
    type Err = UnknownAsset;

    fn from_str(s: &str) -> Result<Self, Self::Err> {
        Self::ALL.into_iter().find(|a| a.code() == s).ok_or(UnknownAsset)
    }
}
