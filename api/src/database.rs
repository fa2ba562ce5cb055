//! Connections and transactions for handlers.
//!
//! Invariant: a database call is never cancelled. What waits for a connection waits in a task of
//! its own, so giving up on the wait leaves the pool whole.

use std::time::Duration;

use sqlx::{Postgres, pool::PoolConnection};

use crate::{
    problem::{Code, Problem},
    state::Api,
};

impl Api {
    /// A connection within the time a client is willing to wait, or 503.
    pub(crate) async fn connection(&self) -> Result<PoolConnection<Postgres>, Problem> {
        let pool = self.given.base.pool.clone();
        let wait = Duration::from_millis(self.given.settings.database_wait_ms);
        let acquiring = tokio::spawn(async move { pool.acquire().await });
        match tokio::time::timeout(wait, acquiring).await {
            Ok(Ok(Ok(conn))) => Ok(conn),
            Ok(Ok(Err(error))) => Err(error.into()),
            Ok(Err(_)) => Err(Problem::internal()),
            Err(_) => Err(unavailable()),
        }
    }
}

const fn unavailable() -> Problem {
    Problem::new(Code::DatabaseUnavailable, "Nothing was changed by this request. Try again.")
}

impl From<sqlx::Error> for Problem {
    fn from(error: sqlx::Error) -> Self {
        match &error {
            sqlx::Error::Io(_)
            | sqlx::Error::Tls(_)
            | sqlx::Error::PoolTimedOut
            | sqlx::Error::PoolClosed
            | sqlx::Error::WorkerCrashed => {
                tracing::warn!(%error, "the database is away");
                Self::new(Code::DatabaseUnavailable, "The outcome is not known. Try again.")
            }
            sqlx::Error::Database(cause) => {
                let code = cause.code().unwrap_or_default();
                tracing::warn!(%code, "the database refused");
                by_sqlstate(&code)
            }
            _ => {
                tracing::error!(%error, "the database answered oddly");
                Self::internal()
            }
        }
    }
}

/// Statement and lock timeouts, deadlocks and serialisation failures undo the whole transaction
/// and are safe to repeat; a server that stops or starts will be back.
fn by_sqlstate(code: &str) -> Problem {
    match code {
        "40001" | "40P01" | "55P03" | "57014" => {
            Problem::new(Code::Busy, "Nothing was changed by this request. Try again.")
        }
        _ if ["08", "53", "57"].iter().any(|class| code.starts_with(class)) => {
            Problem::new(Code::DatabaseUnavailable, "The outcome is not known. Try again.")
        }
        _ => Problem::internal(),
    }
}

impl From<identity::Error> for Problem {
    fn from(error: identity::Error) -> Self {
        match error {
            identity::Error::Database(error) => error.into(),
            identity::Error::NameRefused | identity::Error::NoScope => Self::internal(),
        }
    }
}

impl From<settlement::Error> for Problem {
    fn from(error: settlement::Error) -> Self {
        match error {
            settlement::Error::Database(error) => error.into(),
            error => {
                tracing::error!(error = chain(&error), "settlement failed");
                Self::internal()
            }
        }
    }
}

/// The error with its causes, for the log only.
fn chain(error: &dyn std::error::Error) -> String {
    let mut text = error.to_string();
    let mut next = error.source();
    while let Some(cause) = next {
        text.push_str(": ");
        text.push_str(&cause.to_string());
        next = cause.source();
    }
    text
}
