//! Why the signer will not sign, in codes the fleet may rely on.
//!
//! Invariant: a reason never repeats what was asked in full; it goes to logs and to other
//! processes.

use serde::{Deserialize, Serialize};

/// Stable: the fleet and the runbook know these words.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Code {
    NotAllowed,
    OverLimit,
    DoesNotMatch,
    FeeTooHigh,
    IdReused,
    UnknownKey,
    Malformed,
}

impl Code {
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::NotAllowed => "not_allowed",
            Self::OverLimit => "over_limit",
            Self::DoesNotMatch => "does_not_match",
            Self::FeeTooHigh => "fee_too_high",
            Self::IdReused => "id_reused",
            Self::UnknownKey => "unknown_key",
            Self::Malformed => "malformed",
        }
    }
}

/// A code and a sentence for people.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Refusal {
    pub code: Code,
    pub reason: String,
}

impl Refusal {
    pub(crate) fn new(code: Code, reason: impl Into<String>) -> Self {
        Self { code, reason: reason.into() }
    }

    pub(crate) fn not_allowed(reason: impl Into<String>) -> Self {
        Self::new(Code::NotAllowed, reason)
    }

    pub(crate) fn over_limit(reason: impl Into<String>) -> Self {
        Self::new(Code::OverLimit, reason)
    }

    pub(crate) fn does_not_match(reason: impl Into<String>) -> Self {
        Self::new(Code::DoesNotMatch, reason)
    }

    pub(crate) fn fee_too_high(reason: impl Into<String>) -> Self {
        Self::new(Code::FeeTooHigh, reason)
    }

    pub(crate) fn unknown_key(reason: impl Into<String>) -> Self {
        Self::new(Code::UnknownKey, reason)
    }

    pub(crate) fn malformed(reason: impl Into<String>) -> Self {
        Self::new(Code::Malformed, reason)
    }
}
