//! Randomness as an argument: seeded in tests and simulators, from the system in production.

use std::sync::{Mutex, PoisonError};

use chrono::{DateTime, Utc};
use rand::{RngCore, SeedableRng};
use rand_chacha::ChaCha20Rng;
use uuid::Uuid;

/// A source of random bytes and time-ordered ids.
#[derive(Debug)]
pub struct Entropy(Mutex<ChaCha20Rng>);

impl Entropy {
    /// Seeded from the operating system.
    #[must_use]
    pub fn system() -> Self {
        Self(Mutex::new(ChaCha20Rng::from_os_rng()))
    }

    /// The same seed gives the same bytes for ever.
    #[must_use]
    pub fn seeded(seed: u64) -> Self {
        Self(Mutex::new(ChaCha20Rng::seed_from_u64(seed)))
    }

    #[must_use]
    pub fn bytes<const N: usize>(&self) -> [u8; N] {
        let mut out = [0; N];
        self.0.lock().unwrap_or_else(PoisonError::into_inner).fill_bytes(&mut out);
        out
    }

    /// A version 7 UUID for `now`: ids sort by the time they were made.
    #[must_use]
    pub fn uuid(&self, now: DateTime<Utc>) -> Uuid {
        let millis = u64::try_from(now.timestamp_millis()).unwrap_or(0);
        uuid::Builder::from_unix_timestamp_millis(millis, &self.bytes()).into_uuid()
    }

    /// A number in `0..bound` (0 when `bound` is 0), for jitter and choices; not for keys.
    #[must_use]
    pub fn below(&self, bound: u64) -> u64 {
        u64::from_le_bytes(self.bytes()).checked_rem(bound).unwrap_or(0)
    }
}
