//! The conversion: accepted crypto of one asset, sold as one batch, at one venue, for rupees or for
//! the dollar coin of the next leg. All conversions of a batch hang on the first, its root.
//!
//! Invariant: at most one order of a conversion is alive; a new one exists only after the last was
//! refused, closed with its fills known and read again after the fence, or proven absent. Fills are
//! booked once each. The payments of a batch are paid when every part of it is sold. What is
//! decided stands in `judge` and `route`; what is written, in the other files.

mod batch;
pub mod dust;
mod fills;
mod finish;
mod hold;
pub mod judge;
mod late;
mod news;
mod plan;
mod record;
mod reroute;
mod retry;
pub mod route;
mod store;
mod turns;
mod venues;

use chrono::{DateTime, Utc};
use primitives::{Amount, Asset, ConversionId};
use rust_decimal::Decimal;

pub use batch::{ask_in, due_at_in, plan_batch_in};
pub use finish::end_sold_in;
pub use hold::{
    Held, end_silence_in, held_at_in, held_since_in, overdue_in, show_silent_in, silent_in,
};
pub use late::{LateLook, late_in, show_contradiction_in, show_unknown_in, unlooked_in};
pub use news::hinted_in;
pub use plan::{Planned, mark_sent_in, plan_next_in};
pub use record::{
    OrderFacts, OrderOutcome, absent_in, cancel_asked_in, evidence_in, order_in, refused_in,
    unclean_in, unknown_in, unsent_in,
};
pub use reroute::{Rerouted, reroute_in};
pub use retry::{RetryError, retry_in};
pub use route::{Levies, Market, Offer, Route};
pub use store::{
    get_in, knows_resting, knows_trade, live_attempt_in, lock_in, oldest_waiting_in, parts_of,
    payments_of,
};
pub(crate) use venues::standings_in;
pub use venues::worth_in;

use crate::transition::machine;

machine! {
    ConversionState, ConversionEvent, "conversion";
    states {
        Waiting = "waiting",
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
        RestMoved = "rest_moved",
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
            (
                Self::Waiting
                | Self::Planned
                | Self::Submitted
                | Self::Unknown
                | Self::Rejected
                | Self::PartlyFilled,
                E::AllSold,
            )
            | (Self::Waiting | Self::Rejected | Self::PartlyFilled, E::RestMoved) => Self::Filled,
            (
                Self::Waiting | Self::Rejected | Self::PartlyFilled | Self::InReview,
                E::NextOrderPlanned,
            ) => Self::Planned,
            (
                Self::Waiting
                | Self::Planned
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
    /// The first conversion of the batch: it holds the payments.
    pub root: ConversionId,
    pub part: Part,
    pub venue: String,
    pub asset: Asset,
    /// What its orders bring.
    pub quote: Asset,
    pub state: ConversionState,
    /// What it was given to sell.
    pub input: Amount,
    /// What is to be sold: the input and the dust taken along, cut to the venue's step.
    pub target: Amount,
    pub sold: Amount,
    /// What the cut left over; it stays in the trading account as exposure.
    pub dust: Amount,
    /// Dust of earlier batches that this one sells.
    pub taken: Amount,
    pub created_at: DateTime<Utc>,
}

impl Conversion {
    /// True when it would plan its next order, and there is nothing to sell.
    #[must_use]
    pub fn waits_with_nothing_left(&self) -> bool {
        use ConversionState as S;
        matches!(self.state, S::Waiting | S::Rejected | S::PartlyFilled) && self.sold == self.target
    }
}

/// Which part of a batch's way to rupees a conversion is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Part {
    /// The first: what payers brought.
    Batch,
    /// It sells what another part brought in dollar coins.
    Leg,
    /// What another part could not sell at its venue.
    Rest,
}

impl Part {
    const NAMES: [(Self, &'static str); 3] =
        [(Self::Batch, "batch"), (Self::Leg, "leg"), (Self::Rest, "rest")];

    #[must_use]
    pub fn name(self) -> &'static str {
        Self::NAMES.iter().find(|(part, _)| *part == self).map_or("batch", |(_, name)| name)
    }

    fn parse(name: &str) -> Result<Self, crate::Error> {
        let known = Self::NAMES.iter().find(|(_, n)| *n == name).map(|(part, _)| *part);
        known.ok_or_else(|| crate::Error::Inconsistent(format!("part of a batch {name}")))
    }
}

/// One order of a conversion.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct OrderAttempt {
    pub conversion: ConversionId,
    pub venue: String,
    pub sell: Asset,
    pub quote: Asset,
    pub attempt: i32,
    pub client_ref: String,
    pub quantity: Decimal,
    pub quantity_minor: Amount,
    pub price: Decimal,
    /// It executes at once or not at all; else its rest stays in the book until it is cancelled.
    pub is_immediate: bool,
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
    /// Unique at the venue, whatever the market.
    pub trade_id: String,
    pub sold: Amount,
    pub gross: Amount,
    /// In whatever asset the venue took it; the tax on it and what was withheld, in the quote's.
    pub fee: Amount,
    pub fee_gst: Amount,
    pub tds: Amount,
    pub price: Decimal,
    pub executed_at: DateTime<Utc>,
}

impl FillFacts {
    /// What it leaves us of its quote asset.
    ///
    /// # Errors
    /// `Amount` when the venue mixed the assets up.
    pub fn net(&self) -> Result<Amount, crate::Error> {
        let mut net = self.gross.checked_sub(self.fee_gst)?.checked_sub(self.tds)?;
        if self.fee.asset() == net.asset() {
            net = net.checked_sub(self.fee)?;
        }
        Ok(net)
    }
}
