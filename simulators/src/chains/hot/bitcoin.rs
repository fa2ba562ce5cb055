//! A venue's wallet on regtest: outputs for whoever knows a word, one word per venue.
//!
//! Invariant: coins are those that the follower saw in a block at the venue's own address; what a
//! node no longer has unspent is forgotten. There is no key here and none is needed: the chain is
//! a local one, and the word follows from the seed. Somebody has to pay coins to the address first.

use std::collections::BTreeMap;

use anyhow::{Context, anyhow};
use rust_decimal::Decimal;
use serde_json::{Value, json};
use sha2::{Digest, Sha256};

use super::{Unsent, broadcast, unknown_venue};
use crate::{
    chains::rpc::Rpc,
    transit::Errand,
    venue::{Found, segwit},
};

/// The network's fee of a withdrawal, and what each coin it spends adds.
const FEE: Decimal = Decimal::from_parts(500, 0, 0, false, 8);
const FEE_PER_COIN: Decimal = Decimal::from_parts(100, 0, 0, false, 8);
/// Less is not worth an output.
const DUST: Decimal = Decimal::from_parts(1_000, 0, 0, false, 8);
const MOST_COINS: usize = 100;

struct Coin {
    address: String,
    tx_id: String,
    place: u64,
    amount: Decimal,
}

pub(crate) struct HotBitcoin {
    rpc: Rpc,
    pub(super) addresses: BTreeMap<&'static str, String>,
    words: BTreeMap<&'static str, Vec<u8>>,
    coins: Vec<Coin>,
}

/// What opens a venue's outputs.
fn word(seed: u64, venue: &str) -> Vec<u8> {
    let word = Sha256::new().chain_update(seed.to_be_bytes());
    word.chain_update(format!("hot/{venue}/bitcoin")).finalize().to_vec()
}

/// `OP_SHA256 <hash of the word> OP_EQUAL`.
fn script(word: &[u8]) -> Vec<u8> {
    let hash: [u8; 32] = Sha256::digest(word).into();
    [&[0xa8, 0x20], hash.as_slice(), &[0x87]].concat()
}

impl HotBitcoin {
    pub(super) fn new(rpc: Rpc, seed: u64, hrp: &str, venues: &[&'static str]) -> Self {
        let words: BTreeMap<_, _> = venues.iter().map(|name| (*name, word(seed, name))).collect();
        let address = |(name, word): (&&'static str, &Vec<u8>)| {
            (*name, segwit(hrp, &Sha256::digest(script(word))))
        };
        Self { rpc, addresses: words.iter().map(address).collect(), words, coins: Vec::new() }
    }

    pub(super) fn notice(&mut self, found: &Found) {
        if self.addresses.values().any(|own| *own == found.address) {
            let (address, tx_id) = (found.address.clone(), found.tx_id.clone());
            self.coins.push(Coin { address, tx_id, place: found.place, amount: found.amount });
        }
    }

    /// Forgets what is not unspent: another branch may have taken it away.
    async fn forget_spent(&mut self) -> anyhow::Result<()> {
        let mut kept = Vec::new();
        for coin in std::mem::take(&mut self.coins) {
            let there = self.rpc.ask::<Value>("gettxout", json!([coin.tx_id, coin.place])).await;
            // No answer is no proof that it is gone.
            if !matches!(there, Ok(None)) {
                kept.push(coin);
            }
        }
        self.coins = kept;
        Ok(())
    }

    pub(super) async fn send(&mut self, errand: &Errand) -> Result<String, Unsent> {
        self.forget_spent().await?;
        let unknown = || unknown_venue(errand.venue);
        let own = self.addresses.get(errand.venue).cloned().ok_or_else(unknown)?;
        let word = self.words.get(errand.venue).cloned().ok_or_else(unknown)?;
        let (mut have, mut need) = (Decimal::ZERO, errand.amount + FEE);
        let mut inputs = Vec::new();
        for coin in self.coins.iter().filter(|coin| coin.address == own).take(MOST_COINS) {
            if have >= need {
                break;
            }
            have += coin.amount;
            need += FEE_PER_COIN;
            inputs.push(json!({"txid": coin.tx_id, "vout": coin.place}));
        }
        let change = have - need;
        if change < Decimal::ZERO {
            return Err(
                anyhow!("the wallet of {} holds too little: pay {own}", errand.venue).into()
            );
        }
        let mut outputs = vec![json!({&errand.address: errand.amount.to_string()})];
        if change >= DUST {
            outputs.push(json!({&own: change.to_string()}));
        }
        let count = inputs.len();
        let spent = inputs.clone();
        let plain: String = self.rpc.get("createrawtransaction", json!([inputs, outputs])).await?;
        let whole = with_witness(&plain, &word, count).context("not a transaction")?;
        let tx_id = broadcast(self.rpc.get("sendrawtransaction", json!([whole])).await)?;
        self.coins.retain(|coin| {
            !spent.iter().any(|one| {
                one.get("txid").and_then(Value::as_str) == Some(&coin.tx_id)
                    && one.get("vout").and_then(Value::as_u64) == Some(coin.place)
            })
        });
        Ok(tx_id)
    }
}

/// BIP 144: the marker after the version, and before the lock time a witness for each input.
fn with_witness(plain: &str, word: &[u8], inputs: usize) -> Option<String> {
    let version = plain.get(..8)?;
    let end = plain.len().checked_sub(8)?;
    let (body, lock_time) = (plain.get(8..end)?, plain.get(end..)?);
    let item = |bytes: &[u8]| format!("{:02x}{}", bytes.len(), hex::encode(bytes));
    let one = format!("02{}{}", item(word), item(&script(word)));
    Some(format!("{version}0001{body}{}{lock_time}", one.repeat(inputs)))
}
