//! Several nodes: another one takes over when the followed one fails, if it has our history.

use std::sync::{
    Arc,
    atomic::{AtomicBool, Ordering},
};

use chains::{Chain as _, ReadError, Step};
use chains_evm::EvmChain;
use chains_evm_sandbox::{Anvil, AnvilOptions, Payer, dev_payer_key};
use serde_json::json;

use crate::{
    proxy::Proxy,
    world::{World, amounts, by_hash, config, place, watched, wei},
};

/// A way to the node that can be cut.
async fn cuttable(world: &World) -> (Proxy, Arc<AtomicBool>) {
    let cut = Arc::new(AtomicBool::new(false));
    let is_cut = Arc::clone(&cut);
    let proxy = Proxy::start(world.anvil.rpc_url(), move |_, answer| {
        (!is_cut.load(Ordering::Relaxed)).then_some(answer)
    })
    .await;
    (proxy, cut)
}

#[tokio::test]
async fn another_node_with_our_history_takes_over() {
    let world = World::start().await;
    let tx = world.payer.send_native(&world.address(0), wei(5)).await.unwrap();
    let (_, hash) = place(&world.chain, &tx).await;
    let (first, cut) = cuttable(&world).await;
    let second = Proxy::start(world.anvil.rpc_url(), |_, answer| Some(answer)).await;
    let chain = EvmChain::connect(&config(&[&first.url, &second.url], &world.usdc)).unwrap();
    chain.head().await.unwrap();
    assert_eq!(second.take_calls().len(), 0, "the second one waits");

    cut.store(true, Ordering::Relaxed);
    let facts = chain.read_block(&by_hash(&hash), &watched(&chain)).await.unwrap();
    assert_eq!(amounts(&facts.sightings).len(), 1);
    assert_eq!(chain.head().await.unwrap().latest.hash, hash);
    // It stays: one node is followed, not each question another one.
    cut.store(false, Ordering::Relaxed);
    first.take_calls();
    chain.head().await.unwrap();
    assert_eq!(first.take_calls().len(), 0);
}

// Same chain id, other blocks: a second sandbox, or a node on a minority fork.
#[tokio::test]
async fn a_node_with_another_history_does_not_take_over() {
    let world = World::start().await;
    world.payer.mine(2).await.unwrap();
    let stranger = Anvil::start(AnvilOptions::default()).await.unwrap();
    let other = Payer::connect(stranger.rpc_url(), dev_payer_key()).await.unwrap();
    other.mine(50).await.unwrap();
    let (first, cut) = cuttable(&world).await;
    let urls = [first.url.as_str(), stranger.rpc_url()];
    let chain = EvmChain::connect(&config(&urls, &world.usdc)).unwrap();
    let tip = chain.head().await.unwrap().latest;

    cut.store(true, Ordering::Relaxed);
    assert!(matches!(chain.head().await, Err(ReadError::Unavailable(_))));
    // The stranger does not know the block, which says nothing about the block.
    let facts = chain.read_block(&by_hash(&tip.hash), &watched(&chain)).await;
    assert!(matches!(facts, Err(ReadError::Unavailable(_))), "{facts:?}");
    let block = chain.block(&tip.hash).await;
    assert!(matches!(block, Err(ReadError::Unavailable(_))), "{block:?}");
    cut.store(false, Ordering::Relaxed);
    assert_eq!(chain.head().await.unwrap().latest, tip);
}

#[tokio::test]
async fn a_node_that_lags_does_not_take_over() {
    let world = World::start().await;
    let (first, cut) = cuttable(&world).await;
    let behind = world.chain.head().await.unwrap().latest;
    let (tip, old) = (behind.height + 1, behind.height);
    let hex = |height: u64| json!(format!("0x{height:x}"));
    let lagging = Proxy::start(world.anvil.rpc_url(), move |_, mut answer| {
        if answer["result"]["number"] == hex(tip) {
            answer["result"]["number"] = hex(old);
        }
        Some(answer)
    })
    .await;
    world.payer.mine(1).await.unwrap();
    let urls = [first.url.as_str(), lagging.url.as_str()];
    let chain = EvmChain::connect(&config(&urls, &world.usdc)).unwrap();
    chain.head().await.unwrap();
    cut.store(true, Ordering::Relaxed);
    assert!(matches!(chain.head().await, Err(ReadError::Unavailable(_))));
}

// It shares our chain, but never saw the branch that lost: "unknown" from it is no answer.
#[tokio::test]
async fn a_stand_in_that_lacks_a_block_does_not_call_it_gone() {
    let world = World::start().await;
    let (first, cut) = cuttable(&world).await;
    let chain =
        EvmChain::connect(&config(&[&first.url, world.anvil.rpc_url()], &world.usdc)).unwrap();
    chain.head().await.unwrap();
    let nowhere = format!("0x{}", "4".repeat(64));
    assert_eq!(chain.block(&nowhere).await, Err(ReadError::UnknownBlock));
    cut.store(true, Ordering::Relaxed);
    assert!(matches!(chain.block(&nowhere).await, Err(ReadError::Unavailable(_))));
    let facts = chain.read_block(&by_hash(&nowhere), &watched(&chain)).await;
    assert!(matches!(facts, Err(ReadError::Unavailable(_))));
}

// A node that answers and stands still is no error, and must not be "nothing arrived" for ever.
#[tokio::test]
async fn a_node_that_stands_still_is_left() {
    let world = World::start().await;
    let tip = world.chain.head().await.unwrap().latest;
    let last = tip.height;
    let frozen = Proxy::start(world.anvil.rpc_url(), move |method, mut answer| {
        let height = answer["result"]["number"].as_str().map(|text| text.trim_start_matches("0x"));
        let height = height.and_then(|digits| u64::from_str_radix(digits, 16).ok());
        if method == "eth_getBlockByNumber" && height.is_some_and(|height| height > last) {
            answer["result"] = serde_json::Value::Null;
        }
        Some(answer)
    })
    .await;
    let urls = [frozen.url.as_str(), world.anvil.rpc_url()];
    let chain = EvmChain::connect(&config(&urls, &world.usdc)).unwrap();
    chain.head().await.unwrap();
    world.payer.mine(3).await.unwrap();
    assert_eq!(chain.step(&tip).await, Ok(Step::AtTip), "all the first one shows");
    let Ok(Step::Next(next)) = chain.step(&tip).await else {
        panic!("the other one is further");
    };
    assert_eq!(next.parent_hash, tip.hash);
}
