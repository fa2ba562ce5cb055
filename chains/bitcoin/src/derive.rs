//! Deposit addresses from a public key: m/84'/c'/n'/0/i, where m/84'/c'/n' is what we hold (BIP84),
//! and the one address change comes back to, /1/0.
//!
//! Invariant: nothing here can spend; a private extended key is refused at the door, and so is the
//! key of another network or of another kind of address.

use bitcoin::{
    Address, CompressedPublicKey, base58,
    bip32::{ChildNumber, Xpub},
    secp256k1::{Secp256k1, VerifyOnly},
};
use chains::DepositAddress;

use crate::config::BitcoinNetwork;

/// Version bytes of SLIP-132 that say "for P2WPKH", and the BIP32 ones that say nothing.
const ZPUB: [u8; 4] = [0x04, 0xb2, 0x47, 0x46];
const VPUB: [u8; 4] = [0x04, 0x5f, 0x1c, 0xf6];
const XPUB: [u8; 4] = [0x04, 0x88, 0xb2, 0x1e];
const TPUB: [u8; 4] = [0x04, 0x35, 0x87, 0xcf];

/// The receiving branch (/0) of one account, and the first key of its other branch (/1/0).
pub(crate) struct Deriver {
    curve: Secp256k1<VerifyOnly>,
    receiving: Xpub,
    change: CompressedPublicKey,
    network: BitcoinNetwork,
    account: u32,
}

impl Deriver {
    /// The text stays out of the errors: a pasted private key would end up in a log.
    pub(crate) fn try_new(text: &str, network: BitcoinNetwork) -> Result<Self, String> {
        let key = parse(text)?;
        if key.network != network.kind() {
            return Err("an extended public key of another network".to_owned());
        }
        let ChildNumber::Hardened { index: account } = key.child_number else {
            return Err("not the key of an account (m/84'/0'/n')".to_owned());
        };
        if key.depth != 3 {
            return Err("not the key of an account (m/84'/0'/n')".to_owned());
        }
        let curve = Secp256k1::verification_only();
        let receiving = key
            .derive_pub(&curve, &[ChildNumber::Normal { index: 0 }])
            .map_err(|_| "the receiving branch cannot be derived".to_owned())?;
        let first = [ChildNumber::Normal { index: 1 }, ChildNumber::Normal { index: 0 }];
        let change = key.derive_pub(&curve, &first);
        let change = change.map_err(|_| "the branch of change cannot be derived".to_owned())?;
        let change = CompressedPublicKey(change.public_key);
        Ok(Self { curve, receiving, change, network, account })
    }

    /// The key at /1/0, where change comes back to.
    pub(crate) const fn change(&self) -> CompressedPublicKey {
        self.change
    }

    /// The key of the deposit address of `index`, which must be below 2^31.
    pub(crate) fn key(&self, index: u32) -> Result<CompressedPublicKey, String> {
        let child = ChildNumber::from_normal_idx(index)
            .map_err(|_| format!("index {index} is not in the range of normal children"))?;
        let key = self
            .receiving
            .derive_pub(&self.curve, &[child])
            .map_err(|_| format!("index {index} has no key; take the next one"))?;
        Ok(CompressedPublicKey(key.public_key))
    }

    /// The address of `index`, which must be below 2^31.
    pub(crate) fn address(&self, index: u32) -> Result<DepositAddress, String> {
        let address = Address::p2wpkh(&self.key(index)?, self.network.rust());
        let coin = u8::from(self.network != BitcoinNetwork::Mainnet);
        Ok(DepositAddress {
            address: address.to_string(),
            path: format!("m/84'/{coin}'/{}'/0/{index}", self.account),
        })
    }
}

/// xpub, zpub, tpub or vpub. ypub and its kin announce another kind of address: their owner's
/// wallet would not look where we would send people.
fn parse(text: &str) -> Result<Xpub, String> {
    let no_key = || "not an extended public key of the kind xpub or zpub".to_owned();
    if text.len() > 120 {
        return Err(no_key());
    }
    let mut bytes = base58::decode_check(text).map_err(|_| no_key())?;
    let version = bytes.get_mut(..4).ok_or_else(no_key)?;
    let plain = match <[u8; 4]>::try_from(&*version).map_err(|_| no_key())? {
        XPUB | ZPUB => XPUB,
        TPUB | VPUB => TPUB,
        _ => return Err(no_key()),
    };
    version.copy_from_slice(&plain);
    Xpub::decode(&bytes).map_err(|_| no_key())
}

#[cfg(test)]
mod tests {
    use super::*;

    // BIP84, test vectors: the account's public key and the first two receiving addresses.
    const BIP84: &str = concat!(
        "zpub6rFR7y4Q2AijBEqTUquhVz398htDFrtymD9xYYfG1m4wAcvPhXNfE3Ef",
        "H1r1ADqtfSdVCToUG868RvUUkgDKf31mGDtKsAYz2oz2AGutZYs",
    );
    const AS_XPUB: &str = concat!(
        "xpub6CatWdiZiodmUeTDp8LT5or8nmbKNcuyvz7WyksVFkKB4RHwCD3XyuvP",
        "EbvqAQY3rAPshWcMLoP2fMFMKHPJ4ZeZXYVUhLv1VMrjPC7PW6V",
    );

    #[test]
    fn derives_the_published_addresses() {
        for key in [BIP84, AS_XPUB] {
            let deriver = Deriver::try_new(key, BitcoinNetwork::Mainnet).unwrap();
            let first = deriver.address(0).unwrap();
            assert_eq!(first.address, "bc1qcr8te4kr609gcawutmrza0j4xv80jy8z306fyu");
            assert_eq!(first.path, "m/84'/0'/0'/0/0");
            let second = deriver.address(1).unwrap();
            assert_eq!(second.address, "bc1qnjg0jd8228aq7egyzacy8cys3knf9xvrerkf9g");
            assert!(deriver.address(1 << 31).is_err());
            let change = Address::p2wpkh(&deriver.change(), bitcoin::Network::Bitcoin);
            assert_eq!(change.to_string(), "bc1q8c6fshw2dlwun7ekn9qwf37cu2rn755upcp6el");
        }
    }

    #[test]
    fn refuses_what_is_not_the_key_of_an_account() {
        let refused = [
            // The private key of BIP84's vectors, at the account.
            concat!(
                "zprvAdG4iTXWBoARxkkzNpNh8r6Qag3irQB8PzEMkAFeTRXxHpbF9z4QgEvB",
                "RmfvqWvGp42t42nvgGpNgYSJA9iefm1yYNZKEm7z6qUWCroSQnE",
            ),
            // Its master public key: BIP84's rootpub.
            concat!(
                "zpub6jftahH18ngZxLmXaKw3GSZzZsszmt9WqedkyZdezFtWRFBZqsQH5hyU",
                "mb4pCEeZGmVfQuP5bedXTB8is6fTv19U1GQRyQUKQGUTzyHACMF",
            ),
            "xpub",
            "",
            concat!(
                "ypub6Ww3ibxVfGzLrAH1PNcjyAWenMTbbAosGNB6VvmSEgytSER9azLDWCxo",
                "JwW7Ke7icmizBMXrzBx9979FfaHxHcrArf3zbeJJJUZPf663zsP",
            ),
        ];
        for text in refused {
            assert!(Deriver::try_new(text, BitcoinNetwork::Mainnet).is_err(), "{text}");
        }
        let error = Deriver::try_new(BIP84, BitcoinNetwork::Regtest).err().unwrap();
        assert_eq!(error, "an extended public key of another network");
    }
}
