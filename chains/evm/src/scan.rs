//! Reading one block: everything in it that reached a watched address.
//!
//! Invariants: the block's hash is the only name used; a credit needs a successful receipt of that
//! very block; ordinals count within the transaction (never `logIndex`, which changes when a
//! reorganisation puts the same transaction elsewhere in a block).

use std::collections::{HashMap, HashSet};

use alloy::{
    consensus::EMPTY_ROOT_HASH,
    primitives::{Address, B256, U256},
};
use chains::{Arrived, BlockFacts, ReadError, Sighting, WatchSet};
use primitives::Asset;

use crate::{
    coins::{self, Coin, INNER},
    config::TraceMode,
    logs::{self, NATIVE_LOGS, Transfer},
    node::Node,
    receipts,
    tokens::Arrivals,
    traces::{self, Inner},
    wire::{Block, Log, Receipt, amount_of, garbage, text_of_address, text_of_hash},
};

/// What a block is read for.
#[derive(Debug, Clone)]
pub(crate) struct Scope {
    pub(crate) native: Asset,
    pub(crate) tokens: Vec<(Address, Asset)>,
    pub(crate) trace: TraceMode,
    /// Coins are read from logs (EIP-7708), not from values and traces.
    pub(crate) native_logs: bool,
}

impl Scope {
    fn asset(&self, token: Address) -> Option<Asset> {
        self.tokens.iter().find(|(contract, _)| *contract == token).map(|(_, asset)| *asset)
    }
}

pub(crate) async fn read_block(
    node: &Node,
    hash: B256,
    scope: &Scope,
    watch: &WatchSet,
) -> Result<BlockFacts, ReadError> {
    let block = node.block(hash).await?.ok_or(ReadError::UnknownBlock)?;
    let facts = BlockFacts { block: block.header.reference()?, sightings: Vec::new() };
    if block.transactions.is_empty() {
        if block.header.transactions_root != EMPTY_ROOT_HASH {
            return Err(garbage("a block without its transactions"));
        }
        return Ok(facts);
    }
    if watch.is_empty() {
        return Ok(facts);
    }
    let listed: Vec<Address> = scope.tokens.iter().map(|(contract, _)| *contract).collect();
    let expected: Vec<Address> =
        listed.iter().copied().chain(scope.native_logs.then_some(NATIVE_LOGS)).collect();
    let trace = if scope.native_logs { TraceMode::Off } else { scope.trace };
    let (logs, inner) = futures::future::try_join(
        logs::of_block(node, &block, &expected),
        traces::of_block(node, &block, trace),
    )
    .await?;
    let mut reading = Reading { scope, block: &block, watched: Watched::new(watch) };
    let hits = reading.hits(&logs, &inner);
    let receipts = receipts::of(node, &block, &hits).await?;
    let all: Vec<Transfer> = logs.iter().filter_map(Transfer::read).collect();
    let incoming = reading.transfers(&receipts)?;
    if incoming.len() != all.iter().filter(|t| reading.watched.contains(t.to)).count() {
        return Err(garbage("logs that its receipts do not show"));
    }
    let counted: Vec<Transfer> =
        incoming.iter().map(|hit| hit.transfer).filter(|t| listed.contains(&t.token)).collect();
    let arrivals = Arrivals::measure(node, &block.header, &counted, &all).await?;
    let mut sightings = reading.native(&receipts, &logs, &inner)?;
    sightings.extend(incoming.iter().filter_map(|hit| hit.sighting(scope, &arrivals)));
    sightings.sort_by(|a, b| (&a.tx_id, a.ordinal).cmp(&(&b.tx_id, b.ordinal)));
    Ok(BlockFacts { sightings, ..facts })
}

/// Remembers answers: the text form of an address costs a hash, and tokens repeat their parties.
struct Watched<'a> {
    watch: &'a WatchSet,
    known: HashMap<Address, bool>,
}

impl<'a> Watched<'a> {
    fn new(watch: &'a WatchSet) -> Self {
        Self { watch, known: HashMap::new() }
    }

    fn contains(&mut self, address: Address) -> bool {
        let watch = self.watch;
        *self.known.entry(address).or_insert_with(|| watch.contains(&text_of_address(address)))
    }
}

struct Reading<'a> {
    scope: &'a Scope,
    block: &'a Block,
    watched: Watched<'a>,
}

impl Reading<'_> {
    /// Transactions worth a receipt.
    fn hits(&mut self, logs: &[Log], inner: &[Inner]) -> HashSet<B256> {
        let mut hits = HashSet::new();
        for tx in &self.block.transactions {
            if tx.to.is_some_and(|to| !tx.value.is_zero() && self.watched.contains(to)) {
                hits.insert(tx.hash);
            }
        }
        for log in logs {
            let paid = self.paid(log);
            hits.extend(log.transaction_hash.filter(|_| paid));
        }
        hits.extend(inner.iter().filter(|i| self.watched.contains(i.to)).map(|i| i.tx));
        hits
    }

    /// Whether a log speaks of income of ours.
    fn paid(&mut self, log: &Log) -> bool {
        let coins = self.native_transfer(log);
        Transfer::read(log).or(coins).is_some_and(|transfer| self.watched.contains(transfer.to))
    }

    fn native_transfer(&self, log: &Log) -> Option<Transfer> {
        Transfer::read_native(log).filter(|_| self.scope.native_logs)
    }

    /// Coins: the transactions' own value and what contracts passed on.
    fn native(
        &mut self,
        receipts: &HashMap<B256, Receipt>,
        logs: &[Log],
        inner: &[Inner],
    ) -> Result<Vec<Sighting>, ReadError> {
        let mut moved = if self.scope.native_logs {
            coins::by_logs(self.block, receipts)?
        } else {
            coins::by_value(self.block, inner)
        };
        moved.retain(|coin| !coin.value.is_zero() && self.watched.contains(coin.to));
        let told = logs.iter().filter_map(|log| self.native_transfer(log));
        let told: Vec<Address> = told.map(|transfer| transfer.to).collect();
        let told = told.into_iter().filter(|to| self.watched.contains(*to)).count();
        if self.scope.native_logs && told != moved.len() {
            return Err(garbage("logs that its receipts do not show"));
        }
        let mut sightings = Vec::new();
        for Coin { tx, ordinal, from, to, value } in moved {
            if !receipt(receipts, tx)?.succeeded()? {
                continue;
            }
            let arrived = amount_of(value, self.scope.native).map(Arrived::Known);
            let arrived = arrived.ok_or_else(more_than_exists)?;
            sightings.push(sighting(tx, ordinal, (from, to), arrived));
        }
        Ok(sightings)
    }

    /// Token transfers to watched addresses, read from the receipts so that the position is that
    /// within the transaction.
    fn transfers(&mut self, receipts: &HashMap<B256, Receipt>) -> Result<Vec<TokenHit>, ReadError> {
        let mut hits = Vec::new();
        for (tx, receipt) in receipts {
            let succeeded = receipt.succeeded()?;
            for (position, log) in receipt.logs.iter().enumerate() {
                let Some(transfer) = Transfer::read(log) else {
                    continue;
                };
                if !self.watched.contains(transfer.to) {
                    continue;
                }
                if !succeeded {
                    return Err(garbage("logs of a failed transaction"));
                }
                let position = u32::try_from(position).ok().filter(|p| *p < INNER - 1);
                let ordinal = position.ok_or_else(|| garbage("a receipt without end"))? + 1;
                hits.push(TokenHit { tx: *tx, ordinal, transfer });
            }
        }
        Ok(hits)
    }
}

/// A transfer of some token to a watched address, as its log claims it.
struct TokenHit {
    tx: B256,
    ordinal: u32,
    transfer: Transfer,
}

impl TokenHit {
    /// `None` when nothing of the claim arrived.
    fn sighting(&self, scope: &Scope, arrivals: &Arrivals) -> Option<Sighting> {
        let Transfer { token, from, to, value } = self.transfer;
        let unlisted = |minor: U256| Arrived::UnknownToken {
            contract: text_of_address(token),
            minor: minor.to_string(),
        };
        let arrived = match scope.asset(token) {
            None => unlisted(value),
            Some(asset) => {
                let real = arrivals.of(&self.transfer);
                if real.is_zero() {
                    tracing::warn!(%token, tx = %self.tx, "a token announced what never came");
                    return None;
                }
                // More than the books can hold is not money we know: somebody must look.
                amount_of(real, asset).map_or_else(|| unlisted(real), Arrived::Known)
            }
        };
        Some(sighting(self.tx, self.ordinal, (from, to), arrived))
    }
}

fn sighting(tx: B256, ordinal: u32, (from, to): (Address, Address), arrived: Arrived) -> Sighting {
    Sighting {
        tx_id: text_of_hash(tx),
        ordinal,
        to: text_of_address(to),
        from: Some(text_of_address(from)),
        arrived,
        spends: Vec::new(),
    }
}

fn receipt(receipts: &HashMap<B256, Receipt>, tx: B256) -> Result<&Receipt, ReadError> {
    receipts.get(&tx).ok_or_else(|| garbage("no receipt for a tx of its block"))
}

fn more_than_exists() -> ReadError {
    ReadError::Untrusted("a transfer of more coins than can exist".to_owned())
}
