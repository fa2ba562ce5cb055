//! Our addresses from a public key: deposits at m/44'/60'/n'/0/i, the gas station at
//! m/44'/60'/n'/1/0, where m/44'/60'/n' is what we hold.
//!
//! Invariant: nothing here can spend; a private extended key is refused at the door.

use alloy::primitives::Address;
use bitcoin::{
    bip32::{ChildNumber, Xpub},
    secp256k1::{Secp256k1, VerifyOnly},
};
use chains::DepositAddress;

use crate::wire::text_of_address;

/// The receiving branch (/0) of one account, and the one address of its other branch.
pub(crate) struct Deriver {
    curve: Secp256k1<VerifyOnly>,
    receiving: Xpub,
    account: u32,
    gas: Address,
}

impl Deriver {
    /// `xpub` at the level of an account: three steps below the master key, hardened.
    pub(crate) fn try_new(xpub: &str) -> Result<Self, String> {
        // The text stays out of the errors: a pasted private key would end up in a log.
        let key: Xpub = xpub.parse().map_err(|_| "not an extended public key".to_owned())?;
        let ChildNumber::Hardened { index: account } = key.child_number else {
            return Err("not the key of an account (m/44'/60'/n')".to_owned());
        };
        if key.depth != 3 {
            return Err("not the key of an account (m/44'/60'/n')".to_owned());
        }
        let curve = Secp256k1::verification_only();
        let receiving = key
            .derive_pub(&curve, &[ChildNumber::Normal { index: 0 }])
            .map_err(|_| "the receiving branch cannot be derived".to_owned())?;
        let gas = key
            .derive_pub(&curve, &[1, 0].map(|index| ChildNumber::Normal { index }))
            .map_err(|_| "the gas station cannot be derived".to_owned())?;
        Ok(Self { gas: address_of(&gas)?, curve, receiving, account })
    }

    /// The address of `index`, which must be below 2^31.
    pub(crate) fn address(&self, index: u32) -> Result<DepositAddress, String> {
        let address = text_of_address(self.deposit(index)?);
        Ok(DepositAddress { address, path: format!("m/44'/60'/{}'/0/{index}", self.account) })
    }

    pub(crate) fn deposit(&self, index: u32) -> Result<Address, String> {
        let child = ChildNumber::from_normal_idx(index)
            .map_err(|_| format!("index {index} is not in the range of normal children"))?;
        let key = self
            .receiving
            .derive_pub(&self.curve, &[child])
            .map_err(|_| format!("index {index} has no key; take the next one"))?;
        address_of(&key)
    }

    /// The gas station.
    pub(crate) const fn gas(&self) -> Address {
        self.gas
    }
}

fn address_of(key: &Xpub) -> Result<Address, String> {
    let point = key.public_key.serialize_uncompressed();
    let coordinates = point.get(1..).ok_or_else(|| "a point without coordinates".to_owned())?;
    Ok(Address::from_raw_public_key(coordinates))
}
