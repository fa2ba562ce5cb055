//! The bank behind the API: one account, one lock, one desk at which everything happens.
//!
//! Invariant: whoever comes to the desk finds every step done that was due by the world's clock, so
//! what a caller sees depends on the clock alone and not on how often the background loop ran.
//! Webhooks of what happened are handed to the courier before the lock is released, in order.

use std::collections::{BTreeSet, HashMap, VecDeque};
use std::sync::{Arc, Mutex, PoisonError};

use chrono::{DateTime, Utc};
use primitives::Secret;
use serde_json::Value;

use crate::World;

use super::books::Books;
use super::courier::{Courier, Event};
use super::entities::{Contact, ContactDetails, Destination, FundAccount, Payout, Validation};
use super::ids;
use super::outcomes::Plan;
use super::shelf::Shelf;
use super::{ACCOUNT_NUMBER, Credentials};

/// ₹ 50,00,000.00 to begin with.
const OPENING_PAISE: i64 = 500_000_000;

/// The bank: API, control and the background loop all work on this.
#[derive(Debug)]
pub struct Bank {
    pub(super) world: Arc<World>,
    credentials: Credentials,
    pub(super) courier: Courier,
    state: Mutex<State>,
}

/// Everything the bank knows.
#[derive(Debug)]
pub(super) struct State {
    pub(super) contacts: Shelf<Contact>,
    pub(super) contact_ids: HashMap<ContactDetails, String>,
    pub(super) fund_accounts: Shelf<FundAccount>,
    pub(super) fund_account_ids: HashMap<(String, Destination), String>,
    pub(super) payouts: Shelf<Payout>,
    pub(super) keys: HashMap<String, KeyUse>,
    pub(super) validations: Shelf<Validation>,
    pub(super) validations_due: BTreeSet<(DateTime<Utc>, String)>,
    pub(super) beneficiaries: HashMap<String, Beneficiary>,
    pub(super) books: Books,
    pub(super) plan: Plan,
    pub(super) due: BTreeSet<(DateTime<Utc>, String)>,
    pub(super) short_of_funds: VecDeque<String>,
    /// The balance as last refreshed, and when.
    pub(super) refreshed: (i64, DateTime<Utc>),
}

/// The first use of an idempotency key.
#[derive(Debug)]
pub(super) struct KeyUse {
    pub(super) body: Value,
    pub(super) payout_id: String,
    pub(super) since: DateTime<Utc>,
}

/// What the beneficiary's bank will say of a VPA or account number, set by control.
#[derive(Debug, Clone)]
pub(super) struct Beneficiary {
    pub(super) active: bool,
    pub(super) registered_name: Option<String>,
}

/// One visit: the state, the time of the visit, and the events it causes.
pub(super) struct Desk<'a> {
    pub(super) state: &'a mut State,
    pub(super) world: &'a World,
    pub(super) now: DateTime<Utc>,
    pub(super) events: Vec<Event>,
}

impl Bank {
    pub(super) fn new(world: Arc<World>) -> Self {
        let credentials = Credentials {
            key_id: format!("rzp_test_{}", world.token("razorpayx/key_id", 14)),
            key_secret: world.token("razorpayx/key_secret", 24),
            account_number: ACCOUNT_NUMBER.to_owned(),
            webhook_secret: world.token("razorpayx/webhook_secret", 32),
        };
        let now = world.now();
        let state = State {
            contacts: Shelf::default(),
            contact_ids: HashMap::new(),
            fund_accounts: Shelf::default(),
            fund_account_ids: HashMap::new(),
            payouts: Shelf::default(),
            keys: HashMap::new(),
            validations: Shelf::default(),
            validations_due: BTreeSet::new(),
            beneficiaries: HashMap::new(),
            books: Books::open(&world, OPENING_PAISE),
            plan: Plan::default(),
            due: BTreeSet::new(),
            short_of_funds: VecDeque::new(),
            refreshed: (OPENING_PAISE, now),
        };
        let account_id = format!("acc_{}", world.token("razorpayx/account_id", 14));
        let courier = Courier::new(account_id, Secret::new(credentials.webhook_secret.clone()));
        Self { world, credentials, courier, state: Mutex::new(state) }
    }

    /// What a client needs to talk to this bank.
    #[must_use]
    pub fn credentials(&self) -> Credentials {
        self.credentials.clone()
    }

    /// The balance of the account in paise, live.
    #[must_use]
    pub fn balance_paise(&self) -> i64 {
        self.visit(|desk| desk.state.books.balance())
    }

    /// The bank's books as `GET /razorpayx/books` shows them.
    #[must_use]
    pub fn books(&self) -> Value {
        self.visit(|desk| {
            let payouts = &desk.state.payouts;
            desk.state.books.to_json(|id| payouts.get(id))
        })
    }

    /// Does what is due by the world's clock. Every visit does this too; a caller without the
    /// background loop uses it to make the webhooks of passed time appear.
    pub fn tick(&self) {
        // Before the lock: a late effect is a request that comes to the desk itself.
        self.world.run_due();
        self.visit(|_| ());
    }

    pub(super) fn visit<T>(&self, work: impl FnOnce(&mut Desk<'_>) -> T) -> T {
        let mut state = self.state.lock().unwrap_or_else(PoisonError::into_inner);
        let now = self.world.now();
        let mut desk = Desk { state: &mut state, world: &self.world, now, events: Vec::new() };
        desk.settle();
        let answer = work(&mut desk);
        let events = std::mem::take(&mut desk.events);
        self.courier.post(&self.world, events);
        answer
    }
}

impl Desk<'_> {
    pub(super) fn id(&self, prefix: &str) -> String {
        ids::id(&self.world.entropy, prefix)
    }

    pub(super) fn epoch(&self) -> i64 {
        self.now.timestamp()
    }

    /// The fund account with its contact inside.
    pub(super) fn expanded(&self, fund_account_id: &str) -> Option<Value> {
        let fund_account = self.state.fund_accounts.get(fund_account_id)?;
        Some(fund_account.expanded(self.state.contacts.get(&fund_account.contact_id)))
    }

    /// The payout as the API shows it: expanded only when it was created composite.
    pub(super) fn payout_json(&self, payout: &Payout) -> Value {
        let expanded = payout.composite.then(|| self.expanded(&payout.fund_account_id)).flatten();
        payout.to_json(expanded)
    }
}
