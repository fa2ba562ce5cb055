//! Parity's dialect: `trace_block`, a flat list of frames, each with its path in the call tree.
//!
//! It takes a height, not a hash, so every frame must name the block we are reading. Paths sort
//! into the order of execution, parents first.

use std::collections::HashMap;

use alloy::primitives::{Address, B256, U256};
use serde::Deserialize;
use serde_json::value::RawValue;

use super::{Counter, Inner, Movement};
use crate::{
    node::{Fault, Node},
    wire::Block,
};

#[derive(Debug, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct Frame {
    action: Action,
    block_hash: Option<B256>,
    /// Anything here, text or not, is a failure.
    #[serde(default)]
    error: Option<Box<RawValue>>,
    #[serde(default)]
    result: Option<Outcome>,
    #[serde(default)]
    trace_address: Vec<u32>,
    /// Absent for block rewards.
    #[serde(default)]
    transaction_hash: Option<B256>,
    #[serde(rename = "type")]
    kind: String,
}

#[derive(Debug, Deserialize)]
#[serde(rename_all = "camelCase")]
struct Action {
    #[serde(default)]
    call_type: Option<String>,
    #[serde(default)]
    from: Option<Address>,
    #[serde(default)]
    to: Option<Address>,
    #[serde(default)]
    value: Option<U256>,
    /// A self-destruction names itself, its heir and what it leaves.
    #[serde(default)]
    address: Option<Address>,
    #[serde(default)]
    refund_address: Option<Address>,
    #[serde(default)]
    balance: Option<U256>,
}

#[derive(Debug, Deserialize)]
struct Outcome {
    #[serde(default)]
    address: Option<Address>,
}

pub(super) async fn of_block(node: &Node, block: &Block) -> Result<Vec<Inner>, Fault> {
    let frames: Vec<Frame> = node.call("trace_block", (block.header.number,)).await?;
    read(frames, block)
}

pub(super) fn read(frames: Vec<Frame>, block: &Block) -> Result<Vec<Inner>, Fault> {
    let refuse = |what: &str| Fault::Failed(format!("trace_block: {what}"));
    let mut by_tx: HashMap<B256, Vec<Frame>> = HashMap::new();
    for frame in frames {
        if frame.block_hash != Some(block.header.hash) {
            return Err(refuse("traces of another block"));
        }
        if let Some(tx) = frame.transaction_hash {
            by_tx.entry(tx).or_default().push(frame);
        }
    }
    let mut inner = Vec::new();
    for tx in &block.transactions {
        let frames = by_tx.remove(&tx.hash).ok_or_else(|| refuse("a tx without a trace"))?;
        if !frames.iter().any(|frame| frame.trace_address.is_empty()) {
            return Err(refuse("a trace without its root"));
        }
        of_tx(tx.hash, frames, &mut inner).map_err(refuse)?;
    }
    Ok(inner)
}

fn of_tx(tx: B256, mut frames: Vec<Frame>, inner: &mut Vec<Inner>) -> Result<(), &'static str> {
    frames.sort_by(|a, b| a.trace_address.cmp(&b.trace_address));
    let mut counter = Counter::new(tx);
    // Frames below the last failed one follow it directly.
    let mut failed: Option<Vec<u32>> = None;
    for frame in frames {
        let below = failed.as_ref().is_some_and(|path| frame.trace_address.starts_with(path));
        let void = below || frame.error.is_some();
        if void && !below {
            failed = Some(frame.trace_address.clone());
        }
        // The root is the transaction itself: its value is read there.
        if frame.trace_address.is_empty() {
            continue;
        }
        if let Some(movement) = frame.movement(void)? {
            inner.extend(counter.count(movement, void));
        }
    }
    Ok(())
}

impl Frame {
    fn movement(self, void: bool) -> Result<Option<Movement>, &'static str> {
        let action = self.action;
        let (from, to, value) = match self.kind.as_str() {
            "call" if action.call_type.as_deref() == Some("call") => {
                (action.from, action.to, action.value)
            }
            "create" => (action.from, self.result.and_then(|made| made.address), action.value),
            "suicide" | "selfdestruct" => (action.address, action.refund_address, action.balance),
            _ => return Ok(None),
        };
        let (Some(from), Some(value)) = (from, value) else {
            return Err("a frame without parts");
        };
        if to.is_none() && !void && !value.is_zero() {
            return Err("coins that went nowhere");
        }
        Ok(Some(Movement { from, to, value }))
    }
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::*;

    const TX: B256 = B256::repeat_byte(1);

    fn address(byte: u8) -> Address {
        Address::repeat_byte(byte)
    }

    fn call(path: &[u32], kind: &str, value: u64) -> Value {
        json!({
            "action": {"callType": kind, "from": address(1), "to": address(2),
                "value": format!("{value:#x}"), "gas": "0x0", "input": "0x"},
            "blockHash": B256::repeat_byte(9), "blockNumber": 7, "traceAddress": path,
            "transactionHash": TX, "transactionPosition": 0, "subtraces": 0, "type": "call",
        })
    }

    fn failed(mut frame: Value) -> Value {
        frame["error"] = json!("Reverted");
        frame
    }

    fn values(frames: &[Value]) -> Vec<(u32, u64)> {
        let frames: Vec<Frame> =
            frames.iter().map(|f| serde_json::from_value(f.clone()).unwrap()).collect();
        let mut inner = Vec::new();
        of_tx(TX, frames, &mut inner).unwrap();
        inner.iter().map(|i| (i.nth, i.value.to::<u64>())).collect()
    }

    // Failure reaches down, not up or sideways; what failed keeps its number; order of arrival does
    // not matter.
    #[test]
    fn frames_below_a_failed_one_are_void() {
        let mut frames = vec![
            call(&[], "call", 100),
            call(&[0], "call", 1),
            failed(call(&[1], "call", 2)),
            call(&[1, 0], "call", 3),
            call(&[1, 0, 5], "call", 4),
            call(&[2], "delegatecall", 5),
            call(&[2, 0], "call", 6),
            call(&[3], "staticcall", 0),
            call(&[10], "call", 7),
        ];
        let expected = [(0, 1), (4, 6), (5, 7)];
        assert_eq!(values(&frames), expected);
        frames.reverse();
        assert_eq!(values(&frames), expected);
        frames.push(failed(call(&[], "call", 100)));
        frames.retain(|f| !(f["traceAddress"] == json!([]) && f["error"].is_null()));
        assert_eq!(values(&frames), []);
    }

    #[test]
    fn creations_and_inheritances_pay_too() {
        let made = json!({
            "action": {"from": address(1), "value": "0x5", "init": "0x"},
            "result": {"address": address(3), "code": "0x"},
            "blockHash": B256::repeat_byte(9), "traceAddress": [0], "transactionHash": TX,
            "type": "create",
        });
        let left = json!({
            "action": {"address": address(1), "refundAddress": address(3), "balance": "0x6"},
            "blockHash": B256::repeat_byte(9), "traceAddress": [1], "transactionHash": TX,
            "result": null, "type": "suicide",
        });
        let mut unmade = failed(made.clone());
        unmade["result"] = Value::Null;
        unmade["traceAddress"] = json!([2]);
        assert_eq!(values(&[call(&[], "call", 0), made, left, unmade]), [(0, 5), (1, 6)]);
    }
}
