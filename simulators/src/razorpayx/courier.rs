//! Carries webhooks: at least once, in no promised order, retried with growing pauses.
//!
//! Invariant: nothing here waits under a lock and nothing here holds up the API, but for
//! `before_reply`, which is there to do so. Due times follow the world's clock, the time limit of
//! an attempt the machine's. Plain HTTP only: the target is on this machine or its container
//! network.

use std::collections::BTreeSet;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use chrono::{DateTime, TimeDelta, Utc};
use primitives::Secret;
use serde_json::{Value, json};
use tokio::sync::Semaphore;
use tokio::task::{JoinHandle, JoinSet};

use crate::World;

use super::bank::Bank;
pub(super) use super::events::Event;
use super::events::{Attempt, Delivery, Mode, Signing, State};
use super::{ids, post};

/// How often the loop looks at the clock.
const LOOK: Duration = Duration::from_millis(20);
/// How many payouts' events are on their way at once.
const SENDING_MAX: usize = 64;
/// The longest pause between two attempts.
const PAUSE_MS_MAX: i64 = 60_000;
/// How old an event may be to be sent again on request.
const REPLAY_AGE: TimeDelta = TimeDelta::days(15);

#[derive(Debug)]
pub(super) struct Courier {
    account_id: String,
    bag: Mutex<Bag>,
}

#[derive(Debug)]
struct Bag {
    /// The current secret first.
    secrets: Vec<Secret>,
    mode: Mode,
    deliveries: Vec<Delivery>,
    waiting: BTreeSet<(DateTime<Utc>, usize)>,
    in_flight: BTreeSet<usize>,
}

impl Courier {
    pub(super) fn new(account_id: String, secret: Secret) -> Self {
        let bag = Bag {
            secrets: vec![secret],
            mode: Mode::default(),
            deliveries: Vec::new(),
            waiting: BTreeSet::new(),
            in_flight: BTreeSet::new(),
        };
        Self { account_id, bag: Mutex::new(bag) }
    }

    fn bag(&self) -> MutexGuard<'_, Bag> {
        self.bag.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub(super) fn mode(&self) -> Mode {
        self.bag().mode.clone()
    }

    pub(super) fn set_mode(&self, mode: Mode) {
        self.bag().mode = mode;
    }

    /// The first secret signs from now on. At least one must be left.
    pub(super) fn set_secrets(&self, secrets: Vec<String>) -> Result<(), String> {
        if secrets.is_empty() || secrets.iter().any(String::is_empty) {
            return Err("secrets must not be empty".to_owned());
        }
        self.bag().secrets = secrets.into_iter().map(Secret::new).collect();
        Ok(())
    }

    /// Takes events over; called with the bank's lock held, so their order is the bank's.
    pub(super) fn post(&self, world: &World, events: Vec<Event>) {
        if events.is_empty() {
            return;
        }
        let now = world.now();
        let target = world.webhook_url().is_some();
        let mut bag = self.bag();
        let mode = bag.mode.clone();
        let secret = match mode.signature {
            Signing::Old => bag.secrets.last(),
            Signing::Valid | Signing::Wrong | Signing::Missing => bag.secrets.first(),
        };
        let secret = secret.cloned().unwrap_or_else(|| Secret::new(""));
        let held = if mode.reorder { mode.reorder_ms } else { 0 };
        let due = now + TimeDelta::milliseconds(i64::from(mode.delay_ms) + i64::from(held));
        for event in events {
            let delivery = Delivery {
                event_id: ids::alphanumeric(&world.entropy, 14),
                event: event.name,
                body: event.envelope(&self.account_id, now.timestamp()),
                about: event.about,
                secret: secret.clone(),
                signing: mode.signature,
                created_at: now,
                state: match (mode.drop, target) {
                    (true, _) => State::Dropped,
                    (false, false) => State::NoTarget,
                    (false, true) => State::Waiting,
                },
                attempts: Vec::new(),
            };
            for _ in 0..=mode.duplicate {
                bag.add(delivery.clone(), due);
            }
        }
    }

    /// Everything due, oldest first; with `reorder`, everything there is, newest first.
    fn take(&self, now: DateTime<Utc>) -> Vec<usize> {
        let mut bag = self.bag();
        let mut places = Vec::new();
        while let Some((due, place)) = bag.waiting.first().copied() {
            let swept_along = bag.mode.reorder && !places.is_empty();
            if due > now && !swept_along {
                break;
            }
            bag.waiting.pop_first();
            places.push(place);
        }
        if bag.mode.reorder {
            places.sort_unstable_by(|a, b| b.cmp(a));
        }
        for place in &places {
            bag.in_flight.insert(*place);
            if let Some(delivery) = bag.deliveries.get_mut(*place) {
                delivery.state = State::InFlight;
            }
        }
        places
    }

    fn in_flight(&self) -> BTreeSet<usize> {
        self.bag().in_flight.clone()
    }

    async fn send(&self, world: &World, place: usize) {
        let Some(delivery) = self.bag().deliveries.get(place).cloned() else {
            return;
        };
        let limit = Duration::from_millis(u64::from(self.mode().timeout_ms));
        let outcome = match world.webhook_url() {
            None => Err("no target".to_owned()),
            Some(url) => {
                let mut headers = vec![("x-razorpay-event-id", delivery.event_id.clone())];
                headers.extend(delivery.signature().map(|hex| ("X-Razorpay-Signature", hex)));
                let attempt = post::post(&url, &headers, &delivery.body);
                tokio::time::timeout(limit, attempt)
                    .await
                    .unwrap_or_else(|_| Err("no answer in time".to_owned()))
            }
        };
        self.bag().record(place, world.now(), outcome);
    }

    /// Sends events again: one by its id, or all that were not delivered.
    pub(super) fn replay(&self, now: DateTime<Utc>, event_id: Option<&str>) -> usize {
        let mut bag = self.bag();
        let chosen: Vec<Delivery> = bag
            .deliveries
            .iter()
            .filter(|row| row.created_at + REPLAY_AGE > now)
            .filter(|row| match event_id {
                Some(id) => row.event_id == id,
                None => {
                    matches!(row.state, State::Dropped | State::NoTarget | State::GaveUp)
                }
            })
            .cloned()
            .collect();
        for delivery in &chosen {
            let again =
                Delivery { state: State::Waiting, attempts: Vec::new(), ..delivery.clone() };
            bag.add(again, now);
        }
        chosen.len()
    }

    /// Target, secrets, mode and deliveries after the given sequence number.
    pub(super) fn to_json(&self, url: Option<String>, after: usize) -> Value {
        let bag = self.bag();
        let rows = bag.deliveries.iter().enumerate().skip(after);
        let deliveries: Vec<Value> =
            rows.map(|(place, row)| row.to_json(place.saturating_add(1))).collect();
        let secrets: Vec<&str> = bag.secrets.iter().map(Secret::expose).collect();
        json!({"url": url, "secrets": secrets, "mode": bag.mode, "deliveries": deliveries})
    }
}

impl Bag {
    fn add(&mut self, delivery: Delivery, due: DateTime<Utc>) {
        if delivery.state == State::Waiting {
            self.waiting.insert((due, self.deliveries.len()));
        }
        self.deliveries.push(delivery);
    }

    fn record(&mut self, place: usize, now: DateTime<Utc>, outcome: Result<u16, String>) {
        let (attempts_max, retry_ms) = (self.mode.attempts_max, self.mode.retry_ms);
        self.in_flight.remove(&place);
        let Some(delivery) = self.deliveries.get_mut(place) else {
            return;
        };
        let (status, error) = match outcome {
            Ok(status) => (Some(status), None),
            Err(error) => (None, Some(error)),
        };
        delivery.attempts.push(Attempt { at: now, status, error });
        let made = u32::try_from(delivery.attempts.len()).unwrap_or(u32::MAX);
        if status.is_some_and(|status| (200..300).contains(&status)) {
            delivery.state = State::Delivered;
        } else if made >= attempts_max {
            delivery.state = State::GaveUp;
        } else {
            let doubled = 1_i64 << made.saturating_sub(1).min(16);
            let pause = i64::from(retry_ms).saturating_mul(doubled).min(PAUSE_MS_MAX);
            delivery.state = State::Waiting;
            self.waiting.insert((now + TimeDelta::milliseconds(pause), place));
        }
    }
}

impl Bank {
    /// Sends every webhook that is due now and waits for the answers, also for those the
    /// background loop has taken. For callers without the loop, and for `before_reply`.
    pub async fn deliver_due(&self) {
        self.tick();
        let places = self.courier.take(self.world.now());
        let taken = self.courier.in_flight();
        for place in places {
            self.courier.send(&self.world, place).await;
        }
        while !self.courier.in_flight().is_disjoint(&taken) {
            tokio::time::sleep(LOOK).await;
        }
    }

    /// Groups what is due so that the events of one payout leave one after the other.
    fn groups(&self) -> Vec<Vec<usize>> {
        self.tick();
        let mut groups: Vec<(Option<String>, Vec<usize>)> = Vec::new();
        for place in self.courier.take(self.world.now()) {
            let about = self.courier.bag().deliveries.get(place).and_then(|row| row.about.clone());
            match groups.iter_mut().find(|(known, _)| *known == about) {
                Some((_, places)) => places.push(place),
                None => groups.push((about, vec![place])),
            }
        }
        groups.into_iter().map(|(_, places)| places).collect()
    }
}

/// The loop that makes time pass at the bank and carries its webhooks, until aborted.
pub fn spawn(bank: Arc<Bank>) -> JoinHandle<()> {
    tokio::spawn(async move {
        let free = Arc::new(Semaphore::new(SENDING_MAX));
        // Dropped with the loop, and every sending with it.
        let mut sending = JoinSet::new();
        loop {
            for places in bank.groups() {
                let (bank, free) = (Arc::clone(&bank), Arc::clone(&free));
                sending.spawn(async move {
                    // The semaphore is never closed; an error would only mean no limit.
                    let _place = free.acquire().await;
                    for place in places {
                        bank.courier.send(&bank.world, place).await;
                    }
                });
            }
            while sending.try_join_next().is_some() {}
            tokio::time::sleep(LOOK).await;
        }
    })
}
