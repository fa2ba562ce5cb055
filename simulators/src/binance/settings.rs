//! What can be switched at the simulated Binance; changed over control or by a test directly.

use std::collections::BTreeMap;

use rust_decimal::Decimal;
use serde::{Deserialize, Serialize};

use super::engine::WHOLE;

const STATUSES: [&str; 4] = ["TRADING", "BREAK", "HALT", "CANCEL_ONLY"];

/// What commission is taken from.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub enum FeeAsset {
    #[serde(rename = "received")]
    Received,
    #[serde(rename = "BNB")]
    Bnb,
}

/// What a second withdrawal under a known `withdrawOrderId` gets. The vendor does not say.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum DuplicateWithdrawals {
    Accept,
    Reject,
}

#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Settings {
    /// Whether weights and order counts are enforced; they are counted in any case.
    pub limits: bool,
    /// Commission in basis points of what is received.
    pub commission_bps: u32,
    pub fee_asset: FeeAsset,
    /// Dollars for one BNB.
    pub bnb_price: Decimal,
    /// `system/status` says maintenance and orders are refused with "Market is closed.".
    pub maintenance: bool,
    /// How far the venue's clock is from the world's: its `time` and every check of a timestamp.
    pub clock_offset_ms: i64,
    /// Symbol → status other than `TRADING` (`BREAK`, `HALT`, `CANCEL_ONLY`): shown, and orders are
    /// refused with "Market is closed.".
    pub symbol_status: BTreeMap<String, String>,
    /// Whether the keys may withdraw.
    pub can_withdraw: bool,
    /// Coins that arrive are seen and not credited, until this is over.
    pub deposits_paused: bool,
    /// Nobody may withdraw at the moment.
    pub withdrawals_paused: bool,
    pub duplicate_withdrawals: DuplicateWithdrawals,
    /// From asking for a withdrawal until it leaves, by the world's clock.
    pub withdraw_ms: u64,
    /// Between two pings of a socket, by the machine's clock, as everything about sockets.
    pub ping_ms: u64,
    /// How long a socket lives.
    pub socket_life_ms: u64,
}

impl Default for Settings {
    fn default() -> Self {
        Self {
            limits: true,
            commission_bps: 10,
            fee_asset: FeeAsset::Received,
            bnb_price: Decimal::new(600, 0),
            maintenance: false,
            clock_offset_ms: 0,
            symbol_status: BTreeMap::new(),
            can_withdraw: true,
            deposits_paused: false,
            withdrawals_paused: false,
            duplicate_withdrawals: DuplicateWithdrawals::Accept,
            withdraw_ms: 30_000,
            ping_ms: 20_000,
            socket_life_ms: 86_400_000,
        }
    }
}

impl Settings {
    /// No rate above 100 %, a price to divide by, pauses that end.
    #[must_use]
    pub(crate) fn is_sane(&self) -> bool {
        let known = |status: &String| STATUSES.contains(&status.as_str());
        self.commission_bps <= WHOLE
            && self.bnb_price > Decimal::ZERO
            && self.ping_ms > 0
            && self.clock_offset_ms.unsigned_abs() <= 86_400_000
            && self.symbol_status.len() <= 100
            && self.symbol_status.values().all(known)
    }
}
