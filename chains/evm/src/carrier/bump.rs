//! The same transfer at a higher fee.
//!
//! Invariants: the nonce stays, so at most one of the two is ever in the chain; both fees rise by a
//! quarter (nodes want a tenth; an eighth where a place can pay no more) and to today's; what left
//! with everything of the coin, or with so much that the place has no room for a higher fee, leaves
//! with as much again, so what arrives shrinks by what the fee grows. A top-up never shrinks: it
//! would be too small for what it is for.

use alloy::primitives::Address;
use chains::carrier::{Draft, DraftError, EvmTransfer, KeyRef, Unsigned};
use primitives::Asset;

use super::{
    Fees,
    draft::{affordable, amount, most, needs},
    fees::{self, Today},
    refused,
};
use crate::{chain::EvmChain, config::FeeConfig, node::Node};

/// A draft of ours, read back.
pub(super) struct Old {
    draft: Draft,
    transfer: EvmTransfer,
    from: Address,
    fees: Fees,
    /// Fees beside the gas.
    beside: u128,
    minor: u128,
    /// The coin itself moves.
    coin: bool,
    /// All that the place held moves or is paid.
    all: Option<u128>,
    native: Asset,
    caps: FeeConfig,
}

impl Old {
    pub(super) fn try_new(chain: &EvmChain, draft: &Draft) -> Result<Self, DraftError> {
        let (Unsigned::Evm(transfer), [movable]) = (&draft.unsigned, draft.from.as_slice()) else {
            return refused("not a draft of this network");
        };
        let from = chain.own(&transfer.from)?;
        let asset = draft.amount.asset();
        let token = chain.token(asset).map_err(DraftError::Refused)?;
        let fees = Fees::of(transfer).map_err(DraftError::Refused)?;
        let minor = u128::try_from(draft.amount.minor()).unwrap_or(0);
        let paid = u128::try_from(draft.fee_max.minor()).unwrap_or(0);
        let beside = fees.most().and_then(|most| paid.checked_sub(most));
        let same = transfer.chain_id == chain.chain_id
            && transfer.from == movable.source
            && transfer.to == draft.to
            && transfer.minor == minor.to_string()
            && transfer.token.as_deref().map(crate::wire::address_of) == token.map(Some)
            && draft.fee_max.asset() == chain.scope.native
            && movable.amount.asset() == asset;
        let (true, Some(beside)) = (same && minor > 0, beside) else {
            return refused("a draft that contradicts itself");
        };
        let held = u128::try_from(movable.amount.minor()).unwrap_or(0);
        let all = minor.checked_add(paid).filter(|all| token.is_none() && *all == held);
        let (native, caps, coin) = (chain.scope.native, chain.fees, token.is_none());
        let (draft, transfer) = (draft.clone(), transfer.clone());
        Ok(Self { draft, transfer, from, fees, beside, minor, coin, all, native, caps })
    }

    /// What the old one takes away at most, its fee included: no more of it leaves with a new one.
    fn outlay(&self, held: u128) -> Result<u128, DraftError> {
        let paid = u128::try_from(self.draft.fee_max.minor()).ok();
        let outlay = paid.and_then(|paid| self.minor.checked_add(paid));
        match outlay.filter(|outlay| *outlay <= held && self.transfer.from.key != KeyRef::Gas) {
            Some(outlay) => Ok(outlay),
            None => refused("the place does not hold the higher fee beside it"),
        }
    }
}

pub(super) async fn decide(node: &Node, old: &Old) -> Result<Draft, DraftError> {
    let (today, nonce, held, beside) = futures::future::join4(
        Today::ask(node, &old.caps),
        fees::nonce(node, old.from),
        fees::coins(node, old.from),
        fees::beside(node),
    )
    .await;
    let (today, nonce, held, beside) = (today?, nonce?, held?, beside?);
    if nonce > old.transfer.nonce {
        return refused("its nonce is used: it is in a block, or another one is");
    }
    let beside = beside.max(old.beside);
    let eighth = old.fees.per_gas.div_ceil(8);
    let least = old.fees.per_gas.saturating_add(eighth).max(today.least);
    let wanted = more(old.fees.per_gas).max(today.wanted);
    if wanted > u128::from(old.caps.fee_per_gas_max) {
        return Err(DraftError::NotWorth(format!("it would take {wanted} wei per gas")));
    }
    let gas_limit = old.fees.gas_limit;
    let (minor, per_gas) = match (old.all, old.coin) {
        (Some(all), _) => (all.checked_sub(most(gas_limit, wanted, beside)?), wanted),
        (None, true) => {
            let fee = most(gas_limit, wanted, beside)?;
            if old.minor.checked_add(fee).is_some_and(|needed| needed <= held) {
                (Some(old.minor), wanted)
            } else {
                (old.outlay(held)?.checked_sub(fee), wanted)
            }
        }
        (None, false) => {
            let per_gas = affordable(held, gas_limit, beside, wanted, least);
            (Some(old.minor), per_gas.map_err(|missing| needs(missing, old.native))?)
        }
    };
    let Some(minor) = minor.filter(|minor| *minor > 0) else {
        return Err(DraftError::NotWorth("the higher fee would take all of it".to_owned()));
    };
    // Everything was offered as priority where nothing was to come back.
    let priority = if old.fees.priority == old.fees.per_gas {
        per_gas
    } else {
        more(old.fees.priority).max(today.priority).min(per_gas)
    };
    let fee_max = amount(most(gas_limit, per_gas, beside)?, old.native)?;
    let unsigned = Unsigned::Evm(EvmTransfer {
        minor: minor.to_string(),
        fee_per_gas_max: per_gas.to_string(),
        priority_fee_per_gas: priority.to_string(),
        ..old.transfer.clone()
    });
    let amount = amount(minor, old.draft.amount.asset())?;
    Ok(Draft { amount, fee_max, unsigned, ..old.draft.clone() })
}

/// A quarter more, rounded up.
fn more(fee: u128) -> u128 {
    fee.saturating_add(fee.div_ceil(4)).max(1)
}
