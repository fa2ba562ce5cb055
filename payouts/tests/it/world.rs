//! The simulated bank and the rail pointed at it.

use std::sync::Arc;

use chrono::{DateTime, TimeDelta};
use payouts::{Beneficiary, BeneficiaryHandle, PayoutOrder, Rail, registry};
use primitives::{Amount, Asset, ManualClock, PayoutId, Vpa};
use serde_json::json;
use simulators::{Options, Running, fault::Fault};
use uuid::Uuid;

pub(crate) struct World {
    pub(crate) clock: ManualClock,
    pub(crate) running: Running,
}

impl World {
    pub(crate) async fn start() -> Self {
        let clock = ManualClock::new(DateTime::from_timestamp(1_767_607_200, 0).unwrap());
        let running = simulators::start(Options::new(Arc::new(clock.clone()))).await.unwrap();
        Self { clock, running }
    }

    pub(crate) fn rail(&self) -> Arc<dyn Rail> {
        let mut json = self.running.first_line()["razorpayx"].clone();
        let webhook_secret = json.as_object_mut().unwrap().remove("webhook_secret").unwrap();
        json["kind"] = "razorpayx".into();
        json["webhook_secrets"] = json!(["older", webhook_secret]);
        json["http"] = json!({
            "connect_timeout_ms": 300, "read_timeout_ms": 400, "total_timeout_ms": 800,
        });
        let config: registry::Config = serde_json::from_value(json).unwrap();
        registry::connect(&config, Arc::new(self.clock.clone())).unwrap()
    }

    pub(crate) fn fault(&self, operation: &str, name: &str) {
        self.running.world.faults.queue(Fault::new("razorpayx", operation, name)).unwrap();
    }

    pub(crate) fn pass(&self, millis: i64) {
        self.clock.advance(TimeDelta::milliseconds(millis));
        self.running.bank.tick();
    }
}

pub(crate) fn beneficiary() -> Beneficiary {
    Beneficiary {
        reference: "dest-0001".into(),
        name: "Ravi Stores".into(),
        vpa: Vpa::parse("ravi@okaxis").unwrap(),
    }
}

pub(crate) fn order(handle: &BeneficiaryHandle, payout: u128, attempt: i32) -> PayoutOrder {
    PayoutOrder {
        payout: PayoutId::from_uuid(Uuid::from_u128(payout)),
        attempt,
        amount: Amount::try_new(245_000, Asset::Inr).unwrap(),
        handle: handle.clone(),
        narration: "Chukta settlement".into(),
    }
}
