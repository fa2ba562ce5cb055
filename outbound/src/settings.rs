//! The limits of one client, as configuration writes them.
//!
//! Invariant: there is no way to switch a limit off; zero is refused when a client is built.

use std::time::Duration;

use serde::Deserialize;

/// How long one vendor may take and how much it may say. Part of every adapter's settings.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Settings {
    pub connect_timeout_ms: u64,
    /// The longest silence between two pieces of an answer.
    pub read_timeout_ms: u64,
    /// The whole call, from looking the name up to the last byte.
    pub total_timeout_ms: u64,
    pub response_bytes_max: usize,
    pub user_agent: String,
    /// Calls a second we allow ourselves; 0 leaves the pace to the vendor's 429.
    pub requests_per_second: u32,
    /// Calls that may follow each other at once before the pace holds them back.
    pub burst: u32,
}

impl Default for Settings {
    fn default() -> Self {
        Self {
            connect_timeout_ms: 3_000,
            read_timeout_ms: 10_000,
            total_timeout_ms: 15_000,
            response_bytes_max: 2 * 1024 * 1024,
            user_agent: concat!("chukta/", env!("CARGO_PKG_VERSION")).to_owned(),
            requests_per_second: 0,
            burst: 1,
        }
    }
}

/// Why a client or sender could not be built. A mistake in the configuration or the machine.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum BuildError {
    #[error("the limit {0} must be between 1 and {1}")]
    Limit(&'static str, u64),
    /// A connection that fails late would otherwise look like a lost answer.
    #[error("connect_timeout_ms must be below read_timeout_ms")]
    ConnectNotFirst,
    #[error("the HTTP client cannot be built: {0}")]
    Client(String),
    /// An adapter was configured with something it cannot work with.
    #[error("{0}")]
    Config(String),
}

/// A minute is far beyond any caller's patience; longer is a typing error.
const TIMEOUT_MS_MAX: u64 = 60_000;
const RESPONSE_BYTES_MAX: u64 = 64 * 1024 * 1024;
const PACE_MAX: u64 = 1_000;

impl Settings {
    pub(crate) fn check(&self) -> Result<(), BuildError> {
        let timeouts = [
            ("connect_timeout_ms", self.connect_timeout_ms),
            ("read_timeout_ms", self.read_timeout_ms),
            ("total_timeout_ms", self.total_timeout_ms),
        ];
        for (name, value) in timeouts {
            within(name, value, 1, TIMEOUT_MS_MAX)?;
        }
        if self.connect_timeout_ms >= self.read_timeout_ms.min(self.total_timeout_ms) {
            return Err(BuildError::ConnectNotFirst);
        }
        let bytes = u64::try_from(self.response_bytes_max).unwrap_or(u64::MAX);
        within("response_bytes_max", bytes, 1, RESPONSE_BYTES_MAX)?;
        within("requests_per_second", u64::from(self.requests_per_second), 0, PACE_MAX)?;
        within("burst", u64::from(self.burst), 1, PACE_MAX)
    }

    pub(crate) const fn connect_timeout(&self) -> Duration {
        Duration::from_millis(self.connect_timeout_ms)
    }

    pub(crate) const fn read_timeout(&self) -> Duration {
        Duration::from_millis(self.read_timeout_ms)
    }

    pub(crate) const fn total_timeout(&self) -> Duration {
        Duration::from_millis(self.total_timeout_ms)
    }
}

const fn within(name: &'static str, value: u64, min: u64, max: u64) -> Result<(), BuildError> {
    if value < min || value > max { Err(BuildError::Limit(name, max)) } else { Ok(()) }
}
