//! Every exchange and rate source there is: one variant and one line each.
//!
//! Invariant: this is the only place outside a connector's folder that names it.

use std::sync::Arc;

use outbound::BuildError;
use primitives::Clock;
use serde::Deserialize;

use crate::{
    Custody, Exchange, OrderNews, PriceStream, RateSource, binance, coinbase, coingecko, wazirx,
};

/// One configured connector: `kind = "wazirx"` and that connector's own settings beside it.
#[derive(Debug, Clone, Deserialize)]
#[serde(tag = "kind", rename_all = "lowercase")]
pub enum Config {
    Wazirx(wazirx::Config),
    Binance(Box<binance::Config>),
    Coinbase(Box<coinbase::Config>),
    Coingecko(coingecko::Config),
}

/// What a connector can do for us. All sides share one connection, pace and clock offset.
#[derive(Clone, Default)]
pub struct Connector {
    /// A venue to sell at.
    pub exchange: Option<Arc<dyn Exchange>>,
    /// A voice in the rate board.
    pub rates: Option<Arc<dyn RateSource>>,
    /// A venue that takes and gives coins over chains.
    pub custody: Option<Arc<dyn Custody>>,
    /// Prices as they change.
    pub stream: Option<Arc<dyn PriceStream>>,
    /// Hints that an order or a balance moved.
    pub news: Option<Arc<dyn OrderNews>>,
}

/// Builds a connector. Opens no connection.
///
/// # Errors
/// `BuildError` when the settings cannot work.
pub fn connect(config: &Config, clock: Arc<dyn Clock>) -> Result<Connector, BuildError> {
    Ok(match config {
        Config::Wazirx(config) => wazirx::connect(config, clock)?,
        Config::Binance(config) => binance::connect(config, clock)?,
        Config::Coinbase(config) => coinbase::connect(config, clock)?,
        Config::Coingecko(config) => Connector {
            rates: Some(Arc::new(coingecko::CoinGecko::try_new(config, clock)?)),
            ..Connector::default()
        },
    })
}
