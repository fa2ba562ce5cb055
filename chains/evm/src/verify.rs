//! Does a node agree with the settings? Chain id, finality, tracing, and each token's contract.
//!
//! Invariant: a disagreement is `Untrusted` with a sentence for the operator; a node that does not
//! answer is only `Unavailable`, it may still be the right one.

use std::collections::HashSet;

use alloy::primitives::{Address, Bytes};
use chains::ReadError;
use primitives::Asset;

use crate::{
    config::{EvmConfig, TraceMode},
    node::Node,
    tokens, traces,
    wire::{address_of, garbage},
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
        if !contracts.insert(contract) {
            return Err(format!("the contract of {asset} is listed twice"));
        }
        tokens.push((contract, asset));
    }
    Ok(tokens)
}

/// Compares one node with the settings.
pub(crate) async fn node(
    node: &Node,
    tokens: &[(Address, Asset)],
    trace: TraceMode,
) -> Result<(), ReadError> {
    let head = node.head().await?;
    if head.finalized.is_none() {
        return Err(untrusted("the node does not say what is final"));
    }
    for (contract, asset) in tokens {
        token(node, *contract, *asset).await?;
    }
    let latest = node.latest().await?;
    let block = node.block(latest.hash).await?.ok_or_else(|| garbage("no block at its tip"))?;
    traces::of_block(node, &block, trace).await?;
    Ok(())
}

async fn token(node: &Node, contract: Address, asset: Asset) -> Result<(), ReadError> {
    let code: Bytes = node.call("eth_getCode", (contract, "latest")).await?;
    if code.is_empty() {
        return Err(untrusted(&format!("there is no contract at the address of {asset}")));
    }
    match tokens::decimals(node, contract).await? {
        Some(decimals) if u32::from(decimals) == asset.scale() => Ok(()),
        Some(decimals) => {
            let wanted = asset.scale();
            let sentence =
                format!("the contract of {asset} has {decimals} decimals, wanted {wanted}");
            Err(untrusted(&sentence))
        }
        None => Err(untrusted(&format!("the contract of {asset} is not a token"))),
    }
}

fn untrusted(sentence: &str) -> ReadError {
    ReadError::Untrusted(sentence.to_owned())
}
