//! What can be switched at the simulated Coinbase; changed over control or by a test directly.

use std::collections::BTreeMap;

use rust_decimal::Decimal;
use serde::{Deserialize, Serialize};

/// What a second order under a known `client_order_id` gets.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Duplicates {
    /// The order that is there, as the vendor documents.
    Existing,
    /// `DUPLICATE_CLIENT_ORDER_ID`, which is in the vendor's list of reasons as well.
    Reject,
}

/// How an execution that was taken back is shown.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Reversals {
    /// It is no longer there.
    Removed,
    /// It stays, and an entry of the type `REVERSAL` stands beside it.
    Listed,
}

/// The type of a transaction that brings coins in: the vendor's pages know both.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Incoming {
    Send,
    Receive,
}

/// What may be done with a product.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Mode {
    Online,
    TradingDisabled,
    CancelOnly,
    LimitOnly,
    PostOnly,
    ViewOnly,
}

#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Settings {
    /// Whether request limits are enforced.
    pub limits: bool,
    /// Of the value that is traded, in basis points; stable pairs cost less.
    pub taker_bps: u32,
    pub maker_bps: u32,
    pub duplicates: Duplicates,
    pub reversals: Reversals,
    pub incoming: Incoming,
    /// Orders are refused with `ORDER_ENTRY_DISABLED`.
    pub maintenance: bool,
    /// How far the venue's clock is from the world's: its `time` and every check of a token.
    pub clock_offset_ms: i64,
    /// Product → what may be done with it, when that is not everything.
    pub product_mode: BTreeMap<String, Mode>,
    /// From asking for a cancellation until it takes effect, by the world's clock.
    pub cancel_ms: u64,
    /// Whether the keys may send coins away.
    pub can_withdraw: bool,
    /// Coins that arrive are seen and not credited, until this is over.
    pub deposits_paused: bool,
    /// Nobody may send at the moment.
    pub withdrawals_paused: bool,
    /// From asking for a withdrawal until it leaves, by the world's clock.
    pub withdraw_ms: u64,
}

impl Default for Settings {
    fn default() -> Self {
        Self {
            limits: true,
            taker_bps: 60,
            maker_bps: 40,
            duplicates: Duplicates::Existing,
            reversals: Reversals::Removed,
            incoming: Incoming::Send,
            maintenance: false,
            clock_offset_ms: 0,
            product_mode: BTreeMap::new(),
            cancel_ms: 200,
            can_withdraw: true,
            deposits_paused: false,
            withdrawals_paused: false,
            withdraw_ms: 30_000,
        }
    }
}

impl Settings {
    /// No rate above 100 %, a clock within a day, waits that end.
    #[must_use]
    pub(crate) fn is_sane(&self) -> bool {
        self.taker_bps <= 10_000
            && self.maker_bps <= 10_000
            && self.clock_offset_ms.unsigned_abs() <= 86_400_000
            && self.cancel_ms <= 86_400_000
            && self.product_mode.len() <= 100
    }

    pub(crate) fn mode(&self, product: &str) -> Mode {
        self.product_mode.get(product).copied().unwrap_or(Mode::Online)
    }

    /// What a taker and a maker pay of the value they trade.
    pub(crate) fn rates(&self, is_stable: bool) -> (Decimal, Decimal) {
        if is_stable {
            return (Decimal::new(1, 5), Decimal::ZERO);
        }
        let rate = |bps: u32| Decimal::new(i64::from(bps), 4);
        (rate(self.taker_bps), rate(self.maker_bps))
    }
}
