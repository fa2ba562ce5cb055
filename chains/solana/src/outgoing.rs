//! What a transaction of ours brought to somebody else, from the block that holds it.
//!
//! Invariant: a gain is the difference of balances of that address itself, and a wallet of ours
//! signed the transaction: what a payer moves between his own accounts proves nothing.

use chains::{Outgoing, ReadError};
use primitives::{Amount, Asset};

use crate::{
    node::Node,
    scan::{Scope, changes, coins_gained, owner, signed_by_us, succeeded, units},
    wire::{Meta, Transaction, garbage},
};

/// What is asked: who got how much of an asset. Without a mint it is the network's coin.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Question<'a> {
    pub(crate) signature: &'a str,
    pub(crate) to: &'a str,
    pub(crate) asset: Asset,
    pub(crate) mint: Option<&'a str>,
}

pub(crate) async fn of(
    node: &Node,
    asked: Question<'_>,
    scope: &Scope,
) -> Result<Vec<Outgoing>, ReadError> {
    let Some(status) = node.status(asked.signature).await? else {
        return Ok(Vec::new());
    };
    if !matches!(status.confirmation_status.as_deref(), Some("confirmed" | "finalized")) {
        return Ok(Vec::new());
    }
    let block = node.block(status.slot).await?.ok_or_else(|| garbage("a block it lacks"))?;
    let is_it = |tx: &&Transaction| {
        tx.transaction.signatures.first().is_some_and(|first| first == asked.signature)
    };
    let tx = block.transactions.iter().find(is_it);
    let tx = tx.ok_or_else(|| garbage("a block without the transaction"))?;
    let Some(meta) = succeeded(tx)? else {
        return Ok(Vec::new());
    };
    if !signed_by_us(tx, scope) || scope.wallets.contains(asked.to) {
        return Ok(Vec::new());
    }
    let gained = match asked.mint {
        None => coins(tx, meta, asked.to),
        Some(mint) => tokens(tx, meta, scope, (mint, asked.to))?,
    };
    let Some((account, gain)) = gained.filter(|(_, gain)| *gain > 0) else {
        return Ok(Vec::new());
    };
    let amount = Amount::try_new(gain, asked.asset);
    Ok(vec![Outgoing {
        tx_id: asked.signature.to_owned(),
        block: block.header.reference(status.slot)?,
        ordinal: u32::try_from(account).map_err(|_| garbage("accounts without end"))?,
        amount: amount.map_err(|_| garbage("an impossible amount"))?,
    }])
}

fn coins(tx: &Transaction, meta: &Meta, to: &str) -> Option<(usize, i128)> {
    let account = tx.transaction.account_keys.iter().position(|key| key.pubkey == to)?;
    Some((account, coins_gained(meta, account)))
}

/// All token accounts of the address together, or the one it is itself; named by the first.
fn tokens(
    tx: &Transaction,
    meta: &Meta,
    scope: &Scope,
    (mint, to): (&str, &str),
) -> Result<Option<(usize, i128)>, ReadError> {
    let keys = &tx.transaction.account_keys;
    let mut gained: Option<(usize, i128)> = None;
    for (balance, sign) in changes(meta).filter(|(balance, _)| balance.mint == mint) {
        let owner = owner(tx, balance)?;
        let itself = keys.get(balance.account_index).is_some_and(|key| key.pubkey == to);
        if owner != to && !itself {
            continue;
        }
        let (first, sum) = gained.unwrap_or((balance.account_index, 0));
        let change = units(balance, scope)?.saturating_mul(sign);
        gained = Some((first.min(balance.account_index), sum.saturating_add(change)));
    }
    Ok(gained)
}
