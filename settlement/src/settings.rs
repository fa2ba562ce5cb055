//! The numbers of the product. `config/default.toml` is their reference.
//!
//! Invariant: settings are read once at start and passed in; nothing here changes while running.

use std::collections::BTreeMap;

use primitives::{Asset, Bps, NetworkId};
use serde::Deserialize;

/// When a deposit counts: after `depth` blocks on top of nothing (1 is the block itself), or when
/// the protocol itself says so.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(tag = "rule", rename_all = "snake_case", deny_unknown_fields)]
pub enum AcceptRule {
    Depth { blocks: u64 },
    Safe,
    Finalized,
}

/// How one network is watched.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct NetworkSettings {
    pub assets: Vec<Asset>,
    pub confirm: AcceptRule,
    /// Milliseconds between two looks at the tip.
    pub poll_ms: u64,
    /// Blocks read in one run of the scan at most.
    pub batch_blocks: u64,
    /// How long one run of the scan waits at the tip for news before it begins anew (milliseconds):
    /// a subscription is heard only meanwhile. 0 never waits.
    #[serde(default = "five_seconds")]
    pub linger_ms: u64,
    /// A reorganisation deeper than this stops the scan and calls a person.
    pub reorg_limit: u64,
}

/// Everything the product rooms may be told.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Settings {
    pub networks: BTreeMap<NetworkId, NetworkSettings>,
    /// The venue conversions sell on, and the rail payouts leave by.
    pub venue: String,
    pub rail: String,
    /// Paise. One payment is one UPI payout: at most one lakh rupees.
    pub payment_min_paise: i64,
    pub payment_max_paise: i64,
    pub payment_expiry_s: i64,
    pub payment_expiry_min_s: i64,
    pub payment_expiry_max_s: i64,
    /// Where no block comes, a payment ends after its network was at rest this long (seconds).
    #[serde(default = "an_hour")]
    pub expiry_quiet_s: i64,
    pub quote_validity_s: i64,
    pub fee_bps: Bps,
    pub gst_bps: Bps,
    pub spread_bps: Bps,
    /// A tick older than this is no price.
    pub rate_max_age_s: i64,
    /// One source older than this by its own clock does not count.
    pub source_max_age_s: i64,
    /// A source this far from the median is an outlier.
    pub outlier_bps: Bps,
    /// The venue book's own bid-ask spread may not be wider.
    pub book_spread_max_bps: Bps,
    /// A jump from the last good price beyond this is an anomaly.
    pub jump_max_bps: Bps,
    /// Paise of an asset that may be promised and unsold at most, where that is limited: from 80 %
    /// on quotes hold half as long, and at it there are none.
    #[serde(default, deserialize_with = "crate::exposure::limits")]
    pub exposure_max_paise: BTreeMap<Asset, i64>,
    /// Free deposit addresses kept ready per network.
    pub address_pool: i64,
    /// A batch waits this long for company before it is sold.
    pub conversion_age_s: i64,
    /// The limit price lies this far below the best bid.
    pub slippage_bps: Bps,
    /// An order rests this long before the rest is cancelled.
    pub order_wait_s: i64,
    /// The venue's receive window for our signed orders, and the margin added to it (seconds).
    pub order_fence_s: i64,
    /// Two proofs that an order never was lie at least this far apart (seconds).
    pub absence_gap_s: i64,
    pub order_attempts_max: i32,
    pub payout_attempts_max: i32,
    /// A returned payout is paid again by itself up to this many paise, once.
    pub repay_max_paise: i64,
    /// A processed payout can be reversed this long (seconds).
    pub payout_final_s: i64,
    /// A payout whose outcome is unknown is never re-posted after this (seconds).
    pub payout_key_life_s: i64,
    /// What the rail prints on the merchant's statement.
    pub narration: String,
    /// Merchants' webhooks may go to this machine: for the sandbox only.
    pub webhook_loopback: bool,
    /// Host names of our own network merchants' webhooks may go to: for the sandbox only.
    pub webhook_hosts: Vec<String>,
}

const fn five_seconds() -> u64 {
    5_000
}

/// Longer than any network that works is without a block.
const fn an_hour() -> i64 {
    3_600
}

impl Settings {
    /// True when the network is configured and carries the asset.
    #[must_use]
    pub fn carries(&self, network: &NetworkId, asset: Asset) -> bool {
        self.networks.get(network).is_some_and(|n| n.assets.contains(&asset))
    }
}
