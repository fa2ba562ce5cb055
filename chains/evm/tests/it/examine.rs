//! What the operator is told of each configured node: every problem by its name, none of the keys.

use std::time::Duration;

use chains::{Chain as _, NodeReport};
use chains_evm::{EvmChain, EvmConfig, TokenConfig, TraceMode};
use primitives::Asset;
use serde_json::{Value, json};
use tokio::net::TcpStream;

use crate::{
    proxy::{Proxy, answer_with, no_method, read_body, refusing, serve, with_result},
    world::{World, config},
};

type Bend = fn(Value) -> Value;

async fn reports(config: &EvmConfig) -> Vec<NodeReport> {
    EvmChain::connect(config).unwrap().examine().await
}

/// What is wrong with the only node.
async fn problem(config: &EvmConfig) -> String {
    let mut reports = reports(config).await;
    assert_eq!(reports.len(), 1);
    reports.remove(0).problem.unwrap_or_default()
}

fn ws(url: &str) -> url::Url {
    url.replace("http://", "ws://").parse().unwrap()
}

async fn answering(status: &'static str, body: &'static str) -> String {
    let (url, _task) = serve(move |mut socket: TcpStream| async move {
        read_body(&mut socket).await?;
        answer_with(&mut socket, status, body.as_bytes()).await
    })
    .await;
    url
}

#[tokio::test]
async fn nothing_is_wrong_with_a_good_node() {
    let world = World::start().await;
    let url = world.anvil.rpc_url();
    let settings = EvmConfig { ws_urls: vec![ws(url)], ..config(&[url], &world.usdc) };
    let tip = world.payer.height().await.unwrap();
    let reports = reports(&settings).await;
    let host = url.trim_start_matches("http://");
    let names: Vec<&str> = reports.iter().map(|report| report.node.as_str()).collect();
    assert_eq!(names, [host, &format!("{host} (ws)")]);
    for report in &reports {
        assert_eq!((report.tip, &report.problem), (Some(tip), &None), "{report:?}");
    }
}

#[tokio::test]
async fn another_network_is_named_and_nothing_else() {
    let world = World::start().await;
    let url = world.anvil.rpc_url();
    // Its tokens are not there either, but that is no news of a node of another network.
    let mut settings = config(&[url], &world.address(5));
    settings.chain_id = 1;
    settings.ws_urls = vec![ws(url)];
    let reports = reports(&settings).await;
    let problems: Vec<_> = reports.iter().map(|report| report.problem.as_deref()).collect();
    let expected =
        [Some("chain id is 31337, wanted 1"), Some("new heads: chain id is 31337, wanted 1")];
    assert_eq!(problems, expected);
}

#[tokio::test]
async fn missing_finality_is_named() {
    let world = World::start().await;
    world.payer.mine(10).await.unwrap();
    let tip = world.payer.height().await.unwrap();
    let bent = |bend: fn(Value) -> Value| {
        let last = json!(format!("{:#x}", tip - 4));
        Proxy::start(world.anvil.rpc_url(), move |_, answer| {
            let hit = answer["result"]["number"] == last;
            Some(if hit { bend(answer) } else { answer })
        })
    };
    let unknown_tag = |answer: Value| {
        let error = json!({"code": -32602, "message": "invalid block tag"});
        json!({"jsonrpc": "2.0", "id": answer["id"], "error": error})
    };
    let ahead = |mut answer: Value| {
        answer["result"]["number"] = json!("0xffffff");
        answer
    };
    let cases: [(Bend, &str); 3] = [
        (|answer| with_result(answer, Value::Null), "no `finalized` block"),
        (unknown_tag, "asked for the `finalized` block"),
        (ahead, "final blocks lie ahead of the tip"),
    ];
    for (bend, expected) in cases {
        let proxy = bent(bend).await;
        let found = problem(&config(&[&proxy.url], &world.usdc)).await;
        assert!(found.contains(expected) && !found.contains(';'), "{found}");
    }
}

#[tokio::test]
async fn missing_traces_are_named() {
    let world = World::start().await;
    let proxy = Proxy::start(world.anvil.rpc_url(), |method, answer| {
        let tracing = method.starts_with("trace_") || method.starts_with("debug_");
        Some(if tracing { no_method(&answer) } else { answer })
    })
    .await;
    let neither = "cannot trace (neither trace_block nor debug_traceBlockByHash)";
    for (trace, expected) in [
        (TraceMode::Auto, neither),
        (TraceMode::TraceBlock, "the node has no trace_block"),
        (TraceMode::DebugTraceBlock, "the node has no debug_traceBlockByHash"),
        (TraceMode::Off, ""),
    ] {
        let settings = EvmConfig { trace, ..config(&[&proxy.url], &world.usdc) };
        let found = problem(&settings).await;
        assert!(found.contains(expected) && found.is_empty() == expected.is_empty(), "{found}");
    }
}

// All at once: the operator mends them in one go.
#[tokio::test]
async fn every_wrong_token_is_named() {
    let world = World::start().await;
    let nobody = world.address(5);
    let long = world.payer.deploy_token("Tether USD", "USDT", 18).await.unwrap();
    let mut settings = config(&[world.anvil.rpc_url()], &nobody);
    settings.tokens.push(TokenConfig { asset: Asset::Usdt, contract: long.clone(), decimals: 6 });
    let expected = format!(
        "there is no contract at the address of USDC, {nobody}; \
         the contract of USDT, {long}, has 18 decimals, wanted 6"
    );
    assert_eq!(problem(&settings).await, expected);
    // A contract that answers, but not like a token; and one that answers nothing at all.
    let mute = world.payer.deploy_reverter().await.unwrap();
    let found = problem(&config(&[world.anvil.rpc_url()], &mute)).await;
    assert!(found.contains(&format!("the decimals of USDC, {mute}")), "{found}");
    let proxy = Proxy::start(world.anvil.rpc_url(), |method, answer| {
        Some(if method == "eth_call" { with_result(answer, json!("0x")) } else { answer })
    })
    .await;
    let found = problem(&config(&[&proxy.url], &world.usdc)).await;
    assert!(found.ends_with("is not a token"), "{found}");
}

#[tokio::test]
async fn nodes_without_an_answer_are_named_one_by_one() {
    let world = World::start().await;
    let (down, _kept) = refusing();
    let (silent, _task) = serve(|mut socket: TcpStream| async move {
        read_body(&mut socket).await?;
        tokio::time::sleep(Duration::from_secs(60)).await;
        Some(())
    })
    .await;
    let garbage = answering("200 OK", "<html>Login to the wifi</html>").await;
    let broken = answering("500 Internal Server Error", "very-secret-key").await;
    let mad = answering("200 OK", r#"{"jsonrpc":"2.0","id":0,"result":{"a":1}}"#).await;
    let urls =
        [&down, &silent, &garbage, &broken, &mad].map(|url| format!("{url}/very-secret-key"));
    let mut all: Vec<&str> = urls.iter().map(String::as_str).collect();
    all.push(world.anvil.rpc_url());
    let settings = EvmConfig {
        request_timeout_ms: 2_000,
        ws_urls: vec![ws(&urls[0]), ws(&urls[2])],
        ..config(&all, &world.usdc)
    };
    let reports = reports(&settings).await;
    let expected = [
        "no usable answer: eth_chainId: no connection",
        "no usable answer: eth_chainId: no answer in time",
        "no usable answer: eth_chainId: not a JSON-RPC answer",
        "no usable answer: eth_chainId: HTTP status 500",
        "no usable answer: eth_chainId: an answer that makes no sense",
        "",
        "new heads: no",
        "new heads: no",
    ];
    assert_eq!(reports.len(), expected.len(), "{reports:?}");
    for (report, expected) in reports.iter().zip(expected) {
        let found = report.problem.clone().unwrap_or_default();
        assert!(found.starts_with(expected), "{found}, wanted {expected}");
        assert_eq!(found.is_empty(), expected.is_empty(), "{found}");
        assert_eq!(report.tip.is_some(), expected.is_empty(), "{report:?}");
    }
    assert!(!format!("{reports:?}").contains("very-secret-key"), "{reports:?}");
}
