//! What can be switched at the simulated WazirX; changed over control or by a test directly.

use serde::{Deserialize, Serialize};

/// What a second order with a known `clientOrderId` gets. The vendor does not say, so both exist.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Duplicates {
    Reject,
    Accept,
}

/// Whether DELETE answers with the order still in `wait`: cancelling is asynchronous.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum CancelReply {
    /// Decided by the seed and the order's id.
    Sometimes,
    Wait,
    Cancel,
}

#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Settings {
    /// Whether request limits are enforced.
    pub limits: bool,
    pub duplicates: Duplicates,
    pub cancel_reply: CancelReply,
    pub fee_bps: u32,
    pub gst_bps: u32,
    pub tds_bps: u32,
    /// `systemStatus` says maintenance and trading answers 503.
    pub maintenance: bool,
}

impl Default for Settings {
    fn default() -> Self {
        Self {
            limits: true,
            duplicates: Duplicates::Reject,
            cancel_reply: CancelReply::Sometimes,
            fee_bps: 20,
            gst_bps: 1800,
            tds_bps: 100,
            maintenance: false,
        }
    }
}

impl Settings {
    /// Rates are shares: none above 100 %.
    #[must_use]
    pub(crate) fn is_sane(&self) -> bool {
        [self.fee_bps, self.gst_bps, self.tds_bps].iter().all(|bps| *bps <= 10_000)
    }
}
