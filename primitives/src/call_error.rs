//! The one question about a call to somebody else: did it happen?
//!
//! Invariant: nothing may turn `Unknown` into anything else except a find by our own reference.

/// What a call that moves something answers.
pub type CallResult<T> = Result<T, CallError>;

/// Why a call did not end in a plain answer.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum CallError {
    /// Nothing left this machine, or the far side proved it took nothing: safe to try again.
    #[error("not sent: {0}")]
    NotSent(String),
    /// They said no: it did not happen. `code` is the vendor's own.
    #[error("rejected: {code}: {reason}")]
    Rejected { code: String, reason: String },
    /// Asked to slow down before anything was done; wait this long.
    #[error("rate limited for {retry_after_s} s")]
    RateLimited { retry_after_s: u64 },
    /// Timeout, 5xx, unreadable answer: ask before acting again.
    #[error("outcome unknown: {0}")]
    Unknown(String),
}

impl CallError {
    /// True when the call may have had its effect.
    #[must_use]
    pub const fn may_have_happened(&self) -> bool {
        matches!(self, Self::Unknown(_))
    }
}
