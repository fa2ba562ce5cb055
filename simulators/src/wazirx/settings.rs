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
    /// Whether the key may withdraw.
    pub can_withdraw: bool,
    /// Coins that arrive are seen and not credited, until this is over.
    pub deposits_paused: bool,
    /// Nobody may withdraw at the moment.
    pub withdrawals_paused: bool,
    /// What a second withdrawal under a known `withdrawOrderId` gets; the vendor does not say.
    pub duplicate_withdrawals: Duplicates,
    /// Numbers instead of words in the history of withdrawals.
    pub numeric_statuses: bool,
    /// From asking for a withdrawal until it leaves, by the world's clock.
    pub withdraw_ms: u64,
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
            can_withdraw: true,
            deposits_paused: false,
            withdrawals_paused: false,
            duplicate_withdrawals: Duplicates::Accept,
            numeric_statuses: false,
            withdraw_ms: 30_000,
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
