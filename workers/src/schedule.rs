//! One line per periodic job. Every process ticks; one insert per tick wins.

use std::time::Duration;

use queue::ticks::Schedule;
use settlement::jobs::{
    Reconcile, SweepStuck, SyncRates, TendTreasury, ThinRates, WatchOrders, WatchRates,
};

/// What runs how often.
#[must_use]
pub fn schedule() -> Schedule {
    Schedule::new()
        .every("sync_rates", Duration::from_secs(30), || SyncRates {})
        .every("watch_rates", Duration::from_secs(30), || WatchRates {})
        .every("watch_orders", Duration::from_secs(30), || WatchOrders {})
        .every("thin_rates", Duration::from_secs(60), || ThinRates {})
        .every("tend_treasury", Duration::from_secs(60), || TendTreasury {})
        .every("sweep_stuck", Duration::from_secs(30), || SweepStuck {})
        .every("reconcile", Duration::from_secs(60), || Reconcile {})
}
