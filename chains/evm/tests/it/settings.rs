//! Settings that cannot be right are refused: at once when no node is needed to tell, by `verify`
//! when one is.

use chains::{Chain as _, ReadError};
use chains_evm::{EvmChain, EvmConfig, TokenConfig, TraceMode};
use chains_evm_sandbox::{Payer, dev_payer_key};
use primitives::Asset;

use crate::{
    head::untrusted,
    proxy::{Proxy, no_method},
    world::{World, by_hash, config, place, problem, watched, wei},
};

#[tokio::test]
async fn a_good_node_is_verified() {
    let world = World::start().await;
    assert_eq!(problem(&world.chain).await, None);
    assert_eq!(world.chain.network().as_str(), "anvil");
    assert_eq!(world.chain.assets(), [Asset::Eth, Asset::Usdc]);
}

#[tokio::test]
async fn an_address_without_a_contract_is_refused() {
    let world = World::start().await;
    let nobody = world.address(5);
    let sentence = problem(&world.listing(&nobody)).await.unwrap();
    assert!(sentence.contains("there is no contract"), "{sentence}");
}

#[tokio::test]
async fn other_decimals_are_refused() {
    let world = World::start().await;
    let token = world.payer.deploy_token("USD Coin", "USDC", 18).await.unwrap();
    let error = problem(&world.listing(&token)).await.unwrap();
    assert!(error.contains("18 decimals"), "{error}");
    // A contract that is no token at all.
    let wallet = world.payer.deploy_wallet().await.unwrap();
    assert!(problem(&world.listing(&wallet)).await.is_some());
}

#[tokio::test]
async fn a_node_that_cannot_trace_is_refused_unless_told_so() {
    let world = World::start().await;
    let tx = world.payer.send_native(&world.address(0), wei(5)).await.unwrap();
    let proxy = Proxy::start(world.anvil.rpc_url(), |method, answer| {
        let tracing = method.starts_with("trace_") || method.starts_with("debug_");
        Some(if tracing { no_method(&answer) } else { answer })
    })
    .await;
    let (_, hash) = place(&world.chain, &tx).await;
    // The tip is empty: what the node cannot do shows all the same.
    world.payer.mine(1).await.unwrap();
    for trace in [TraceMode::Auto, TraceMode::TraceBlock, TraceMode::DebugTraceBlock] {
        let config = EvmConfig { trace, ..config(&[&proxy.url], &world.usdc) };
        let chain = EvmChain::connect(&config).unwrap();
        assert!(problem(&chain).await.is_some(), "{trace:?}");
        let facts = chain.read_block(&by_hash(&hash), &watched(&chain)).await;
        assert!(matches!(facts, Err(ReadError::Unavailable(_))), "{trace:?}");
    }
    let off = EvmConfig { trace: TraceMode::Off, ..config(&[&proxy.url], &world.usdc) };
    let chain = EvmChain::connect(&off).unwrap();
    assert_eq!(problem(&chain).await, None);
    assert_eq!(
        chain.read_block(&by_hash(&hash), &watched(&chain)).await.unwrap().sightings.len(),
        1
    );
}

#[test]
fn settings_are_checked_without_a_node() {
    let usdc = || "0xA0b86991c6218b36c1d19D4a2e9Eb0cE3606eB48".to_owned();
    let token = |asset, contract, decimals| TokenConfig { asset, contract, decimals };
    let good = config(&["http://127.0.0.1:1"], &usdc());
    assert!(EvmChain::connect(&good).is_ok());
    let with = |tokens: Vec<TokenConfig>| EvmConfig { tokens, ..good.clone() };
    let typo = usdc().replace("A0b8", "A0B8");
    let bad = [
        with(vec![token(Asset::Usdc, typo, 6)]),
        with(vec![token(Asset::Usdc, "USDC".to_owned(), 6)]),
        with(vec![token(Asset::Usdc, usdc(), 18)]),
        with(vec![token(Asset::Usdc, usdc(), 6), token(Asset::Usdt, usdc(), 6)]),
        with(vec![token(Asset::Usdc, usdc(), 6), token(Asset::Usdc, usdc(), 6)]),
        with(vec![token(Asset::Eth, usdc(), 18)]),
        with(vec![token(Asset::Inr, usdc(), 2)]),
        EvmConfig { rpc_urls: Vec::new(), ..good.clone() },
        EvmConfig { rpc_urls: vec!["ws://127.0.0.1:1".parse().unwrap()], ..good.clone() },
        EvmConfig { native: Asset::Inr, ..good.clone() },
        EvmConfig { request_timeout_ms: 0, ..good.clone() },
    ];
    for config in &bad {
        assert!(untrusted(&EvmChain::connect(config)), "{config:?}");
    }
}

#[tokio::test]
async fn balances_of_what_is_not_ours_to_ask_are_errors() {
    let world = World::start().await;
    let address = world.address(0);
    assert!(world.chain.held(std::slice::from_ref(&address), Asset::Btc).await.is_err());
    assert!(world.chain.held(&["somebody".to_owned()], Asset::Eth).await.is_err());
}

// The only private key of the house signs for a local node and for nothing else.
#[tokio::test]
async fn the_payer_refuses_a_node_that_is_not_anvil() {
    let world = World::start().await;
    let proxy = Proxy::start(world.anvil.rpc_url(), |method, mut answer| {
        if method == "web3_clientVersion" {
            answer["result"] = "Geth/v1.16.0".into();
        }
        Some(answer)
    })
    .await;
    assert!(Payer::connect(&proxy.url, dev_payer_key()).await.is_err());
    assert_eq!(proxy.take_calls(), ["web3_clientVersion"]);
}
