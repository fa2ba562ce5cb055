//! How fast we call one vendor: our own pace, and the vendor's "not now".
//!
//! Invariant: after a 429 or 418 nothing more is sent before the time the vendor named. Our own
//! pace runs on the machine's monotonic time, because it protects a real wire; the vendor's pause
//! runs on the given clock, because jobs wait for it.

use std::{
    collections::BTreeMap,
    sync::{Arc, Mutex, PoisonError},
    time::Duration,
};

use chrono::{DateTime, TimeDelta, Utc};
use primitives::{CallError, Clock};
use tokio::time::Instant;

/// Holding a caller back longer than this would age its signature; better to say no.
const WAIT_MAX: Duration = Duration::from_secs(1);

#[derive(Debug)]
pub(crate) struct Pacing {
    clock: Arc<dyn Clock>,
    interval: Option<Duration>,
    tolerance: Duration,
    state: Mutex<State>,
}

#[derive(Debug, Default)]
struct State {
    /// When the bucket will be full again.
    full_at: Option<Instant>,
    /// The same for endpoints with a limit of their own.
    lanes: BTreeMap<&'static str, Instant>,
    paused_until: Option<DateTime<Utc>>,
}

impl Pacing {
    pub(crate) fn new(clock: Arc<dyn Clock>, per_second: u32, burst: u32) -> Self {
        let interval = Duration::from_secs(1).checked_div(per_second);
        let tolerance = interval.unwrap_or_default().saturating_mul(burst.saturating_sub(1));
        Self { clock, interval, tolerance, state: Mutex::default() }
    }

    /// Waits for our own pace, briefly, and refuses while the vendor's pause lasts.
    pub(crate) async fn admit(&self) -> Result<(), CallError> {
        self.refuse_while_paused()?;
        let wait = self.reserve()?;
        if !wait.is_zero() {
            tokio::time::sleep(wait).await;
            self.refuse_while_paused()?;
        }
        Ok(())
    }

    /// Waits for a turn at one endpoint, where the vendor counts each on its own. Taken before a
    /// request is stamped and signed, so that waiting does not age it.
    pub(crate) async fn take_turn(
        &self,
        lane: &'static str,
        per_second: u32,
    ) -> Result<(), CallError> {
        self.refuse_while_paused()?;
        let Some(interval) = Duration::from_secs(1).checked_div(per_second) else {
            return Ok(());
        };
        let wait = self.reserve_turn(lane, interval)?;
        if !wait.is_zero() {
            tokio::time::sleep(wait).await;
        }
        Ok(())
    }

    fn reserve_turn(&self, lane: &'static str, interval: Duration) -> Result<Duration, CallError> {
        let now = Instant::now();
        let mut state = self.state.lock().unwrap_or_else(PoisonError::into_inner);
        let turn = state.lanes.get(lane).map_or(now, |at| (*at).max(now));
        let wait = turn.saturating_duration_since(now);
        refuse_long(wait)?;
        if let Some(next) = turn.checked_add(interval) {
            state.lanes.insert(lane, next);
        }
        Ok(wait)
    }

    /// Remembers that the vendor wants silence for so long.
    pub(crate) fn pause(&self, seconds: u64) {
        let delta = TimeDelta::try_seconds(i64::try_from(seconds).unwrap_or(i64::MAX));
        let until = delta.and_then(|delta| self.clock.now().checked_add_signed(delta));
        let mut state = self.state.lock().unwrap_or_else(PoisonError::into_inner);
        state.paused_until = state.paused_until.max(until);
    }

    fn refuse_while_paused(&self) -> Result<(), CallError> {
        let now = self.clock.now();
        let state = self.state.lock().unwrap_or_else(PoisonError::into_inner);
        let Some(left) = state.paused_until.map(|until| until.signed_duration_since(now)) else {
            return Ok(());
        };
        let millis = u64::try_from(left.num_milliseconds()).unwrap_or(0);
        if millis == 0 {
            return Ok(());
        }
        Err(CallError::RateLimited { retry_after_s: millis.div_ceil(1_000) })
    }

    fn reserve(&self) -> Result<Duration, CallError> {
        let Some(interval) = self.interval else {
            return Ok(Duration::ZERO);
        };
        let now = Instant::now();
        let mut state = self.state.lock().unwrap_or_else(PoisonError::into_inner);
        let full_at = state.full_at.map_or(now, |at| at.max(now));
        let wait = full_at.saturating_duration_since(now).saturating_sub(self.tolerance);
        if wait > WAIT_MAX {
            return Err(CallError::RateLimited { retry_after_s: wait.as_secs().saturating_add(1) });
        }
        state.full_at = full_at.checked_add(interval);
        Ok(wait)
    }
}

fn refuse_long(wait: Duration) -> Result<(), CallError> {
    if wait <= WAIT_MAX {
        return Ok(());
    }
    Err(CallError::RateLimited { retry_after_s: wait.as_secs().saturating_add(1) })
}

#[cfg(test)]
mod tests {
    use primitives::ManualClock;

    use super::*;

    fn clock() -> ManualClock {
        ManualClock::new(DateTime::from_timestamp(1_700_000_000, 0).unwrap())
    }

    // A burst passes at once, the next call waits its interval, and the call that would have to
    // wait more than a second is told so.
    #[tokio::test]
    async fn holds_back_and_then_refuses() {
        let pacing = Pacing::new(Arc::new(clock()), 2, 2);
        assert_eq!(pacing.reserve(), Ok(Duration::ZERO));
        assert_eq!(pacing.reserve(), Ok(Duration::ZERO));
        let third = pacing.reserve().unwrap();
        assert!(third > Duration::from_millis(300) && third <= Duration::from_millis(500));
        assert!(pacing.reserve().is_ok());
        assert_eq!(pacing.reserve(), Err(CallError::RateLimited { retry_after_s: 2 }));
    }

    // Each endpoint has its own turn.
    #[tokio::test]
    async fn lanes_do_not_hold_each_other_back() {
        let pacing = Pacing::new(Arc::new(clock()), 0, 1);
        let second = Duration::from_secs(1);
        assert_eq!(pacing.reserve_turn("a", second), Ok(Duration::ZERO));
        assert_eq!(pacing.reserve_turn("b", second), Ok(Duration::ZERO));
        assert!(pacing.reserve_turn("a", second).unwrap() > Duration::from_millis(900));
        assert!(pacing.reserve_turn("a", second).is_err());
    }

    #[tokio::test]
    async fn keeps_the_vendors_pause_on_the_given_clock() {
        let clock = clock();
        let pacing = Pacing::new(Arc::new(clock.clone()), 0, 1);
        pacing.pause(30);
        pacing.pause(10);
        clock.advance(TimeDelta::milliseconds(28_500));
        assert_eq!(pacing.admit().await, Err(CallError::RateLimited { retry_after_s: 2 }));
        clock.advance(TimeDelta::milliseconds(1_500));
        assert_eq!(pacing.admit().await, Ok(()));
    }
}
