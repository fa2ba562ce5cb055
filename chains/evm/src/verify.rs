//! Does a node agree with the settings? Chain id, finality, tracing, and each token's contract.
//!
//! Invariant: a disagreement is `Untrusted` with a sentence for the operator; a node that does not
//! answer is only `Unavailable`, it may still be the right one.

use std::collections::HashSet;

use alloy::primitives::{Address, Bytes};
use chains::ReadError;
use futures::future::join_all;
use primitives::Asset;

use crate::{
    coins,
    config::EvmConfig,
    logs::NATIVE_LOGS,
    node::Node,
    receipts,
    scan::Scope,
    tokens, traces,
    wire::{Tx, address_of, garbage, text_of_address},
};

/// The listed tokens, after the checks that need no node.
///
/// # Errors
/// A sentence naming the first setting that cannot be right.
pub(crate) fn tokens_of(config: &EvmConfig) -> Result<Vec<(Address, Asset)>, String> {
    let mut assets = HashSet::from([config.native]);
    let mut contracts = HashSet::new();
    let mut tokens = Vec::new();
    for token in &config.tokens {
        let asset = token.asset;
        if !asset.is_crypto() || !assets.insert(asset) {
            return Err(format!("{asset} is listed twice, or is no crypto asset"));
        }
        // Another scale would book a millionth, or a million times, of what came.
        if u32::from(token.decimals) != asset.scale() {
            return Err(format!("{asset} has {} decimals in the books", asset.scale()));
        }
        let contract = address_of(&token.contract)
            .ok_or_else(|| format!("the contract of {asset} is no address, or mistyped"))?;
        if contract == NATIVE_LOGS {
            return Err(format!("the contract of {asset} is where coins are logged, no token"));
        }
        if !contracts.insert(contract) {
            return Err(format!("the contract of {asset} is listed twice"));
        }
        tokens.push((contract, asset));
    }
    Ok(tokens)
}

/// Everything that is wrong with a node, most telling first.
pub(crate) async fn problems(node: &Node, scope: &Scope) -> Vec<ReadError> {
    // Of another network, or silent: whatever else it says is no news.
    if let Err(error) = node.check_chain_id().await {
        return vec![match error {
            ReadError::Unavailable(why) => {
                ReadError::Unavailable(format!("no usable answer: {why}"))
            }
            other => other,
        }];
    }
    let tokens = scope.tokens.iter().map(|(contract, asset)| token(node, *contract, *asset));
    let (finality, tokens, coins) =
        futures::future::join3(finality(node), join_all(tokens), coins(node, scope)).await;
    let all = std::iter::once(finality).chain(tokens).chain(std::iter::once(coins));
    all.filter_map(Result::err).collect()
}

async fn finality(node: &Node) -> Result<(), ReadError> {
    match node.head().await?.finalized {
        Some(_) => Ok(()),
        None => Err(untrusted("the node does not say what is final: no `finalized` block")),
    }
}

/// Can the node show how contracts move coins?
async fn coins(node: &Node, scope: &Scope) -> Result<(), ReadError> {
    let latest = node.latest().await?;
    let block = node.block(latest.hash).await?.ok_or_else(|| garbage("no block at its tip"))?;
    if !scope.native_logs {
        return traces::of_block(node, &block, scope.trace).await.map(drop);
    }
    // One transaction that carries coins tells whether they are logged; a tip without one says
    // nothing, and reading checks every block again.
    let carries = |tx: &&Tx| !tx.value.is_zero() && tx.to.is_some_and(|to| to != tx.from);
    let Some(tx) = block.transactions.iter().find(carries) else { return Ok(()) };
    let receipts = receipts::of(node, &block, &HashSet::from([tx.hash])).await?;
    coins::by_logs(&block, &receipts).map(drop)
}

async fn token(node: &Node, contract: Address, asset: Asset) -> Result<(), ReadError> {
    let at = text_of_address(contract);
    let code: Bytes = node.call("eth_getCode", (contract, "latest")).await?;
    if code.is_empty() {
        return Err(untrusted(&format!("there is no contract at the address of {asset}, {at}")));
    }
    match tokens::decimals(node, contract).await {
        Ok(Some(decimals)) if u32::from(decimals) == asset.scale() => Ok(()),
        Ok(Some(decimals)) => {
            let wanted = asset.scale();
            let sentence =
                format!("the contract of {asset}, {at}, has {decimals} decimals, wanted {wanted}");
            Err(untrusted(&sentence))
        }
        Ok(None) => Err(untrusted(&format!("the contract of {asset}, {at}, is not a token"))),
        Err(fault) => {
            let why = ReadError::from(fault);
            Err(ReadError::Unavailable(format!("the decimals of {asset}, {at}: {why}")))
        }
    }
}

fn untrusted(sentence: &str) -> ReadError {
    ReadError::Untrusted(sentence.to_owned())
}
