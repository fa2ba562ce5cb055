//! The states of a payout and which may follow which: the vendor's diagram, nothing more.
//!
//! Invariant: every change of a payout's state, planned or by hand, asks [`Status::may_become`]
//! first. Money and webhooks are elsewhere (`bank.rs`, `events.rs`).

/// Where a payout stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Status {
    Pending,
    Queued,
    Scheduled,
    Processing,
    Processed,
    Reversed,
    Failed,
    Cancelled,
    Rejected,
}

impl Status {
    pub const ALL: [Self; 9] = [
        Self::Pending,
        Self::Queued,
        Self::Scheduled,
        Self::Processing,
        Self::Processed,
        Self::Reversed,
        Self::Failed,
        Self::Cancelled,
        Self::Rejected,
    ];

    /// The word on the wire.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Pending => "pending",
            Self::Queued => "queued",
            Self::Scheduled => "scheduled",
            Self::Processing => "processing",
            Self::Processed => "processed",
            Self::Reversed => "reversed",
            Self::Failed => "failed",
            Self::Cancelled => "cancelled",
            Self::Rejected => "rejected",
        }
    }

    #[must_use]
    pub fn parse(word: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|status| status.as_str() == word)
    }

    /// Whether the vendor's diagram has an arrow from here to there.
    #[must_use]
    pub const fn may_become(self, to: Self) -> bool {
        match self {
            Self::Pending => {
                matches!(to, Self::Rejected | Self::Queued | Self::Scheduled | Self::Processing)
            }
            Self::Queued | Self::Scheduled => {
                matches!(to, Self::Processing | Self::Cancelled | Self::Failed)
            }
            Self::Processing => matches!(to, Self::Processed | Self::Reversed | Self::Failed),
            Self::Processed | Self::Failed => matches!(to, Self::Reversed),
            Self::Reversed => matches!(to, Self::Failed),
            Self::Cancelled | Self::Rejected => false,
        }
    }

    /// Whether a payout may begin its life here.
    #[must_use]
    pub const fn may_begin(self) -> bool {
        matches!(
            self,
            Self::Pending | Self::Queued | Self::Scheduled | Self::Processing | Self::Failed
        )
    }

    /// The webhook that tells of an arrival here; cancelling and scheduling have none.
    pub(super) const fn event(self) -> Option<&'static str> {
        match self {
            Self::Pending => Some("payout.pending"),
            Self::Queued => Some("payout.queued"),
            Self::Processing => Some("payout.initiated"),
            Self::Processed => Some("payout.processed"),
            Self::Reversed => Some("payout.reversed"),
            Self::Failed => Some("payout.failed"),
            Self::Rejected => Some("payout.rejected"),
            Self::Cancelled | Self::Scheduled => None,
        }
    }
}
