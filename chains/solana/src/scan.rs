//! Reading one block: what our wallets gained, and which payment each gain is for.
//!
//! Invariants: a gain is the difference of balances over a transaction that succeeded; what an
//! instruction, a log or a reference claims never counts; a transaction a wallet of ours signed
//! itself is no payment. Exactly one open reference among the accounts attributes a gain; none or
//! several leave it to people: it is reported with the wallet that gained as its address. So is a
//! token account that was filled before it was handed over to the wallet: that was no transfer.

use std::collections::{BTreeMap, BTreeSet};

use chains::{Arrived, ReadError, Sighting, WatchSet};
use primitives::{Amount, Asset};

use crate::wire::{Block, Meta, TokenBalance, Transaction, garbage};

/// What a block is read for.
#[derive(Debug, Clone)]
pub(crate) struct Scope {
    /// The wallet payments are asked to.
    pub(crate) wallet: String,
    /// That one and all it replaced: whoever pays with an old code still pays us.
    pub(crate) wallets: BTreeSet<String>,
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

/// What accounts of ours gained in one asset.
struct Gain<'a> {
    /// Its place among the keys.
    account: usize,
    /// The wallet the account is of.
    wallet: &'a str,
    arrived: Arrived,
    /// It was somebody else's before.
    handed_over: bool,
}

fn transaction(
    tx: &Transaction,
    scope: &Scope,
    watch: &WatchSet,
) -> Result<Vec<Sighting>, ReadError> {
    let Some(meta) = succeeded(tx)? else {
        return Ok(Vec::new());
    };
    let gains: Vec<Gain<'_>> =
        coins(tx, meta, scope)?.into_iter().chain(tokens(tx, meta, scope)?).collect();
    if gains.is_empty() || signed_by_us(tx, scope) {
        return Ok(Vec::new());
    }
    let tx_id = tx.transaction.signatures.first();
    let tx_id = tx_id.ok_or_else(|| garbage("a transaction without a signature"))?;
    let reference = reference(tx, scope, watch);
    let from = tx.transaction.account_keys.first().map(|key| key.pubkey.clone());
    gains
        .into_iter()
        .map(|gain| {
            let ordinal = u32::try_from(gain.account);
            let reference = reference.filter(|_| !gain.handed_over);
            Ok(Sighting {
                tx_id: tx_id.clone(),
                ordinal: ordinal.map_err(|_| garbage("accounts without end"))?,
                to: reference.unwrap_or(gain.wallet).to_owned(),
                from: from.clone(),
                arrived: gain.arrived,
                spends: Vec::new(),
            })
        })
        .collect()
}

/// What it did, when it succeeded.
pub(crate) fn succeeded(tx: &Transaction) -> Result<Option<&Meta>, ReadError> {
    let meta = tx.meta.as_ref().ok_or_else(|| garbage("a transaction without its outcome"))?;
    let keys = &tx.transaction.account_keys;
    if !meta.err.is_null() {
        return Ok(None);
    }
    if meta.pre_balances.len() != keys.len() || meta.post_balances.len() != keys.len() {
        return Err(garbage("more accounts than balances"));
    }
    Ok(Some(meta))
}

pub(crate) fn signed_by_us(tx: &Transaction, scope: &Scope) -> bool {
    tx.transaction.account_keys.iter().any(|key| key.signer && scope.wallets.contains(&key.pubkey))
}

/// The one reference among the accounts.
fn reference<'a>(tx: &'a Transaction, scope: &Scope, watch: &WatchSet) -> Option<&'a str> {
    let mut references: Vec<&str> = tx
        .transaction
        .account_keys
        .iter()
        .map(|key| key.pubkey.as_str())
        .filter(|key| !scope.wallets.contains(*key) && watch.contains(key))
        .collect();
    references.sort_unstable();
    references.dedup();
    match references.as_slice() {
        [one] => Some(one),
        _ => None,
    }
}

/// Several accounts of ours together, so that moving between them is no gain. Named by the account
/// that gained most.
#[derive(Default)]
struct Together<'a> {
    gain: i128,
    /// Its place among the keys, its wallet, and how much it gained.
    most: Option<(usize, &'a str, i128)>,
    handed_over: bool,
}

impl<'a> Together<'a> {
    fn add(&mut self, account: usize, wallet: &'a str, change: i128) {
        self.gain = self.gain.saturating_add(change);
        if self.most.is_none_or(|(_, _, most)| change > most) {
            self.most = Some((account, wallet, change));
        }
    }

    fn named(&self) -> Option<(usize, &'a str)> {
        self.most.filter(|_| self.gain > 0).map(|(account, wallet, _)| (account, wallet))
    }
}

/// What an account had more of the network's coin after the transaction.
pub(crate) fn coins_gained(meta: &Meta, account: usize) -> i128 {
    let before = meta.pre_balances.get(account).copied().unwrap_or(0);
    let after = meta.post_balances.get(account).copied().unwrap_or(0);
    i128::from(after).saturating_sub(i128::from(before))
}

fn coins<'a>(
    tx: &'a Transaction,
    meta: &Meta,
    scope: &Scope,
) -> Result<Option<Gain<'a>>, ReadError> {
    let mut sum = Together::default();
    for (account, key) in tx.transaction.account_keys.iter().enumerate() {
        if scope.wallets.contains(&key.pubkey) {
            sum.add(account, &key.pubkey, coins_gained(meta, account));
        }
    }
    let Some((account, wallet)) = sum.named() else {
        return Ok(None);
    };
    let amount = Amount::try_new(sum.gain, Asset::Sol);
    let arrived = Arrived::Known(amount.map_err(|_| garbage("an impossible amount"))?);
    Ok(Some(Gain { account, wallet, arrived, handed_over: false }))
}

/// Per mint: all accounts of our wallets together.
fn tokens<'a>(tx: &Transaction, meta: &'a Meta, scope: &Scope) -> Result<Vec<Gain<'a>>, ReadError> {
    let mut per_account: BTreeMap<(&str, usize), (i128, &str)> = BTreeMap::new();
    let mut strangers = BTreeSet::new();
    for (balance, sign) in changes(meta) {
        let key = (balance.mint.as_str(), balance.account_index);
        let owner = owner(tx, balance)?;
        if !scope.wallets.contains(owner) {
            strangers.insert(key);
            continue;
        }
        let (change, of) = per_account.entry(key).or_insert((0, owner));
        *change = change.saturating_add(units(balance, scope)?.saturating_mul(sign));
        *of = owner;
    }
    let mut per_mint: BTreeMap<&str, Together<'_>> = BTreeMap::new();
    for ((mint, account), (change, wallet)) in per_account {
        let sum = per_mint.entry(mint).or_default();
        sum.handed_over |= strangers.contains(&(mint, account));
        sum.add(account, wallet, change);
    }
    let mut gains = Vec::new();
    for (mint, sum) in per_mint {
        let Some((account, wallet)) = sum.named() else { continue };
        let arrived = match scope.mints.get(mint) {
            None => {
                let (contract, minor) = (mint.to_owned(), sum.gain.to_string());
                Arrived::UnknownToken { contract, minor }
            }
            Some(asset) => Arrived::Known(
                Amount::try_new(sum.gain, *asset).map_err(|_| garbage("an impossible amount"))?,
            ),
        };
        gains.push(Gain { account, wallet, arrived, handed_over: sum.handed_over });
    }
    Ok(gains)
}

/// Every balance of a token before and after, and whether it counts against or for its owner.
pub(crate) fn changes(meta: &Meta) -> impl Iterator<Item = (&TokenBalance, i128)> {
    let before = meta.pre_token_balances.iter().map(|balance| (balance, -1));
    before.chain(meta.post_token_balances.iter().map(|balance| (balance, 1)))
}

/// Base units. A listed mint with other decimals than the books have is not the token we think.
pub(crate) fn units(balance: &TokenBalance, scope: &Scope) -> Result<i128, ReadError> {
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

pub(crate) fn owner<'a>(
    tx: &Transaction,
    balance: &'a TokenBalance,
) -> Result<&'a String, ReadError> {
    if balance.account_index >= tx.transaction.account_keys.len() {
        return Err(garbage("a token balance of no account"));
    }
    // A node that does not say whose it is would hide payments of ours.
    balance.owner.as_ref().ok_or_else(|| garbage("a token balance without its owner"))
}
