//! The tip, and what the network itself calls safe and final.

use std::sync::{
    Arc,
    atomic::{AtomicBool, Ordering},
};

use chains::{Chain as _, ReadError};
use chains_evm::EvmChain;
use chains_evm_sandbox::{Anvil, AnvilOptions};
use serde_json::{Value, json};

use crate::{
    proxy::{Proxy, with_result},
    world::{World, by_hash, config, problem, wei},
};

// Anvil with two slots in an epoch: safe is two behind, final is four behind.
#[tokio::test]
async fn safe_and_final_follow_the_tip() {
    let world = World::start().await;
    world.payer.mine(10).await.unwrap();
    let head = world.chain.head().await.unwrap();
    let tip = head.latest.height;
    assert!(tip >= 12, "{tip}");
    assert_eq!((head.safe, head.finalized), (Some(tip - 2), Some(tip - 4)));
    world.payer.send_native(&world.address(0), wei(1)).await.unwrap();
    assert_eq!(world.chain.head().await.unwrap().latest.height, tip + 1);
}

#[tokio::test]
async fn another_network_is_not_trusted() {
    let world = World::start().await;
    let mut config = config(&[world.anvil.rpc_url()], &world.usdc);
    config.chain_id = 1;
    let chain = EvmChain::connect(&config).unwrap();
    let tip = world.chain.head().await.unwrap().latest;
    assert!(untrusted(&chain.head().await));
    assert!(untrusted(&chain.block(&tip.hash).await));
    assert!(untrusted(&chain.block_at(0).await));
    let watch = crate::world::watched(&chain);
    assert!(untrusted(&chain.read_block(&by_hash(&tip.hash), &watch).await));
    assert!(untrusted(&chain.locate(&tip.hash, &[]).await));
    assert!(untrusted(&chain.held(&[world.address(0)], primitives::Asset::Eth).await));
    assert!(problem(&chain).await.is_some());
}

// Somebody points the same address at another network while we run.
#[tokio::test]
async fn a_node_swapped_for_another_network_is_noticed() {
    let first = Anvil::start(AnvilOptions::default()).await.unwrap();
    let port = first.rpc_url().rsplit(':').next().unwrap().parse().unwrap();
    let chain = EvmChain::connect(&config(&[first.rpc_url()], &contract())).unwrap();
    chain.head().await.unwrap();
    drop(first);
    assert!(matches!(chain.head().await, Err(ReadError::Unavailable(_))));
    let options = AnvilOptions { chain_id: 5, port, ..AnvilOptions::default() };
    let _second = Anvil::start(options).await.unwrap();
    assert!(untrusted(&chain.block_at(0).await));
    assert!(untrusted(&chain.head().await));
}

#[tokio::test]
async fn finality_never_goes_backwards_nor_ahead_of_the_tip() {
    let world = World::start().await;
    world.payer.mine(10).await.unwrap();
    let (forged, height) = (Arc::new(AtomicBool::new(false)), Arc::new(AtomicBool::new(false)));
    let (backwards, ahead) = (Arc::clone(&forged), Arc::clone(&height));
    let proxy = Proxy::start(world.anvil.rpc_url(), move |method, answer| {
        let number = answer["result"]["number"].as_str().unwrap_or("").to_owned();
        if method != "eth_getBlockByNumber" || number == "0xc" {
            return Some(answer);
        }
        let number = match (backwards.load(Ordering::Relaxed), ahead.load(Ordering::Relaxed)) {
            (true, _) => "0x1",
            (_, true) => "0x99",
            _ => number.as_str(),
        };
        let mut block: Value = answer["result"].clone();
        block["number"] = json!(number);
        Some(with_result(answer, block))
    })
    .await;
    let chain = EvmChain::connect(&config(&[&proxy.url], &world.usdc)).unwrap();
    assert_eq!(chain.head().await.unwrap().latest.height, 12);
    forged.store(true, Ordering::Relaxed);
    assert!(untrusted(&chain.head().await));
    forged.store(false, Ordering::Relaxed);
    chain.head().await.unwrap();
    height.store(true, Ordering::Relaxed);
    assert!(untrusted(&chain.head().await));
}

#[tokio::test]
async fn a_network_without_final_blocks_says_so() {
    let world = World::start().await;
    let proxy = Proxy::start(world.anvil.rpc_url(), |method, answer| {
        let tip = answer["result"]["number"] == json!("0x2");
        let hide = method == "eth_getBlockByNumber" && !tip;
        Some(if hide { with_result(answer, Value::Null) } else { answer })
    })
    .await;
    let chain = EvmChain::connect(&config(&[&proxy.url], &world.usdc)).unwrap();
    let head = chain.head().await.unwrap();
    assert_eq!((head.safe, head.finalized), (None, None));
    assert!(problem(&chain).await.is_some());
}

fn contract() -> String {
    format!("0x{}", "1".repeat(40))
}

pub(crate) fn untrusted<T>(answer: &Result<T, ReadError>) -> bool {
    matches!(answer, Err(ReadError::Untrusted(_)))
}
