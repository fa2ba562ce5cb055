//! The simulated outside world and connectors pointed at it.

use std::sync::Arc;

use chrono::{DateTime, TimeDelta};
use exchanges::{
    ClientRef, Custody, Exchange, NewOrder, OrderKind, RateSource,
    registry::{self, Connector},
};
use primitives::{Asset, Clock as _, ManualClock};
use rust_decimal::Decimal;
use serde_json::{Value, json};
use simulators::{Options, Running, fault::Fault};

/// The venues to sell at.
pub(crate) const VENUES: [&str; 3] = ["wazirx", "binance", "coinbase"];

pub(crate) struct World {
    pub(crate) clock: ManualClock,
    pub(crate) running: Running,
}

impl World {
    /// Everything on one hand-moved clock; the venues' request limits are off.
    pub(crate) async fn start() -> Self {
        let clock = ManualClock::new(DateTime::from_timestamp(1_767_607_200, 0).unwrap());
        let running = simulators::start(Options::new(Arc::new(clock.clone()))).await.unwrap();
        let settings = running.wazirx.settings();
        running.wazirx.set_settings(simulators::wazirx::Settings { limits: false, ..settings });
        let settings = running.binance.settings();
        running.binance.set_settings(simulators::binance::Settings { limits: false, ..settings });
        let settings = running.coinbase.settings();
        running.coinbase.set_settings(simulators::coinbase::Settings { limits: false, ..settings });
        Self { clock, running }
    }

    pub(crate) fn connect(&self, kind: &str) -> Connector {
        self.connect_by(kind, Arc::new(self.clock.clone()))
    }

    pub(crate) fn connect_by(&self, kind: &str, clock: Arc<ManualClock>) -> Connector {
        connected(self.access(kind), clock)
    }

    /// One that waits a second only: for answers that never come. What is answered may be slower on
    /// a busy machine.
    pub(crate) fn connect_hastily(&self, kind: &str) -> Connector {
        let mut json = self.access(kind);
        json["http"] = json!({
            "connect_timeout_ms": 900, "read_timeout_ms": 1_000, "total_timeout_ms": 2_000,
        });
        connected(json, Arc::new(self.clock.clone()))
    }

    fn access(&self, kind: &str) -> Value {
        let said = self.running.first_line()[kind].clone();
        let mut json = json!({"kind": kind, "base_url": said["base_url"]});
        json["api_key"] = said["api_key"].clone();
        if VENUES.contains(&kind) {
            let name = if kind == "coinbase" { "private_key" } else { "secret" };
            json[name] = said["secret"].clone();
            json["paced"] = false.into();
        }
        match kind {
            "binance" => at_sockets(&mut json),
            "coinbase" => json["send_fees"] = send_fees(),
            _ => {}
        }
        json
    }

    /// A venue by its other kind of key.
    pub(crate) fn connect_by_ed25519(&self, kind: &str) -> Connector {
        let said = self.running.first_line()[kind].clone();
        let name = if kind == "coinbase" { "private_key" } else { "ed25519_pem" };
        let mut json = json!({
            "kind": kind, "base_url": said["base_url"], "paced": false,
            "api_key": said["ed25519_api_key"],
        });
        json[name] = said["ed25519_private_key"].clone();
        if kind == "binance" {
            at_sockets(&mut json);
        }
        connected(json, Arc::new(self.clock.clone()))
    }

    pub(crate) fn venue(&self, kind: &str) -> Arc<dyn Exchange> {
        self.connect(kind).exchange.unwrap()
    }

    pub(crate) fn custody(&self, kind: &str) -> Arc<dyn Custody> {
        self.connect(kind).custody.unwrap()
    }

    pub(crate) fn source(&self, kind: &str) -> Arc<dyn RateSource> {
        self.connect(kind).rates.unwrap()
    }

    pub(crate) fn fault(&self, target: &str, operation: &str, name: &str) {
        self.running.world.faults.queue(Fault::new(target, operation, name)).unwrap();
    }

    pub(crate) fn pass(&self, seconds: i64) {
        self.clock.advance(TimeDelta::seconds(seconds));
    }

    pub(crate) fn now(&self) -> DateTime<chrono::Utc> {
        self.clock.now()
    }
}

fn at_sockets(json: &mut Value) {
    let url = json["base_url"].as_str().unwrap().replace("http://", "ws://");
    json["stream_url"] = url.clone().into();
    json["ws_api_url"] = url.into();
}

/// What the simulated networks cost: the venue tells it only afterwards.
fn send_fees() -> Value {
    json!({
        "bitcoin": {"BTC": "0.0001"}, "solana": {"SOL": "0.001", "USDC": "1"},
        "ethereum": {"ETH": "0.001", "USDT": "3", "USDC": "3"},
    })
}

fn connected(json: Value, clock: Arc<ManualClock>) -> Connector {
    let config: registry::Config = serde_json::from_value(json).unwrap();
    registry::connect(&config, clock).unwrap()
}

pub(crate) fn client_ref(text: &str) -> ClientRef {
    ClientRef::new(text).unwrap()
}

/// A limit order for about `value` of the quote asset at `percent` of the best bid, on the venue's
/// grid.
pub(crate) async fn order(
    exchange: &dyn Exchange,
    sell: Asset,
    reference: &str,
    value: i64,
    percent: i64,
) -> NewOrder {
    let pair = exchange.market(sell).unwrap();
    let rules = exchange.rules(pair).await.unwrap();
    let bid = exchange.book(pair).await.unwrap().bids[0].price;
    let on_grid = |value: Decimal, step: Decimal| (value / step).floor() * step;
    let price = on_grid(bid * Decimal::new(percent, 2), rules.price_tick);
    let quantity = on_grid(Decimal::new(value, 0) / bid, rules.quantity_step) + rules.quantity_step;
    let stamp = exchange.server_time().await.unwrap();
    let kind = OrderKind::Limit;
    NewOrder { client_ref: client_ref(reference), pair, kind, quantity, price, stamp }
}
