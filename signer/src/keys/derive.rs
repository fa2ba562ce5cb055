//! From a seed to the key of an account: BIP32 for secp256k1, SLIP-10 for Ed25519.
//!
//! Invariant: intermediate keys are wiped, as far as the libraries let us.

use bitcoin::{
    NetworkKind,
    bip32::{ChildNumber, DerivationPath, Xpriv},
    hashes::{Hash as _, HashEngine as _, Hmac, HmacEngine, sha512},
    secp256k1::{Secp256k1, Signing},
};
use zeroize::{Zeroize as _, Zeroizing};

/// Why there is no key.
#[derive(Debug, thiserror::Error)]
#[error("{0}")]
pub struct DeriveError(pub String);

/// `m/84'/0'/0'` and its like: three hardened steps.
pub(super) fn account_path(text: &str) -> Result<DerivationPath, DeriveError> {
    let wrong = || DeriveError("a path of an account looks like m/84'/0'/0'".to_owned());
    let path: DerivationPath = text.parse().map_err(|_| wrong())?;
    if path.len() != 3 || !path.into_iter().all(ChildNumber::is_hardened) {
        return Err(wrong());
    }
    Ok(path)
}

pub(super) fn account<C: Signing>(
    curve: &Secp256k1<C>,
    kind: NetworkKind,
    seed: &[u8; 64],
    path: &str,
) -> Result<Zeroizing<[u8; 78]>, DeriveError> {
    let none = |_| DeriveError("the seed gives no key".to_owned());
    let path = account_path(path)?;
    let mut master = Xpriv::new_master(kind, seed).map_err(none)?;
    let derived = master.derive_priv(curve, &path);
    master.private_key.non_secure_erase();
    let mut account = derived.map_err(none)?;
    let encoded = Zeroizing::new(account.encode());
    account.private_key.non_secure_erase();
    Ok(encoded)
}

/// SLIP-10 on Ed25519 knows hardened steps only.
pub(super) fn ed25519(seed: &[u8; 64], path: &str) -> Result<Zeroizing<[u8; 32]>, DeriveError> {
    slip10(seed, path)
}

fn slip10(seed: &[u8], path: &str) -> Result<Zeroizing<[u8; 32]>, DeriveError> {
    let wrong = || DeriveError("a path of a wallet looks like m/44'/501'/0'/0'".to_owned());
    let path: DerivationPath = path.parse().map_err(|_| wrong())?;
    let mut node = mac(b"ed25519 seed", &[seed]);
    for step in &path {
        let ChildNumber::Hardened { index } = *step else { return Err(wrong()) };
        let (key, chain) = node.split_at(32);
        let number = index | (1 << 31);
        node = mac(chain, &[&[0], key, &number.to_be_bytes()]);
    }
    let (key, _) = node.split_at(32);
    let mut out = Zeroizing::new([0; 32]);
    out.copy_from_slice(key);
    Ok(out)
}

fn mac(key: &[u8], parts: &[&[u8]]) -> Zeroizing<[u8; 64]> {
    let mut engine = HmacEngine::<sha512::Hash>::new(key);
    for part in parts {
        engine.input(part);
    }
    let mut bytes = Hmac::<sha512::Hash>::from_engine(engine).to_byte_array();
    let out = Zeroizing::new(bytes);
    bytes.zeroize();
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    // SLIP-10, test vector 1 for ed25519.
    #[test]
    fn derives_the_published_keys() {
        let seed: Vec<u8> = (0..16).collect();
        for (path, key) in [
            ("m", "2b4be7f19ee27bbf30c667b642d5f4aa69fd169872f8fc3059c08ebae2eb19e7"),
            ("m/0'", "68e0fe46dfb67e368c75379acec591dad19df3cde26e63b93a8e704f1dade7a3"),
            ("m/0'/1'", "b1d0bad404bf35da785a64ca1ac54b2617211d2777696fbffaf208f746ae84f2"),
        ] {
            assert_eq!(hex::encode(*slip10(&seed, path).unwrap()), key, "{path}");
        }
        assert!(slip10(&seed, "m/0").is_err());
    }

    #[test]
    fn an_account_is_three_hardened_steps() {
        for wrong in ["", "m", "m/84'/0'", "m/84'/0'/0", "m/84'/0'/0'/0", "nonsense"] {
            assert!(account_path(wrong).is_err(), "{wrong}");
        }
        assert!(account_path("m/84'/1'/7'").is_ok());
    }
}
