//! The outside world of a test, in this process and on the fleet's clock, and the real adapters
//! that speak to it over HTTP.

use std::sync::Arc;

use anyhow::Context as _;
use primitives::{Clock, ManualClock};
use serde_json::{Value, json};
use settlement::Settings;
use simulators::{Options, Running, fault::Fault};
use workers::Connectors;

use crate::{Http, Node, settings::network};

/// The simulators, and their control.
#[derive(Debug)]
pub struct Outside {
    pub sims: Running,
    pub control: Http,
    said: Value,
}

impl Outside {
    /// # Errors
    /// When a server cannot be started.
    pub(crate) async fn start(clock: &ManualClock, seed: u64) -> anyhow::Result<Self> {
        let clock: Arc<dyn Clock> = Arc::new(clock.clone());
        let sims =
            simulators::start(Options { seed, limits: false, ..Options::new(clock) }).await?;
        let said = sims.first_line();
        let control = Http::new(text(&said, "control", "base_url")?, None)?;
        Ok(Self { sims, control, said })
    }

    /// A word of what the simulators say about themselves.
    ///
    /// # Errors
    /// When they do not say it.
    pub fn text(&self, simulator: &str, field: &str) -> anyhow::Result<String> {
        text(&self.said, simulator, field)
    }

    /// Queues a fault that strikes once, at the next call of the operation.
    ///
    /// # Errors
    /// When no such fault exists.
    pub fn fault(&self, target: &str, operation: &str, name: &str) -> anyhow::Result<()> {
        self.queue(Fault::new(target, operation, name))
    }

    /// # Errors
    /// When no such fault exists.
    pub fn queue(&self, fault: Fault) -> anyhow::Result<()> {
        let queued = self.sims.world.faults.queue(fault);
        queued.map_err(|unknown| anyhow::anyhow!("no such fault: {}", unknown.0))
    }

    /// What becomes of the next payouts at the bank, in order.
    ///
    /// # Errors
    /// When the bank knows no such outcome.
    pub async fn plan_payouts(&self, outcomes: &[&str]) -> anyhow::Result<()> {
        self.control.post("/razorpayx/plan", &json!({ "outcomes": outcomes })).await?;
        Ok(())
    }

    /// Coinbase as a source of rates; with its keys, where it sells, as a venue.
    fn coinbase(&self, sells: bool) -> anyhow::Result<Value> {
        let base_url = self.text("coinbase", "base_url")?;
        if !sells {
            return Ok(json!({ "kind": "coinbase", "base_url": base_url }));
        }
        Ok(json!({
            "kind": "coinbase", "base_url": base_url, "paced": false,
            "api_key": self.text("coinbase", "api_key")?,
            "private_key": self.text("coinbase", "secret")?,
        }))
    }

    /// The adapters of one process: the same code as in production, with other addresses.
    ///
    /// # Errors
    /// When an adapter refuses its settings.
    pub(crate) fn connectors(
        &self,
        clock: &ManualClock,
        node: &Node,
        settings: &Settings,
    ) -> anyhow::Result<Connectors> {
        let mut connectors = Connectors::default();
        connectors.chains.insert(network()?, node.chain()?);
        for other in &node.others {
            connectors.chains.insert(other.network.clone(), Arc::clone(&other.chain));
        }
        for config in [
            json!({
                "kind": "wazirx", "base_url": self.text("wazirx", "base_url")?, "paced": false,
                "api_key": self.text("wazirx", "api_key")?,
                "secret": self.text("wazirx", "secret")?,
            }),
            json!({
                "kind": "binance", "base_url": self.text("binance", "base_url")?, "paced": false,
                "api_key": self.text("binance", "api_key")?,
                "secret": self.text("binance", "secret")?,
                "stream_url": self.text("binance", "base_url")?.replacen("http", "ws", 1),
                "ws_api_url": self.text("binance", "base_url")?.replacen("http", "ws", 1),
            }),
            self.coinbase(settings.venues.contains_key("coinbase"))?,
            json!({
                "kind": "coingecko", "base_url": self.text("coingecko", "base_url")?,
                "api_key": self.text("coingecko", "api_key")?,
            }),
        ] {
            let config = serde_json::from_value(config)?;
            let connector = exchanges::registry::connect(&config, Arc::new(clock.clone()))?;
            connectors.rate_sources.extend(connector.rates);
            connectors.price_streams.extend(connector.stream);
            connectors.order_news.extend(connector.news);
            if let Some(custody) = connector.custody {
                connectors.custody.insert(custody.venue().to_owned(), custody);
            }
            if let Some(exchange) = connector.exchange {
                connectors.exchanges.insert(exchange.venue().to_owned(), exchange);
            }
        }
        let rail = serde_json::from_value(json!({
            "kind": "razorpayx",
            "base_url": self.text("razorpayx", "base_url")?,
            "key_id": self.text("razorpayx", "key_id")?,
            "key_secret": self.text("razorpayx", "key_secret")?,
            "account_number": self.text("razorpayx", "account_number")?,
            "webhook_secrets": [self.text("razorpayx", "webhook_secret")?],
            "http": { "requests_per_second": 0 },
        }))?;
        let rail = payouts::registry::connect(&rail, Arc::new(clock.clone()))?;
        connectors.rails.insert(rail.rail().to_owned(), rail);
        Ok(connectors)
    }
}

fn text(said: &Value, simulator: &str, field: &str) -> anyhow::Result<String> {
    let value = said.get(simulator).and_then(|s| s.get(field)).and_then(Value::as_str);
    value
        .map(str::to_owned)
        .with_context(|| format!("the simulators do not tell {simulator}.{field}"))
}
