//! ERC-20 `Transfer` logs: which ones a block has, and what one of them says.
//!
//! Invariants: a log list is of exactly the block that was asked for; an empty list which the
//! header's bloom contradicts is checked against all receipts before it is believed (a lagging
//! node answers `[]`, see geth issue 24078). A log is a claim: what arrived is told in `tokens`.

use std::collections::HashSet;

use alloy::{
    primitives::{Address, B256, BloomInput, U256, address, b256},
    rpc::json_rpc::RpcRecv,
};
use chains::ReadError;
use serde_json::json;

use crate::{
    node::Node,
    receipts,
    wire::{Block, Log, garbage},
};

/// keccak256 of `Transfer(address,address,uint256)`.
pub(crate) const TRANSFER: B256 =
    b256!("ddf252ad1be2c89b69c2b068fc378daa952ba7f163c4a11628f55a4df523b3ef");

/// EIP-7708 logs transfers of coins from here. No contract and no token: read where the settings
/// say that the fork is live, nothing at all elsewhere, where whoever speaks from here forges.
pub(crate) const NATIVE_LOGS: Address = address!("fffffffffffffffffffffffffffffffffffffffe");

/// What a `Transfer` log claims.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Transfer {
    pub(crate) token: Address,
    pub(crate) from: Address,
    pub(crate) to: Address,
    pub(crate) value: U256,
}

impl Transfer {
    /// What a token says.
    pub(crate) fn read(log: &Log) -> Option<Self> {
        Self::shaped(log).filter(|transfer| transfer.token != NATIVE_LOGS)
    }

    /// What the protocol says of coins, by EIP-7708.
    pub(crate) fn read_native(log: &Log) -> Option<Self> {
        Self::shaped(log).filter(|transfer| transfer.token == NATIVE_LOGS)
    }

    /// `None` for anything but a transfer of a positive value between two parties: NFTs have a
    /// fourth topic, poisoning logs have no value, and money sent to oneself did not arrive.
    fn shaped(log: &Log) -> Option<Self> {
        let [TRANSFER, from, to] = log.topics.as_slice() else {
            return None;
        };
        let value = U256::from_be_slice(<&[u8; 32]>::try_from(log.data.as_ref()).ok()?);
        let (from, to) = (address_in(from)?, address_in(to)?);
        let real = !log.removed && !value.is_zero() && from != to;
        real.then_some(Self { token: log.address, from, to, value })
    }
}

/// An address fills 20 of a topic's 32 bytes; a topic with more in it is not one.
fn address_in(topic: &B256) -> Option<Address> {
    let address = Address::from_word(*topic);
    (address.into_word() == *topic).then_some(address)
}

/// All logs of the block whose first topic is `Transfer`, of any contract. `expected` are contracts
/// whose absence is doubted when the header's bloom speaks of them.
pub(crate) async fn of_block(
    node: &Node,
    block: &Block,
    expected: &[Address],
) -> Result<Vec<Log>, ReadError> {
    let filter = json!({"blockHash": block.header.hash, "topics": [TRANSFER]});
    let logs: Vec<Log> = ask(node, filter).await?;
    let members: HashSet<B256> = block.transactions.iter().map(|tx| tx.hash).collect();
    let mut numbers = HashSet::new();
    for log in &logs {
        if log.log_index.is_some_and(|number| !numbers.insert(number)) {
            return Err(garbage("the same log twice"));
        }
        let here = log.block_hash == Some(block.header.hash);
        let ours = log.transaction_hash.is_some_and(|tx| members.contains(&tx));
        if log.removed || !here || !ours || log.topics.first() != Some(&TRANSFER) {
            return Err(garbage("logs we did not ask for"));
        }
    }
    if looks_short(block, &logs, expected) {
        check_against_receipts(node, block, logs.len()).await?;
    }
    Ok(logs)
}

async fn ask<R: RpcRecv>(node: &Node, filter: serde_json::Value) -> Result<R, ReadError> {
    Ok(node.call("eth_getLogs", (filter,)).await?)
}

/// True when the header's bloom speaks of transfers that the list does not show. May be a
/// coincidence: blooms have false positives.
fn looks_short(block: &Block, logs: &[Log], expected: &[Address]) -> bool {
    let bloom = &block.header.logs_bloom;
    let speaks_of = |bytes: &[u8]| bloom.contains_input(BloomInput::Raw(bytes));
    let missing = |token: &Address| {
        speaks_of(token.as_slice()) && !logs.iter().any(|log| log.address == *token)
    };
    speaks_of(TRANSFER.as_slice()) && (logs.is_empty() || expected.iter().any(missing))
}

async fn check_against_receipts(node: &Node, block: &Block, seen: usize) -> Result<(), ReadError> {
    let receipts = receipts::all(node, block).await?;
    let logs = receipts.iter().flat_map(|receipt| &receipt.logs);
    let there = logs.filter(|log| log.topics.first() == Some(&TRANSFER)).count();
    if there == seen {
        return Ok(());
    }
    Err(garbage("fewer logs than the block has"))
}

#[cfg(test)]
mod tests {
    use alloy::primitives::Bytes;

    use super::*;

    fn log(topics: Vec<B256>, data: &[u8]) -> Log {
        Log {
            address: Address::repeat_byte(7),
            topics,
            data: Bytes::copy_from_slice(data),
            block_hash: None,
            transaction_hash: None,
            log_index: None,
            removed: false,
        }
    }

    fn word(byte: u8) -> B256 {
        Address::repeat_byte(byte).into_word()
    }

    // Shapes that only look like a payment. Each differs from a good log in one thing.
    #[test]
    fn forged_shapes_are_no_transfers() {
        let five = U256::from(5).to_be_bytes::<32>();
        let good = log(vec![TRANSFER, word(1), word(2)], &five);
        assert_eq!(Transfer::read(&good).map(|t| t.value), Some(U256::from(5)));
        assert_eq!(Transfer::read_native(&good), None);
        let native = Log { address: NATIVE_LOGS, ..good.clone() };
        assert_eq!(Transfer::read(&native), None);
        assert_eq!(Transfer::read_native(&native).map(|t| t.value), Some(U256::from(5)));

        let mut dirty = word(2);
        dirty.0[0] = 1;
        let shapes = [
            log(vec![TRANSFER, word(1), word(2), word(3)], &five),
            log(vec![TRANSFER, word(1), word(2), word(3)], &[]),
            log(vec![TRANSFER, word(1)], &five),
            log(vec![TRANSFER], &five),
            log(vec![], &five),
            log(vec![word(9), word(1), word(2)], &five),
            log(vec![TRANSFER, word(1), dirty], &five),
            log(vec![TRANSFER, word(2), word(2)], &five),
            log(vec![TRANSFER, word(1), word(2)], &[0; 32]),
            log(vec![TRANSFER, word(1), word(2)], &five[1..]),
            log(vec![TRANSFER, word(1), word(2)], &[five, five].concat()),
            Log { removed: true, ..good },
        ];
        for shape in &shapes {
            assert_eq!(Transfer::read(shape), None, "{shape:?}");
            let shape = Log { address: NATIVE_LOGS, ..shape.clone() };
            assert_eq!(Transfer::read_native(&shape), None, "{shape:?}");
        }
    }
}
