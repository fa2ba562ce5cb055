//! How much may be written down: per minute and per day, in answers and in bytes.
//!
//! Invariant: reckoned from the log's own lines, so a restart forgets nothing. Whoever asks without
//! end is not answered any more, and fills neither the disk nor the memory; what is not written
//! down is not decided. How much may be *moved* is deliberately elsewhere.

use std::collections::VecDeque;

use chrono::{DateTime, TimeDelta, Utc};

use crate::config::AnswerLimits;

const MINUTE: TimeDelta = TimeDelta::seconds(60);
const DAY: TimeDelta = TimeDelta::hours(24);

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Kind {
    Signed,
    Refused,
}

/// The answers of the last day. As many as the day's limits let in.
#[derive(Debug, Default)]
pub(crate) struct Flow(VecDeque<(DateTime<Utc>, Kind, u64)>);

impl Flow {
    pub(crate) fn add(&mut self, at: DateTime<Utc>, kind: Kind, bytes: u64) {
        let day_ago = at.checked_sub_signed(DAY);
        while self.0.front().is_some_and(|first| Some(first.0) <= day_ago) {
            self.0.pop_front();
        }
        self.0.push_back((at, kind, bytes));
    }

    /// A sentence when no further answer of this kind may be written down now.
    pub(crate) fn check(
        &self,
        now: DateTime<Utc>,
        kind: Kind,
        limits: &AnswerLimits,
    ) -> Result<(), String> {
        let (minute, day, name) = match kind {
            Kind::Signed => (limits.signed_per_minute, limits.signed_per_day, "transactions"),
            Kind::Refused => (limits.refused_per_minute, limits.refused_per_day, "refusals"),
        };
        for (window, most, of) in [(MINUTE, minute, "minute"), (DAY, day, "day")] {
            let after = now.checked_sub_signed(window);
            let recent = self.0.iter().rev().take_while(|line| Some(line.0) > after);
            let count = recent.filter(|line| line.1 == kind).count();
            if u64::try_from(count).unwrap_or(u64::MAX) >= most {
                return Err(format!("more {name} than may be written down in one {of}"));
            }
        }
        let day_ago = now.checked_sub_signed(DAY);
        let today = self.0.iter().filter(|line| Some(line.0) > day_ago);
        let bytes = today.fold(0_u64, |sum, line| sum.saturating_add(line.2));
        if bytes >= limits.bytes_per_day {
            return Err("more bytes than may be written down in one day".to_owned());
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const LIMITS: AnswerLimits = AnswerLimits {
        signed_per_minute: 3,
        signed_per_day: 4,
        refused_per_minute: 2,
        refused_per_day: 3,
        bytes_per_day: 1_000,
    };

    fn at(seconds: i64) -> DateTime<Utc> {
        DateTime::from_timestamp(1_800_000_000 + seconds, 0).unwrap()
    }

    #[test]
    fn a_minute_and_a_day_end_to_the_second() {
        let mut flow = Flow::default();
        for second in [0, 1] {
            assert!(flow.check(at(second), Kind::Refused, &LIMITS).is_ok());
            flow.add(at(second), Kind::Refused, 10);
        }
        assert!(flow.check(at(59), Kind::Refused, &LIMITS).is_err());
        assert!(flow.check(at(59), Kind::Signed, &LIMITS).is_ok());
        assert!(flow.check(at(60), Kind::Refused, &LIMITS).is_ok());
        flow.add(at(60), Kind::Refused, 10);
        assert!(flow.check(at(86_399), Kind::Refused, &LIMITS).is_err());
        assert!(flow.check(at(86_400), Kind::Refused, &LIMITS).is_ok());
    }

    #[test]
    fn bytes_are_counted_together() {
        let mut flow = Flow::default();
        flow.add(at(0), Kind::Signed, 600);
        assert!(flow.check(at(100), Kind::Refused, &LIMITS).is_ok());
        flow.add(at(100), Kind::Refused, 400);
        assert!(flow.check(at(200), Kind::Signed, &LIMITS).is_err());
        assert!(flow.check(at(86_400), Kind::Signed, &LIMITS).is_ok());
        flow.add(at(86_401), Kind::Signed, 1);
        assert_eq!(flow.0.len(), 1 + 1);
    }
}
