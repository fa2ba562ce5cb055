//! Real coins and tokens on a local EVM chain, beside everything that only looks like them.

use serde_json::{Value, json};

use crate::{
    chain_nodes::{Node, read_to, until, watching},
    venue_bench::dec,
};

const TRANSFER: &str = "ddf252ad1be2c89b69c2b068fc378daa952ba7f163c4a11628f55a4df523b3ef";
const TOKEN: &str = "0x00000000000000000000000000000000000000c1";
const LOOKALIKE: &str = "0x00000000000000000000000000000000000000c2";

/// A token of two functions: four bytes ask for its places (6), anything longer is a transfer to
/// the first word of the second one's amount; one byte more reverts after the event.
fn token() -> String {
    let code = [
        "36600414603f57",       // four bytes: places
        "60243560005260043533", // amount to memory; to, caller
        "7f",
        TRANSFER,
        "60206000a3", // the event
        "00",         // and the end
    ];
    let body = code.concat();
    assert_eq!(body.len() / 2, 56);
    // Up to byte 63 nothing is reached.
    format!("0x{body}{}5b600660005260206000f3", "00".repeat(63 - 56))
}

struct Chain {
    node: Node,
    payer: Value,
}

impl Chain {
    async fn new() -> Self {
        let node = Node::anvil();
        for contract in [TOKEN, LOOKALIKE] {
            node.rpc("anvil_setCode", json!([contract, token()])).await;
        }
        let payer = node.rpc("eth_accounts", json!([])).await[0].clone();
        Self { node, payer }
    }

    fn spec(&self, network: &str) -> Value {
        json!({
            "network": network, "kind": "anvil", "rpc_url": self.node.url, "confirmations": 3,
            "unlock": 5, "tokens": {"USDC": TOKEN},
        })
    }

    async fn send(&self, to: &str, wei: u128) -> Value {
        let tx = json!({"from": self.payer, "to": to, "value": format!("0x{wei:x}")});
        self.node.rpc("eth_sendTransaction", json!([tx])).await
    }

    async fn transfer(&self, token: &str, to: &str, units: u64) -> Value {
        let data = format!("0xa9059cbb{:0>64}{units:064x}", &to[2..]);
        let tx = json!({"from": self.payer, "to": token, "data": data});
        self.node.rpc("eth_sendTransaction", json!([tx])).await
    }

    async fn mine(&self, blocks: u64) {
        self.node.rpc("anvil_mine", json!([format!("0x{blocks:x}")])).await;
    }
}

#[tokio::test]
async fn coins_and_tokens_are_credited_once() {
    let chain = Chain::new().await;
    let sims = watching(chain.spec("base")).await;
    let address = sims.world.deposit_address("binance", "base").unwrap();
    let coins = chain.send(&address, 1_500_000_000_000_000_000).await;
    let tokens = chain.transfer(TOKEN, &address, 25_000_001).await;
    chain.transfer(LOOKALIKE, &address, 99_000_000).await;
    chain.transfer(TOKEN, chain.payer.as_str().unwrap(), 5).await;
    chain.transfer(TOKEN, &address, 0).await;
    let seen = until(&sims, |all| all.len() == 2).await;
    assert_eq!((&seen[0]["coin"], &seen[0]["txId"]), (&json!("ETH"), &coins));
    assert_eq!((&seen[1]["coin"], &seen[1]["txId"]), (&json!("USDC"), &tokens));
    assert_eq!((&seen[1]["amount"], &seen[1]["network"]), (&json!("25.000001"), &json!("BASE")));
    // The tokens have four confirmations by now: credited, and with a fifth they may leave.
    let held = until(&sims, |all| all[1]["status"] == 6).await;
    assert_eq!((&held[1]["confirmTimes"], &held[1]["unlockConfirm"]), (&json!("3/3"), &json!(5)));
    chain.mine(4).await;
    let done = until(&sims, |all| all.iter().all(|one| one["status"] == 1)).await;
    assert_eq!(done.len(), 2, "nothing else was a deposit: {done:?}");
    assert_eq!(sims.binance.balance("ETH").free, dec("201.5"));
    assert_eq!(sims.binance.balance("USDC").free, dec("2000025.000001"));
    // Two transfers in one block are two deposits; the other venue has its own wallet.
    chain.node.rpc("evm_setAutomine", json!([false])).await;
    let other = sims.world.deposit_address("wazirx", "base").unwrap();
    chain.transfer(TOKEN, &address, 1_000_000).await;
    chain.transfer(TOKEN, &address, 2_000_000).await;
    chain.transfer(TOKEN, &other, 4_000_000).await;
    chain.mine(6).await;
    until(&sims, |all| all.len() == 4 && all.iter().all(|one| one["status"] == 1)).await;
    assert_eq!(sims.binance.balance("USDC").free, dec("2000028.000001"));
    assert_eq!(sims.wazirx.balance("USDC").free, dec("2000004"));
    sims.shutdown().await;
}

#[tokio::test]
async fn a_replaced_branch_takes_pending_deposits_along() {
    let chain = Chain::new().await;
    let sims = watching(chain.spec("ethereum")).await;
    let address = sims.world.deposit_address("binance", "ethereum").unwrap();
    chain.mine(3).await;
    chain.transfer(TOKEN, &address, 7_000_000).await;
    chain.send(&address, 1_000_000_000_000_000_000).await;
    until(&sims, |all| all.len() == 2).await;
    // The two blocks are replaced by empty ones.
    chain.node.rpc("anvil_reorg", json!([2, []])).await;
    until(&sims, |all| all.is_empty()).await;
    assert_eq!(sims.binance.balance("USDC").free, dec("2000000"));
    chain.send(&address, 2_000_000_000_000_000_000).await;
    chain.mine(4).await;
    until(&sims, |all| all.len() == 1 && all[0]["status"] == 1).await;
    assert_eq!(sims.binance.balance("ETH").free, dec("202"));
    // What is credited stays, whatever the chain does.
    chain.node.rpc("anvil_reorg", json!([5, []])).await;
    chain.mine(2).await;
    read_to(&sims, "ethereum", 10).await;
    assert_eq!(sims.binance.balance("ETH").free, dec("202"));
    sims.shutdown().await;
}

#[tokio::test]
async fn a_node_that_is_no_token_or_not_there_is_refused() {
    let chain = Chain::new().await;
    let sims = watching(chain.spec("base")).await;
    let mut wrong = chain.spec("base");
    wrong["tokens"] = json!({"USDC": "0x00000000000000000000000000000000000000ff"});
    let register =
        async |spec: Value| sims.chains.register(&serde_json::from_value(spec).unwrap()).await;
    assert!(register(wrong).await.is_err());
    let mut gone = chain.spec("ethereum");
    gone["rpc_url"] = json!("http://127.0.0.1:1");
    assert!(register(gone).await.is_err());
    let mut unlisted = chain.spec("base");
    unlisted["tokens"] = json!({"USDT": TOKEN});
    assert!(register(unlisted).await.is_err(), "USDT is not taken there");
    let twin = register(chain.spec("ethereum")).await.unwrap_err();
    assert!(twin.to_string().contains("twice"), "one node, two networks: {twin}");
    assert!(!format!("{:?}", sims.chains).contains("http"), "addresses may hold a login");
    assert!(sims.chains.forget("base"));
    assert!(!sims.chains.forget("base"));
    register(chain.spec("base")).await.unwrap();
    sims.shutdown().await;
}
