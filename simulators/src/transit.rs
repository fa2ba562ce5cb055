//! Coins between the venues of this world: who owns an address, and the way from one to the other.
//!
//! Invariant: what a venue sends to another venue's own address arrives there once, under the same
//! transaction id, after the delay that is set, by the world's clock. What is sent anywhere else
//! leaves this world.

use std::{
    fmt,
    sync::{
        Arc, Mutex, PoisonError, Weak,
        atomic::{AtomicU64, Ordering},
    },
};

use chrono::TimeDelta;

use crate::{
    World,
    venue::{Departing, Found},
};

/// A minute, unless told.
const DELAY_MS: u64 = 60_000;

/// A venue, as chains and other venues see it.
pub(crate) trait Custodian: Send + Sync {
    fn name(&self) -> &'static str;

    /// Coins on their way: seen, not confirmed.
    fn announce(&self, found: &Found);

    /// They have this many confirmations now; `true` when that was the last word needed.
    fn confirm(&self, found: &Found, have: u32) -> bool;

    /// They are gone from the chain.
    fn retract(&self, found: &Found);

    /// Moves one of the venue's own withdrawals on; `false` when there is none under way.
    fn send(&self, id: &str, stage: Departing) -> bool;
}

/// The venues, and how long the way between them is.
pub struct Transit {
    custodians: Mutex<Vec<Weak<dyn Custodian>>>,
    delay_ms: AtomicU64,
}

impl Default for Transit {
    fn default() -> Self {
        Self { custodians: Mutex::default(), delay_ms: AtomicU64::new(DELAY_MS) }
    }
}

impl fmt::Debug for Transit {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Transit").field("delay_ms", &self.delay_ms).finish_non_exhaustive()
    }
}

impl Transit {
    pub(crate) fn register(&self, custodian: Weak<dyn Custodian>) {
        self.custodians.lock().unwrap_or_else(PoisonError::into_inner).push(custodian);
    }

    pub(crate) fn custodians(&self) -> Vec<Arc<dyn Custodian>> {
        let known = self.custodians.lock().unwrap_or_else(PoisonError::into_inner);
        known.iter().filter_map(Weak::upgrade).collect()
    }

    fn named(&self, name: &str) -> Option<Arc<dyn Custodian>> {
        self.custodians().into_iter().find(|custodian| custodian.name() == name)
    }

    /// How long coins are on the way from one venue to another.
    #[must_use]
    pub fn delay_ms(&self) -> u64 {
        self.delay_ms.load(Ordering::Relaxed)
    }

    pub fn set_delay_ms(&self, delay_ms: u64) {
        self.delay_ms.store(delay_ms, Ordering::Relaxed);
    }
}

fn delay(ms: u64) -> TimeDelta {
    i64::try_from(ms).ok().and_then(TimeDelta::try_milliseconds).unwrap_or(TimeDelta::MAX)
}

impl World {
    /// The venue that takes coins at this address.
    pub(crate) fn owner(&self, network: &str, address: &str) -> Option<Arc<dyn Custodian>> {
        self.transit.custodians().into_iter().find(|custodian| {
            let own = self.networks.address(self.seed, custodian.name(), network);
            own.is_some_and(|own| {
                // Only an EVM address means the same in letters of either size.
                own == address || (own.starts_with("0x") && own.eq_ignore_ascii_case(address))
            })
        })
    }

    /// Where `venue` takes coins on `network`.
    #[must_use]
    pub fn deposit_address(&self, venue: &str, network: &str) -> Option<String> {
        self.networks.address(self.seed, venue, network)
    }

    /// A withdrawal leaves its venue `after_ms` from now, unless somebody stops it before.
    pub(crate) fn send_later(self: &Arc<Self>, venue: &'static str, id: &str, after_ms: u64) {
        let (world, id) = (Arc::downgrade(self), id.to_owned());
        let due = self.now().checked_add_signed(delay(after_ms)).unwrap_or(self.now());
        let effect = move || {
            if let Some(custodian) = world.upgrade().and_then(|world| world.transit.named(venue)) {
                custodian.send(&id, Departing::Completed);
            }
        };
        self.later(due, Box::new(effect));
    }

    /// Coins have left a venue: to another one, or out of this world.
    pub(crate) fn carry(self: &Arc<Self>, found: Found) {
        let Some(taker) = self.owner(found.network, &found.address) else { return };
        taker.announce(&found);
        self.arrive_later(&taker, found);
    }

    /// The coins arrive after the delay; a venue that takes none at the moment is asked again.
    fn arrive_later(self: &Arc<Self>, taker: &Arc<dyn Custodian>, found: Found) {
        let (world, taker) = (Arc::downgrade(self), Arc::downgrade(taker));
        let after = delay(self.transit.delay_ms());
        let due = self.now().checked_add_signed(after).unwrap_or(self.now());
        let effect = move || {
            let (Some(world), Some(taker)) = (world.upgrade(), taker.upgrade()) else { return };
            if !taker.confirm(&found, u32::MAX) {
                world.arrive_later(&taker, found);
            }
        };
        self.later(due, Box::new(effect));
    }
}
