//! A venue's clock as we last measured it.
//!
//! Invariant: a stamp may be late by the way an answer took, never early: venues refuse early
//! stamps at once, and late ones only outside their window.

use std::sync::{Mutex, PoisonError};

use chrono::{DateTime, TimeDelta, Utc};
use primitives::{CallResult, Clock};

/// Their clock minus ours, once measured.
#[derive(Debug, Default)]
pub(crate) struct VenueClock(Mutex<Option<TimeDelta>>);

impl VenueClock {
    pub(crate) fn known(&self) -> Option<TimeDelta> {
        *self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Measured again before the next stamp.
    pub(crate) fn forget(&self) {
        *self.0.lock().unwrap_or_else(PoisonError::into_inner) = None;
    }

    /// Ours is read after the answer, so what is known errs to the late side.
    pub(crate) async fn offset(
        &self,
        ours: &dyn Clock,
        theirs: impl Future<Output = CallResult<DateTime<Utc>>>,
    ) -> CallResult<TimeDelta> {
        if let Some(offset) = self.known() {
            return Ok(offset);
        }
        let theirs = theirs.await?;
        let offset = theirs.signed_duration_since(ours.now());
        *self.0.lock().unwrap_or_else(PoisonError::into_inner) = Some(offset);
        Ok(offset)
    }
}
