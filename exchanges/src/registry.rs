//! Every exchange and rate source there is: one variant and one line each.
//!
//! Invariant: this is the only place outside a connector's folder that names it.

use std::sync::Arc;

use outbound::BuildError;
use primitives::Clock;
use serde::Deserialize;

use crate::{Exchange, RateSource, binance, coinbase, wazirx};

/// One configured connector: `kind = "wazirx"` and that connector's own settings beside it.
#[derive(Debug, Clone, Deserialize)]
#[serde(tag = "kind", rename_all = "lowercase")]
pub enum Config {
    Wazirx(wazirx::Config),
    Binance(binance::Config),
    Coinbase(coinbase::Config),
}

/// What a connector can do for us. Both sides share one connection, pace and clock offset.
#[derive(Clone)]
pub struct Connector {
    /// A venue to sell at.
    pub exchange: Option<Arc<dyn Exchange>>,
    /// A voice in the rate board.
    pub rates: Option<Arc<dyn RateSource>>,
}

/// Builds a connector. Opens no connection.
///
/// # Errors
/// `BuildError` when the settings cannot work.
pub fn connect(config: &Config, clock: Arc<dyn Clock>) -> Result<Connector, BuildError> {
    Ok(match config {
        Config::Wazirx(config) => venue(Arc::new(wazirx::Wazirx::try_new(config, clock)?)),
        Config::Binance(config) => source(Arc::new(binance::Binance::try_new(config, clock)?)),
        Config::Coinbase(config) => source(Arc::new(coinbase::Coinbase::try_new(config, clock)?)),
    })
}

fn venue<T: Exchange + RateSource + 'static>(venue: Arc<T>) -> Connector {
    let rates: Arc<dyn RateSource> = Arc::<T>::clone(&venue);
    Connector { exchange: Some(venue), rates: Some(rates) }
}

fn source<T: RateSource + 'static>(source: Arc<T>) -> Connector {
    Connector { exchange: None, rates: Some(source) }
}
