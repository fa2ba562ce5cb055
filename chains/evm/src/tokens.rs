//! What really arrived of a listed token: the smaller of what its logs claim and what the balance
//! gained between the parent block and this one.
//!
//! Invariant: no credit exceeds the gain of the address. A token that keeps a fee counts as what
//! arrived, one that only announces counts as nothing. Money leaving in the same block is added
//! back, but never more than the address owned before it: announced payouts cannot make income.

use std::collections::BTreeMap;

use alloy::{
    primitives::{Address, B256, U256},
    sol,
    sol_types::SolCall as _,
};
use chains::ReadError;
use futures::{StreamExt as _, TryStreamExt as _, stream};
use serde_json::{Value, json};

use crate::{
    logs::Transfer,
    node::{Fault, Node},
    wire::{Header, garbage},
};

sol! {
    function balanceOf(address owner) external view returns (uint256);
    function decimals() external view returns (uint8);
    function transfer(address to, uint256 value) external returns (bool);
}

const AT_ONCE: usize = 8;

/// A token and one of its owners.
pub(crate) type Holding = (Address, Address);

/// Per holding, how much of the claimed sum is real.
#[derive(Debug, Default)]
pub(crate) struct Arrivals(BTreeMap<Holding, Arrival>);

#[derive(Debug, Clone, Copy, Default)]
struct Arrival {
    claimed: U256,
    real: U256,
}

impl Arrivals {
    /// Asks for the balances of every holding that a listed token claims to have paid.
    /// `incoming` are claims that count, `all` every transfer of the block.
    pub(crate) async fn measure(
        node: &Node,
        header: &Header,
        incoming: &[Transfer],
        all: &[Transfer],
    ) -> Result<Self, ReadError> {
        let mut claims: BTreeMap<Holding, U256> = BTreeMap::new();
        for claim in incoming {
            let sum = claims.entry((claim.token, claim.to)).or_default();
            *sum = sum.saturating_add(claim.value);
        }
        let one = |(holding, claimed): (Holding, U256)| async move {
            let (before, after) = futures::future::try_join(
                balance(node, holding, at(header.parent_hash)),
                balance(node, holding, at(header.hash)),
            )
            .await?;
            let real = gained(before, after, left(holding, all)).min(claimed);
            Ok::<_, ReadError>((holding, Arrival { claimed, real }))
        };
        let measured = stream::iter(claims.into_iter().map(one)).buffer_unordered(AT_ONCE);
        Ok(Self(measured.try_collect().await?))
    }

    /// The part of one claim that arrived. Where less came than was claimed, every claim of the
    /// holding shrinks alike, rounded down.
    pub(crate) fn of(&self, claim: &Transfer) -> U256 {
        let Some(arrival) = self.0.get(&(claim.token, claim.to)) else {
            return U256::ZERO;
        };
        share(claim.value, *arrival)
    }
}

fn share(value: U256, arrival: Arrival) -> U256 {
    if arrival.real >= arrival.claimed || arrival.claimed.is_zero() {
        return value;
    }
    // A claim so large that the product overflows is a lie: nothing is booked from it.
    value.checked_mul(arrival.real).map_or(U256::ZERO, |product| product / arrival.claimed)
}

fn gained(before: U256, after: U256, left: U256) -> U256 {
    after.saturating_add(left.min(before)).saturating_sub(before)
}

fn left((token, owner): Holding, all: &[Transfer]) -> U256 {
    let outgoing = all.iter().filter(|t| t.token == token && t.from == owner);
    outgoing.fold(U256::ZERO, |sum, transfer| sum.saturating_add(transfer.value))
}

fn at(block: B256) -> Value {
    json!({"blockHash": block})
}

/// What `owner` holds of `token` at a block.
pub(crate) async fn balance(
    node: &Node,
    (token, owner): Holding,
    at: Value,
) -> Result<U256, ReadError> {
    let answer = node.view(token, &balanceOfCall { owner }.abi_encode(), at).await?;
    // No bytes at all means no contract there at that block, so no holdings either.
    if answer.is_empty() {
        return Ok(U256::ZERO);
    }
    balanceOfCall::abi_decode_returns(&answer).map_err(|_| garbage("a balance that is no number"))
}

/// The decimals a contract states; `None` when it does not answer like a token.
pub(crate) async fn decimals(node: &Node, token: Address) -> Result<Option<u8>, Fault> {
    let answer = node.view(token, &decimalsCall {}.abi_encode(), json!("latest")).await?;
    Ok(decimalsCall::abi_decode_returns(&answer).ok())
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn n(value: u64) -> U256 {
        U256::from(value)
    }

    #[test]
    fn gains_are_told_from_balances() {
        assert_eq!(gained(n(0), n(100), n(0)), n(100));
        // A sweep of 50 in the same block hides nothing.
        assert_eq!(gained(n(50), n(100), n(50)), n(100));
        // Announced payouts of money that was never there make no income.
        assert_eq!(gained(n(0), n(0), n(1_000)), n(0));
        assert_eq!(gained(n(70), n(20), n(0)), n(0));
    }

    proptest! {
        // However a claimed sum is cut into logs, no more than what arrived is credited, and all of
        // it when the claims were true.
        #[test]
        fn shares_never_exceed_what_arrived(
            claims in proptest::collection::vec(1_u64..1_000_000_000, 1..8),
            arrived in 0_u64..2_000_000_000,
        ) {
            let claimed = claims.iter().fold(U256::ZERO, |sum, claim| sum + n(*claim));
            let real = n(arrived).min(claimed);
            let shares = claims.iter().map(|claim| share(n(*claim), Arrival { claimed, real }));
            let sum = shares.fold(U256::ZERO, |sum, share| sum + share);
            prop_assert!(sum <= real);
            prop_assert!(real < claimed || sum == claimed);
            prop_assert!(real - sum < n(8));
        }
    }
}
