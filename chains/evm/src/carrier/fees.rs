//! What the network asks for today.
//!
//! Invariants: what a node suggests is bounded by the settings; a fee that was not told is an
//! error, never zero. The network's own part may double before the transaction is too cheap.

use alloy::{
    primitives::{Address, Bytes, U256, address},
    sol,
    sol_types::SolCall as _,
};
use chains::{ReadError, carrier::DraftError};
use serde::Deserialize;
use serde_json::json;

use crate::{
    config::FeeConfig,
    node::{Fault, Node},
    wire::{Quantity, garbage},
};

sol! {
    function getL1FeeUpperBound(uint256 size) external view returns (uint256);
}

/// Where the OP stack tells what its data costs on Ethereum.
const L1_ORACLE: Address = address!("420000000000000000000000000000000000000F");
/// More than a signed token transfer has.
const LARGEST: u64 = 250;
/// Where a node suggests nothing.
const USUAL_PRIORITY: u128 = 1_000_000_000;

#[derive(Debug, Deserialize)]
#[serde(rename_all = "camelCase")]
struct Tip {
    #[serde(default)]
    base_fee_per_gas: Option<Quantity>,
}

/// Wei per gas.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Today {
    /// Twice the base fee and the priority: good for the next five full blocks.
    pub(super) wanted: u128,
    /// Less than this may be too little for the very next block.
    pub(super) least: u128,
    pub(super) priority: u128,
}

impl Today {
    pub(super) async fn ask(node: &Node, caps: &FeeConfig) -> Result<Self, DraftError> {
        let (tip, hint) = futures::future::join(
            node.call::<_, Option<Tip>>("eth_getBlockByNumber", ("latest", false)),
            node.call::<_, Quantity>("eth_maxPriorityFeePerGas", ()),
        )
        .await;
        let base = tip.map_err(ReadError::from)?.and_then(|tip| tip.base_fee_per_gas);
        let base = base.ok_or_else(|| garbage("a block without a base fee"))?;
        let base = base.u128().ok_or_else(|| garbage("a base fee without end"))?;
        let hint = match hint {
            Ok(hint) => hint.u128().unwrap_or(u128::MAX),
            Err(Fault::NoMethod(_)) => USUAL_PRIORITY,
            Err(fault) => return Err(ReadError::from(fault).into()),
        };
        Self::of(base, hint, caps)
    }

    fn of(base: u128, hint: u128, caps: &FeeConfig) -> Result<Self, DraftError> {
        let most = u128::from(caps.fee_per_gas_max);
        let priority = hint.clamp(1, u128::from(caps.priority_fee_per_gas_max).max(1));
        // A full block raises the base fee by an eighth.
        let least = base.saturating_add(base.div_ceil(8)).saturating_add(priority);
        if least > most {
            let sentence = format!("the network asks for {least} wei per gas, at most {most}");
            return Err(DraftError::NotWorth(sentence));
        }
        let wanted = base.saturating_mul(2).saturating_add(priority).min(most);
        Ok(Self { wanted: wanted.max(least), least, priority })
    }
}

/// What the OP stack (Base) charges for data on Ethereum beside the gas: nothing where it has no
/// oracle, for nobody else can have code at its address. Twice the bound: Ethereum's own fee moves.
pub(super) async fn beside(node: &Node) -> Result<u128, ReadError> {
    let code: Bytes = node.call("eth_getCode", (L1_ORACLE, "latest")).await?;
    if code.is_empty() {
        return Ok(0);
    }
    let call = getL1FeeUpperBoundCall { size: U256::from(LARGEST) };
    let answer = node.view(L1_ORACLE, &call.abi_encode(), json!("latest")).await?;
    let bound = getL1FeeUpperBoundCall::abi_decode_returns(&answer).ok();
    let bound = bound.and_then(|bound| u128::try_from(bound).ok()?.checked_mul(2));
    bound.ok_or_else(|| garbage("a data fee that is no number"))
}

/// How many transactions of an address the chain holds. `latest`, not `pending`: whatever of ours
/// waits with this nonce is replaced by a draft that takes it, and only one of the two can ever be
/// in the chain. There is one open move per address, so none has to queue behind another.
pub(super) async fn nonce(node: &Node, owner: Address) -> Result<u64, ReadError> {
    let count: Quantity = node.call("eth_getTransactionCount", (owner, "latest")).await?;
    count.u64().ok_or_else(|| garbage("a nonce without end"))
}

pub(super) async fn coins(node: &Node, owner: Address) -> Result<u128, ReadError> {
    let held: Quantity = node.call("eth_getBalance", (owner, "latest")).await?;
    held.u128().ok_or_else(|| garbage("a balance beyond what can exist"))
}

#[cfg(test)]
mod tests {
    use super::*;

    const GWEI: u128 = 1_000_000_000;

    #[test]
    fn suggestions_are_bounded() {
        let caps = FeeConfig::default();
        let plain = Today::of(10 * GWEI, 2 * GWEI, &caps).unwrap();
        assert_eq!((plain.wanted, plain.priority), (22 * GWEI, 2 * GWEI));
        assert_eq!(plain.least, 13 * GWEI + GWEI / 4);
        let greedy = Today::of(10 * GWEI, 900 * GWEI, &caps).unwrap();
        assert_eq!((greedy.wanted, greedy.priority), (25 * GWEI, 5 * GWEI));
        assert_eq!(Today::of(10 * GWEI, 0, &caps).unwrap().priority, 1);
        // No room for doubling, and none at all.
        let high = Today::of(400 * GWEI, GWEI, &caps).unwrap();
        assert_eq!((high.wanted, high.least), (500 * GWEI, 451 * GWEI));
        let worse = Today::of(450 * GWEI, GWEI, &caps);
        assert!(matches!(worse, Err(DraftError::NotWorth(_))), "{worse:?}");
        assert!(Today::of(u128::MAX, u128::MAX, &caps).is_err());
    }
}
