//! How a run of a job fails: weather counts as an attempt and backs off; a lost lease does not.

use queue::JobError;

/// Why a run ended badly.
#[derive(Debug, thiserror::Error)]
pub enum WorkError {
    #[error("settlement")]
    Settlement(#[from] settlement::Error),
    #[error("database")]
    Database(#[from] sqlx::Error),
    #[error(transparent)]
    Queue(#[from] queue::QueueError),
    #[error(transparent)]
    Job(#[from] JobError),
    #[error("a call failed: {0}")]
    Call(#[from] primitives::CallError),
    #[error("{0} is not configured in this process")]
    NotConfigured(String),
    #[error("{0}")]
    Node(String),
    /// Somebody answered what cannot be.
    #[error("nonsense from outside: {0}")]
    Nonsense(String),
}

impl WorkError {
    /// True when the books refused because the money is not there.
    pub(crate) const fn is_overdraw(&self) -> bool {
        matches!(
            self,
            Self::Settlement(settlement::Error::Ledger(ledger::LedgerError::WouldOverdraw { .. }))
        )
    }
}

impl WorkError {
    /// True when the database sent us back because two transactions waited for each other: nothing
    /// is wrong, the same work goes through in a moment.
    pub(crate) fn is_deadlock(&self) -> bool {
        let mut error: Option<&(dyn std::error::Error + 'static)> = Some(self);
        while let Some(this) = error {
            if let Some(sqlx::Error::Database(told)) = this.downcast_ref::<sqlx::Error>() {
                return matches!(told.code().as_deref(), Some("40P01" | "40001"));
            }
            error = this.source();
        }
        false
    }
}

impl From<WorkError> for JobError {
    fn from(error: WorkError) -> Self {
        match error {
            WorkError::Job(job) => job,
            WorkError::Call(primitives::CallError::RateLimited { retry_after_s }) => {
                let wait = std::time::Duration::from_secs(retry_after_s);
                Self::RetryAfter(wait, "rate limited".to_owned())
            }
            other => {
                let mut text = other.to_string();
                let mut source = std::error::Error::source(&other);
                while let Some(cause) = source {
                    text = format!("{text}: {cause}");
                    source = cause.source();
                }
                Self::Failed(text)
            }
        }
    }
}
