//! A network of the tests' own: addresses or outputs, a mempool, blocks, reorganisations, and the
//! answers a carrier gives about them.
//!
//! Invariant: balances are computed from what blocks hold, never kept; of transactions that spend
//! the same, at most one is ever in a block. What a signed transaction does is written in its bytes
//! and nowhere else. What is asked of it stands beside: `carrier.rs` and `chain.rs`.

mod carrier;
mod chain;

use std::{
    collections::{BTreeMap, BTreeSet, VecDeque},
    sync::{Mutex, MutexGuard, PoisonError},
};

use chains::{
    BlockRef, ReadError,
    carrier::{Draft, EvmTransfer, Movable, SolanaTransfer, Unsigned},
};
use primitives::{Amount, Asset, NetworkId};

/// What `send` answers, and whether the network has it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum SendFault {
    /// It arrived, and the answer was lost.
    AnswerLost,
    /// It never arrived.
    Lost,
    /// Every node says no.
    Refused,
}

#[derive(Debug, Clone, PartialEq, Eq)]
enum Place {
    Pool,
    Block { height: u64, ok: bool },
    Out,
}

#[derive(Debug, Clone)]
struct Tx {
    from: Vec<Movable>,
    to: String,
    amount: Amount,
    fee: Amount,
    spends: Vec<String>,
    place: Place,
}

pub(crate) struct State {
    pub(crate) height: u64,
    branch: u64,
    txs: BTreeMap<String, Tx>,
    given: Vec<(String, Amount)>,
    outputs: BTreeMap<String, (String, Amount)>,
    /// What a draft offers now, and what a block asks for at least.
    pub(crate) fee: i128,
    pub(crate) block_fee: i128,
    /// Of the most that a transaction offers, what the network takes where there are addresses.
    pub(crate) fee_percent: i128,
    /// What the node says beyond that.
    pub(crate) lie: i128,
    /// The next transaction in a block fails there.
    pub(crate) reverts: bool,
    pub(crate) sends: VecDeque<SendFault>,
    pub(crate) bump_refused: bool,
    /// By how many percent of itself a fee grows.
    pub(crate) bump_percent: i128,
    /// Transactions end by themselves, and nothing fences two of them.
    pub(crate) expires: bool,
    /// What is moved never shows at its destination.
    pub(crate) swallows: bool,
    /// So many questions for what arrived meet a node that does not have the block yet.
    pub(crate) lags: u32,
    pub(crate) is_down: bool,
    /// Why the second node says nothing of a move; the first one always speaks.
    pub(crate) doubts: Option<String>,
    /// Every transaction that nodes were handed, in order.
    pub(crate) handed: Vec<String>,
}

/// Addresses with balances, or outputs.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Kind {
    Addresses,
    Outputs,
}

pub(crate) struct Net {
    id: NetworkId,
    kind: Kind,
    state: Mutex<State>,
}

const STATION: &str = "gas-station";

impl Net {
    pub(crate) fn new(name: &str, kind: Kind) -> Self {
        let state = State {
            height: 10,
            branch: 0,
            txs: BTreeMap::new(),
            given: Vec::new(),
            outputs: BTreeMap::new(),
            fee: 1_000,
            block_fee: 0,
            fee_percent: 50,
            lie: 0,
            reverts: false,
            sends: VecDeque::new(),
            bump_refused: false,
            bump_percent: 100,
            expires: false,
            swallows: false,
            lags: 0,
            is_down: false,
            doubts: None,
            handed: Vec::new(),
        };
        Self { id: NetworkId::new(name).unwrap(), kind, state: Mutex::new(state) }
    }

    pub(crate) fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub(crate) fn native(&self) -> Asset {
        if self.kind == Kind::Outputs { Asset::Btc } else { Asset::Eth }
    }

    pub(crate) fn station() -> &'static str {
        STATION
    }

    /// Somebody gives.
    pub(crate) fn give(&self, address: &str, amount: Amount, outpoint: &str) {
        let mut state = self.state();
        if self.kind == Kind::Outputs {
            state.outputs.insert(outpoint.to_owned(), (address.to_owned(), amount));
        } else {
            state.given.push((address.to_owned(), amount));
        }
    }

    /// Puts what waits into the next block, and adds empty ones after it. What has a nonce waits
    /// until it is the next of its address.
    pub(crate) fn mine(&self, blocks: u64) {
        let mut state = self.state();
        state.height += 1;
        let height = state.height;
        while let Some(id) = self.next(&state) {
            let ok = !std::mem::take(&mut state.reverts);
            if let Some(tx) = state.txs.get_mut(&id) {
                tx.place = Place::Block { height, ok };
            }
        }
        state.height += blocks.saturating_sub(1);
    }

    fn next(&self, state: &State) -> Option<String> {
        let is_turn = |tx: &Tx| {
            let counted = tx.spends.first().and_then(|spend| spend.split_once(':'));
            let nonce =
                counted.and_then(|(address, nonce)| Some((address, nonce.parse::<u64>().ok()?)));
            self.kind == Kind::Outputs || nonce.is_none_or(|(a, n)| n == self.nonce(state, a))
        };
        let mut waiting = state.txs.iter();
        let next = waiting.find(|(_, tx)| {
            tx.place == Place::Pool && tx.fee.minor() >= state.block_fee && is_turn(tx)
        });
        next.map(|(id, _)| id.clone())
    }

    /// A block with a transaction of somebody who has our keys, spending what this one spends.
    pub(crate) fn foreign(&self, of: &str) {
        let mut state = self.state();
        state.height += 1;
        let height = state.height;
        let mut tx = state.txs.get(of).unwrap().clone();
        state.txs.get_mut(of).unwrap().place = Place::Out;
        tx.place = Place::Block { height, ok: true };
        tx.to = "somebody".to_owned();
        state.txs.insert("0xforeign".to_owned(), tx);
    }

    /// An older transaction of the same spends gets into the next block after all.
    pub(crate) fn mine_this(&self, tx_id: &str) {
        let mut state = self.state();
        let spends = state.txs.get(tx_id).unwrap().spends.clone();
        for tx in state.txs.values_mut().filter(|tx| tx.spends == spends) {
            tx.place = Place::Out;
        }
        state.txs.get_mut(tx_id).unwrap().place = Place::Pool;
        let keep = std::mem::take(&mut state.block_fee);
        drop(state);
        self.mine(1);
        self.state().block_fee = keep;
    }

    /// What waits is over, and can be proven to be.
    pub(crate) fn expire(&self) {
        for tx in self.state().txs.values_mut().filter(|tx| tx.place == Place::Pool) {
            tx.place = Place::Out;
        }
    }

    /// The last blocks are gone; what they held is nowhere.
    pub(crate) fn reorg(&self, depth: u64) {
        let mut state = self.state();
        state.branch += 1;
        state.height -= depth;
        let top = state.height;
        for tx in state.txs.values_mut() {
            if matches!(tx.place, Place::Block { height, .. } if height > top) {
                tx.place = Place::Out;
            }
        }
    }

    /// The branch that is followed, and its height.
    pub(crate) fn tip(&self) -> (u64, u64) {
        let state = self.state();
        (state.branch, state.height)
    }

    pub(crate) fn hash(&self, height: u64, branch: u64) -> String {
        format!("{}-block-{height}-{branch}", self.id)
    }

    fn block(&self, state: &State, height: u64) -> BlockRef {
        BlockRef {
            height,
            hash: self.hash(height, state.branch),
            parent_hash: String::new(),
            time: chrono::DateTime::UNIX_EPOCH,
        }
    }

    /// What an address holds by blocks alone.
    pub(crate) fn held_by(&self, address: &str, asset: Asset) -> i128 {
        self.holds(&self.state(), address, asset)
    }

    fn holds(&self, state: &State, address: &str, asset: Asset) -> i128 {
        let given = state.given.iter().filter(|(to, a)| to == address && a.asset() == asset);
        let mut held: i128 = given.map(|(_, a)| a.minor()).sum();
        let spent = self.spent(state);
        let unspent = state.outputs.iter().filter(|(id, _)| !spent.contains(*id));
        held += unspent
            .filter(|(_, (to, a))| to == address && a.asset() == asset)
            .map(|(_, (_, a))| a.minor())
            .sum::<i128>();
        for tx in state.txs.values() {
            let Place::Block { ok, .. } = tx.place else { continue };
            if ok && tx.to == address && tx.amount.asset() == asset {
                held += tx.amount.minor();
            }
            let is_from = tx.from.iter().any(|m| m.source.address == address);
            if self.kind == Kind::Addresses && is_from {
                if ok && tx.amount.asset() == asset {
                    held -= tx.amount.minor();
                }
                if tx.fee.asset() == asset {
                    held -= self.taken(tx, state);
                }
            }
        }
        held
    }

    /// What the network really takes: less than the most on networks with addresses.
    fn taken(&self, tx: &Tx, state: &State) -> i128 {
        let percent = if self.kind == Kind::Outputs { 100 } else { state.fee_percent };
        tx.fee.minor() * percent / 100
    }

    fn spent<'a>(&self, state: &'a State) -> BTreeSet<&'a String> {
        state
            .txs
            .values()
            .filter(|tx| matches!(tx.place, Place::Block { .. }) && self.kind == Kind::Outputs)
            .flat_map(|tx| &tx.spends)
            .collect()
    }

    /// What reached an address in blocks with so many on top, by transaction.
    pub(crate) fn reached(&self, address: &str, depth: u64) -> Vec<(String, Amount)> {
        let state = self.state();
        let deep = |tx: &Tx| {
            matches!(tx.place, Place::Block { height, ok: true }
            if height + depth <= state.height + 1)
        };
        let there = state.txs.iter().filter(|(_, tx)| tx.to == address && deep(tx));
        there.map(|(id, tx)| (id.clone(), tx.amount)).collect()
    }

    /// Transactions in blocks.
    pub(crate) fn mined(&self) -> usize {
        let state = self.state();
        state.txs.values().filter(|tx| matches!(tx.place, Place::Block { .. })).count()
    }

    /// Nonces that signed transactions of an address have, each once, and where they are.
    pub(crate) fn nonces(&self, address: &str) -> BTreeSet<u64> {
        let state = self.state();
        let of = |spend: &String| spend.strip_prefix(&format!("{address}:"))?.parse().ok();
        state.txs.values().flat_map(|tx| &tx.spends).filter_map(of).collect()
    }

    fn nonce(&self, state: &State, address: &str) -> u64 {
        let used: BTreeSet<&String> = state
            .txs
            .values()
            .filter(|tx| matches!(tx.place, Place::Block { .. }))
            .flat_map(|tx| &tx.spends)
            .filter(|spend| spend.starts_with(&format!("{address}:")))
            .collect();
        u64::try_from(used.len()).unwrap()
    }

    fn write(
        &self,
        (wish_from, expires): (&[Movable], bool),
        (to, nonce): (&str, u64),
        (amount, fee): (Amount, i128),
    ) -> Draft {
        let from = wish_from.to_vec();
        let unsigned = match self.kind {
            Kind::Outputs => Unsigned::Bitcoin { psbt: serde_json::to_string(&from).unwrap() },
            Kind::Addresses if expires => Unsigned::Solana(SolanaTransfer {
                from: from[0].source.clone(),
                to: to.to_owned(),
                token: None,
                minor: u64::try_from(amount.minor()).unwrap(),
                blockhash: format!("of a fee of {fee}"),
                blockhash_slot: 1,
                unit_price: 1,
                unit_limit: 1,
            }),
            Kind::Addresses => Unsigned::Evm(EvmTransfer {
                chain_id: 1,
                from: from[0].source.clone(),
                nonce,
                to: to.to_owned(),
                token: (amount.asset() != Asset::Eth).then(|| amount.asset().to_string()),
                minor: amount.minor().to_string(),
                gas_limit: 1,
                fee_per_gas_max: fee.to_string(),
                priority_fee_per_gas: "0".to_owned(),
            }),
        };
        let fee_max = Amount::try_new(fee, self.native()).unwrap();
        Draft { from, to: to.to_owned(), amount, fee_max, unsigned }
    }
}

fn down() -> ReadError {
    ReadError::Unavailable("down".to_owned())
}
