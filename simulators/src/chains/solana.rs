//! A Solana node's blocks: what an owner's own account and its token accounts gained.
//!
//! Invariant: a transaction that failed moves nothing; amounts are the difference of the balances
//! before and after, which the runtime itself states, so that no instruction has to be understood.

use std::collections::BTreeMap;

use rust_decimal::Decimal;
use serde::Deserialize;
use serde_json::{Value, json};

use super::{
    Block, Watched,
    rpc::{Refused, Rpc},
};
use crate::venue::Found;

/// Slots without a block, or not there yet: cleaned up, not available, skipped, skipped in storage.
const NO_BLOCK: [i64; 4] = [-32_001, -32_004, -32_007, -32_009];
const SOL_PLACES: u32 = 9;

pub(super) struct Solana {
    rpc: Rpc,
    /// Mint → coin.
    tokens: BTreeMap<String, String>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Told {
    blockhash: String,
    previous_blockhash: String,
    #[serde(default)]
    transactions: Vec<InBlock>,
}

/// A transaction in its block.
#[derive(Deserialize)]
struct InBlock {
    transaction: Transaction,
    meta: Option<Meta>,
}

#[derive(Deserialize)]
struct Transaction {
    signatures: Vec<String>,
    message: Message,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Message {
    account_keys: Vec<String>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Meta {
    err: Option<Value>,
    pre_balances: Vec<u64>,
    post_balances: Vec<u64>,
    #[serde(default)]
    pre_token_balances: Option<Vec<TokenBalance>>,
    #[serde(default)]
    post_token_balances: Option<Vec<TokenBalance>>,
    #[serde(default)]
    loaded_addresses: Option<Loaded>,
}

#[derive(Deserialize)]
struct Loaded {
    writable: Vec<String>,
    readonly: Vec<String>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct TokenBalance {
    mint: String,
    owner: Option<String>,
    ui_token_amount: TokenAmount,
}

#[derive(Deserialize)]
struct TokenAmount {
    amount: String,
    decimals: u32,
}

impl Solana {
    pub(super) fn new(rpc: Rpc, tokens: &BTreeMap<String, String>) -> Self {
        let coin = |(coin, mint): (&String, &String)| (mint.clone(), coin.to_ascii_uppercase());
        Self { rpc, tokens: tokens.iter().map(coin).collect() }
    }

    pub(super) async fn tip(&self) -> anyhow::Result<u64> {
        self.rpc.get("getSlot", json!([{"commitment": "confirmed"}])).await
    }

    /// The next slot with a block.
    pub(super) async fn after(&self, slot: u64) -> anyhow::Result<Option<u64>> {
        let params = json!([slot.saturating_add(1), 1, {"commitment": "confirmed"}]);
        let slots: Vec<u64> = self.rpc.get("getBlocksWithLimit", params).await?;
        Ok(slots.first().copied())
    }

    async fn told(&self, slot: u64, details: &str) -> anyhow::Result<Option<Told>> {
        let config = json!({
            "commitment": "confirmed",
            "encoding": "json",
            "transactionDetails": details,
            "maxSupportedTransactionVersion": 0,
            "rewards": false,
        });
        match self.rpc.ask("getBlock", json!([slot, config])).await {
            Err(error) => match error.downcast_ref::<Refused>() {
                Some(refused) if NO_BLOCK.contains(&refused.code) => Ok(None),
                _ => Err(error),
            },
            told => told,
        }
    }

    pub(super) async fn hash_at(&self, slot: u64) -> anyhow::Result<Option<String>> {
        Ok(self.told(slot, "none").await?.map(|told| told.blockhash))
    }

    pub(super) async fn block(
        &self,
        slot: u64,
        watched: &Watched,
    ) -> anyhow::Result<Option<Block>> {
        let Some(told) = self.told(slot, "full").await? else { return Ok(None) };
        let mut found = Vec::new();
        for told in &told.transactions {
            if let Some(meta) = told.meta.as_ref().filter(|meta| meta.err.is_none()) {
                for address in &watched.addresses {
                    found.extend(native(&told.transaction, meta, address, watched));
                    found.extend(self.tokens(&told.transaction, meta, address, watched));
                }
            }
        }
        let (hash, parent) = (told.blockhash, told.previous_blockhash);
        Ok(Some(Block { height: slot, hash, parent, found }))
    }

    fn tokens(
        &self,
        transaction: &Transaction,
        meta: &Meta,
        address: &str,
        watched: &Watched,
    ) -> Vec<Found> {
        let mut found = Vec::new();
        for (place, (mint, coin)) in (1_u64..).zip(&self.tokens) {
            let held = |balances: &Option<Vec<TokenBalance>>| {
                let ours = balances.iter().flatten().filter(|balance| {
                    balance.mint == *mint && balance.owner.as_deref() == Some(address)
                });
                ours.fold((0_i128, 0_u32), |(sum, _), balance| {
                    let TokenAmount { amount, decimals } = &balance.ui_token_amount;
                    (sum.saturating_add(amount.parse().unwrap_or(0)), *decimals)
                })
            };
            let ((before, _), (after, places)) =
                (held(&meta.pre_token_balances), held(&meta.post_token_balances));
            let gained = after.saturating_sub(before);
            found.extend(gain(transaction, gained, places, address, watched, (coin, place)));
        }
        found
    }
}

fn native(
    transaction: &Transaction,
    meta: &Meta,
    address: &str,
    watched: &Watched,
) -> Option<Found> {
    let own = transaction.message.account_keys.iter();
    let loaded = meta.loaded_addresses.iter().flat_map(|l| l.writable.iter().chain(&l.readonly));
    let at = own.chain(loaded).position(|key| key == address)?;
    let (before, after) = (meta.pre_balances.get(at)?, meta.post_balances.get(at)?);
    let gained = i128::from(*after) - i128::from(*before);
    gain(transaction, gained, SOL_PLACES, address, watched, ("SOL", 0))
}

fn gain(
    transaction: &Transaction,
    units: i128,
    places: u32,
    address: &str,
    watched: &Watched,
    (coin, place): (&str, u64),
) -> Option<Found> {
    if units <= 0 {
        return None;
    }
    let amount = Decimal::try_from_i128_with_scale(units, places).ok()?.normalize();
    Some(Found {
        asset: coin.to_owned(),
        network: watched.network,
        amount,
        tx_id: transaction.signatures.first()?.clone(),
        place,
        address: address.to_owned(),
    })
}
