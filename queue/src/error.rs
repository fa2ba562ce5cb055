//! The refusals of this room and the bad ways a run can end.
//!
//! Invariant: error text that is stored is bounded and storable (no NUL), so that writing down a
//! failure cannot itself fail for ever.

use std::time::Duration;

/// Longest error text kept in a job row or an attempt row.
const ERROR_CHARS_MAX: usize = 1000;

#[derive(Debug, thiserror::Error)]
pub enum QueueError {
    #[error("the queue's database refused")]
    Database(#[from] sqlx::Error),
    #[error("the job engine refused")]
    Engine(#[from] apalis_postgres::Error),
    #[error("the arguments of job {kind} cannot be encoded")]
    Encode {
        kind: &'static str,
        #[source]
        source: serde_json::Error,
    },
    #[error("the key of a {kind} job must have 1 to 500 characters and no control characters")]
    Key { kind: &'static str },
    #[error("job kind {0} is registered twice")]
    DuplicateKind(&'static str),
    #[error("the workers ended: {0}")]
    WorkersEnded(String),
    #[error("the drain did not come to rest after {0} runs: a job keeps asking to run at once")]
    Runaway(usize),
}

/// How a run ended badly. All but `LeaseLost` count as an attempt and back off.
#[derive(Debug, thiserror::Error)]
pub enum JobError {
    /// Somebody else holds the job now: roll back and leave.
    #[error("this worker no longer holds the job")]
    LeaseLost,
    #[error("{0}")]
    Failed(String),
    /// Counts, but waits exactly this long.
    #[error("{1}")]
    RetryAfter(Duration, String),
}

impl From<sqlx::Error> for JobError {
    fn from(error: sqlx::Error) -> Self {
        Self::Failed(chain(&error))
    }
}

impl From<QueueError> for JobError {
    fn from(error: QueueError) -> Self {
        Self::Failed(chain(&error))
    }
}

/// An error with its causes, on one line.
pub(crate) fn chain(error: &dyn std::error::Error) -> String {
    let mut text = error.to_string();
    let mut cause = error.source();
    while let Some(error) = cause {
        text.push_str(": ");
        text.push_str(&error.to_string());
        cause = error.source();
    }
    text
}

/// Text as it may be stored.
pub(crate) fn storable(text: &str) -> String {
    text.chars().map(|c| if c.is_control() { ' ' } else { c }).take(ERROR_CHARS_MAX).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn stored_text_is_bounded_and_without_nul() {
        let text = storable(&format!("a\0b\n{}", "x".repeat(5000)));
        assert!(text.starts_with("a b x"));
        assert_eq!(text.chars().count(), ERROR_CHARS_MAX);
    }
}
