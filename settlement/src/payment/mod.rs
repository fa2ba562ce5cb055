//! The payment: its machine and its row.
//!
//! Invariant: the state says which part of the product is at work and nothing else; what was odd
//! about the money is told by flags. Amount, merchant, reference and destination never change.

mod accept;
mod arrived;
mod attribute;
mod create;
mod expire;
mod store;

use chrono::{DateTime, Utc};
use primitives::{Amount, DestinationId, MerchantId, PaymentId};
use serde_json::{Map, Value};

pub use accept::accept_if_covered_in;
pub(crate) use accept::covered_by;
pub use arrived::{Arrival, confirmed_in, decide_in};
pub(crate) use arrived::{note_outcome_in, policy_of_in};
pub(crate) use attribute::find_deposit_in;
pub use attribute::{AtPrice, AttributeError, Attributed, attribute_in};
pub use create::{CreateError, NewPayment, create_in};
pub use expire::{CancelError, Expiry, cancel_in, expire_in};
pub use store::{find, get_in, list, lock_all_in, lock_in, lock_owners_in, step_in};
pub(crate) use store::{lengthen_in, remember_policy_in, set_flags_in};

use crate::transition::machine;

machine! {
    /// `Accepted` is the payer's end; `Settled` is the shop's.
    PaymentState, PaymentEvent, "payment";
    states {
        AwaitingDeposit = "awaiting_deposit",
        Confirming = "confirming",
        Accepted = "accepted",
        Settling = "settling",
        Settled = "settled",
        Expired = "expired",
        Cancelled = "cancelled",
        InReview = "in_review",
        Refunding = "refunding",
        Refunded = "refunded",
    }
    events {
        DepositSeen = "deposit_seen",
        DepositsGone = "deposits_gone",
        Covered = "covered",
        ConversionStarted = "conversion_started",
        PayoutPaid = "payout_paid",
        PayoutReturned = "payout_returned",
        TimeUp = "time_up",
        TimeUpShort = "time_up_short",
        CancelAsked = "cancel_asked",
        MoneyAfterEnd = "money_after_end",
        NeedsPerson = "needs_person",
        Resumed = "resumed",
        Reopened = "reopened",
        Cleared = "cleared",
        RefundStarted = "refund_started",
        RefundSent = "refund_sent",
    }
}

impl PaymentState {
    const fn step(self, event: PaymentEvent) -> Option<Self> {
        use PaymentEvent as E;
        Some(match (self, event) {
            (Self::AwaitingDeposit | Self::Confirming, E::DepositSeen) => Self::Confirming,
            (Self::Confirming, E::DepositsGone) => Self::AwaitingDeposit,
            (Self::Confirming, E::Covered) => Self::Accepted,
            (Self::Accepted, E::ConversionStarted) => Self::Settling,
            (Self::Settling | Self::InReview, E::PayoutPaid) => Self::Settled,
            (Self::Settled, E::PayoutReturned) => Self::Settling,
            // What is confirming may be worth less than anybody's time: that ends it too.
            (Self::AwaitingDeposit | Self::Confirming, E::TimeUp) => Self::Expired,
            (Self::AwaitingDeposit, E::CancelAsked) => Self::Cancelled,
            (Self::AwaitingDeposit | Self::Confirming, E::TimeUpShort)
            | (Self::Expired | Self::Cancelled, E::MoneyAfterEnd)
            | (Self::Accepted | Self::Settling, E::NeedsPerson) => Self::InReview,
            // Late money is taken after all; a parked sale or payout is tried again; the money that
            // was looked at found another payment.
            (Self::Expired | Self::InReview, E::Reopened) => Self::Confirming,
            (Self::InReview, E::Resumed) => Self::Settling,
            (Self::InReview, E::Cleared) => Self::Expired,
            (Self::InReview, E::RefundStarted) => Self::Refunding,
            (Self::Refunding, E::RefundSent) => Self::Refunded,
            _ => return None,
        })
    }

    /// True while a deposit can still make the payment go on by itself.
    #[must_use]
    pub const fn is_payable(self) -> bool {
        matches!(self, Self::AwaitingDeposit | Self::Confirming)
    }
}

/// What was odd about the money.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Flags {
    pub partial: bool,
    pub over: bool,
    pub late: bool,
    pub wrong_asset: bool,
}

/// One payment as stored.
#[derive(Debug, Clone, PartialEq)]
pub struct Payment {
    pub id: PaymentId,
    pub merchant: MerchantId,
    pub reference: String,
    /// Rupees the merchant asked for, before our fee.
    pub amount: Amount,
    pub state: PaymentState,
    pub flags: Flags,
    /// Why a person must look, while in review.
    pub review_reason: Option<String>,
    pub destination: DestinationId,
    pub metadata: Map<String, Value>,
    pub expires_at: DateTime<Utc>,
    pub created_at: DateTime<Utc>,
    pub updated_at: DateTime<Utc>,
    pub accepted_at: Option<DateTime<Utc>>,
    pub settled_at: Option<DateTime<Utc>>,
}
