//! Coins between the venues of this world: who owns an address, and the way from one to the other.
//!
//! Invariant: what a venue sends to another venue's own address arrives there once, under the same
//! transaction id. Where a node stands for the network, a withdrawal is an errand for that chain:
//! a real transaction, credited by whoever sees it arrive there and by nobody else. On the other
//! networks it arrives after the delay that is set, by the world's clock; what is sent anywhere
//! else leaves this world.

use std::{
    collections::VecDeque,
    fmt,
    sync::{
        Arc, Mutex, MutexGuard, PoisonError, Weak,
        atomic::{AtomicU64, Ordering},
    },
};

use chrono::TimeDelta;
use rust_decimal::Decimal;

use crate::{
    World,
    venue::{Custody, Departing, Found, Rail},
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

    /// A withdrawal of the venue's own that a chain was to send has left under this id. Only a
    /// venue that hands its withdrawals over is told.
    fn left(&self, _id: &str, _tx_id: &str) {}
}

/// A withdrawal that leaves over a local chain.
#[derive(Debug, Clone)]
pub(crate) struct Errand {
    pub(crate) venue: &'static str,
    /// The withdrawal's.
    pub(crate) id: String,
    pub(crate) rail: &'static Rail,
    /// What arrives.
    pub(crate) amount: Decimal,
    pub(crate) address: String,
}

/// The venues, and how long the way between them is.
pub struct Transit {
    custodians: Mutex<Vec<Weak<dyn Custodian>>>,
    errands: Mutex<VecDeque<Errand>>,
    delay_ms: AtomicU64,
}

impl Default for Transit {
    fn default() -> Self {
        let (custodians, errands) = (Mutex::default(), Mutex::default());
        Self { custodians, errands, delay_ms: AtomicU64::new(DELAY_MS) }
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

    pub(crate) fn named(&self, name: &str) -> Option<Arc<dyn Custodian>> {
        self.custodians().into_iter().find(|custodian| custodian.name() == name)
    }

    fn errands(&self) -> MutexGuard<'_, VecDeque<Errand>> {
        self.errands.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Puts an errand behind the others, the first time or again.
    pub(crate) fn hand_over(&self, errand: Errand) {
        self.errands().push_back(errand);
    }

    /// The next errand on a network, for whoever sends it now.
    pub(crate) fn take(&self, network: &str) -> Option<Errand> {
        let mut errands = self.errands();
        let at = errands.iter().position(|errand| errand.rail.network == network)?;
        errands.remove(at)
    }

    /// How many wait on a network.
    pub(crate) fn waiting(&self, network: &str) -> usize {
        self.errands().iter().filter(|errand| errand.rail.network == network).count()
    }

    /// Takes an errand back; `false` when it is being sent, or was.
    fn recall(&self, venue: &str, id: &str) -> bool {
        let mut errands = self.errands();
        let before = errands.len();
        errands.retain(|errand| (errand.venue, errand.id.as_str()) != (venue, id));
        errands.len() < before
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

    /// What a venue's `send` begins with. A withdrawal that is to leave on a network with a node is
    /// handed to that chain; of one that a chain is sending already, nobody decides anything.
    /// `None`: the venue goes on by itself.
    pub(crate) fn by_chain(
        &self,
        venue: &'static str,
        custody: &mut Custody,
        id: &str,
        stage: Departing,
    ) -> Option<bool> {
        let departure = custody.under_way(id)?;
        if departure.handed && !self.transit.recall(venue, id) {
            return Some(false);
        }
        departure.handed = false;
        if stage != Departing::Completed || !self.networks.is_local(departure.rail.network) {
            return None;
        }
        departure.handed = true;
        self.transit.hand_over(Errand {
            venue,
            id: id.to_owned(),
            rail: departure.rail,
            amount: departure.amount,
            address: departure.address.clone(),
        });
        Some(true)
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
