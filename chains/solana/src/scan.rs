//! Reading one block: what the receiving wallet gained, and which payment each gain is for.
//!
//! Invariants: a gain is the difference of balances over a transaction that succeeded; what an
//! instruction, a log or a reference claims never counts; a transaction our wallet signed itself is
//! no payment. Exactly one open reference among the accounts attributes a gain; none or several
//! leave it to people: it is reported with the wallet itself as its address.

use std::collections::BTreeMap;

use chains::{Arrived, ReadError, Sighting, WatchSet};
use primitives::{Amount, Asset};

use crate::wire::{Block, Meta, TokenBalance, Transaction, garbage};

/// What a block is read for.
#[derive(Debug, Clone)]
pub(crate) struct Scope {
    pub(crate) wallet: String,
    pub(crate) mints: BTreeMap<String, Asset>,
}

pub(crate) fn block(
    block: &Block,
    scope: &Scope,
    watch: &WatchSet,
) -> Result<Vec<Sighting>, ReadError> {
    let mut sightings = Vec::new();
    for tx in &block.transactions {
        sightings.extend(transaction(tx, scope, watch)?);
    }
    sightings.sort_by(|a, b| (&a.tx_id, a.ordinal).cmp(&(&b.tx_id, b.ordinal)));
    Ok(sightings)
}

fn transaction(
    tx: &Transaction,
    scope: &Scope,
    watch: &WatchSet,
) -> Result<Vec<Sighting>, ReadError> {
    let meta = tx.meta.as_ref().ok_or_else(|| garbage("a transaction without its outcome"))?;
    let keys = &tx.transaction.account_keys;
    if !meta.err.is_null() {
        return Ok(Vec::new());
    }
    if meta.pre_balances.len() != keys.len() || meta.post_balances.len() != keys.len() {
        return Err(garbage("more accounts than balances"));
    }
    let gains: Vec<(usize, Arrived)> =
        coins(tx, meta, scope)?.into_iter().chain(tokens(tx, meta, scope)?).collect();
    if gains.is_empty() || signed_by_us(tx, scope) {
        return Ok(Vec::new());
    }
    let tx_id = tx.transaction.signatures.first();
    let tx_id = tx_id.ok_or_else(|| garbage("a transaction without a signature"))?;
    let to = addressee(tx, scope, watch);
    let from = keys.first().map(|key| key.pubkey.clone());
    gains
        .into_iter()
        .map(|(account, arrived)| {
            Ok(Sighting {
                tx_id: tx_id.clone(),
                ordinal: u32::try_from(account).map_err(|_| garbage("accounts without end"))?,
                to: to.clone(),
                from: from.clone(),
                arrived,
                spends: Vec::new(),
            })
        })
        .collect()
}

fn signed_by_us(tx: &Transaction, scope: &Scope) -> bool {
    tx.transaction.account_keys.iter().any(|key| key.signer && key.pubkey == scope.wallet)
}

/// The one reference among the accounts, or the wallet.
fn addressee(tx: &Transaction, scope: &Scope, watch: &WatchSet) -> String {
    let mut references: Vec<&str> = tx
        .transaction
        .account_keys
        .iter()
        .map(|key| key.pubkey.as_str())
        .filter(|key| *key != scope.wallet && watch.contains(key))
        .collect();
    references.sort_unstable();
    references.dedup();
    match references.as_slice() {
        [one] => (*one).to_owned(),
        _ => scope.wallet.clone(),
    }
}

fn coins(
    tx: &Transaction,
    meta: &Meta,
    scope: &Scope,
) -> Result<Option<(usize, Arrived)>, ReadError> {
    let keys = &tx.transaction.account_keys;
    let Some(index) = keys.iter().position(|key| key.pubkey == scope.wallet) else {
        return Ok(None);
    };
    let before = meta.pre_balances.get(index).copied().unwrap_or(0);
    let after = meta.post_balances.get(index).copied().unwrap_or(0);
    let gain = i128::from(after).saturating_sub(i128::from(before));
    if gain <= 0 {
        return Ok(None);
    }
    let amount = Amount::try_new(gain, Asset::Sol).map_err(|_| garbage("an impossible amount"))?;
    Ok(Some((index, Arrived::Known(amount))))
}

/// Per mint: all of the wallet's accounts together, so that moving between them is no gain. Named
/// by the account that gained most.
fn tokens(
    tx: &Transaction,
    meta: &Meta,
    scope: &Scope,
) -> Result<Vec<(usize, Arrived)>, ReadError> {
    let mut per_account: BTreeMap<(&str, usize), i128> = BTreeMap::new();
    let sides = [(&meta.pre_token_balances, -1_i128), (&meta.post_token_balances, 1)];
    for (balances, sign) in sides {
        for balance in balances.iter().flatten() {
            if !is_ours(tx, balance, scope)? {
                continue;
            }
            let units: u64 = balance
                .ui_token_amount
                .amount
                .parse()
                .map_err(|_| garbage("a token balance that is no number"))?;
            let key = (balance.mint.as_str(), balance.account_index);
            let change = per_account.entry(key).or_default();
            *change = change.saturating_add(i128::from(units).saturating_mul(sign));
        }
    }
    let mut per_mint: BTreeMap<&str, (i128, usize, i128)> = BTreeMap::new();
    for ((mint, account), change) in per_account {
        let sum = per_mint.entry(mint).or_insert((0, account, change));
        sum.0 = sum.0.saturating_add(change);
        if change > sum.2 {
            (sum.1, sum.2) = (account, change);
        }
    }
    let mut gains = Vec::new();
    for (mint, (gain, account, _)) in per_mint {
        if gain <= 0 {
            continue;
        }
        let arrived = match scope.mints.get(mint) {
            None => {
                let (contract, minor) = (mint.to_owned(), gain.to_string());
                Arrived::UnknownToken { contract, minor }
            }
            Some(asset) => Arrived::Known(
                Amount::try_new(gain, *asset).map_err(|_| garbage("an impossible amount"))?,
            ),
        };
        gains.push((account, arrived));
    }
    Ok(gains)
}

fn is_ours(tx: &Transaction, balance: &TokenBalance, scope: &Scope) -> Result<bool, ReadError> {
    if balance.account_index >= tx.transaction.account_keys.len() {
        return Err(garbage("a token balance of no account"));
    }
    // A node that does not say whose it is would hide payments of ours.
    let owner = balance.owner.as_ref();
    Ok(*owner.ok_or_else(|| garbage("a token balance without its owner"))? == scope.wallet)
}
