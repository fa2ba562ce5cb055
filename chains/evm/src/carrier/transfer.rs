//! A transfer as the network runs it: whom it calls, with what, and what it may cost.
//!
//! Invariant: the one place where the fields of a draft become a call, so that what is simulated
//! is what is signed.

use alloy::{
    primitives::{Address, Bytes, U256},
    sol_types::SolCall as _,
};
use chains::carrier::EvmTransfer;

use crate::{tokens::transferCall, wire::address_of};

/// Who calls whom with what.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Call {
    pub to: Address,
    pub value: U256,
    pub input: Bytes,
}

impl Call {
    pub(crate) fn new(token: Option<Address>, to: Address, minor: u128) -> Self {
        let value = U256::from(minor);
        match token {
            None => Self { to, value, input: Bytes::new() },
            Some(token) => {
                let input = transferCall { to, value }.abi_encode().into();
                Self { to: token, value: U256::ZERO, input }
            }
        }
    }

    /// # Errors
    /// A sentence when a field is not what it should be.
    pub fn of(transfer: &EvmTransfer) -> Result<Self, String> {
        let address = |text: &str| address_of(text).ok_or_else(|| "not an address".to_owned());
        let token = transfer.token.as_deref().map(address).transpose()?;
        Ok(Self::new(token, address(&transfer.to)?, number(&transfer.minor)?))
    }
}

/// Gas, and wei for each of it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Fees {
    pub gas_limit: u64,
    pub per_gas: u128,
    pub priority: u128,
}

impl Fees {
    /// # Errors
    /// A sentence when a field is not what it should be.
    pub fn of(transfer: &EvmTransfer) -> Result<Self, String> {
        let per_gas = number(&transfer.fee_per_gas_max)?;
        let priority = number(&transfer.priority_fee_per_gas)?;
        if priority > per_gas {
            return Err("a priority above the whole fee".to_owned());
        }
        Ok(Self { gas_limit: transfer.gas_limit, per_gas, priority })
    }

    /// The most it costs; `None` beyond what can exist.
    pub(crate) fn most(&self) -> Option<u128> {
        self.per_gas.checked_mul(u128::from(self.gas_limit))
    }
}

/// Digits, and nothing else.
fn number(text: &str) -> Result<u128, String> {
    let digits = !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit());
    let number = text.parse().ok().filter(|_| digits);
    number.ok_or_else(|| "not a number of base units".to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_are_digits() {
        assert_eq!(number("0"), Ok(0));
        assert_eq!(number("340282366920938463463374607431768211455"), Ok(u128::MAX));
        for bad in ["", "+1", "-1", "1.0", "0x1", " 1", "340282366920938463463374607431768211456"] {
            assert!(number(bad).is_err(), "{bad}");
        }
    }
}
