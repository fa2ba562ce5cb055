//! A network of the tests' own: addresses or outputs, a mempool, blocks, reorganisations, and the
//! answers a carrier gives about them.
//!
//! Invariant: balances are computed from what blocks hold, never kept; of transactions that spend
//! the same, at most one is ever in a block. What a signed transaction does is written in its bytes
//! and nowhere else.

use std::{
    collections::{BTreeMap, BTreeSet, VecDeque},
    sync::{Mutex, MutexGuard, PoisonError},
    time::Duration,
};

use async_trait::async_trait;
use chains::{
    BlockFacts, BlockRef, Chain, DepositAddress, Head, NodeReport, Outgoing, ReadError, Step,
    TxPlace, UriError, WatchSet, Witness,
    carrier::{
        Carrier, Draft, DraftError, EvmTransfer, KeyRef, Movable, SendError, SignedTx,
        SolanaTransfer, Source, Testimony, Tips, Told, Unsigned, Wish,
    },
};
use primitives::{Amount, Asset, NetworkId};
use signing::Intent;

use super::wire::{taken_by, unhex};

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
                    held -= self.taken(tx);
                }
            }
        }
        held
    }

    /// What the network really takes: less than the most on networks with addresses.
    fn taken(&self, tx: &Tx) -> i128 {
        if self.kind == Kind::Outputs { tx.fee.minor() } else { tx.fee.minor() / 2 }
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

#[async_trait]
impl Carrier for Net {
    fn network(&self) -> &NetworkId {
        &self.id
    }

    fn native(&self) -> Asset {
        self.native()
    }

    fn gas_station(&self) -> Option<Source> {
        let station = Source { address: STATION.to_owned(), key: KeyRef::Gas };
        (self.kind == Kind::Addresses).then_some(station)
    }

    async fn movable(&self, sources: &[Source], asset: Asset) -> Result<Vec<Movable>, ReadError> {
        let state = self.state();
        if state.is_down {
            return Err(down());
        }
        let mut found = Vec::new();
        for source in sources {
            if self.kind == Kind::Outputs {
                let spent = self.spent(&state);
                for (id, (to, amount)) in &state.outputs {
                    if *to == source.address && !spent.contains(id) {
                        let (source, outpoint) = (source.clone(), Some(id.clone()));
                        found.push(Movable { source, amount: *amount, outpoint });
                    }
                }
                continue;
            }
            let held = self.holds(&state, &source.address, asset);
            if held > 0 {
                let amount = Amount::try_new(held, asset).unwrap();
                found.push(Movable { source: source.clone(), amount, outpoint: None });
            }
        }
        Ok(found)
    }

    async fn draft(&self, wish: &Wish) -> Result<Draft, DraftError> {
        let state = self.state();
        if state.is_down {
            return Err(down().into());
        }
        let asset = wish.from[0].amount.asset();
        let all: i128 = wish.from.iter().map(|m| m.amount.minor()).sum();
        let count = i128::try_from(wish.from.len()).unwrap();
        let fee = if self.kind == Kind::Outputs { state.fee * count } else { state.fee };
        let address = &wish.from[0].source.address;
        let minor = if asset == self.native() {
            wish.amount.map_or(all - fee, Amount::minor)
        } else {
            let has = self.holds(&state, address, self.native());
            if has < fee {
                let gas = Amount::try_new(fee - has, self.native()).unwrap();
                return Err(DraftError::NeedsGas(gas));
            }
            wish.amount.map_or(all, Amount::minor)
        };
        if minor <= 0 {
            return Err(DraftError::NotWorth("the fee takes all".to_owned()));
        }
        let amount = Amount::try_new(minor, asset).unwrap();
        let nonce = self.nonce(&state, address);
        Ok(self.write((&wish.from, state.expires), (&wish.to, nonce), (amount, fee)))
    }

    async fn bump(&self, draft: &Draft) -> Result<Draft, DraftError> {
        let state = self.state();
        if state.bump_refused {
            return Err(DraftError::Refused("the old one may still come".to_owned()));
        }
        let fee = draft.fee_max.minor() * (100 + state.bump_percent) / 100;
        let more = fee - draft.fee_max.minor();
        let native = draft.amount.asset() == self.native();
        let has = self.holds(&state, &draft.from[0].source.address, self.native());
        if !native && has < fee {
            let gas = Amount::try_new(fee - has, self.native()).unwrap();
            return Err(DraftError::NeedsGas(gas));
        }
        let minor = draft.amount.minor() - if native { more } else { 0 };
        if minor <= 0 {
            return Err(DraftError::NotWorth("the fee takes all".to_owned()));
        }
        let nonce = match &draft.unsigned {
            Unsigned::Evm(transfer) => transfer.nonce,
            _ => 0,
        };
        let amount = Amount::try_new(minor, draft.amount.asset()).unwrap();
        Ok(self.write((&draft.from, state.expires), (&draft.to, nonce), (amount, fee)))
    }

    async fn send(&self, signed: &SignedTx) -> Result<(), SendError> {
        let intent: Intent = serde_json::from_slice(&unhex(&signed.raw)).unwrap();
        let mut state = self.state();
        state.handed.push(signed.tx_id.clone());
        match state.sends.pop_front() {
            Some(SendFault::Lost) => return Err(SendError::Unknown("lost".to_owned())),
            Some(SendFault::Refused) => return Err(SendError::Refused("no".to_owned())),
            fault => {
                let (from, spends) = taken_by(&intent);
                let known = state.txs.get(&signed.tx_id).map(|tx| tx.place.clone());
                if matches!(known, Some(Place::Pool | Place::Block { .. })) {
                    return Ok(());
                }
                let rivals: Vec<(Amount, Place)> = state
                    .txs
                    .values()
                    .filter(|tx| tx.spends.iter().any(|spend| spends.contains(spend)))
                    .map(|tx| (tx.fee, tx.place.clone()))
                    .collect();
                for (fee, place) in rivals {
                    let beaten = place == Place::Pool && fee.minor() >= intent.fee_max.minor();
                    if beaten || matches!(place, Place::Block { .. }) {
                        return Err(SendError::Refused("something stands there".to_owned()));
                    }
                }
                for tx in state.txs.values_mut() {
                    if tx.place == Place::Pool && tx.spends.iter().any(|s| spends.contains(s)) {
                        tx.place = Place::Out;
                    }
                }
                let tx = Tx {
                    from,
                    to: intent.to,
                    amount: intent.amount,
                    fee: intent.fee_max,
                    spends,
                    place: Place::Pool,
                };
                state.txs.insert(signed.tx_id.clone(), tx);
                match fault {
                    Some(_) => Err(SendError::Unknown("no answer".to_owned())),
                    None => Ok(()),
                }
            }
        }
    }

    async fn cost(&self, tx_id: &str) -> Result<Option<Amount>, ReadError> {
        let state = self.state();
        let tx = state.txs.get(tx_id).filter(|tx| matches!(tx.place, Place::Block { .. }));
        Ok(tx.map(|tx| Amount::try_new(self.taken(tx), tx.fee.asset()).unwrap()))
    }

    async fn testimonies(&self, tx_id: &str, spends: &[String]) -> Vec<Testimony> {
        let mut said = Vec::new();
        let doubts = self.state().doubts.clone();
        for (node, doubt) in [("one", None), ("two", doubts)] {
            let place = self.locate(tx_id, spends).await;
            let head = self.head().await;
            let says = match doubt {
                Some(why) => Err(ReadError::Unavailable(why)),
                None => place.and_then(|place| Ok(Told { place, tips: Tips::from(&head?) })),
            };
            said.push(Testimony { node: node.to_owned(), says });
        }
        said
    }
}

#[async_trait]
impl Chain for Net {
    fn network(&self) -> &NetworkId {
        &self.id
    }

    fn assets(&self) -> Vec<Asset> {
        if self.kind == Kind::Outputs { vec![Asset::Btc] } else { vec![Asset::Eth, Asset::Usdc] }
    }

    async fn head(&self) -> Result<Head, ReadError> {
        let state = self.state();
        if state.is_down {
            return Err(down());
        }
        let latest = self.block(&state, state.height);
        Ok(Head { latest, safe: None, finalized: None })
    }

    async fn block_at(&self, _: u64) -> Result<Option<BlockRef>, ReadError> {
        Err(down())
    }

    async fn block(&self, _: &str) -> Result<BlockRef, ReadError> {
        Err(down())
    }

    async fn step(&self, _: &BlockRef) -> Result<Step, ReadError> {
        Err(down())
    }

    async fn read_block(&self, _: &BlockRef, _: &WatchSet) -> Result<BlockFacts, ReadError> {
        Err(down())
    }

    async fn locate(&self, tx_id: &str, spends: &[String]) -> Result<TxPlace, ReadError> {
        let state = self.state();
        if state.is_down {
            return Err(down());
        }
        match state.txs.get(tx_id).map(|tx| tx.place.clone()) {
            Some(Place::Block { height, ok }) => {
                let block_hash = self.hash(height, state.branch);
                return Ok(TxPlace::Included { height, block_hash, succeeded: ok });
            }
            Some(Place::Pool) => return Ok(TxPlace::Pending),
            _ => {}
        }
        let rival = state.txs.iter().find(|(id, tx)| {
            *id != tx_id && tx.place != Place::Out && tx.spends.iter().any(|s| spends.contains(s))
        });
        Ok(rival.map_or(TxPlace::Absent, |(id, tx)| {
            let mined = match tx.place {
                Place::Block { height, .. } => Some(height),
                _ => None,
            };
            TxPlace::Replaced { by: Some(id.clone()), mined }
        }))
    }

    async fn outgoing(
        &self,
        tx_id: &str,
        to: &str,
        asset: Asset,
    ) -> Result<Vec<Outgoing>, ReadError> {
        let mut state = self.state();
        if state.lags > 0 {
            state.lags -= 1;
            return Ok(Vec::new());
        }
        let Some(tx) = state.txs.get(tx_id) else { return Ok(Vec::new()) };
        let Place::Block { height, ok: true } = tx.place else { return Ok(Vec::new()) };
        if tx.to != to || tx.amount.asset() != asset || state.swallows {
            return Ok(Vec::new());
        }
        let block = self.block(&state, height);
        Ok(vec![Outgoing { tx_id: tx_id.to_owned(), block, ordinal: 0, amount: tx.amount }])
    }

    async fn witnesses(&self, _: &BlockRef) -> Vec<Witness> {
        Vec::new()
    }

    async fn wait_for_news(&self, _: &BlockRef, _: Duration) {}

    async fn examine(&self) -> Vec<NodeReport> {
        Vec::new()
    }

    async fn held(&self, addresses: &[String], asset: Asset) -> Result<Amount, ReadError> {
        let state = self.state();
        let sum = addresses.iter().map(|a| self.holds(&state, a, asset)).sum();
        Ok(Amount::try_new(sum, asset).unwrap())
    }

    fn calls(&self) -> u64 {
        0
    }

    fn canonical(&self, address: &str) -> Option<String> {
        (!address.is_empty() && address.len() < 100).then(|| address.to_owned())
    }

    fn derive(&self, index: u32) -> Result<DepositAddress, String> {
        Ok(DepositAddress { address: format!("addr{index}"), path: format!("m/0/{index}") })
    }

    fn payment_uri_template(&self, _: Asset) -> Result<String, UriError> {
        Err(UriError::UnknownAsset)
    }

    fn payment_uri(&self, _: &str, _: Amount) -> Result<String, UriError> {
        Err(UriError::UnknownAsset)
    }
}
