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

/// How far one venue is trusted.
#[derive(Debug, Clone, Default, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct VenueSettings {
    /// Paise that may lie there at most, a sale's proceeds included: an exchange can freeze. No
    /// limit where it is not named.
    #[serde(default)]
    pub cap_paise: Option<i64>,
    /// False: connected and watched, and nothing is sold there.
    #[serde(default = "yes")]
    pub sells: bool,
}

/// Everything the product rooms may be told.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Settings {
    pub networks: BTreeMap<NetworkId, NetworkSettings>,
    /// The venue where every route ends: it pays rupees. And the rail payouts leave by.
    pub venue: String,
    pub rail: String,
    /// Every other venue that sells, and how far each is trusted.
    #[serde(default)]
    pub venues: BTreeMap<String, VenueSettings>,
    /// How our own coins are moved; nothing is where nothing is named.
    #[serde(default)]
    pub treasury: crate::treasury::TreasurySettings,
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
    /// Slow opinions, by the name of the source, with the age up to which each counts: they may
    /// contradict and confirm, but make no price.
    #[serde(default)]
    pub source_max_age_by_s: BTreeMap<String, i64>,
    /// A source this far from the median is an outlier.
    pub outlier_bps: Bps,
    /// The venue book's own bid-ask spread may not be wider.
    pub book_spread_max_bps: Bps,
    /// A jump from the last good price beyond this is an anomaly.
    pub jump_max_bps: Bps,
    /// A price this far from the median of the last ten minutes is an anomaly: many small jumps
    /// are a large one.
    #[serde(default = "five_percent")]
    pub median_max_bps: Bps,
    /// A streamed price this far from the last tick makes a new one at once.
    #[serde(default = "five_bps")]
    pub rate_stream_bps: Bps,
    /// With a stream, a tick older than this is made anew, and none is younger than the other
    /// (milliseconds).
    #[serde(default = "fifteen_seconds")]
    pub rate_stream_max_ms: i64,
    #[serde(default = "five_seconds_ms")]
    pub rate_stream_min_ms: i64,
    /// How long one run listens to the streams before it begins anew (milliseconds). 0 never does.
    #[serde(default)]
    pub rate_stream_linger_ms: u64,
    /// How long one run listens to the venues' news about our orders (milliseconds). 0 never does.
    #[serde(default)]
    pub order_news_linger_ms: u64,
    /// An asset without a price for so many seconds calls a person.
    #[serde(default = "five_minutes")]
    pub rate_unusable_case_s: i64,
    /// So many percent of how far a price went in ten minutes are added to the spread, and this
    /// much at most.
    #[serde(default)]
    pub volatility_share_percent: u32,
    #[serde(default = "one_percent")]
    pub volatility_max_bps: Bps,
    /// Paise of an asset that may be promised and unsold at most, where that is limited: from 80 %
    /// on quotes hold half as long, and at it there are none.
    #[serde(default, deserialize_with = "crate::exposure::limits")]
    pub exposure_max_paise: BTreeMap<Asset, i64>,
    /// Free deposit addresses kept ready per network.
    pub address_pool: i64,
    /// A batch waits this long for company before it is sold.
    pub conversion_age_s: i64,
    /// Unless it is worth so many paise before.
    #[serde(default = "five_lakh")]
    pub batch_value_paise: i64,
    /// A batch below every venue's minimum waits this long for company; then its payments are paid
    /// and it becomes dust.
    #[serde(default = "ten_minutes")]
    pub dust_age_s: i64,
    /// A sale that waited so long for its venue (silent, closed, without bids) goes elsewhere, when
    /// nothing of it can still sell there.
    #[serde(default = "two_minutes")]
    pub venue_patience_s: i64,
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

const fn yes() -> bool {
    true
}

/// ₹ 5,00,000.
const fn five_lakh() -> i64 {
    50_000_000
}

const fn ten_minutes() -> i64 {
    600
}

const fn five_bps() -> Bps {
    match Bps::new(5) {
        Some(bps) => bps,
        None => Bps::ZERO,
    }
}

const fn five_percent() -> Bps {
    match Bps::new(500) {
        Some(bps) => bps,
        None => Bps::ZERO,
    }
}

const fn one_percent() -> Bps {
    match Bps::new(100) {
        Some(bps) => bps,
        None => Bps::ZERO,
    }
}

const fn fifteen_seconds() -> i64 {
    15_000
}

/// Venues tell a book twice a second at most, and sales need it too.
const fn five_seconds_ms() -> i64 {
    5_000
}

const fn two_minutes() -> i64 {
    120
}

const fn five_minutes() -> i64 {
    300
}

impl Settings {
    /// The venues that sell, by name.
    #[must_use]
    pub fn selling_venues(&self) -> Vec<&str> {
        let named = self.venues.iter().filter(|(_, v)| v.sells).map(|(name, _)| name.as_str());
        let mut all: Vec<&str> = named.chain([self.venue.as_str()]).collect();
        all.sort_unstable();
        all.dedup();
        all
    }

    /// What may lie at a venue at most; `None` where no limit is set.
    #[must_use]
    pub fn venue_cap_paise(&self, venue: &str) -> Option<i64> {
        self.venues.get(venue).and_then(|v| v.cap_paise)
    }

    /// True when the network is configured and carries the asset.
    #[must_use]
    pub fn carries(&self, network: &NetworkId, asset: Asset) -> bool {
        self.networks.get(network).is_some_and(|n| n.assets.contains(&asset))
    }
}
