//! The desk of a simulated venue where coins come in and go out: the same at every venue.
//!
//! Invariant: what happens to a deposit or a withdrawal happens under the venue's own lock, and the
//! lock is let go before coins are handed on: the way may lead back to a venue. How a venue numbers
//! deposits and whom it tells is deliberately elsewhere, in its own folder.

use std::sync::{Arc, MutexGuard};

use chrono::{DateTime, Utc};

use super::{Custody, Departing, Found, Holdings, Moved, rail_of, transaction_id};
use crate::{World, transit::Custodian};

/// What a venue keeps under its lock, as far as its desk needs it.
pub(crate) trait Till {
    fn drawers(&mut self) -> (&mut Custody, &mut Holdings);

    /// Nothing is credited meanwhile.
    fn is_paused(&self) -> bool;

    /// A deposit or a withdrawal changed a balance.
    fn tell(&mut self, _moved: &Moved, _now: DateTime<Utc>) {}
}

/// What differs between the venues' desks.
pub(crate) trait Desk: Send + Sync {
    const NAME: &'static str;
    type Till: Till;

    fn world(&self) -> &Arc<World>;

    fn till(&self) -> MutexGuard<'_, Self::Till>;

    /// The venue's number of a new deposit.
    fn deposit_id(&self) -> String;
}

impl<D: Desk> Custodian for D {
    fn name(&self) -> &'static str {
        D::NAME
    }

    fn announce(&self, found: &Found) {
        let Some(rail) = rail_of(&found.asset, Some(found.network)) else { return };
        let world = self.world();
        let (id, now) = (self.deposit_id(), world.now());
        let needs = world.networks.confirmations(rail);
        self.till().drawers().0.announce(found.clone(), id, needs, now);
    }

    fn confirm(&self, found: &Found, have: u32) -> bool {
        let now = self.world().now();
        let mut till = self.till();
        if till.is_paused() {
            return false;
        }
        let (custody, holdings) = till.drawers();
        if let Some(moved) = custody.confirm(holdings, found, have, now) {
            till.tell(&moved, now);
        }
        till.drawers().0.is_settled(found)
    }

    fn retract(&self, found: &Found) {
        self.till().drawers().0.retract(found);
    }

    fn send(&self, id: &str, stage: Departing) -> bool {
        let (world, now) = (self.world(), self.world().now());
        let sent = {
            let mut till = self.till();
            let (custody, holdings) = till.drawers();
            if let Some(handed) = world.by_chain(D::NAME, custody, id, stage) {
                return handed;
            }
            let known = custody.departures.iter().find(|known| known.id == id);
            let network = known.map_or("", |known| known.rail.network);
            let tx_id = transaction_id(network, world.entropy.bytes());
            let sent = custody.send(holdings, id, stage, tx_id, now);
            if let Some((_, Some(moved))) = &sent {
                till.tell(moved, now);
            }
            sent
        };
        let found = sent.as_ref().and_then(|(departure, _)| departure.found());
        if let Some(found) = found {
            world.carry(found);
        }
        sent.is_some()
    }

    fn left(&self, id: &str, tx_id: &str) {
        let now = self.world().now();
        let mut till = self.till();
        let (custody, holdings) = till.drawers();
        let sent = custody.send(holdings, id, Departing::Completed, tx_id.to_owned(), now);
        if let Some((_, Some(moved))) = &sent {
            till.tell(moved, now);
        }
    }
}
