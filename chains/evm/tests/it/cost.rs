//! The price of a block in calls: the same whether ten addresses are watched or ten thousand.

use chains::{Chain as _, WatchSet};
use chains_evm::EvmChain;

use crate::{
    proxy::Proxy,
    world::{World, amounts, by_hash, config, place, usdc_minor, wei},
};

#[tokio::test]
async fn calls_per_block_do_not_depend_on_watched_addresses() {
    let world = World::start().await;
    let payer = &world.payer;
    payer.set_automine(false).await.unwrap();
    payer.send_token(&world.usdc, &world.address(1), usdc_minor(7)).await.unwrap();
    let tx = payer.send_native(&world.address(0), wei(5)).await.unwrap();
    payer.mine(1).await.unwrap();
    let (_, hash) = place(&world.chain, &tx).await;

    let proxy = Proxy::start(world.anvil.rpc_url(), |_, answer| Some(answer)).await;
    let chain = EvmChain::connect(&config(&[&proxy.url], &world.usdc)).unwrap();
    chain.head().await.unwrap();
    let head_calls = proxy.take_calls();
    assert_eq!(head_calls.len(), 5, "chain id twice at first contact, three tags: {head_calls:?}");

    let mut prices = Vec::new();
    for count in [10, 10_000] {
        let facts = chain.read_block(&by_hash(&hash), &watching(&world, count)).await.unwrap();
        assert_eq!(amounts(&facts.sightings).len(), 2);
        prices.push(proxy.take_calls());
    }
    assert_eq!(prices[0], prices[1]);
    let expected = [
        "eth_call",
        "eth_call",
        "eth_getBlockByHash",
        "eth_getLogs",
        "eth_getTransactionReceipt",
        "eth_getTransactionReceipt",
        "trace_block",
    ];
    assert_eq!(prices[0], expected);

    // A block that brings us nothing costs three calls.
    let nobody: WatchSet = (10..10_010).map(stranger).collect();
    assert_eq!(chain.read_block(&by_hash(&hash), &nobody).await.unwrap().sightings, []);
    assert_eq!(proxy.take_calls(), ["eth_getBlockByHash", "eth_getLogs", "trace_block"]);
}

fn watching(world: &World, count: u32) -> WatchSet {
    (0..2).map(|index| world.address(index)).chain((2..count).map(stranger)).collect()
}

fn stranger(number: u32) -> String {
    format!("0x{number:040}")
}
