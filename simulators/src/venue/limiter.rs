//! Request limits: a token bucket per name, and the ladder 429 → 418 for who does not listen.
//!
//! Invariant: time comes from the world's clock; switched off, nothing is ever refused.

use std::collections::BTreeMap;

use chrono::{DateTime, TimeDelta, Utc};

/// Refused calls within a minute after which the caller is banned.
const PATIENCE: usize = 20;
const BAN_SECONDS: i64 = 120;

/// Whether a call may pass.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Verdict {
    Pass,
    /// 429, with the seconds to wait.
    Slow(u64),
    /// 418, with the seconds to wait.
    Banned(u64),
}

#[derive(Debug)]
struct Bucket {
    /// Thousandths of a call.
    tokens: i64,
    filled: DateTime<Utc>,
}

#[derive(Debug, Default)]
pub(crate) struct Limiter {
    buckets: BTreeMap<String, Bucket>,
    refused: Vec<DateTime<Utc>>,
    banned_until: Option<DateTime<Utc>>,
    is_patient: bool,
}

impl Limiter {
    /// One that refuses and never bans.
    pub(crate) fn patient() -> Self {
        Self { is_patient: true, ..Self::default() }
    }

    /// Takes one call of `name` from a bucket of `burst` calls that refills with `per_minute`.
    pub(crate) fn take(
        &mut self,
        name: &str,
        per_minute: u32,
        burst: u32,
        now: DateTime<Utc>,
    ) -> Verdict {
        if let Some(banned) = self.ban(now) {
            return banned;
        }
        let full = i64::from(burst) * 1000;
        let bucket =
            self.buckets.entry(name.to_owned()).or_insert(Bucket { tokens: full, filled: now });
        let elapsed = (now - bucket.filled).num_milliseconds().clamp(0, 3_600_000);
        // Calls per minute times milliseconds, over 60: thousandths of a call.
        let gained = elapsed.saturating_mul(i64::from(per_minute)) / 60;
        bucket.tokens = bucket.tokens.saturating_add(gained).min(full);
        bucket.filled = now;
        if bucket.tokens >= 1000 {
            bucket.tokens -= 1000;
            return Verdict::Pass;
        }
        let missing = 1000 - bucket.tokens;
        let wait = missing.saturating_mul(60).checked_div(i64::from(per_minute)).unwrap_or(60_000);
        let wait = u64::try_from(wait / 1000).unwrap_or(0).saturating_add(1);
        self.refuse(wait, now)
    }

    /// The ban under way, if any.
    pub(crate) fn ban(&self, now: DateTime<Utc>) -> Option<Verdict> {
        let until = self.banned_until.filter(|until| *until > now)?;
        Some(Verdict::Banned(u64::try_from((until - now).num_seconds()).unwrap_or(0) + 1))
    }

    /// Counts a refusal and bans who collects too many.
    pub(crate) fn refuse(&mut self, wait_seconds: u64, now: DateTime<Utc>) -> Verdict {
        if self.is_patient {
            return Verdict::Slow(wait_seconds);
        }
        self.refused.retain(|at| now - *at < TimeDelta::seconds(60));
        self.refused.push(now);
        if self.refused.len() > PATIENCE {
            self.refused.clear();
            self.banned_until = Some(now + TimeDelta::seconds(BAN_SECONDS));
            return Verdict::Banned(u64::try_from(BAN_SECONDS).unwrap_or(0));
        }
        Verdict::Slow(wait_seconds)
    }
}
