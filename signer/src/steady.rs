//! The time limits are counted by: the machine's clock, held against one that only ever runs.
//!
//! Invariants: a clock that is set ahead while the signer runs gives nothing free: what is asked
//! then is not decided until the clock is right again, or a person has started the signer anew.
//! That time never runs backwards is the log's part: its last line counts when the clock says less.

use std::{sync::Arc, time::Instant};

use chrono::{DateTime, TimeDelta, Utc};
use primitives::Clock;

/// Steps of a time service are smaller, and a leap second is.
const TOLERANCE: TimeDelta = TimeDelta::seconds(120);

/// A clock and what it is held against.
#[derive(Debug)]
pub(crate) struct Steady {
    clock: Arc<dyn Clock>,
    running: Arc<dyn Clock>,
    begun: DateTime<Utc>,
    running_then: DateTime<Utc>,
}

/// Time since the process began, on top of what the clock said then. Nobody can set it.
#[derive(Debug)]
pub(crate) struct Running {
    begun: DateTime<Utc>,
    since: Instant,
}

impl Running {
    pub(crate) fn from(clock: &dyn Clock) -> Self {
        Self { begun: clock.now(), since: Instant::now() }
    }
}

impl Clock for Running {
    fn now(&self) -> DateTime<Utc> {
        let passed = TimeDelta::from_std(self.since.elapsed()).unwrap_or(TimeDelta::MAX);
        self.begun.checked_add_signed(passed).unwrap_or(DateTime::<Utc>::MAX_UTC)
    }
}

impl Steady {
    pub(crate) fn new(clock: Arc<dyn Clock>, running: Arc<dyn Clock>) -> Self {
        let (begun, running_then) = (clock.now(), running.now());
        Self { clock, running, begun, running_then }
    }

    /// What the clock says. The error is a sentence: it is further than time can be.
    pub(crate) fn now(&self) -> Result<DateTime<Utc>, String> {
        let now = self.clock.now();
        let passed = self.running.now().signed_duration_since(self.running_then);
        let most = self.begun.checked_add_signed(passed);
        let most = most.and_then(|most| most.checked_add_signed(TOLERANCE));
        if most.is_none_or(|most| now > most) {
            let jump = now.signed_duration_since(self.begun).checked_sub(&passed);
            let seconds = jump.map_or(i64::MAX, |jump| jump.num_seconds());
            return Err(format!(
                "the clock went {seconds} s further than time did since the start: set it right, \
                 or start the signer again if it is right now"
            ));
        }
        Ok(now)
    }
}

#[cfg(test)]
mod tests {
    use primitives::ManualClock;

    use super::*;

    #[test]
    fn a_clock_may_not_outrun_time() {
        let start = DateTime::from_timestamp(1_800_000_000, 0).unwrap();
        let (clock, running) = (ManualClock::new(start), ManualClock::new(start));
        let steady = Steady::new(Arc::new(clock.clone()), Arc::new(running.clone()));
        let seconds = TimeDelta::seconds;
        clock.advance(seconds(120));
        assert!(steady.now().is_ok());
        clock.advance(seconds(1));
        assert!(steady.now().unwrap_err().starts_with("the clock went 121 s further"));
        running.advance(seconds(1));
        assert!(steady.now().is_ok());
        // Set back it is late, and that is no harm: it may come up to time again.
        clock.advance(seconds(-10_000));
        assert!(steady.now().is_ok());
        clock.advance(seconds(10_000));
        assert!(steady.now().is_ok());
        running.advance(seconds(86_400));
        clock.advance(seconds(86_400));
        assert!(steady.now().is_ok());
    }
}
