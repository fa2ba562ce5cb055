//! A venue's wallet on the local Solana: a key pair of the seed, and token accounts beside it.
//!
//! Invariant: what the wallet lacks is written into its accounts by the node's own command before a
//! transfer, never by the transfer; the receiver's token account is the one he has, or one that is
//! made for him. Two withdrawals alike are two transactions: each has a compute limit of its own.

use std::collections::BTreeMap;

use anyhow::{Context, anyhow};
use base64::{Engine as _, engine::general_purpose::STANDARD};
use serde_json::{Value, json};

use super::{Unsent, broadcast, units, unknown_venue};
use crate::{
    chains::rpc::Rpc,
    keys,
    transit::Errand,
    venue::{base58, from_base58},
};

const SYSTEM: &str = "11111111111111111111111111111111";
const TOKENS: &str = "TokenkegQfeZyiNwAJbNbGKPFXCWuBvf9Ss623VQ5DA";
const BUDGET: &str = "ComputeBudget111111111111111111111111111111";
const SOL_PLACES: u32 = 9;
/// What a wallet is filled up to, and what always stays for fees: lamports.
const RICH: u64 = 1_000_000_000_000_000;
const FOR_FEES: u64 = 1_000_000_000;
/// Rent of a token account, generously.
const RENT: u64 = 10_000_000;
/// The first compute limit, and how many there are.
const LIMIT: u32 = 200_000;
const LIMITS: u32 = 100_000;

pub(crate) struct HotSolana {
    rpc: Rpc,
    seed: u64,
    /// Coin → mint.
    mints: BTreeMap<String, String>,
    pub(super) addresses: BTreeMap<&'static str, String>,
    sent: u32,
}

/// Accounts in the order of a message, the payer first, and what one program is told.
struct Step<'a> {
    written: Vec<&'a str>,
    program: &'a str,
    /// Places among the accounts.
    order: Vec<u8>,
    data: Vec<u8>,
}

fn label(venue: &str) -> String {
    format!("hot/{venue}/solana")
}

impl HotSolana {
    pub(super) fn new(
        rpc: Rpc,
        seed: u64,
        mints: BTreeMap<String, String>,
        venues: &[&'static str],
    ) -> Self {
        let address = |name: &&'static str| (*name, base58(&keys::public_key(seed, &label(name))));
        let addresses = venues.iter().map(address).collect();
        Self { rpc, seed, mints, addresses, sent: 0 }
    }

    pub(super) async fn send(&mut self, errand: &Errand) -> Result<String, Unsent> {
        let own = self.addresses.get(errand.venue).cloned();
        let own = own.ok_or_else(|| unknown_venue(errand.venue))?;
        let coin = errand.rail.coin;
        let places = if coin == "SOL" { SOL_PLACES } else { errand.rail.places };
        let amount = u64::try_from(units(errand.amount, places)?).context("too much")?;
        let mut need = FOR_FEES;
        let signed = if coin == "SOL" {
            need = need.saturating_add(amount);
            self.fill(&own, need).await?;
            let mut data = vec![2, 0, 0, 0];
            data.extend_from_slice(&amount.to_le_bytes());
            let written = vec![errand.address.as_str()];
            let step = Step { written, program: SYSTEM, order: vec![0, 1], data };
            self.signed(errand.venue, &own, step).await?
        } else {
            let mint = self.mints.get(coin).cloned();
            let mint = mint.ok_or_else(|| anyhow!("nobody said where {coin} is"))?;
            self.fill(&own, need).await?;
            let from = self.purse(errand.venue, coin);
            self.fill_tokens(&from, &own, &mint, amount).await?;
            let to = self.purse_of(&errand.address, &mint).await?;
            let mut data = vec![3];
            data.extend_from_slice(&amount.to_le_bytes());
            let written = vec![from.as_str(), to.as_str()];
            let step = Step { written, program: TOKENS, order: vec![1, 2, 0], data };
            self.signed(errand.venue, &own, step).await?
        };
        let config = json!({"encoding": "base64", "skipPreflight": true});
        broadcast(self.rpc.get("sendTransaction", json!([signed, config])).await)
    }

    /// The account a venue keeps a token in.
    fn purse(&self, venue: &str, coin: &str) -> String {
        base58(&keys::public_key(self.seed, &format!("{}/{coin}", label(venue))))
    }

    /// Lamports of an account; 0 when there is none.
    async fn lamports(&self, account: &str) -> anyhow::Result<u64> {
        let params = json!([account, {"commitment": "confirmed"}]);
        let told: Value = self.rpc.get("getBalance", params).await?;
        told.get("value").and_then(Value::as_u64).context("a balance")
    }

    async fn fill(&self, own: &str, need: u64) -> anyhow::Result<()> {
        if self.lamports(own).await? < need {
            let content = json!({"lamports": RICH.max(need), "owner": SYSTEM});
            self.rpc.ask::<Value>("surfnet_setAccount", json!([own, content])).await?;
        }
        Ok(())
    }

    async fn fill_tokens(
        &self,
        purse: &str,
        owner: &str,
        mint: &str,
        need: u64,
    ) -> anyhow::Result<()> {
        let held = if self.lamports(purse).await? == 0 {
            0
        } else {
            let told: Value = self.rpc.get("getTokenAccountBalance", json!([purse])).await?;
            let units = told.pointer("/value/amount").and_then(Value::as_str);
            units.context("a token balance")?.parse()?
        };
        if held < need { self.set_purse(purse, owner, mint, RICH.max(need)).await } else { Ok(()) }
    }

    /// Writes a token account as its program stores it.
    async fn set_purse(
        &self,
        purse: &str,
        owner: &str,
        mint: &str,
        units: u64,
    ) -> anyhow::Result<()> {
        let mut data = [key(mint)?, key(owner)?].concat();
        data.extend_from_slice(&units.to_le_bytes());
        data.extend_from_slice(&[0; 36]);
        data.push(1);
        data.extend_from_slice(&[0; 56]);
        let content = json!({"lamports": RENT, "owner": TOKENS, "data": hex::encode(data)});
        self.rpc.ask::<Value>("surfnet_setAccount", json!([purse, content])).await.map(drop)
    }

    /// The owner's account of a token: one he has, or one that is made for him.
    async fn purse_of(&self, owner: &str, mint: &str) -> anyhow::Result<String> {
        let config = json!({"encoding": "base64", "commitment": "confirmed"});
        let params = json!([owner, {"mint": mint}, config]);
        let told: Value = self.rpc.get("getTokenAccountsByOwner", params).await?;
        let first = told.pointer("/value/0/pubkey").and_then(Value::as_str);
        if let Some(first) = first {
            return Ok(first.to_owned());
        }
        let made = base58(&keys::public_key(self.seed, &format!("purse/{owner}/{mint}")));
        self.set_purse(&made, owner, mint, 0).await?;
        Ok(made)
    }

    /// A transaction of one step in base64, signed by the venue's key.
    async fn signed(&mut self, venue: &str, own: &str, step: Step<'_>) -> anyhow::Result<String> {
        let latest: Value =
            self.rpc.get("getLatestBlockhash", json!([{"commitment": "confirmed"}])).await?;
        let latest = latest.pointer("/value/blockhash").and_then(Value::as_str);
        let blockhash = key(latest.context("a blockhash")?)?;
        self.sent = self.sent.wrapping_add(1);
        let limit = LIMIT.saturating_add(self.sent.checked_rem(LIMITS).unwrap_or(0));
        let mut accounts = vec![own];
        accounts.extend(&step.written);
        accounts.extend([step.program, BUDGET]);
        let count = u8::try_from(accounts.len())?;
        let mut message = vec![1, 0, 2, count];
        for account in accounts {
            message.extend(key(account)?);
        }
        message.extend(blockhash);
        // Two steps: the limit, without accounts, and the transfer.
        message.extend([2, count.saturating_sub(1), 0, 5, 2]);
        message.extend(limit.to_le_bytes());
        message.extend([count.saturating_sub(2), u8::try_from(step.order.len())?]);
        message.extend(step.order);
        message.push(u8::try_from(step.data.len())?);
        message.extend(step.data);
        let mut wire = vec![1];
        wire.extend(keys::sign(self.seed, &label(venue), &message));
        wire.extend(message);
        Ok(STANDARD.encode(wire))
    }
}

/// The 32 bytes of an address.
fn key(text: &str) -> anyhow::Result<Vec<u8>> {
    from_base58(text).filter(|bytes| bytes.len() == 32).context("not an address")
}
