//! A throw-away world: a local anvil, a payer with a well-known key, and contracts that misbehave.
//!
//! Invariants: the only place of the house with private keys, and they are everybody's; a payer
//! refuses any node that does not call itself anvil. For the demo, the testkit and tests; the
//! product reads chains through [`chains_evm::EvmChain`] and never comes here.

mod anvil;
mod artefacts;
mod control;
mod fakes;
mod payer;
mod signer;
mod tricks;
mod world;

pub use anvil::{Anvil, AnvilOptions};
use bitcoin::bip32::{ChildNumber, Xpriv, Xpub};
pub use chains::sandbox::SandboxError;
pub use fakes::Saying;
pub use payer::Payer;
use primitives::Secret;
pub use signer::dev_sign;
pub use world::AnvilSandbox;

/// Account public key m/44'/60'/n' of the mnemonic `abandon abandon abandon abandon abandon abandon
/// abandon abandon abandon abandon abandon about`. Everybody can spend from its addresses: for
/// local nodes only. Anvil's own rich accounts have another mnemonic, so deposits start at zero.
///
/// # Errors
/// When `account` is beyond the hardened numbers.
pub fn dev_account(account: u32) -> Result<String, SandboxError> {
    let broken = |error: bitcoin::bip32::Error| SandboxError(error.to_string());
    let curve = bitcoin::secp256k1::Secp256k1::new();
    let master = Xpriv::new_master(bitcoin::NetworkKind::Main, &SEED).map_err(broken)?;
    let mut path = Vec::new();
    for index in [44, 60, account] {
        path.push(ChildNumber::from_hardened_idx(index).map_err(broken)?);
    }
    let key = master.derive_priv(&curve, &path).map_err(broken)?;
    Ok(Xpub::from_priv(&curve, &key).to_string())
}

/// [`dev_account`] 0, which most tests use.
#[must_use]
pub const fn dev_xpub() -> &'static str {
    DEV_XPUB
}

/// The private key of the first rich account of every anvil, printed by each of them at start.
#[must_use]
pub fn dev_payer_key() -> Secret {
    Secret::new("0xac0974bec39a17e36ba4a6b4d238ff944bacb478cbed5efcae784d7bf4f2ff80")
}

const DEV_XPUB: &str = concat!(
    "xpub6DCoCpSuQZB2jawqnGMEPS63ePKWkwWPH4TU45Q7LPXWuNd8TMtVxRrg",
    "jtEshuqpK3mdhaWHPFsBngh5GFZaM6si3yZdUsT8ddYM3PwnATt",
);

/// The seed of that mnemonic, without a passphrase (BIP39).
const SEED: [u8; 64] = alloy::hex!(
    "5eb00bbddcf069084889a8ab9155568165f5c453ccb85e70811aaed6f6da5fc1"
    "9a5ac40b389cd370d086206dec8aa6c43daea6690f20ad3d8d48b2d2ce9e38e4"
);

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn accounts_differ_and_the_first_is_the_known_one() {
        assert_eq!(dev_account(0).unwrap(), DEV_XPUB);
        assert_ne!(dev_account(1).unwrap(), DEV_XPUB);
        assert!(dev_account(u32::MAX).is_err());
    }
}
