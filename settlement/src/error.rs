//! What can go wrong in this room, by what the caller can do about it.

use crate::InvalidTransition;

/// Weather (database), a refusal of the books, or a bug. Refusals a user can act on have their own
/// types beside the functions that make them.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    #[error("database")]
    Database(#[from] sqlx::Error),
    #[error("ledger")]
    Ledger(#[from] ledger::LedgerError),
    #[error("queue")]
    Queue(#[from] queue::QueueError),
    #[error(transparent)]
    Transition(#[from] InvalidTransition),
    /// Somebody changed what this rests on before it was locked: roll back and do it again.
    #[error("overtaken: {0}")]
    Overtaken(&'static str),
    /// A stored row breaks our own rules, or arithmetic left the range of the books.
    #[error("inconsistent: {0}")]
    Inconsistent(String),
}

impl From<primitives::AmountError> for Error {
    fn from(error: primitives::AmountError) -> Self {
        Self::Inconsistent(error.to_string())
    }
}

impl From<primitives::RateError> for Error {
    fn from(error: primitives::RateError) -> Self {
        Self::Inconsistent(error.to_string())
    }
}
