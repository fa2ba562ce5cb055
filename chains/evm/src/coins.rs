//! Coins that moved in a block: by the transactions' own value and by contracts passing them on.
//!
//! Two sources, one at a time: values and traces, or the logs of EIP-7708. Invariant: both name the
//! same movement by the same ordinal, except where a value call was undone, which leaves no log.
//! Whether a transaction succeeded is asked of its receipt, by `scan`.

use std::collections::HashMap;

use alloy::primitives::{Address, B256, U256};
use chains::ReadError;

use crate::{
    logs::Transfer,
    traces::Inner,
    wire::{Block, Receipt, Tx, garbage},
};

/// The first ordinal of internal calls: no receipt has as many logs.
pub(crate) const INNER: u32 = 1_000_000;

/// Coins that went from one address to another.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Coin {
    pub(crate) tx: B256,
    pub(crate) ordinal: u32,
    pub(crate) from: Address,
    pub(crate) to: Address,
    pub(crate) value: U256,
}

/// What transactions carry and traces show. Failed transactions are among them.
pub(crate) fn by_value(block: &Block, inner: &[Inner]) -> Vec<Coin> {
    let own = block.transactions.iter().filter_map(|tx| {
        let to = tx.to.filter(|to| *to != tx.from)?;
        Some(Coin { tx: tx.hash, ordinal: 0, from: tx.from, to, value: tx.value })
    });
    let passed_on = inner.iter().map(|inner| Coin {
        tx: inner.tx,
        ordinal: INNER.saturating_add(inner.nth),
        from: inner.from,
        to: inner.to,
        value: inner.value,
    });
    own.chain(passed_on).collect()
}

/// What the receipts at hand log. A transaction that carried coins without logging them shows that
/// the fork is not live: then no silence of this block means anything.
pub(crate) fn by_logs(
    block: &Block,
    receipts: &HashMap<B256, Receipt>,
) -> Result<Vec<Coin>, ReadError> {
    let mut coins = Vec::new();
    for tx in &block.transactions {
        if let Some(receipt) = receipts.get(&tx.hash) {
            of_tx(tx, receipt, &mut coins)?;
        }
    }
    Ok(coins)
}

fn of_tx(tx: &Tx, receipt: &Receipt, coins: &mut Vec<Coin>) -> Result<(), ReadError> {
    let moved: Vec<(usize, Transfer)> = (0..)
        .zip(&receipt.logs)
        .filter_map(|(position, log)| Some((position, Transfer::read_native(log)?)))
        .collect();
    if !receipt.succeeded()? {
        return if moved.is_empty() {
            Ok(())
        } else {
            Err(garbage("logs of a failed transaction"))
        };
    }
    // What the transaction itself carries is logged before anything runs.
    let is_own = |position: usize, transfer: &Transfer| {
        let parties = transfer.from == tx.from && tx.to.is_none_or(|to| to == transfer.to);
        position == 0 && parties && transfer.value == tx.value
    };
    let carries = !tx.value.is_zero() && tx.to.is_some_and(|to| to != tx.from);
    if carries && !moved.first().is_some_and(|(position, first)| is_own(*position, first)) {
        let sentence = "coins moved without a log: EIP-7708 is not live on this network, \
            `native_transfer_logs` must be off";
        return Err(ReadError::Untrusted(sentence.to_owned()));
    }
    let mut passed_on = INNER..;
    for (position, Transfer { from, to, value, .. }) in moved {
        let own = is_own(position, &Transfer { token: Address::ZERO, from, to, value });
        let ordinal = if own { Some(0) } else { passed_on.next() };
        let ordinal = ordinal.ok_or_else(|| garbage("a receipt without end"))?;
        coins.push(Coin { tx: tx.hash, ordinal, from, to, value });
    }
    Ok(())
}
