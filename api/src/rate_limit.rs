//! Token buckets, in this process only: a floor against a runaway client, not a budget.
//!
//! Invariant: memory is bounded; a bucket that is full again is forgotten. Limits on money are
//! deliberately elsewhere, in the database.

use std::{
    collections::HashMap,
    hash::Hash,
    sync::{Mutex, PoisonError},
    time::{Duration, Instant},
};

const BUCKETS_MAX: usize = 10_000;

/// One bucket per key. A token is worth `interval`; the bucket stores when it will be full.
#[derive(Debug)]
pub(crate) struct RateLimit<K> {
    interval: Duration,
    burst: u32,
    full_at: Mutex<HashMap<K, Instant>>,
}

impl<K: Eq + Hash> RateLimit<K> {
    pub(crate) fn new(rate_per_s: u32, burst: u32) -> Self {
        let interval = Duration::from_secs(1).checked_div(rate_per_s).unwrap_or(Duration::MAX);
        Self { interval, burst: burst.max(1), full_at: Mutex::default() }
    }

    /// Takes one token, or says how long until there is one.
    pub(crate) fn take(&self, key: K, now: Instant) -> Result<(), Duration> {
        let mut buckets = self.full_at.lock().unwrap_or_else(PoisonError::into_inner);
        if buckets.len() >= BUCKETS_MAX {
            buckets.retain(|_, full_at| *full_at > now);
        }
        let full_at = buckets.get(&key).copied().unwrap_or(now).max(now);
        let owed = full_at.saturating_duration_since(now).saturating_add(self.interval);
        let room = self.interval.saturating_mul(self.burst);
        if owed > room {
            return Err(owed.saturating_sub(room));
        }
        if let Some(next) = now.checked_add(owed) {
            buckets.insert(key, next);
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_burst_passes_then_the_rate_holds() {
        let limit = RateLimit::new(10, 3);
        let start = Instant::now();
        for _ in 0..3 {
            assert_eq!(limit.take("a", start), Ok(()));
        }
        assert_eq!(limit.take("a", start), Err(Duration::from_millis(100)));
        assert_eq!(limit.take("b", start), Ok(()), "others are not concerned");
        let later = start + Duration::from_millis(100);
        assert_eq!(limit.take("a", later), Ok(()));
        assert!(limit.take("a", later).is_err());
        assert_eq!(limit.take("a", start + Duration::from_secs(60)), Ok(()));
    }

    #[test]
    fn full_buckets_are_forgotten() {
        let limit = RateLimit::new(1000, 1);
        let start = Instant::now();
        for key in 0..BUCKETS_MAX {
            limit.take(key, start).unwrap();
        }
        limit.take(BUCKETS_MAX, start + Duration::from_secs(1)).unwrap();
        assert_eq!(limit.full_at.lock().unwrap().len(), 1);
    }
}
