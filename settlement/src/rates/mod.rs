//! The rate board: what one unit of crypto brings in rupees, and whether that may be believed.
//!
//! Invariant: unknown is never zero, a missing rate is never 1, and a verdict is never better than
//! its evidence. `Unusable` has no price to misuse.

mod board;
mod book;
mod events;
mod history;
mod judge;
mod median;
mod record;
mod spread;
mod volatility;

use chrono::{DateTime, TimeDelta, Utc};
use primitives::Asset;
use rust_decimal::Decimal;
use serde::{Deserialize, Serialize};

use crate::{Base, conversion::Offer};

pub use board::Board;
pub use book::{Leg, Offered, RouteBook, Routes};
pub use events::{RateEvent, changes_since_in, events_in};
pub use history::{keep_days_in, last_good_in, last_usable_in, latest_in, median_in, thin_in};
pub use judge::{Evidence, Judgement, Limits, judge};
pub use record::{Last, last_ticks_in, missing_in, record_in};
pub(crate) use spread::rule_in;
pub use spread::{NewSpread, Scope, SpreadRefused, SpreadRule, list_in, set_in};
pub use volatility::{Moved, Volatility};

/// Clocks of two processes of one fleet may differ by this much.
const CLOCKS_APART_S: i64 = 5;

/// Not too old to make a price, and not from a future that our own clock does not know (nonsense in
/// a cache, or another process's broken clock).
pub(crate) fn is_fresh(base: &Base, at: DateTime<Utc>) -> bool {
    let age = base.now().signed_duration_since(at);
    let newest = TimeDelta::seconds(-CLOCKS_APART_S);
    age >= newest && age <= TimeDelta::seconds(base.settings.rate_max_age_s)
}

/// What one source said, already in rupees for one unit of the base.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct SourcePrice {
    pub source: String,
    /// Whose word it rests on, sorted: two names where a leg was multiplied in. Two prices that
    /// share an origin are one witness, not two.
    #[serde(default)]
    pub origins: Vec<String>,
    pub bid: Decimal,
    pub ask: Decimal,
    /// The source's own time; the older of the two legs where two were multiplied.
    pub at: DateTime<Utc>,
    /// Why it did not count, when it did not.
    pub refused: Option<String>,
    /// A slow opinion: it may contradict and confirm, but it makes no price, and two quick ones
    /// must agree without it.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub slow: bool,
}

/// One level of a venue's book.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Level {
    pub price: Decimal,
    pub quantity: Decimal,
}

/// May quotes be made at this price?
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case", tag = "verdict", content = "reason")]
pub enum Verdict {
    Good,
    /// Usable, with something for ops to see.
    Degraded(String),
    Unusable(String),
}

impl Verdict {
    pub(crate) const fn parts(&self) -> (&'static str, Option<&String>) {
        match self {
            Self::Good => ("good", None),
            Self::Degraded(why) => ("degraded", Some(why)),
            Self::Unusable(why) => ("unusable", Some(why)),
        }
    }

    pub(crate) fn from_parts(name: &str, reason: Option<String>) -> Self {
        let why = reason.unwrap_or_default();
        match name {
            "good" => Self::Good,
            "degraded" => Self::Degraded(why),
            _ => Self::Unusable(why),
        }
    }

    /// `good`, `degraded` or `unusable`.
    #[must_use]
    pub const fn name(&self) -> &'static str {
        self.parts().0
    }
}

/// The board's line of one asset, as judged at one moment.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct BoardRate {
    /// The row of this tick in the history.
    pub tick: i64,
    pub base: Asset,
    pub at: DateTime<Utc>,
    pub verdict: Verdict,
    /// Rupees per unit: the median of the sources that counted. Absent when unusable.
    pub bid: Option<Decimal>,
    pub ask: Option<Decimal>,
    pub sources: Vec<SourcePrice>,
    /// Bids of the venue we sell on, best first.
    pub bids: Vec<Level>,
    /// Every way a sale can take, the direct one among them; the one a sale of its size would take
    /// prices a quote.
    #[serde(default)]
    pub routes: Vec<RouteBook>,
    /// The markets those ways pass, as a sale sees them: what a quote chooses its way by.
    #[serde(default)]
    pub markets: Vec<Offer>,
    /// The lowest and highest middle of the minutes before, this tick included.
    #[serde(default)]
    pub range: Option<(Decimal, Decimal)>,
}

/// Why there is no rate to quote from.
#[derive(Debug, thiserror::Error)]
pub enum RateRefusal {
    #[error("no rate for this asset yet")]
    Missing,
    #[error("the newest rate is {age_s} s old")]
    Stale { age_s: i64 },
    #[error("the rate is unusable: {0}")]
    Unusable(String),
    #[error(transparent)]
    Internal(#[from] crate::Error),
}
