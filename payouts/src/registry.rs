//! Every payout rail there is: one variant and one line each.
//!
//! Invariant: this is the only place outside a connector's folder that names it.

use std::sync::Arc;

use outbound::BuildError;
use primitives::Clock;
use serde::Deserialize;

use crate::{Rail, razorpayx};

/// One configured rail: `kind = "razorpayx"` and that connector's own settings beside it.
#[derive(Debug, Clone, Deserialize)]
#[serde(tag = "kind", rename_all = "lowercase")]
pub enum Config {
    Razorpayx(razorpayx::Config),
}

/// Builds a rail. Opens no connection.
///
/// # Errors
/// `BuildError` when the settings cannot work; an empty secret is one of them.
pub fn connect(config: &Config, clock: Arc<dyn Clock>) -> Result<Arc<dyn Rail>, BuildError> {
    Ok(match config {
        Config::Razorpayx(config) => Arc::new(razorpayx::Razorpayx::try_new(config, clock)?),
    })
}
