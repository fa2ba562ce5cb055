//! Deciding a transfer.
//!
//! Invariants: never more is moved than the wish names; a token transfer is run by the node before
//! it is drafted, and one that fails, answers `false` or answers nonsense is refused; the coin
//! never promises its receiver what the fee may take.

use alloy::primitives::{Address, Bytes, U256};
use chains::{
    ReadError,
    carrier::{Draft, DraftError, EvmTransfer, Movable, Unsigned, Wish},
};
use primitives::{Amount, Asset};
use serde_json::json;

use super::{
    Call, Fees,
    fees::{self, Today},
    refused,
};
use crate::{
    chain::EvmChain,
    config::FeeConfig,
    node::{Fault, Node, Said},
    wire::{Quantity, address_of, garbage, text_of_address},
};

/// What a transfer of coins costs where no code runs.
const PLAIN_GAS: u64 = 21_000;

/// A wish that makes sense on this network, before any node is asked.
pub(super) struct Plan {
    movable: Movable,
    from: Address,
    to: Address,
    token: Option<Address>,
    /// What the place holds, by the wish.
    all: u128,
    /// What is to reach `to`; `None` for everything.
    part: Option<u128>,
    chain_id: u64,
    native: Asset,
    caps: FeeConfig,
}

impl Plan {
    pub(super) fn try_new(chain: &EvmChain, wish: &Wish) -> Result<Self, DraftError> {
        let [movable] = wish.from.as_slice() else {
            return refused("not from exactly one place");
        };
        let from = chain.own(&movable.source)?;
        let asset = movable.amount.asset();
        let token = chain.token(asset).map_err(DraftError::Refused)?;
        let Some(to) = address_of(&wish.to) else {
            return refused("the receiver is not an address of this network");
        };
        // Money sent to one of these is gone, or has not moved.
        if to.is_zero() || to == from || chain.scope.tokens.iter().any(|(token, _)| *token == to) {
            return refused("the receiver is nobody, the source itself, or a token");
        }
        let all = u128::try_from(movable.amount.minor()).ok().filter(|all| *all > 0);
        let part = wish.amount.map(|part| {
            let minor = u128::try_from(part.minor()).ok();
            minor.filter(|minor| *minor > 0 && part.asset() == asset)
        });
        let (Some(all), false) = (all, part == Some(None)) else {
            return refused("an amount that cannot be moved");
        };
        let part = part.flatten();
        if part.is_some_and(|part| part > all) || movable.outpoint.is_some() {
            return refused("more than the place holds, or an output of Bitcoin");
        }
        let (chain_id, native, caps) = (chain.chain_id, chain.scope.native, chain.fees);
        Ok(Self { movable: movable.clone(), from, to, token, all, part, chain_id, native, caps })
    }

    fn draft(&self, nonce: u64, minor: u128, fees: Fees, most: u128) -> Result<Draft, DraftError> {
        Ok(Draft {
            from: vec![self.movable.clone()],
            to: text_of_address(self.to),
            amount: amount(minor, self.movable.amount.asset())?,
            fee_max: amount(most, self.native)?,
            unsigned: Unsigned::Evm(EvmTransfer {
                chain_id: self.chain_id,
                from: self.movable.source.clone(),
                nonce,
                to: text_of_address(self.to),
                token: self.token.map(text_of_address),
                minor: minor.to_string(),
                gas_limit: fees.gas_limit,
                fee_per_gas_max: fees.per_gas.to_string(),
                priority_fee_per_gas: fees.priority.to_string(),
            }),
        })
    }
}

/// Our own arithmetic: beyond the books is beyond what the network can charge or hold.
pub(super) fn amount(minor: u128, asset: Asset) -> Result<Amount, ReadError> {
    let amount = i128::try_from(minor).ok().and_then(|minor| Amount::try_new(minor, asset).ok());
    amount.ok_or_else(|| garbage("fees beyond what can exist"))
}

pub(super) async fn decide(node: &Node, plan: &Plan) -> Result<Draft, DraftError> {
    let (today, nonce, held, beside) = futures::future::join4(
        Today::ask(node, &plan.caps),
        fees::nonce(node, plan.from),
        fees::coins(node, plan.from),
        fees::beside(node),
    )
    .await;
    let (today, nonce, held, beside) = (today?, nonce?, held?, beside?);
    match plan.token {
        None => coin(node, plan, today, (nonce, held, beside)).await,
        Some(token) => self::token(node, plan, token, today, (nonce, held, beside)).await,
    }
}

type State = (u64, u128, u128);

async fn coin(
    node: &Node,
    plan: &Plan,
    today: Today,
    (nonce, held, beside): State,
) -> Result<Draft, DraftError> {
    if held < plan.all {
        return refused("the place holds less by now");
    }
    let code: Bytes =
        node.call("eth_getCode", (plan.to, "latest")).await.map_err(ReadError::from)?;
    let gas_limit = if code.is_empty() {
        PLAIN_GAS
    } else {
        // What is carried may matter to the code that receives it: nearly everything is tried.
        let reserve = most(plan.caps.gas_limit_max, today.wanted, beside)?;
        let tried = plan.part.unwrap_or_else(|| plan.all.saturating_sub(reserve).max(1));
        estimate(node, plan, &Call::new(None, plan.to, tried)).await?
    };
    // With everything gone a refund would stay behind: all that is offered is paid. Code may use
    // less than its limit, and the OP stack charges less than its bound: there something stays.
    let empties = plan.part.is_none() && code.is_empty() && beside == 0;
    let priority = if empties { today.wanted } else { today.priority };
    let fees = Fees { gas_limit, per_gas: today.wanted, priority };
    let fee = most(gas_limit, fees.per_gas, beside)?;
    let minor = match plan.part {
        None => plan.all.checked_sub(fee).filter(|rest| *rest > 0),
        Some(part) => Some(part),
    };
    let Some(minor) = minor else {
        let fee = amount(fee, plan.native)?;
        return Err(DraftError::NotWorth(format!("the fee may be {fee}")));
    };
    if minor.checked_add(fee).is_none_or(|needed| needed > plan.all) {
        return refused(format!("the fee of {} does not fit beside it", amount(fee, plan.native)?));
    }
    plan.draft(nonce, minor, fees, fee)
}

async fn token(
    node: &Node,
    plan: &Plan,
    token: Address,
    today: Today,
    (nonce, held, beside): State,
) -> Result<Draft, DraftError> {
    let minor = plan.part.unwrap_or(plan.all);
    let call = Call::new(Some(token), plan.to, minor);
    works(node, plan.from, &call).await?;
    let gas_limit = estimate(node, plan, &call).await?;
    let per_gas = affordable(held, gas_limit, beside, today.wanted, today.least)
        .map_err(|missing| needs(missing, plan.native))?;
    let priority = today.priority.min(per_gas);
    let fees = Fees { gas_limit, per_gas, priority };
    plan.draft(nonce, minor, fees, most(gas_limit, per_gas, beside)?)
}

pub(super) fn needs(missing: u128, native: Asset) -> DraftError {
    amount(missing, native).map_or_else(DraftError::from, DraftError::NeedsGas)
}

/// What a place can offer per gas: all that is wanted, or less while it is enough for the next
/// block, because the base fee moves between a top-up and the transfer it was for. Otherwise what
/// is missing for all that is wanted.
pub(super) fn affordable(
    held: u128,
    gas_limit: u64,
    beside: u128,
    wanted: u128,
    least: u128,
) -> Result<u128, u128> {
    let gas = u128::from(gas_limit).max(1);
    let fits = held.saturating_sub(beside) / gas;
    if fits >= least && held >= beside {
        return Ok(fits.min(wanted));
    }
    Err(gas.saturating_mul(wanted).saturating_add(beside).saturating_sub(held))
}

pub(super) fn most(gas_limit: u64, per_gas: u128, beside: u128) -> Result<u128, ReadError> {
    let fees = Fees { gas_limit, per_gas, priority: 0 };
    let most = fees.most().and_then(|most| most.checked_add(beside));
    most.ok_or_else(|| garbage("fees beyond what can exist"))
}

/// Runs a token transfer without sending it.
pub(super) async fn works(node: &Node, from: Address, call: &Call) -> Result<(), DraftError> {
    let Call { to, input, .. } = call;
    let params = (json!({"from": from, "to": to, "input": input, "data": input}), "latest");
    let told = node.told::<_, Bytes>("eth_call", params).await.map_err(ReadError::from)?;
    let answer = match told {
        Ok(answer) => answer,
        Err(said) => return Err(failed(said, "the token refuses the transfer")),
    };
    let yes = U256::from(1).to_be_bytes::<32>();
    if !answer.is_empty() {
        return if answer.as_ref() == yes {
            Ok(())
        } else {
            refused("the token says no to the transfer")
        };
    }
    // USDT answers nothing; an address without a contract does so as well.
    let code: Bytes = node.call("eth_getCode", (to, "latest")).await.map_err(ReadError::from)?;
    if code.is_empty() { refused("there is no contract at the token's address") } else { Ok(()) }
}

/// With a quarter on top: storage may look different when it runs.
async fn estimate(node: &Node, plan: &Plan, call: &Call) -> Result<u64, DraftError> {
    let Call { to, value, input } = call;
    let call = json!({"from": plan.from, "to": to, "value": value, "input": input, "data": input});
    let told = node.told::<_, Quantity>("eth_estimateGas", (call,)).await;
    let needed = match told.map_err(ReadError::from)? {
        Ok(gas) => gas.u64().ok_or_else(|| garbage("gas without end"))?,
        Err(said) => return Err(failed(said, "the transfer would fail")),
    };
    let cap = plan.caps.gas_limit_max;
    if needed > cap {
        return refused(format!("it takes {needed} gas, at most {cap}"));
    }
    Ok(needed.saturating_add(needed.div_ceil(4)).clamp(PLAIN_GAS, cap))
}

/// The network's own no is final; a node that is busy, limited or broken is not.
fn failed(said: Said, what: &str) -> DraftError {
    let own = said.code == 3
        || ["revert", "invalid opcode", "invalidopcode", "out of gas", "outofgas"]
            .iter()
            .any(|sign| said.words.contains(sign));
    if own {
        return DraftError::Refused(format!("{what}: {}", said.shown));
    }
    ReadError::from(Fault::Failed(said.shown)).into()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_missing_is_exact() {
        assert_eq!(affordable(0, 50_000, 0, 30, 20), Err(1_500_000));
        assert_eq!(affordable(400_000, 50_000, 0, 30, 20), Err(1_100_000));
        // Topped up to what was wanted, and the network wants a little more by now.
        assert_eq!(affordable(1_500_000, 50_000, 0, 33, 22), Ok(30));
        assert_eq!(affordable(9_000_000, 50_000, 0, 33, 22), Ok(33));
        assert_eq!(affordable(1_000_000, 50_000, 7, 30, 20), Err(500_007));
        assert_eq!(affordable(1_500_007, 50_000, 7, 30, 20), Ok(30));
        assert_eq!(affordable(0, 0, 0, 30, 0), Ok(0));
    }
}
