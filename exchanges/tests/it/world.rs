//! The simulated outside world and connectors pointed at it.

use std::sync::Arc;

use chrono::{DateTime, TimeDelta};
use exchanges::{
    ClientRef, Exchange, NewOrder, RateSource,
    registry::{self, Connector},
};
use primitives::{Asset, ManualClock};
use rust_decimal::Decimal;
use simulators::{Options, Running, fault::Fault};

pub(crate) struct World {
    pub(crate) clock: ManualClock,
    pub(crate) running: Running,
}

impl World {
    /// Everything on one hand-moved clock; the venue's request limits are off.
    pub(crate) async fn start() -> Self {
        let clock = ManualClock::new(DateTime::from_timestamp(1_767_607_200, 0).unwrap());
        let running = simulators::start(Options::new(Arc::new(clock.clone()))).await.unwrap();
        let settings = running.wazirx.settings();
        running.wazirx.set_settings(simulators::wazirx::Settings { limits: false, ..settings });
        Self { clock, running }
    }

    pub(crate) fn connect(&self, kind: &str) -> Connector {
        self.connect_by(kind, Arc::new(self.clock.clone()))
    }

    pub(crate) fn connect_by(&self, kind: &str, clock: Arc<ManualClock>) -> Connector {
        let mut json = self.running.first_line()[kind].clone();
        json["kind"] = kind.into();
        json["http"] = serde_json::json!({
            "connect_timeout_ms": 300, "read_timeout_ms": 400, "total_timeout_ms": 800,
        });
        if kind == "wazirx" {
            json["paced"] = false.into();
        } else {
            // Public data needs no keys, and the settings have no room for them.
            json.as_object_mut().unwrap().retain(|name, _| name != "api_key" && name != "secret");
        }
        let config: registry::Config = serde_json::from_value(json).unwrap();
        registry::connect(&config, clock).unwrap()
    }

    pub(crate) fn wazirx(&self) -> Arc<dyn Exchange> {
        self.connect("wazirx").exchange.unwrap()
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
}

pub(crate) fn client_ref(text: &str) -> ClientRef {
    ClientRef::new(text).unwrap()
}

/// An order for about `inr` rupees at `percent` of the best bid, on the venue's grid.
pub(crate) async fn order(
    exchange: &dyn Exchange,
    sell: Asset,
    reference: &str,
    inr: i64,
    percent: i64,
) -> NewOrder {
    let rules = exchange.rules(sell).await.unwrap();
    let bid = exchange.book(sell).await.unwrap().bids[0].price;
    let on_grid = |value: Decimal, step: Decimal| (value / step).floor() * step;
    let price = on_grid(bid * Decimal::new(percent, 2), rules.price_tick);
    let quantity = on_grid(Decimal::new(inr, 0) / bid, rules.quantity_step) + rules.quantity_step;
    let stamp = exchange.server_time().await.unwrap();
    NewOrder { client_ref: client_ref(reference), sell, quantity, price, stamp }
}
