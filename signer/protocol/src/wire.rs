//! The two lines of a conversation: an [`crate::Intent`] as JSON, and its [`Answer`] as JSON.
//!
//! Invariant: a line is bounded, and an answer names the intent it is for, so that one that strayed
//! is never taken for another's.

use chains::carrier::SignedTx;
use chrono::{DateTime, Utc};
use serde::{Deserialize, Serialize};
use uuid::Uuid;

/// The longest line either side takes, its end included. Some hundred inputs of Bitcoin fit.
pub const MAX_LINE: usize = 1024 * 1024;

/// What the signer says about one intent.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Answer {
    /// Of the intent. `None`: what was asked was no intent.
    pub id: Option<Uuid>,
    pub outcome: Outcome,
}

#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case", deny_unknown_fields)]
pub enum Outcome {
    Signed(SignedTx),
    /// Final for this id: the same intent is never signed later.
    Refused {
        code: String,
        reason: String,
    },
    /// Not decided: the destination is new in the list. The same intent may pass from `at` on.
    NotBefore {
        at: DateTime<Utc>,
        reason: String,
    },
    /// The signer could not decide or could not write it down.
    Unavailable {
        reason: String,
    },
}
