//! Reading one block: what the receiving wallet gained, and which payment each gain is for.
//!
//! Invariants: a gain is the difference of balances over a transaction that succeeded; what an
//! instruction, a log or a reference claims never counts; a transaction our wallet signed itself is
//! no payment. Exactly one open reference among the accounts attributes a gain; none or several
//! leave it to people: it is reported with the wallet itself as its address. So is a token account
//! that was filled before it was handed over to the wallet: that was no transfer.

use std::collections::{BTreeMap, BTreeSet};

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

/// What one account of ours gained.
struct Gain {
    /// Its place among the keys.
    account: usize,
    arrived: Arrived,
    /// It was somebody else's before.
    handed_over: bool,
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
    let gains: Vec<Gain> =
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
        .map(|gain| {
            let ordinal = u32::try_from(gain.account);
            Ok(Sighting {
                tx_id: tx_id.clone(),
                ordinal: ordinal.map_err(|_| garbage("accounts without end"))?,
                to: if gain.handed_over { scope.wallet.clone() } else { to.clone() },
                from: from.clone(),
                arrived: gain.arrived,
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

fn coins(tx: &Transaction, meta: &Meta, scope: &Scope) -> Result<Option<Gain>, ReadError> {
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
    Ok(Some(Gain { account: index, arrived: Arrived::Known(amount), handed_over: false }))
}

/// The wallet's accounts of one mint, together.
#[derive(Default)]
struct PerMint {
    gain: i128,
    /// The account that gained most, and how much.
    most: Option<(usize, i128)>,
    handed_over: bool,
}

/// Per mint: all of the wallet's accounts together, so that moving between them is no gain. Named
/// by the account that gained most.
fn tokens(tx: &Transaction, meta: &Meta, scope: &Scope) -> Result<Vec<Gain>, ReadError> {
    let mut per_account: BTreeMap<(&str, usize), i128> = BTreeMap::new();
    let mut strangers = BTreeSet::new();
    let sides = [(&meta.pre_token_balances, -1_i128), (&meta.post_token_balances, 1)];
    for (balances, sign) in sides {
        for balance in balances {
            let key = (balance.mint.as_str(), balance.account_index);
            if !is_ours(tx, balance, scope)? {
                strangers.insert(key);
                continue;
            }
            let change = per_account.entry(key).or_default();
            *change = change.saturating_add(units(balance, scope)?.saturating_mul(sign));
        }
    }
    let mut per_mint: BTreeMap<&str, PerMint> = BTreeMap::new();
    for ((mint, account), change) in per_account {
        let sum = per_mint.entry(mint).or_default();
        sum.gain = sum.gain.saturating_add(change);
        sum.handed_over |= strangers.contains(&(mint, account));
        if sum.most.is_none_or(|(_, most)| change > most) {
            sum.most = Some((account, change));
        }
    }
    let mut gains = Vec::new();
    for (mint, PerMint { gain, most, handed_over }) in per_mint {
        let Some((account, _)) = most.filter(|_| gain > 0) else { continue };
        let arrived = match scope.mints.get(mint) {
            None => {
                let (contract, minor) = (mint.to_owned(), gain.to_string());
                Arrived::UnknownToken { contract, minor }
            }
            Some(asset) => Arrived::Known(
                Amount::try_new(gain, *asset).map_err(|_| garbage("an impossible amount"))?,
            ),
        };
        gains.push(Gain { account, arrived, handed_over });
    }
    Ok(gains)
}

/// Base units. A listed mint with other decimals than the books have is not the token we think.
fn units(balance: &TokenBalance, scope: &Scope) -> Result<i128, ReadError> {
    let shown = &balance.ui_token_amount;
    if let Some(asset) = scope.mints.get(&balance.mint)
        && u32::from(shown.decimals) != asset.scale()
    {
        let (theirs, ours) = (shown.decimals, asset.scale());
        let sentence = format!("the mint of {asset} has {theirs} decimals, wanted {ours}");
        return Err(ReadError::Untrusted(sentence));
    }
    let units: u64 =
        shown.amount.parse().map_err(|_| garbage("a token balance that is no number"))?;
    Ok(i128::from(units))
}

fn is_ours(tx: &Transaction, balance: &TokenBalance, scope: &Scope) -> Result<bool, ReadError> {
    if balance.account_index >= tx.transaction.account_keys.len() {
        return Err(garbage("a token balance of no account"));
    }
    // A node that does not say whose it is would hide payments of ours.
    let owner = balance.owner.as_ref();
    Ok(*owner.ok_or_else(|| garbage("a token balance without its owner"))? == scope.wallet)
}
