//! The payout: one merchant's rupees of one payment, sent until they arrive or a person must look.
//!
//! Invariant: at most one attempt is alive; a new key exists only after the last attempt ended by
//! the rail's own word. The beneficiary is frozen when the payout is planned.

mod plan;
mod record;
mod store;

use chrono::{DateTime, Utc};
use primitives::{Amount, DestinationId, MerchantId, PaymentId, PayoutId};

pub use plan::{
    Frozen, Planned, RetryError, keep_handle_in, mark_sent_in, plan_attempt_in, plan_in, retry_in,
};
pub use record::{
    RailFacts, RailOutcome, finalize_in, record_in, refuse_planned_in, refused_in, unknown_in,
    unsent_in,
};
pub use store::{attempt_in, by_rail_id_in, by_reference_in, get_in, handle_in, lock_in};

use crate::transition::machine;

machine! {
    /// `Paid` carries a UTR and may still be reversed; `Final` may not.
    PayoutState, PayoutEvent, "payout";
    states {
        Planned = "planned",
        Submitted = "submitted",
        Unknown = "unknown",
        Pending = "pending",
        Queued = "queued",
        Processing = "processing",
        Paid = "paid",
        Final = "final",
        Failed = "failed",
        Rejected = "rejected",
        Cancelled = "cancelled",
        Reversed = "reversed",
        InReview = "in_review",
    }
    events {
        Sent = "sent",
        AnswerLost = "answer_lost",
        NotSent = "not_sent",
        SaidPending = "said_pending",
        SaidQueued = "said_queued",
        SaidProcessing = "said_processing",
        SaidPaid = "said_paid",
        SaidFailed = "said_failed",
        SaidRejected = "said_rejected",
        SaidCancelled = "said_cancelled",
        SaidReversed = "said_reversed",
        ReversalOver = "reversal_window_over",
        TryAgain = "try_again",
        NeedsPerson = "needs_person",
    }
}

impl PayoutState {
    /// True while the rail may still be working on an attempt.
    const fn in_flight(self) -> bool {
        matches!(
            self,
            Self::Submitted | Self::Unknown | Self::Pending | Self::Queued | Self::Processing
        )
    }

    /// True when the last attempt ended without the merchant being paid.
    const fn unpaid(self) -> bool {
        matches!(self, Self::Failed | Self::Rejected | Self::Cancelled | Self::Reversed)
    }

    const fn step(self, event: PayoutEvent) -> Option<Self> {
        use PayoutEvent as E;
        Some(match (self, event) {
            (Self::Planned, E::Sent) => Self::Submitted,
            (Self::Submitted, E::NotSent) => Self::Planned,
            (Self::Submitted, E::AnswerLost) => Self::Unknown,
            (Self::Submitted | Self::Unknown, E::SaidPending) => Self::Pending,
            (Self::Submitted | Self::Unknown | Self::Pending, E::SaidQueued) => Self::Queued,
            (Self::Submitted | Self::Unknown | Self::Pending | Self::Queued, E::SaidProcessing) => {
                Self::Processing
            }
            (from, E::SaidPaid) if from.in_flight() => Self::Paid,
            (from, E::SaidFailed) if from.in_flight() => Self::Failed,
            (from, E::SaidRejected) if from.in_flight() => Self::Rejected,
            (from, E::SaidCancelled) if from.in_flight() => Self::Cancelled,
            (from, E::SaidReversed) if from.in_flight() => Self::Reversed,
            (Self::Paid | Self::Final, E::SaidReversed) => Self::Reversed,
            (Self::Paid, E::ReversalOver) => Self::Final,
            (from, E::TryAgain) if from.unpaid() => Self::Planned,
            (Self::InReview, E::TryAgain) => Self::Planned,
            (from, E::NeedsPerson) if from.unpaid() => Self::InReview,
            (Self::Planned | Self::Unknown, E::NeedsPerson) => Self::InReview,
            _ => return None,
        })
    }
}

/// One payout as stored.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Payout {
    pub id: PayoutId,
    pub payment: PaymentId,
    pub merchant: MerchantId,
    pub destination: DestinationId,
    pub rail: String,
    pub vpa: primitives::Vpa,
    pub payee_name: String,
    pub amount: Amount,
    pub state: PayoutState,
    pub utr: Option<String>,
    pub paid_at: Option<DateTime<Utc>>,
}

/// One attempt at a payout, with the bytes it is sent as.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PayoutAttempt {
    pub payout: PayoutId,
    pub attempt: i32,
    pub idempotency_key: String,
    pub reference: String,
    pub fund_account_id: String,
    pub body: String,
    pub state: String,
    pub rail_payout_id: Option<String>,
    pub sent_at: Option<DateTime<Utc>>,
}
