//! Payment modes and what each allows.
//!
//! Invariant: limits are the vendor's per-payout limits in paise. Bank windows are not modelled:
//! the outcome plan decides how long a payout takes.

/// How the money travels.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Mode {
    Upi,
    Imps,
    Neft,
    Rtgs,
}

impl Mode {
    pub(super) const ALL: [Self; 4] = [Self::Upi, Self::Imps, Self::Neft, Self::Rtgs];

    pub(super) const fn as_str(self) -> &'static str {
        match self {
            Self::Upi => "UPI",
            Self::Imps => "IMPS",
            Self::Neft => "NEFT",
            Self::Rtgs => "RTGS",
        }
    }

    /// Case-sensitive, as the vendor is.
    pub(super) fn parse(word: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|mode| mode.as_str() == word)
    }

    /// Why this amount may not travel this way, if so.
    pub(super) fn refuses(self, amount: i64) -> Option<String> {
        let (above, most) = match self {
            Self::Upi => (0, Some(10_000_000)),
            Self::Imps => (0, Some(50_000_000)),
            Self::Neft => (100, None),
            Self::Rtgs => (20_000_000, None),
        };
        let name = self.as_str();
        if let Some(most) = most.filter(|most| amount > *most) {
            return Some(format!("The amount may not be greater than {most} for {name} payouts."));
        }
        (amount <= above)
            .then(|| format!("The amount must be greater than {above} for {name} payouts."))
    }

    /// A VPA is paid by UPI and a bank account by everything else.
    pub(super) const fn pays_vpa(self) -> bool {
        matches!(self, Self::Upi)
    }
}
