//! Coins on their way into a venue and out of it, whatever the venue's words for it.
//!
//! Invariant: a deposit is credited once, however often it is told; what was credited is never
//! taken back; a withdrawal leaves the balance when it is asked for and comes back at most once.
//! Codes, texts and statuses are deliberately elsewhere: in each exchange's own folder.

use chrono::{DateTime, Utc};
use rust_decimal::Decimal;
use serde::Deserialize;
use serde_json::json;

use super::{Change, Holdings, Rail};
use crate::journal::Movement;

/// Coins that reached an address of the venue.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Found {
    pub(crate) asset: String,
    /// `bitcoin`, `ethereum`, `base` or `solana`.
    pub(crate) network: &'static str,
    pub(crate) amount: Decimal,
    pub(crate) tx_id: String,
    /// Which output or log of the transaction.
    pub(crate) place: u64,
    pub(crate) address: String,
}

/// How far a deposit is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(crate) enum Stage {
    Pending,
    /// Credited, but not to be withdrawn yet.
    Held,
    Credited,
    Rejected,
    /// A coin or an amount the venue does not take.
    Wrong,
    /// The venue wants a word from its customer first.
    Waiting,
}

impl Stage {
    pub(crate) const fn is_credited(self) -> bool {
        matches!(self, Self::Held | Self::Credited)
    }
}

#[derive(Debug, Clone)]
pub(crate) struct Arrival {
    pub(crate) id: String,
    pub(crate) found: Found,
    pub(crate) have: u32,
    pub(crate) need: u32,
    /// Confirmations until it may be withdrawn.
    pub(crate) unlock: u32,
    pub(crate) stage: Stage,
    pub(crate) at: DateTime<Utc>,
    pub(crate) credited_at: Option<DateTime<Utc>>,
}

/// How far a withdrawal is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(crate) enum Departing {
    MailSent,
    AwaitingApproval,
    Processing,
    Completed,
    Cancelled,
    Rejected,
    Failed,
}

impl Departing {
    /// Neither gone nor given back.
    pub(crate) const fn is_under_way(self) -> bool {
        matches!(self, Self::MailSent | Self::AwaitingApproval | Self::Processing)
    }

    const fn gives_back(self) -> bool {
        matches!(self, Self::Cancelled | Self::Rejected | Self::Failed)
    }
}

#[derive(Debug, Clone)]
pub(crate) struct Departure {
    pub(crate) id: String,
    pub(crate) order_id: Option<String>,
    pub(crate) rail: &'static Rail,
    /// What arrives; the fee is beside it, and both left the balance.
    pub(crate) amount: Decimal,
    pub(crate) address: String,
    pub(crate) tx_id: Option<String>,
    pub(crate) stage: Departing,
    pub(crate) applied: DateTime<Utc>,
    pub(crate) updated: DateTime<Utc>,
    pub(crate) reason: Option<String>,
    /// A chain has it: the venue cannot decide about it any more.
    pub(crate) handed: bool,
}

impl Departure {
    /// What arrives at the other end, once it has left.
    pub(crate) fn found(&self) -> Option<Found> {
        let tx_id = self.tx_id.clone().filter(|_| self.stage == Departing::Completed)?;
        Some(Found {
            asset: self.rail.coin.to_owned(),
            network: self.rail.network,
            amount: self.amount,
            tx_id,
            place: 0,
            address: self.address.clone(),
        })
    }
}

/// What a caller wants to take out; `amount` includes the fee.
#[derive(Debug)]
pub(crate) struct Wanted {
    pub(crate) rail: &'static Rail,
    pub(crate) amount: Decimal,
    pub(crate) address: String,
    pub(crate) order_id: Option<String>,
}

/// A change of a balance that came over a chain.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Moved {
    pub(crate) asset: String,
    pub(crate) amount: Decimal,
}

/// Of every balance.
const PLACES: u32 = 8;

/// Every deposit and every withdrawal, in the order they were told.
#[derive(Debug, Default)]
pub(crate) struct Custody {
    pub(crate) arrivals: Vec<Arrival>,
    pub(crate) departures: Vec<Departure>,
}

impl Custody {
    fn place_of(&self, key: &Found) -> Option<usize> {
        self.arrivals.iter().position(|arrival| {
            let found = &arrival.found;
            (found.network, &found.tx_id, found.place) == (key.network, &key.tx_id, key.place)
        })
    }

    /// Takes note of coins that are not confirmed yet; quiet when they are known.
    pub(crate) fn announce(
        &mut self,
        mut found: Found,
        id: String,
        (need, unlock): (u32, u32),
        at: DateTime<Utc>,
    ) {
        // A venue keeps eight places; what a coin has beyond them is nobody's there.
        found.amount = found.amount.trunc_with_scale(PLACES).normalize();
        if self.place_of(&found).is_some() || found.amount.is_zero() {
            return;
        }
        let (have, stage, credited_at) = (0, Stage::Pending, None);
        self.arrivals.push(Arrival { id, found, have, need, unlock, stage, at, credited_at });
    }

    /// Whether nothing the chain says changes this deposit any more.
    pub(crate) fn is_settled(&self, key: &Found) -> bool {
        let arrival = self.place_of(key).and_then(|at| self.arrivals.get(at));
        arrival.is_none_or(|arrival| !matches!(arrival.stage, Stage::Pending | Stage::Held))
    }

    /// As many confirmations as this; credits what has enough.
    pub(crate) fn confirm(
        &mut self,
        holdings: &mut Holdings,
        key: &Found,
        have: u32,
        now: DateTime<Utc>,
    ) -> Option<Moved> {
        let at = self.place_of(key)?;
        let arrival = self.arrivals.get_mut(at)?;
        if !matches!(arrival.stage, Stage::Pending | Stage::Held) {
            return None;
        }
        arrival.have = have;
        let stage = if have >= arrival.unlock.max(arrival.need) {
            Stage::Credited
        } else if have >= arrival.need {
            Stage::Held
        } else {
            return None;
        };
        self.set_stage(holdings, at, stage, now)
    }

    /// The chain took it back before it was credited.
    pub(crate) fn retract(&mut self, key: &Found) {
        if let Some(at) = self.place_of(key)
            && self.arrivals.get(at).is_some_and(|arrival| arrival.stage == Stage::Pending)
        {
            self.arrivals.remove(at);
        }
    }

    /// The stage of the deposit with this id or transaction, by the hand of the venue. `None` when
    /// there is no such deposit, or it was credited and the stage would take it back.
    pub(crate) fn judge(
        &mut self,
        holdings: &mut Holdings,
        name: &str,
        stage: Stage,
        now: DateTime<Utc>,
    ) -> Option<Option<Moved>> {
        let named = |arrival: &Arrival| arrival.id == name || arrival.found.tx_id == name;
        let at = self.arrivals.iter().rposition(named)?;
        let was = self.arrivals.get(at)?.stage;
        if was.is_credited() && !stage.is_credited() {
            return None;
        }
        Some(self.set_stage(holdings, at, stage, now))
    }

    fn set_stage(
        &mut self,
        holdings: &mut Holdings,
        at: usize,
        stage: Stage,
        now: DateTime<Utc>,
    ) -> Option<Moved> {
        let arrival = self.arrivals.get_mut(at)?;
        let is_new = stage.is_credited() && !arrival.stage.is_credited();
        arrival.stage = stage;
        if !is_new {
            return None;
        }
        arrival.have = arrival.have.max(arrival.need);
        arrival.credited_at = Some(now);
        let Found { asset, amount, tx_id, network, place, .. } = arrival.found.clone();
        holdings.apply(Change {
            at: now,
            kind: "deposit",
            reference: tx_id,
            movements: vec![Movement::new(&asset, "free", amount, "deposit")],
            detail: json!({"id": arrival.id, "network": network, "place": place}),
        });
        Some(Moved { asset, amount })
    }

    /// What is credited and may not leave yet.
    pub(crate) fn held(&self, asset: &str) -> Decimal {
        let held =
            |arrival: &&Arrival| arrival.stage == Stage::Held && arrival.found.asset == asset;
        self.arrivals.iter().filter(held).map(|arrival| arrival.found.amount).sum()
    }

    pub(crate) fn has_order_id(&self, order_id: &str) -> bool {
        self.departures.iter().any(|known| known.order_id.as_deref() == Some(order_id))
    }

    /// Takes the coins out of the balance and begins to send them. `None` when there are not
    /// enough.
    pub(crate) fn ask(
        &mut self,
        holdings: &mut Holdings,
        wanted: Wanted,
        id: String,
        now: DateTime<Utc>,
    ) -> Option<Moved> {
        let Wanted { rail, amount, address, order_id } = wanted;
        if holdings.get(rail.coin).free - self.held(rail.coin) < amount {
            return None;
        }
        let net = amount - rail.fee;
        let taken = holdings.apply(Change {
            at: now,
            kind: "withdrawal",
            reference: id.clone(),
            movements: vec![
                Movement::new(rail.coin, "free", -net, "withdrawal"),
                Movement::new(rail.coin, "free", -rail.fee, "withdrawal_fee"),
            ],
            detail: json!({"network": rail.network, "address": address, "order_id": order_id}),
        });
        if !taken {
            return None;
        }
        self.departures.push(Departure {
            id,
            order_id,
            rail,
            amount: net,
            address,
            tx_id: None,
            stage: Departing::Processing,
            applied: now,
            updated: now,
            reason: None,
            handed: false,
        });
        Some(Moved { asset: rail.coin.to_owned(), amount: -amount })
    }

    /// The withdrawal with this id while it has not left.
    pub(crate) fn under_way(&mut self, id: &str) -> Option<&mut Departure> {
        self.departures.iter_mut().find(|known| known.id == id && known.stage.is_under_way())
    }

    /// Moves a withdrawal on. Answers it when it left by this; `None` when it is over already.
    pub(crate) fn send(
        &mut self,
        holdings: &mut Holdings,
        id: &str,
        stage: Departing,
        tx_id: String,
        now: DateTime<Utc>,
    ) -> Option<(Departure, Option<Moved>)> {
        let departure = self.under_way(id)?;
        departure.stage = stage;
        departure.updated = now;
        if stage == Departing::Completed {
            departure.tx_id = Some(tx_id);
        }
        let mut back = None;
        if stage.gives_back() {
            let gross = departure.amount + departure.rail.fee;
            let coin = departure.rail.coin;
            departure.reason = Some("The withdrawal was not sent.".to_owned());
            holdings.apply(Change {
                at: now,
                kind: "withdrawal_returned",
                reference: id.to_owned(),
                movements: vec![Movement::new(coin, "free", gross, "withdrawal_returned")],
                detail: json!({}),
            });
            back = Some(Moved { asset: coin.to_owned(), amount: gross });
        }
        Some((departure.clone(), back))
    }
}
