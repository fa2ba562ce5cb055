//! EVM: an EIP-1559 transfer of the coin, or one `transfer` of a listed ERC-20. The transaction is
//! built here from fields, so approvals, calls of other functions and creations cannot be asked
//! for.
//!
//! Invariant: two transactions of one address and nonce exclude each other, and nothing else does.

use std::collections::{BTreeMap, HashSet};

use ::bitcoin::{
    bip32::{ChildNumber, Xpub},
    secp256k1::{Secp256k1, VerifyOnly},
};
use alloy::{
    consensus::TxEip1559,
    eips::eip2930::AccessList,
    primitives::{Address, Bytes, TxKind, U256},
    sol,
    sol_types::SolCall as _,
};
use chains::carrier::{EvmTransfer, KeyRef};
use primitives::Asset;
use sha2::{Digest as _, Sha256};
use signing::{Intent, Purpose};

use super::{Examined, same_destination, source_for, within_fee_max};
use crate::{config::EvmConfig, keys::KeyPath, refusal::Refusal};

sol! {
    function transfer(address to, uint256 value) external returns (bool);
}

/// An EVM network and our account on it.
pub(crate) struct Evm {
    chain_id: u64,
    coin: Asset,
    tokens: BTreeMap<Asset, Address>,
    account: Xpub,
    curve: Secp256k1<VerifyOnly>,
}

#[derive(Debug)]
pub(crate) struct Work {
    pub(crate) tx: TxEip1559,
    pub(crate) key: KeyPath,
    pub(crate) from: Address,
}

impl Evm {
    pub(crate) fn new(config: &EvmConfig, account: Xpub) -> Result<Self, String> {
        let mut tokens = BTreeMap::new();
        let mut contracts = HashSet::new();
        for token in &config.tokens {
            let contract = address(&token.contract)
                .ok_or_else(|| format!("the contract of {} is no address", token.asset))?;
            if !contracts.insert(contract) {
                return Err(format!("the contract of {} is another token's", token.asset));
            }
            tokens.insert(token.asset, contract);
        }
        Ok(Self {
            chain_id: config.chain_id,
            coin: config.coin,
            tokens,
            account,
            curve: Secp256k1::verification_only(),
        })
    }

    pub(crate) fn examine(
        &self,
        intent: &Intent,
        transfer: &EvmTransfer,
    ) -> Result<Examined, Refusal> {
        let key = source_for(intent.purpose, transfer.from.key)?;
        let from = self
            .derive(key)
            .filter(|derived| address(&transfer.from.address) == Some(*derived))
            .ok_or_else(|| Refusal::unknown_key("the sender is not that key's address"))?;
        if transfer.chain_id != self.chain_id {
            return Err(Refusal::does_not_match("the transaction is for another chain"));
        }
        let to = same_destination(canonical(&intent.to), canonical(&transfer.to))?;
        let value = self.value(intent, transfer)?;
        let (fee, tx) = self.build(transfer, &to, value)?;
        within_fee_max(fee, intent)?;
        let spends = Sha256::new()
            .chain_update(from)
            .chain_update(transfer.nonce.to_le_bytes())
            .finalize()
            .into();
        let work = super::Work::Evm(Work { tx, key, from });
        Ok(Examined { to, fee, spends, claim: None, work })
    }

    /// What is moved is what the intent says: the same number, of the asset of that contract.
    fn value(&self, intent: &Intent, transfer: &EvmTransfer) -> Result<U256, Refusal> {
        let asset = intent.amount.asset();
        let is_that_asset = match &transfer.token {
            None => asset == self.coin,
            Some(_) if intent.purpose == Purpose::Gas => false,
            Some(contract) => {
                let contract = address(contract)
                    .ok_or_else(|| Refusal::malformed("the contract is no address"))?;
                self.tokens.get(&asset) == Some(&contract)
            }
        };
        if !is_that_asset {
            return Err(Refusal::does_not_match("the transaction moves another asset"));
        }
        let minor = number(&transfer.minor)?;
        if i128::try_from(minor) != Ok(intent.amount.minor()) {
            return Err(Refusal::does_not_match("the transaction moves another amount"));
        }
        Ok(U256::from(minor))
    }

    fn build(
        &self,
        transfer: &EvmTransfer,
        to: &str,
        value: U256,
    ) -> Result<(i128, TxEip1559), Refusal> {
        let to = address(to).ok_or_else(|| Refusal::malformed("no destination"))?;
        let max_fee_per_gas = number(&transfer.fee_per_gas_max)?;
        let max_priority_fee_per_gas = number(&transfer.priority_fee_per_gas)?;
        if max_priority_fee_per_gas > max_fee_per_gas {
            return Err(Refusal::malformed("the priority fee is above the whole fee"));
        }
        let fee = u128::from(transfer.gas_limit)
            .checked_mul(max_fee_per_gas)
            .and_then(|fee| i128::try_from(fee).ok())
            .ok_or_else(|| Refusal::fee_too_high("the fee is beyond all numbers"))?;
        let token = transfer.token.as_deref().and_then(address);
        let (called, value, input) = match token {
            None => (to, value, Bytes::new()),
            Some(token) => (token, U256::ZERO, transferCall { to, value }.abi_encode().into()),
        };
        let tx = TxEip1559 {
            chain_id: self.chain_id,
            nonce: transfer.nonce,
            gas_limit: transfer.gas_limit,
            max_fee_per_gas,
            max_priority_fee_per_gas,
            to: TxKind::Call(called),
            value,
            access_list: AccessList::default(),
            input,
        };
        Ok((fee, tx))
    }

    fn derive(&self, key: KeyPath) -> Option<Address> {
        address_at(&self.curve, &self.account, key)
    }

    /// Whether an address is our deposit address of that index.
    pub(crate) fn is_own_deposit(&self, canonical: &str, index: u32) -> bool {
        let derived = self.derive(KeyRef::Deposit(index).into());
        derived.is_some() && derived == address(canonical)
    }

    /// For people: the gas station of an account.
    pub(crate) fn gas_station(account: &Xpub) -> Option<String> {
        let curve = Secp256k1::verification_only();
        address_at(&curve, account, KeyRef::Gas.into()).map(|address| address.to_string())
    }
}

fn address_at(curve: &Secp256k1<VerifyOnly>, account: &Xpub, key: KeyPath) -> Option<Address> {
    let branch = ChildNumber::from_normal_idx(key.branch).ok()?;
    let index = ChildNumber::from_normal_idx(key.index).ok()?;
    let point = account.derive_pub(curve, &[branch, index]).ok()?.public_key;
    let point = point.serialize_uncompressed();
    point.get(1..).map(Address::from_raw_public_key)
}

/// Written in one case, or with a checksum that is right.
fn address(text: &str) -> Option<Address> {
    let digits = text.strip_prefix("0x")?;
    let parsed: Address = text.parse().ok()?;
    let is_mixed = digits.bytes().any(|byte| byte.is_ascii_uppercase())
        && digits.bytes().any(|byte| byte.is_ascii_lowercase());
    (!is_mixed || parsed.to_checksum(None) == text).then_some(parsed)
}

pub(super) fn canonical(text: &str) -> Option<String> {
    address(text).map(|address| address.to_string())
}

fn number(text: &str) -> Result<u128, Refusal> {
    let is_number = !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit());
    let number = text.parse().ok().filter(|_| is_number);
    number.ok_or_else(|| Refusal::malformed("a number cannot be read"))
}
