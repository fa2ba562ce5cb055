//! A node that answers everything, and one thing wrongly: lagging log index, receipts of another
//! branch, traces cut short. Each such block is refused, never read as empty.

use chains::{BlockFacts, Chain as _, ReadError};
use chains_evm::{EvmChain, EvmConfig, TraceMode};
use serde_json::{Value, json};

use crate::{
    proxy::{Proxy, no_method, with_result},
    world::{World, amounts, by_hash, config, place, usdc_minor, watched, wei},
};

/// A block with a coin payment, a token payment and an internal payment, read through a proxy.
struct Bent {
    world: World,
    hash: String,
}

impl Bent {
    async fn start() -> Self {
        let world = World::start().await;
        let payer = &world.payer;
        let wallet = payer.deploy_wallet().await.unwrap();
        payer.set_automine(false).await.unwrap();
        let tx = payer.send_native(&world.address(0), wei(5)).await.unwrap();
        payer.send_token(&world.usdc, &world.address(1), usdc_minor(7)).await.unwrap();
        payer.wallet_pay(&wallet, &world.address(2), wei(9)).await.unwrap();
        payer.mine(1).await.unwrap();
        let (_, hash) = place(&world.chain, &tx).await;
        Self { world, hash }
    }

    async fn read(
        &self,
        trace: TraceMode,
        bend: impl Fn(&str, Value) -> Option<Value> + Send + Sync + 'static,
    ) -> Result<BlockFacts, ReadError> {
        let proxy = Proxy::start(self.world.anvil.rpc_url(), bend).await;
        let config = EvmConfig { trace, ..config(&[&proxy.url], &self.world.usdc) };
        let chain = EvmChain::connect(&config).unwrap();
        chain.read_block(&by_hash(&self.hash), &watched(&chain)).await
    }

    async fn refuses(
        &self,
        method: &'static str,
        bend: impl Fn(&mut Value) + Send + Sync + 'static,
    ) {
        let trace = match method {
            "debug_traceBlockByHash" => TraceMode::DebugTraceBlock,
            _ => TraceMode::TraceBlock,
        };
        let facts = self
            .read(trace, move |asked, mut answer| {
                if asked == method {
                    bend(&mut answer["result"]);
                }
                Some(answer)
            })
            .await;
        assert!(matches!(facts, Err(ReadError::Unavailable(_))), "{method}: {facts:?}");
    }
}

#[tokio::test]
async fn answers_that_contradict_each_other_are_refused() {
    let bent = Bent::start().await;
    let straight = bent.read(TraceMode::Auto, |_, answer| Some(answer)).await.unwrap();
    assert_eq!(amounts(&straight.sightings).len(), 3);
    let elsewhere = || json!(format!("0x{}", "2".repeat(64)));

    // The log index lags behind the blocks: the bloom tells.
    bent.refuses("eth_getLogs", |logs| *logs = json!([])).await;
    let hash = elsewhere();
    bent.refuses("eth_getLogs", move |logs| logs[0]["blockHash"] = hash.clone()).await;
    let hash = elsewhere();
    bent.refuses("eth_getLogs", move |logs| logs[0]["transactionHash"] = hash.clone()).await;
    bent.refuses("eth_getLogs", |logs| logs[0]["removed"] = json!(true)).await;
    bent.refuses("eth_getLogs", |logs| *logs = Value::Null).await;

    let hash = elsewhere();
    bent.refuses("eth_getTransactionReceipt", move |r| r["blockHash"] = hash.clone()).await;
    bent.refuses("eth_getTransactionReceipt", |r| r["blockNumber"] = json!("0x1")).await;
    bent.refuses("eth_getTransactionReceipt", |r| *r = Value::Null).await;
    bent.refuses("eth_getTransactionReceipt", |r| r["status"] = Value::Null).await;
    bent.refuses("eth_getTransactionReceipt", |r| r["logs"] = json!([])).await;

    let hash = elsewhere();
    bent.refuses("trace_block", move |t| t[0]["blockHash"] = hash.clone()).await;
    bent.refuses("trace_block", |t| drop(t.as_array_mut().unwrap().remove(0))).await;
    bent.refuses("trace_block", |t| *t = json!([])).await;
    bent.refuses("trace_block", |t| *t = Value::Null).await;
    bent.refuses("debug_traceBlockByHash", |t| *t = json!([])).await;
    bent.refuses("debug_traceBlockByHash", |t| t.as_array_mut().unwrap().reverse()).await;
    bent.refuses("debug_traceBlockByHash", |t| t[0]["result"] = Value::Null).await;

    bent.refuses("eth_getBlockByHash", |b| b["transactions"] = json!([])).await;
    bent.refuses("eth_getBlockByHash", move |b| b["hash"] = elsewhere()).await;
    bent.refuses("eth_getBlockByHash", |b| b["timestamp"] = json!("0xffffffffffffffff")).await;
    bent.refuses("eth_call", |balance| *balance = json!("0x01")).await;
}

#[tokio::test]
async fn a_block_the_node_does_not_know_is_unknown() {
    let bent = Bent::start().await;
    let facts = bent
        .read(TraceMode::Auto, |method, answer| {
            let hide = method == "eth_getBlockByHash";
            Some(if hide { with_result(answer, Value::Null) } else { answer })
        })
        .await;
    assert_eq!(facts, Err(ReadError::UnknownBlock));
}

// No tracing by Parity's method, no receipts by block: the other ways lead to the same facts.
#[tokio::test]
async fn missing_methods_have_a_second_way() {
    let bent = Bent::start().await;
    let straight = bent.read(TraceMode::Auto, |_, answer| Some(answer)).await;
    let second = bent
        .read(TraceMode::Auto, |method, answer| {
            let lacking = matches!(method, "trace_block" | "eth_getBlockReceipts");
            Some(if lacking { no_method(&answer) } else { answer })
        })
        .await;
    assert_eq!(straight, second);
    // Without block receipts a short log list is found out one receipt at a time.
    let short = bent
        .read(TraceMode::Auto, |method, answer| {
            Some(match method {
                "eth_getBlockReceipts" => no_method(&answer),
                "eth_getLogs" => with_result(answer, json!([])),
                _ => answer,
            })
        })
        .await;
    assert!(matches!(short, Err(ReadError::Unavailable(_))), "{short:?}");
}

// The balance before is the larger one: whatever the log claims, nothing arrived.
#[tokio::test]
async fn a_claim_is_never_worth_more_than_the_gain() {
    let bent = Bent::start().await;
    let facts = bent
        .read(TraceMode::Auto, |method, answer| {
            let gain = json!(format!("0x{:064x}", 4));
            Some(if method == "eth_call" { with_result(answer, gain) } else { answer })
        })
        .await
        .unwrap();
    assert!(amounts(&facts.sightings).iter().all(|(_, _, amount)| *amount != usdc_minor(7)));
    assert_eq!(facts.sightings.len(), 2);
}

// Where there was no contract at the parent block, the node answers with no bytes at all.
#[tokio::test]
async fn the_first_tokens_of_a_new_contract_count() {
    let bent = Bent::start().await;
    let straight = bent.read(TraceMode::Auto, |_, answer| Some(answer)).await;
    let zero = json!(format!("0x{:064x}", 0));
    let young = bent
        .read(TraceMode::Auto, move |method, answer| {
            let before = method == "eth_call" && answer["result"] == zero;
            Some(if before { with_result(answer, json!("0x")) } else { answer })
        })
        .await;
    assert!(straight.is_ok());
    assert_eq!(straight, young);
}
