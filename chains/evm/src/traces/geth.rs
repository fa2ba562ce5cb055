//! Geth's dialect: `debug_traceBlockByHash` with the call tracer, one tree per transaction.
//!
//! Trees are walked level by level without recursion: a contract may call itself a thousand deep,
//! and that must neither exhaust our stack nor stop the reading.

use alloy::primitives::{Address, B256, U256};
use serde::Deserialize;
use serde_json::{json, value::RawValue};

use super::{Counter, Inner, Movement};
use crate::{
    node::{Fault, Node},
    wire::Block,
};

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct TxTrace<'a> {
    /// Absent in older versions: then the position tells.
    #[serde(default)]
    tx_hash: Option<B256>,
    #[serde(borrow, default)]
    result: Option<&'a RawValue>,
}

#[derive(Deserialize)]
struct Frame<'a> {
    #[serde(rename = "type")]
    kind: String,
    #[serde(default)]
    from: Option<Address>,
    #[serde(default)]
    to: Option<Address>,
    #[serde(default)]
    value: Option<U256>,
    /// Anything here is a failure.
    #[serde(borrow, default)]
    error: Option<&'a RawValue>,
    #[serde(borrow, default)]
    calls: Vec<&'a RawValue>,
}

pub(super) async fn of_block(node: &Node, block: &Block) -> Result<Vec<Inner>, Fault> {
    let tracer = json!({"tracer": "callTracer"});
    let answer: Box<RawValue> =
        node.call("debug_traceBlockByHash", (block.header.hash, tracer)).await?;
    read(answer.get(), block)
        .map_err(|what| Fault::Failed(format!("debug_traceBlockByHash: {what}")))
}

fn read(answer: &str, block: &Block) -> Result<Vec<Inner>, &'static str> {
    let traces: Vec<TxTrace<'_>> = serde_json::from_str(answer).map_err(|_| "no list of traces")?;
    if traces.len() != block.transactions.len() {
        return Err("not as many traces as the block has transactions");
    }
    let mut inner = Vec::new();
    for (trace, tx) in traces.iter().zip(&block.transactions) {
        if trace.tx_hash.is_some_and(|hash| hash != tx.hash) {
            return Err("traces of another block");
        }
        of_tx(tx.hash, trace.result.ok_or("a tx without a trace")?, &mut inner)?;
    }
    Ok(inner)
}

fn of_tx(tx: B256, root: &RawValue, inner: &mut Vec<Inner>) -> Result<(), &'static str> {
    let mut counter = Counter::new(tx);
    let mut open = vec![(root, true, false)];
    while let Some((raw, is_root, below)) = open.pop() {
        let frame: Frame<'_> = serde_json::from_str(raw.get()).map_err(|_| "a broken frame")?;
        let void = below || frame.error.is_some();
        open.extend(frame.calls.iter().rev().map(|call| (*call, false, void)));
        let moves = matches!(frame.kind.as_str(), "CALL" | "CREATE" | "CREATE2" | "SELFDESTRUCT");
        // The root is the transaction itself: its value is read there.
        if is_root || !moves {
            continue;
        }
        let value = frame.value.unwrap_or_default();
        let from = frame.from.ok_or("a frame without parts")?;
        if frame.to.is_none() && !void && !value.is_zero() {
            return Err("coins that went nowhere");
        }
        inner.extend(counter.count(Movement { from, to: frame.to, value }, void));
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn chain(depth: usize) -> String {
        let (from, to) = ("11".repeat(20), "22".repeat(20));
        let frame = |inner: &str, value: &str| {
            let parties = format!(r#""from":"0x{from}","to":"0x{to}""#);
            format!(r#"{{"type":"CALL",{parties},"value":"{value}","calls":[{inner}]}}"#)
        };
        (0..depth).fold(frame("", "0x7"), |inner, _| frame(&inner, "0x0"))
    }

    // serde_json refuses nesting beyond 128 by itself; the EVM allows 1,024 calls.
    #[test]
    fn hundreds_of_calls_deep_are_read() {
        let text = chain(400);
        let root = RawValue::from_string(text).unwrap();
        let mut inner = Vec::new();
        of_tx(B256::repeat_byte(1), &root, &mut inner).unwrap();
        assert_eq!(inner.len(), 1);
        assert_eq!(inner[0].value, U256::from(7));
        assert_eq!(inner[0].nth, 0);
    }
}
