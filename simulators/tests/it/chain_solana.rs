//! Real lamports and tokens on a local Solana, in transactions built by hand.

use base64::{Engine as _, engine::general_purpose::STANDARD};
use ring::signature::{Ed25519KeyPair, KeyPair as _};
use serde_json::{Value, json};

use crate::{
    chain_nodes::{Node, read_to, until, watching},
    venue_bench::dec,
};

const TOKEN_PROGRAM: &str = "TokenkegQfeZyiNwAJbNbGKPFXCWuBvf9Ss623VQ5DA";
const SYSTEM: &str = "11111111111111111111111111111111";

fn key(text: &str) -> [u8; 32] {
    bs58::decode(text).into_vec().unwrap().try_into().unwrap()
}

/// Any 32 bytes as an address.
fn made_up(byte: u8) -> String {
    bs58::encode([byte; 32]).into_string()
}

struct Chain {
    node: Node,
    pair: Ed25519KeyPair,
    payer: String,
    mint: String,
}

impl Chain {
    async fn new() -> Self {
        let seed = [7; 32];
        let pair = Ed25519KeyPair::from_seed_unchecked(&seed).unwrap();
        let public = pair.public_key().as_ref().to_vec();
        let node = Node::surfnet(&[seed.to_vec(), public.clone()].concat());
        let chain =
            Self { node, pair, payer: bs58::encode(public).into_string(), mint: made_up(11) };
        // A mint of six places, without authorities.
        let mut mint = vec![0; 36];
        mint.extend_from_slice(&1_000_000_000_u64.to_le_bytes());
        mint.extend_from_slice(&[6, 1]);
        mint.extend_from_slice(&[0; 36]);
        chain.set(&chain.mint, &mint).await;
        chain.hold(&made_up(12), &chain.payer, 1_000_000_000).await;
        chain
    }

    async fn set(&self, account: &str, data: &[u8]) {
        let content =
            json!({"lamports": 10_000_000, "owner": TOKEN_PROGRAM, "data": hex::encode(data)});
        self.node.rpc("surfnet_setAccount", json!([account, content])).await;
    }

    /// An account of the token, as its program stores it.
    async fn hold(&self, account: &str, owner: &str, units: u64) {
        let mut data = [key(&self.mint), key(owner)].concat();
        data.extend_from_slice(&units.to_le_bytes());
        data.extend_from_slice(&[0; 36]);
        data.push(1);
        data.extend_from_slice(&[0; 56]);
        self.set(account, &data).await;
    }

    /// Signs and sends one instruction: the payer first, then accounts to write to, then read ones,
    /// the program last.
    async fn send(&self, written: &[&str], read: &[&str], order: &[u8], data: &[u8]) -> Value {
        let latest = self.node.rpc("getLatestBlockhash", json!([])).await;
        let blockhash = key(latest["value"]["blockhash"].as_str().unwrap());
        let keys: Vec<&str> = [&[self.payer.as_str()], written, read].concat();
        let mut message = vec![1, 0, u8::try_from(read.len()).unwrap()];
        message.push(u8::try_from(keys.len()).unwrap());
        for one in &keys {
            message.extend_from_slice(&key(one));
        }
        message.extend_from_slice(&blockhash);
        message.extend_from_slice(&[1, u8::try_from(keys.len() - 1).unwrap()]);
        message.push(u8::try_from(order.len()).unwrap());
        message.extend_from_slice(order);
        message.push(u8::try_from(data.len()).unwrap());
        message.extend_from_slice(data);
        let mut wire = vec![1];
        wire.extend_from_slice(self.pair.sign(&message).as_ref());
        wire.extend_from_slice(&message);
        let config = json!({"encoding": "base64", "skipPreflight": true});
        self.node.rpc("sendTransaction", json!([STANDARD.encode(wire), config])).await
    }

    async fn lamports(&self, to: &str, amount: u64) -> Value {
        let mut data = vec![2, 0, 0, 0];
        data.extend_from_slice(&amount.to_le_bytes());
        self.send(&[to], &[SYSTEM], &[0, 1], &data).await
    }

    /// `TransferChecked` from the payer's account.
    async fn tokens(&self, to: &str, units: u64) -> Value {
        let mut data = vec![12];
        data.extend_from_slice(&units.to_le_bytes());
        data.push(6);
        let from = made_up(12);
        self.send(&[&from, to], &[&self.mint, TOKEN_PROGRAM], &[1, 3, 2, 0], &data).await
    }

    async fn mine(&self, blocks: u64) {
        self.node.rpc("sandbox_mine", json!([blocks])).await;
    }

    fn spec(&self) -> Value {
        json!({
            "network": "solana", "kind": "surfnet", "rpc_url": self.node.url, "confirmations": 3,
            "tokens": {"USDC": self.mint},
        })
    }
}

#[tokio::test]
async fn lamports_and_tokens_are_credited_once() {
    let chain = Chain::new().await;
    let sims = watching(chain.spec()).await;
    let address = sims.world.deposit_address("binance", "solana").unwrap();
    chain.hold(&made_up(13), &address, 0).await;
    // Of nine places the venue keeps eight.
    let coins = chain.lamports(&address, 1_500_000_019).await;
    let seen = until(&sims, |all| all.len() == 1 && all[0]["confirmTimes"] == "1/3").await;
    assert_eq!((&seen[0]["coin"], &seen[0]["txId"]), (&json!("SOL"), &coins));
    assert_eq!((&seen[0]["amount"], &seen[0]["network"]), (&json!("1.50000001"), &json!("SOL")));
    let tokens = chain.tokens(&made_up(13), 25_000_001).await;
    let seen = until(&sims, |all| all.len() == 2).await;
    assert_eq!((&seen[1]["coin"], &seen[1]["txId"]), (&json!("USDC"), &tokens));
    // More than the payer has: it fails in its block and moves nothing.
    chain.tokens(&made_up(13), 5_000_000_000).await;
    chain.mine(3).await;
    let done = until(&sims, |all| all.iter().all(|one| one["status"] == 1)).await;
    assert_eq!(done.len(), 2);
    assert_eq!(sims.binance.balance("SOL").free, dec("20001.50000001"));
    assert_eq!(sims.binance.balance("USDC").free, dec("2000025.000001"));
    chain.mine(10).await;
    let tip = chain.node.rpc("getSlot", json!([{"commitment": "confirmed"}])).await;
    read_to(&sims, "solana", tip.as_u64().unwrap()).await;
    assert_eq!(sims.binance.balance("SOL").free, dec("20001.50000001"), "once");
    sims.shutdown().await;
}

#[tokio::test]
async fn a_dropped_branch_takes_pending_deposits_along() {
    let chain = Chain::new().await;
    let sims = watching(chain.spec()).await;
    let address = sims.world.deposit_address("binance", "solana").unwrap();
    chain.mine(2).await;
    chain.lamports(&address, 2_000_000_000).await;
    until(&sims, |all| all.len() == 1).await;
    chain.node.rpc("sandbox_reorg", json!([1, false])).await;
    until(&sims, |all| all.is_empty()).await;
    chain.lamports(&address, 3_000_000_000).await;
    chain.mine(3).await;
    until(&sims, |all| all.len() == 1 && all[0]["status"] == 1).await;
    assert_eq!(sims.binance.balance("SOL").free, dec("20003"));
    sims.shutdown().await;
}
