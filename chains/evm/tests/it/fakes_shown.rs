//! Fake deposits that no honest node shows: an honest block of 5 wei and 7 units of USDC, and a
//! proxy that changes one thing in what the node says of it.

use alloy::primitives::U256;
use chains::{BlockFacts, Chain as _, ReadError};
use chains_evm::{EvmChain, EvmConfig, TraceMode};
use serde_json::{Value, json};

use crate::{
    fakes::{Verdict, verdict},
    proxy::{Proxy, with_result},
    world::{World, by_hash, config, place, usdc_minor, watched, wei},
};

struct Shown {
    world: World,
    hash: String,
}

impl Shown {
    async fn start() -> Self {
        let world = World::start().await;
        let payer = &world.payer;
        payer.set_automine(false).await.unwrap();
        let tx = payer.send_native(&world.address(0), wei(5)).await.unwrap();
        payer.send_token(&world.usdc, &world.address(1), usdc_minor(7)).await.unwrap();
        payer.mine(1).await.unwrap();
        let (_, hash) = place(&world.chain, &tx).await;
        Self { world, hash }
    }

    /// Reads the block with the result of every call changed by `bend`.
    async fn read(
        &self,
        bend: impl Fn(&str, &mut Value) + Send + Sync + 'static,
    ) -> Result<BlockFacts, ReadError> {
        let proxy = Proxy::start(self.world.anvil.rpc_url(), move |method, mut answer| {
            bend(method, &mut answer["result"]);
            Some(answer)
        })
        .await;
        let trace = TraceMode::TraceBlock;
        let config = EvmConfig { trace, ..config(&[&proxy.url], &self.world.usdc) };
        let chain = EvmChain::connect(&config).unwrap();
        chain.read_block(&by_hash(&self.hash), &watched(&chain)).await
    }

    async fn judge(
        &self,
        vector: &str,
        expected: Verdict,
        bend: impl Fn(&str, &mut Value) + Send + Sync + 'static,
    ) {
        let read = self.read(bend).await;
        assert_eq!(verdict(&read), expected, "{vector}: {read:?}");
    }

    /// Changes the token's log wherever it is shown.
    async fn judge_log(
        &self,
        vector: &str,
        expected: Verdict,
        bend: impl Fn(&mut Value) + Send + Sync + 'static,
    ) {
        self.judge(vector, expected, move |method, result| match method {
            "eth_getLogs" => bend(&mut result[0]),
            "eth_getTransactionReceipt" if result["logs"] != json!([]) => {
                bend(&mut result["logs"][0]);
            }
            _ => {}
        })
        .await;
    }
}

fn honest() -> Verdict {
    Verdict::Credited(vec![5, 7])
}

fn elsewhere() -> Value {
    json!(format!("0x{}", "2".repeat(64)))
}

fn twice(logs: &mut Value) {
    if let Some(logs) = logs.as_array_mut() {
        logs.extend(logs.first().cloned());
    }
}

fn number(value: U256) -> Value {
    json!(format!("0x{value:064x}"))
}

#[tokio::test]
async fn logs_as_no_honest_node_shows_them() {
    let shown = Shown::start().await;
    shown.judge("as it is", honest(), |_, _| ()).await;
    let list = |bend: fn(&mut Value)| {
        move |method: &str, result: &mut Value| {
            if method == "eth_getLogs" {
                bend(result);
            }
        }
    };
    let receipt = |bend: fn(&mut Value)| {
        move |method: &str, result: &mut Value| {
            if method == "eth_getTransactionReceipt" {
                bend(result);
            }
        }
    };
    let refused = || Verdict::Refused;
    shown.judge("a log listed twice", refused(), list(twice)).await;
    shown.judge("a log twice in its receipt", refused(), receipt(|r| twice(&mut r["logs"]))).await;
    shown
        .judge("a log twice everywhere", refused(), |method, result| match method {
            "eth_getLogs" => twice(result),
            "eth_getTransactionReceipt" => twice(&mut result["logs"]),
            _ => {}
        })
        .await;
    // Under a number of its own the second one passes for another log. What came does not double.
    shown
        .judge(
            "a log twice under two numbers",
            Verdict::Credited(vec![3, 3, 5]),
            |method, result| {
                let logs = match method {
                    "eth_getLogs" => result,
                    "eth_getTransactionReceipt" => &mut result["logs"],
                    _ => return,
                };
                twice(logs);
                if logs != &json!([]) {
                    logs[1]["logIndex"] = json!("0x1");
                }
            },
        )
        .await;
    shown.judge_log("a log that was removed", refused(), |l| l["removed"] = json!(true)).await;
    shown
        .judge(
            "a removed log in a receipt",
            refused(),
            receipt(|r| {
                if r["logs"] != json!([]) {
                    r["logs"][0]["removed"] = json!(true);
                }
            }),
        )
        .await;
    shown.judge_log("a log of another block", refused(), |l| l["blockHash"] = elsewhere()).await;
    shown.judge_log("a log of another tx", refused(), |l| l["transactionHash"] = elsewhere()).await;
    shown.judge("a log in no receipt", refused(), receipt(|r| r["logs"] = json!([]))).await;
    shown
        .judge_log("a topic of 31 bytes", refused(), |l| {
            l["topics"][2] = json!(format!("0x{}", "2".repeat(62)));
        })
        .await;
    shown.judge_log("topics that are none", refused(), |l| l["topics"] = Value::Null).await;
    shown.judge_log("data that is none", refused(), |l| l["data"] = json!("0x0")).await;
}

// What came is 7: neither the log nor the balance alone makes it more.
#[tokio::test]
async fn claims_beyond_what_came() {
    let shown = Shown::start().await;
    // Claims beyond the gain of 7, beyond i128, and the largest there is.
    for claim in [U256::from(8), U256::from(1) << 127, U256::MAX] {
        shown
            .judge_log("an inflated claim", honest_or_less(claim), move |l| {
                l["data"] = number(claim);
            })
            .await;
    }
    shown
        .judge("a balance beyond the claim", honest(), |method, result| {
            if method == "eth_call" && *result != number(U256::ZERO) {
                *result = number(U256::from(1_000_000));
            }
        })
        .await;
}

/// One holding, one claim: what came, however much is claimed, unless the sum overflows.
fn honest_or_less(claim: U256) -> Verdict {
    let overflows = claim.checked_mul(U256::from(7)).is_none();
    if overflows { Verdict::Credited(vec![5]) } else { honest() }
}

#[tokio::test]
async fn transactions_as_no_honest_node_shows_them() {
    let shown = Shown::start().await;
    let receipt = |bend: fn(&mut Value)| {
        move |method: &str, result: &mut Value| {
            if method == "eth_getTransactionReceipt" {
                bend(result);
            }
        }
    };
    let refused = || Verdict::Refused;
    let status = |status: fn() -> Value| {
        move |method: &str, result: &mut Value| {
            if method == "eth_getTransactionReceipt" {
                result["status"] = status();
            }
        }
    };
    shown.judge("a receipt without a status", refused(), status(|| Value::Null)).await;
    shown.judge("logs of a failed transaction", refused(), status(|| json!("0x0"))).await;
    shown.judge("a status that is none of both", refused(), status(|| json!("0x2"))).await;
    let other = receipt(|r| r["blockHash"] = elsewhere());
    shown.judge("a receipt of another block", refused(), other).await;
    let other = receipt(|r| r["transactionHash"] = elsewhere());
    shown.judge("a receipt of another transaction", refused(), other).await;
    shown.judge("no receipt", refused(), receipt(|r| *r = Value::Null)).await;
    let block = |bend: fn(&mut Value)| {
        move |method: &str, result: &mut Value| {
            if method == "eth_getBlockByHash" {
                bend(result);
            }
        }
    };
    let beyond =
        block(|b| b["transactions"][0]["value"] = json!("0xffffffffffffffffffffffffffffffff"));
    shown.judge("coins beyond what exists", Verdict::Distrusted, beyond).await;
    let other = block(|b| b["hash"] = elsewhere());
    shown.judge("another block under our hash", refused(), other).await;
    shown
        .judge("traces of another block", refused(), |method, result| {
            if method == "trace_block" {
                result[0]["blockHash"] = elsewhere();
            }
        })
        .await;
}

// A test network shows worthless coins under the same addresses.
#[tokio::test]
async fn payments_on_a_test_network_are_none() {
    let shown = Shown::start().await;
    let proxy = Proxy::start(shown.world.anvil.rpc_url(), |method, answer| {
        let asked = method == "eth_chainId";
        Some(if asked { with_result(answer, json!("0xaa36a7")) } else { answer })
    })
    .await;
    let chain = EvmChain::connect(&config(&[&proxy.url], &shown.world.usdc)).unwrap();
    let read = chain.read_block(&by_hash(&shown.hash), &watched(&chain)).await;
    assert_eq!(verdict(&read), Verdict::Distrusted, "the chain id of a test network: {read:?}");
    assert_eq!(proxy.take_calls(), ["eth_chainId"], "nothing else was asked");
}
