//! Trying a read again, a few times, with growing pauses.
//!
//! Invariant: only a read may pass through here, and only its `NotSent` is tried again: a refusal
//! stays a refusal, "slow down" is obeyed by the caller, and `Unknown` never repeats itself.

use std::time::Duration;

use backon::{ExponentialBuilder, Retryable};
use primitives::{CallError, CallResult};

const FIRST_PAUSE: Duration = Duration::from_millis(100);
const LONGEST_PAUSE: Duration = Duration::from_secs(1);
const TIMES_MAX: usize = 2;

/// Runs a read up to three times.
///
/// # Errors
/// The last error of the read.
pub async fn retry_read<T, F>(read: impl FnMut() -> F) -> CallResult<T>
where
    F: Future<Output = CallResult<T>>,
{
    let pauses = ExponentialBuilder::default()
        .with_min_delay(FIRST_PAUSE)
        .with_max_delay(LONGEST_PAUSE)
        .with_max_times(TIMES_MAX);
    read.retry(pauses).when(|error| matches!(error, CallError::NotSent(_))).await
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::{AtomicUsize, Ordering};

    use super::*;

    async fn calls_made(error: CallError) -> usize {
        let calls = AtomicUsize::new(0);
        let read = || async {
            calls.fetch_add(1, Ordering::SeqCst);
            CallResult::<()>::Err(error.clone())
        };
        assert_eq!(retry_read(read).await, Err(error.clone()));
        calls.load(Ordering::SeqCst)
    }

    #[tokio::test]
    async fn repeats_weather_only_and_not_for_ever() {
        assert_eq!(calls_made(CallError::NotSent("refused".into())).await, 3);
        assert_eq!(calls_made(CallError::Unknown("timed out".into())).await, 1);
        assert_eq!(calls_made(CallError::RateLimited { retry_after_s: 1 }).await, 1);
        let no = CallError::Rejected { code: "1".into(), reason: "no".into() };
        assert_eq!(calls_made(no).await, 1);
    }
}
