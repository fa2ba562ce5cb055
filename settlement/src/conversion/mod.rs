//! The conversion: accepted crypto of one asset, sold as one batch.
//!
//! Invariant: at most one order of a conversion is alive; a new one exists only after the last was
//! refused, closed with its fills known and read again after the fence, or proven absent. Fills are
//! booked once each. What is decided stands in `judge`; what is written, in the other files.

mod fills;
pub mod judge;
mod late;
mod plan;
mod record;
mod retry;
mod store;

use chrono::{DateTime, Utc};
use primitives::{Amount, Asset, ConversionId};
use rust_decimal::Decimal;

pub use late::{LateLook, late_in, show_unknown_in, unlooked_in};
pub use plan::{Market, Planned, mark_sent_in, plan_batch_in, plan_next_in};
pub use record::{
    OrderFacts, OrderOutcome, absent_in, cancel_asked_in, evidence_in, order_in, refused_in,
    unclean_in, unknown_in, unsent_in,
};
pub use retry::{RetryError, retry_in};
pub use store::{
    get_in, knows_resting, knows_trade, live_attempt_in, lock_in, oldest_waiting_in, payments_of,
};

use crate::transition::machine;

machine! {
    ConversionState, ConversionEvent, "conversion";
    states {
        Planned = "planned",
        Submitted = "submitted",
        Unknown = "unknown",
        PartlyFilled = "partly_filled",
        Filled = "filled",
        Rejected = "rejected",
        InReview = "in_review",
    }
    events {
        OrderSent = "order_sent",
        NotSent = "not_sent",
        AnswerLost = "answer_lost",
        OrderFound = "order_found",
        OrderAbsent = "order_absent",
        OrderRefused = "order_refused",
        ClosedShort = "closed_short",
        AllSold = "all_sold",
        NextOrderPlanned = "next_order_planned",
        NeedsPerson = "needs_person",
        TryAgain = "try_again",
    }
}

impl ConversionState {
    const fn step(self, event: ConversionEvent) -> Option<Self> {
        use ConversionEvent as E;
        Some(match (self, event) {
            (Self::Planned, E::OrderSent) | (Self::Unknown, E::OrderFound) => Self::Submitted,
            (Self::Submitted, E::NotSent) => Self::Planned,
            (Self::Submitted, E::AnswerLost) => Self::Unknown,
            (Self::Planned | Self::Submitted | Self::Unknown, E::OrderRefused)
            | (Self::Unknown, E::OrderAbsent) => Self::Rejected,
            (Self::Submitted | Self::Unknown, E::ClosedShort) | (Self::InReview, E::TryAgain) => {
                Self::PartlyFilled
            }
            (Self::Planned | Self::Submitted | Self::Unknown, E::AllSold) => Self::Filled,
            (Self::Rejected | Self::PartlyFilled | Self::InReview, E::NextOrderPlanned) => {
                Self::Planned
            }
            (
                Self::Planned
                | Self::Submitted
                | Self::Rejected
                | Self::PartlyFilled
                | Self::Unknown,
                E::NeedsPerson,
            ) => Self::InReview,
            _ => return None,
        })
    }
}

/// One conversion as stored.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Conversion {
    pub id: ConversionId,
    pub venue: String,
    pub asset: Asset,
    pub state: ConversionState,
    /// What is to be sold: the batch, cut to the venue's step.
    pub target: Amount,
    pub sold: Amount,
    /// What the cut left over; it stays in the trading account as exposure.
    pub dust: Amount,
    pub created_at: DateTime<Utc>,
}

/// One order of a conversion.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct OrderAttempt {
    pub conversion: ConversionId,
    pub attempt: i32,
    pub client_ref: String,
    pub quantity: Decimal,
    pub quantity_minor: Amount,
    pub price: Decimal,
    pub state: AttemptState,
    pub venue_order_id: Option<String>,
    pub planned_at: DateTime<Utc>,
    pub sent_at: Option<DateTime<Utc>>,
    pub cancel_at: Option<DateTime<Utc>>,
    pub closed_at: Option<DateTime<Utc>>,
    /// When it was read for the last time, after its end.
    pub looked_at: Option<DateTime<Utc>>,
    /// A planned order is not sent before.
    pub send_after: Option<DateTime<Utc>>,
    /// Since when the venue does not list a booked trade of it.
    pub missing_since: Option<DateTime<Utc>>,
}

impl OrderAttempt {
    /// True when it ended and may still have to be corrected by the look after the end.
    #[must_use]
    pub const fn is_unlooked(&self) -> bool {
        let ended = matches!(
            self.state,
            AttemptState::Filled | AttemptState::Closed | AttemptState::Absent
        );
        ended && self.looked_at.is_none()
    }
}

/// Where one order stands. `Sent` without an answer *is* unknown.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum AttemptState {
    Planned,
    Sent,
    Unknown,
    Open,
    Filled,
    Closed,
    Rejected,
    Absent,
}

impl AttemptState {
    const NAMES: [(Self, &'static str); 8] = [
        (Self::Planned, "planned"),
        (Self::Sent, "sent"),
        (Self::Unknown, "unknown"),
        (Self::Open, "open"),
        (Self::Filled, "filled"),
        (Self::Closed, "closed"),
        (Self::Rejected, "rejected"),
        (Self::Absent, "absent"),
    ];

    /// True while it may be sent or may execute.
    #[must_use]
    pub const fn is_live(self) -> bool {
        matches!(self, Self::Planned | Self::Sent | Self::Unknown | Self::Open)
    }

    #[must_use]
    pub fn name(self) -> &'static str {
        Self::NAMES.iter().find(|(s, _)| *s == self).map_or("unknown", |(_, name)| name)
    }

    fn parse(name: &str) -> Result<Self, crate::Error> {
        let known = Self::NAMES.iter().find(|(_, n)| *n == name).map(|(s, _)| *s);
        known.ok_or_else(|| crate::Error::Inconsistent(format!("order state {name}")))
    }
}

/// One execution, in our words.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct FillFacts {
    pub trade_id: String,
    pub sold: Amount,
    pub gross: Amount,
    pub fee: Amount,
    pub fee_gst: Amount,
    pub tds: Amount,
    pub price: Decimal,
    pub executed_at: DateTime<Utc>,
}
