//! What can be switched at the simulated Binance; changed over control or by a test directly.

use serde::{Deserialize, Serialize};

#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Settings {
    /// Whether weights and order counts are enforced; they are counted in any case.
    pub limits: bool,
    /// Commission in basis points of what is received.
    pub commission_bps: u32,
    /// `system/status` says maintenance and orders are refused with "Market is closed.".
    pub maintenance: bool,
}

impl Default for Settings {
    fn default() -> Self {
        Self { limits: true, commission_bps: 10, maintenance: false }
    }
}
