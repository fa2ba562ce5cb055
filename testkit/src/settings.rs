//! The product's numbers in a test: those of `config/default.toml`, with a local network and less
//! waiting. A story that needs another number changes it before the fleet is built.

use primitives::{Asset, NetworkId};
use serde_json::json;
use settlement::Settings;

/// The only network of a test.
///
/// # Errors
/// Never: the name is fit.
pub fn network() -> anyhow::Result<NetworkId> {
    NetworkId::new("anvil").ok_or_else(|| anyhow::anyhow!("the network's name"))
}

/// What the network carries.
pub const ASSETS: [Asset; 3] = [Asset::Eth, Asset::Usdc, Asset::Usdt];

/// The depth at which a deposit counts.
pub const CONFIRMATIONS: u64 = 3;

/// The settings every fleet starts with.
///
/// # Errors
/// When the product asks for a setting that is not named here.
pub fn settings() -> anyhow::Result<Settings> {
    let anvil = json!({
        "assets": ASSETS, "confirm": { "rule": "depth", "blocks": CONFIRMATIONS }, "poll_ms": 1000,
        "batch_blocks": 100, "reorg_limit": 64, "linger_ms": 0,
    });
    Ok(serde_json::from_value(json!({
        "networks": { "anvil": anvil },
        "venue": "wazirx", "rail": "razorpayx",
        "payment_min_paise": 10_000, "payment_max_paise": 10_000_000,
        "payment_expiry_s": 900, "payment_expiry_min_s": 60, "payment_expiry_max_s": 86_400,
        "expiry_quiet_s": 5,
        "quote_validity_s": 900,
        "fee_bps": 100, "gst_bps": 1800, "spread_bps": 50,
        "rate_max_age_s": 90, "source_max_age_s": 20, "source_max_age_by_s": { "coingecko": 300 },
        "outlier_bps": 200,
        "book_spread_max_bps": 100, "jump_max_bps": 500, "median_max_bps": 500,
        "address_pool": 6,
        "conversion_age_s": 1, "slippage_bps": 100, "order_wait_s": 4, "order_fence_s": 20,
        "absence_gap_s": 6, "order_attempts_max": 6,
        "payout_attempts_max": 4, "repay_max_paise": 2_500_000,
        "payout_final_s": 432_000, "payout_key_life_s": 518_400,
        "narration": "Chukta", "webhook_loopback": true, "webhook_hosts": [],
    }))?)
}
