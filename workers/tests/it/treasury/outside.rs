//! Venues and a signer of the tests' own.
//!
//! Invariant: a venue credits what its network shows it, after confirmations of its own, and what a
//! test takes away from that is said by the test. The signer's first answer to an intent is its
//! answer for ever, a refusal too, and it refuses another intent under the same id.

use std::{
    collections::{BTreeMap, BTreeSet, VecDeque},
    sync::{Arc, Mutex, MutexGuard, PoisonError},
};

use async_trait::async_trait;
use chains::carrier::SignedTx;
use chrono::{DateTime, TimeDelta, Utc};
use exchanges::{
    Book, ClientRef, Custody, Exchange, Fill, Holding, Levies, MarketRules, NewOrder, Order,
    OrderKind, Pair, Resting,
    custody::{NewWithdrawal, Passage, VenueAddress, VenueDeposit, Withdrawal, WithdrawalTerms},
};
use primitives::{Amount, Asset, CallError, CallResult, NetworkId};
use rust_decimal::Decimal;
use signing::{Intent, SignError, Signer};
use uuid::Uuid;

use super::{
    net::Net,
    wire::{hex, tx_id},
};

/// What becomes of asking for a withdrawal.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum AskFault {
    /// It was taken, and the answer was lost.
    AnswerLost,
    /// It never arrived, and nobody can know.
    Lost,
    Rejected,
    NotSent,
}

#[derive(Default)]
pub(crate) struct Books {
    pub(crate) address: String,
    /// False: the API tells no deposits.
    pub(crate) tells: bool,
    /// Taken from every credit, and credits that are refused altogether.
    pub(crate) short: i128,
    pub(crate) refuses: bool,
    pub(crate) silent: bool,
    /// Besides what came over the network.
    pub(crate) own: BTreeMap<Asset, i128>,
    pub(crate) asks: VecDeque<AskFault>,
    pub(crate) withdrawals: Vec<Withdrawal>,
    pub(crate) passage: Option<Passage>,
    pub(crate) asked: usize,
    /// Of each transaction a second row is not done yet.
    pub(crate) half_done: bool,
    /// Its withdrawals name no transaction.
    pub(crate) nameless: bool,
    /// Since when it was last asked for deposits.
    pub(crate) since: Option<DateTime<Utc>>,
    /// Deposits that came from another venue.
    pub(crate) extra: Vec<(String, Amount)>,
}

pub(crate) struct Venue {
    name: &'static str,
    net: Arc<Net>,
    asset_fee: i128,
    books: Mutex<Books>,
}

/// Confirmations a venue waits for: fewer than ours.
const CONFIRMATIONS: u64 = 2;

impl Venue {
    pub(crate) fn new(name: &'static str, net: &Arc<Net>) -> Arc<Self> {
        let books = Books { address: format!("{name}-deposits"), tells: true, ..Books::default() };
        let (net, books) = (Arc::clone(net), Mutex::new(books));
        Arc::new(Self { name, net, asset_fee: 1_000_000, books })
    }

    pub(crate) fn books(&self) -> MutexGuard<'_, Books> {
        self.books.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// What it holds of an asset.
    pub(crate) fn held(&self, asset: Asset) -> i128 {
        let books = self.books();
        let came: i128 = self
            .net
            .reached(&books.address, CONFIRMATIONS)
            .iter()
            .filter(|(_, amount)| amount.asset() == asset && !books.refuses)
            .map(|(_, amount)| amount.minor() - books.short)
            .sum();
        came + books.own.get(&asset).copied().unwrap_or(0)
    }
}

fn nothing<T>() -> CallResult<T> {
    Err(CallError::NotSent("not here".to_owned()))
}

#[async_trait]
impl Custody for Venue {
    fn venue(&self) -> &'static str {
        self.name
    }

    async fn deposit_address(&self, asset: Asset, network: &NetworkId) -> CallResult<VenueAddress> {
        let address = self.books().address.clone();
        Ok(VenueAddress { asset, network: network.clone(), address, tag: None })
    }

    async fn deposits(
        &self,
        asset: Asset,
        since: DateTime<Utc>,
    ) -> CallResult<Option<Vec<VenueDeposit>>> {
        let mut books = self.books();
        books.since = Some(since);
        if books.silent {
            return nothing();
        }
        if !books.tells {
            return Ok(None);
        }
        let network = chains::Chain::network(self.net.as_ref()).clone();
        let told = |(tx_id, amount): (String, Amount)| VenueDeposit {
            venue_id: tx_id.clone(),
            asset,
            network: network.clone(),
            amount: Amount::try_new(amount.minor() - books.short, asset).unwrap(),
            tx_id,
            passage: if books.refuses { Passage::Failed } else { Passage::Done },
            at: DateTime::UNIX_EPOCH,
        };
        let mut there = self.net.reached(&books.address, CONFIRMATIONS);
        there.extend(books.extra.iter().cloned());
        let mut all: Vec<VenueDeposit> =
            there.into_iter().filter(|(_, a)| a.asset() == asset).map(told).collect();
        if books.half_done {
            let rest = |d: &VenueDeposit| VenueDeposit { passage: Passage::Pending, ..d.clone() };
            let waits: Vec<VenueDeposit> = all.iter().map(rest).collect();
            all.extend(waits);
        }
        // Somebody else's is none of ours.
        all.push(VenueDeposit {
            venue_id: "9".to_owned(),
            asset,
            network,
            amount: Amount::try_new(77, asset).unwrap(),
            tx_id: "0xstranger".to_owned(),
            passage: Passage::Done,
            at: DateTime::UNIX_EPOCH,
        });
        Ok(Some(all))
    }

    async fn withdrawal_terms(&self, asset: Asset, _: &NetworkId) -> CallResult<WithdrawalTerms> {
        let fee = Decimal::from_i128_with_scale(self.asset_fee, asset.scale());
        Ok(WithdrawalTerms { fee, amount_min: Decimal::TEN, is_open: true })
    }

    async fn withdraw(&self, new: &NewWithdrawal) -> CallResult<Withdrawal> {
        let mut books = self.books();
        books.asked += 1;
        let fault = books.asks.pop_front();
        match fault {
            Some(AskFault::Lost) => return Err(CallError::Unknown("lost".to_owned())),
            Some(AskFault::NotSent) => return Err(CallError::NotSent("no route".to_owned())),
            Some(AskFault::Rejected) => {
                let (code, reason) = ("-4026".to_owned(), "not enough".to_owned());
                return Err(CallError::Rejected { code, reason });
            }
            Some(AskFault::AnswerLost) | None => {}
        }
        let asset = new.amount.asset();
        let fee = Amount::try_new(self.asset_fee, asset).unwrap();
        let withdrawal = Withdrawal {
            venue_id: format!("w{}", books.withdrawals.len()),
            client_ref: new.client_ref.clone(),
            net: new.amount.checked_sub(fee).unwrap(),
            fee,
            tx_id: (!books.nameless).then(|| format!("0xout{}", books.withdrawals.len())),
            passage: Passage::Pending,
        };
        books.withdrawals.push(withdrawal.clone());
        *books.own.entry(asset).or_default() -= new.amount.minor();
        match fault {
            Some(_) => Err(CallError::Unknown("no answer".to_owned())),
            None => Ok(withdrawal),
        }
    }

    async fn find_withdrawal(
        &self,
        _: Asset,
        client_ref: &ClientRef,
    ) -> CallResult<Option<Withdrawal>> {
        let books = self.books();
        if books.silent {
            return nothing();
        }
        let found = books.withdrawals.iter().find(|w| w.client_ref == *client_ref).cloned();
        let number = |w: &Withdrawal| format!("0xout{}", w.venue_id.trim_start_matches('w'));
        let named = |w: &Withdrawal| (!books.nameless).then(|| number(w));
        Ok(found.map(|w| Withdrawal {
            passage: books.passage.unwrap_or(w.passage),
            tx_id: named(&w),
            ..w
        }))
    }
}

#[async_trait]
impl Exchange for Venue {
    fn venue(&self) -> &'static str {
        self.name
    }

    fn market(&self, _: Asset) -> Option<Pair> {
        None
    }

    fn takes(&self, _: OrderKind) -> bool {
        false
    }

    fn recv_window(&self) -> TimeDelta {
        TimeDelta::seconds(20)
    }

    async fn server_time(&self) -> CallResult<DateTime<Utc>> {
        nothing()
    }

    async fn rules(&self, _: Pair) -> CallResult<MarketRules> {
        nothing()
    }

    async fn levies(&self, _: Pair) -> CallResult<Levies> {
        nothing()
    }

    async fn book(&self, _: Pair) -> CallResult<Book> {
        nothing()
    }

    async fn place_order(&self, _: &NewOrder) -> CallResult<Order> {
        nothing()
    }

    async fn find_order(&self, _: Pair, _: &ClientRef) -> CallResult<Option<Order>> {
        nothing()
    }

    async fn cancel_order(&self, _: Pair, _: &ClientRef) -> CallResult<Order> {
        nothing()
    }

    async fn fills(&self, _: &Order) -> CallResult<Vec<Fill>> {
        nothing()
    }

    async fn fills_since(&self, _: Pair, _: DateTime<Utc>) -> CallResult<Vec<Fill>> {
        nothing()
    }

    async fn open_orders(&self, _: Pair) -> CallResult<Vec<Resting>> {
        nothing()
    }

    async fn holdings(&self) -> CallResult<Vec<Holding>> {
        let of = |asset| Holding {
            asset,
            free: Amount::try_new(self.held(asset), asset).unwrap(),
            locked: Amount::zero(asset),
        };
        Ok([Asset::Btc, Asset::Eth, Asset::Usdc, Asset::Usdt].into_iter().map(of).collect())
    }
}

#[derive(Default)]
pub(crate) struct Desk {
    /// What the next answers are, instead of a signature.
    pub(crate) says: VecDeque<SignError>,
    /// As above, after the intent was signed.
    pub(crate) silent_after: usize,
    /// Of these nothing is ever heard.
    pub(crate) silent_for: BTreeSet<Uuid>,
    pub(crate) signed: BTreeMap<Uuid, (Intent, SignedTx)>,
    pub(crate) refused: BTreeMap<Uuid, SignError>,
    pub(crate) asked: Vec<Uuid>,
}

#[derive(Default)]
pub(crate) struct Keys(Mutex<Desk>);

impl Keys {
    pub(crate) fn desk(&self) -> MutexGuard<'_, Desk> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

pub(crate) fn refusal(code: &str) -> SignError {
    SignError::Refused { code: code.to_owned(), reason: "the rules".to_owned() }
}

#[async_trait]
impl Signer for Keys {
    async fn sign(&self, intent: &Intent) -> Result<SignedTx, SignError> {
        let mut desk = self.desk();
        desk.asked.push(intent.id);
        if desk.silent_for.contains(&intent.id) {
            return Err(SignError::Unavailable("no answer in time".to_owned()));
        }
        if let Some((known, signed)) = desk.signed.get(&intent.id) {
            return if known == intent { Ok(signed.clone()) } else { Err(refusal("id_reused")) };
        }
        if let Some(known) = desk.refused.get(&intent.id) {
            return Err(known.clone());
        }
        if let Some(says) = desk.says.pop_front() {
            if matches!(says, SignError::Refused { .. }) {
                desk.refused.insert(intent.id, says.clone());
            }
            return Err(says);
        }
        let raw = hex(&serde_json::to_vec(intent).unwrap());
        let signed = SignedTx { tx_id: tx_id(intent), raw };
        desk.signed.insert(intent.id, (intent.clone(), signed.clone()));
        if desk.silent_after > 0 {
            desk.silent_after -= 1;
            return Err(SignError::Unavailable("the socket closed".to_owned()));
        }
        Ok(signed)
    }
}
