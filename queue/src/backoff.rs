//! How long to wait after a failure: one policy for two mechanisms.
//!
//! Between runs of a job the wait is durable and computed by the trigger in `sql/hardening.sql`
//! ([`Policy::DEFAULT`] repeats its constants; a test compares them). Inside one run, an idempotent
//! *read* may be tried a few times with [`retry_read`], on `backon` (the `backoff` crate is
//! unmaintained, RUSTSEC-2025-0012). Never retry a call that may have moved money: the resolver
//! jobs do that.

use std::time::Duration;

use backon::{BackoffBuilder, ExponentialBackoff, ExponentialBuilder, Retryable};

/// Exponential: `base · 2^(n−1)`, at most `cap`, spread by jitter.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Policy {
    pub base: Duration,
    pub cap: Duration,
}

impl Policy {
    /// One second, doubling up to a quarter of an hour.
    pub const DEFAULT: Self =
        Self { base: Duration::from_secs(1), cap: Duration::from_secs(15 * 60) };

    /// How far jitter moves a durable wait, in per cent either way. Small enough that below the cap
    /// each wait is longer than the one before.
    pub const JITTER_PERCENT: u32 = 25;

    /// The wait after this many failures in a row, before jitter.
    #[must_use]
    pub fn ceiling(&self, failures: u32) -> Duration {
        let factor = 1_u32 << failures.saturating_sub(1).min(30);
        self.base.checked_mul(factor).map_or(self.cap, |wait| wait.min(self.cap))
    }

    /// The same policy for tries within one call, as `backon` wants it.
    #[must_use]
    pub fn in_call(&self, times: usize) -> ExponentialBuilder {
        ExponentialBuilder::default()
            .with_min_delay(self.base)
            .with_max_delay(self.cap)
            .with_max_times(times)
            .with_jitter()
    }

    /// Waits without an end, for what has to succeed sooner or later.
    pub(crate) fn patient(&self) -> ExponentialBackoff {
        self.in_call(0).without_max_times().build()
    }
}

impl Default for Policy {
    fn default() -> Self {
        Self::DEFAULT
    }
}

/// Tries an idempotent read again, at most `times` more, while `again` says the error is weather.
pub async fn retry_read<T, E, Fut>(
    policy: Policy,
    times: usize,
    read: impl FnMut() -> Fut,
    again: impl FnMut(&E) -> bool,
) -> Result<T, E>
where
    Fut: Future<Output = Result<T, E>>,
{
    read.retry(policy.in_call(times)).when(again).await
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ceilings_double_up_to_the_cap() {
        let seconds = |n| Policy::DEFAULT.ceiling(n).as_secs();
        assert_eq!([1, 2, 3, 4].map(seconds), [1, 2, 4, 8]);
        assert_eq!(seconds(0), 1);
        assert_eq!(seconds(11), 900);
        assert_eq!(seconds(u32::MAX), 900);
    }

    #[tokio::test]
    async fn a_read_is_tried_again_while_the_error_is_weather() {
        let quick = Policy { base: Duration::from_millis(1), cap: Duration::from_millis(2) };
        let mut tries = 0;
        let read = || {
            tries += 1;
            let answer = if tries < 3 { Err("weather") } else { Err("refused") };
            async move { answer }
        };
        let read: Result<(), _> =
            retry_read(quick, 5, read, |error: &&str| *error == "weather").await;
        assert_eq!((read, tries), (Err("refused"), 3));
    }
}
