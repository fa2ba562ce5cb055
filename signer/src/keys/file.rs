//! Keys in memory, from the key file.
//!
//! Invariants: what is kept is wiped when it is dropped and has no `Debug`; a private key exists in
//! a usable form only while one signature is made.

use std::collections::HashMap;

use async_trait::async_trait;
use bitcoin::{
    NetworkKind,
    bip32::{ChildNumber, Xpriv, Xpub},
    secp256k1::{All, Message, Secp256k1, SecretKey},
};
use primitives::NetworkId;
use solana_keypair::Keypair;
use solana_signer::Signer as _;
use zeroize::Zeroizing;

use super::{
    DeriveError, KeyError, KeyPath, KeyStore, PublicAccount, Secrets, ToSign, derive,
    secrets::{self, Imported},
};
use crate::config::{BitcoinChain, NetworkConfig};

/// The key store of a file.
pub struct FileKeys {
    curve: Secp256k1<All>,
    held: HashMap<NetworkId, Held>,
}

enum Held {
    Account { private: Zeroizing<[u8; 78]>, public: Xpub },
    Wallet { private: Zeroizing<[u8; 32]>, public: solana_pubkey::Pubkey },
}

impl FileKeys {
    /// One key per network of the settings: the imported one, or one derived from the seed.
    ///
    /// # Errors
    /// A sentence naming the network that has no key, or whose key is for something else.
    pub fn new(secrets: &Secrets, networks: &[NetworkConfig]) -> Result<Self, DeriveError> {
        let curve = Secp256k1::new();
        let seed = secrets.seed()?;
        let mut held = HashMap::new();
        for config in networks {
            let network = config.network();
            let imported = secrets.imported(network)?;
            let key = hold(&curve, config, imported, seed.as_deref())
                .map_err(|error| DeriveError(format!("{network}: {error}")))?;
            held.insert(network.clone(), key);
        }
        Ok(Self { curve, held })
    }
}

fn hold(
    curve: &Secp256k1<All>,
    config: &NetworkConfig,
    imported: Option<Imported<'_>>,
    seed: Option<&[u8; 64]>,
) -> Result<Held, DeriveError> {
    let no_key = || DeriveError("no key: neither a seed nor an imported one".to_owned());
    let other = || DeriveError("the imported key is for another kind of network".to_owned());
    let (kind, path) = match config {
        NetworkConfig::Solana(solana) => {
            let path = solana.path.as_deref().unwrap_or("m/44'/501'/0'/0'");
            let private = match imported {
                Some(Imported::Ed25519(text)) => secrets::ed25519(text)?,
                Some(Imported::Xprv(_)) => return Err(other()),
                None => derive::ed25519(seed.ok_or_else(no_key)?, path)?,
            };
            let public = Keypair::new_from_array(*private).pubkey();
            return Ok(Held::Wallet { private, public });
        }
        NetworkConfig::Bitcoin(bitcoin) if bitcoin.chain == BitcoinChain::Mainnet => {
            (NetworkKind::Main, bitcoin.path.as_deref().unwrap_or("m/84'/0'/0'"))
        }
        NetworkConfig::Bitcoin(bitcoin) => {
            (NetworkKind::Test, bitcoin.path.as_deref().unwrap_or("m/84'/1'/0'"))
        }
        NetworkConfig::Evm(evm) => {
            (NetworkKind::Main, evm.path.as_deref().unwrap_or("m/44'/60'/0'"))
        }
    };
    let private = match imported {
        Some(Imported::Xprv(text)) => secrets::xprv(text)?,
        Some(Imported::Ed25519(_)) => return Err(other()),
        None => derive::account(curve, kind, seed.ok_or_else(no_key)?, path)?,
    };
    let broken = |_| DeriveError("not an extended private key".to_owned());
    let mut account = Xpriv::decode(&*private).map_err(broken)?;
    let public = Xpub::from_priv(curve, &account);
    account.private_key.non_secure_erase();
    if public.depth != 3 || !public.child_number.is_hardened() {
        return Err(DeriveError("not the key of an account, as m/84'/0'/0' is".to_owned()));
    }
    if public.network != kind {
        return Err(DeriveError("the imported key is for another network".to_owned()));
    }
    Ok(Held::Account { private, public })
}

#[async_trait]
impl KeyStore for FileKeys {
    fn account(&self, network: &NetworkId) -> Option<PublicAccount> {
        Some(match self.held.get(network)? {
            Held::Account { public, .. } => PublicAccount::Secp256k1(*public),
            Held::Wallet { public, .. } => PublicAccount::Ed25519(*public),
        })
    }

    async fn sign(
        &self,
        network: &NetworkId,
        key: KeyPath,
        what: ToSign<'_>,
    ) -> Result<[u8; 64], KeyError> {
        let held = self.held.get(network).ok_or_else(|| KeyError::Missing(network.clone()))?;
        match (held, what) {
            (Held::Account { private, .. }, ToSign::Digest(digest)) => {
                self.ecdsa(private, key, digest)
            }
            (Held::Wallet { private, .. }, ToSign::Message(message)) => {
                Ok(Keypair::new_from_array(**private).sign_message(message).into())
            }
            (Held::Account { .. }, ToSign::Message(_))
            | (Held::Wallet { .. }, ToSign::Digest(_)) => {
                Err(KeyError::Failed("the key is of another kind".to_owned()))
            }
        }
    }
}

impl FileKeys {
    fn ecdsa(
        &self,
        account: &[u8; 78],
        key: KeyPath,
        digest: [u8; 32],
    ) -> Result<[u8; 64], KeyError> {
        let failed = |_| KeyError::Failed("no key at this place".to_owned());
        let path = [key.branch, key.index].map(ChildNumber::from_normal_idx);
        let [branch, index] = path;
        let path = [branch.map_err(failed)?, index.map_err(failed)?];
        let mut account = Xpriv::decode(account).map_err(failed)?;
        let derived = account.derive_priv(&self.curve, &path);
        account.private_key.non_secure_erase();
        let mut private = derived.map_err(failed)?.private_key;
        let signature = ecdsa(&self.curve, &private, digest);
        private.non_secure_erase();
        Ok(signature)
    }
}

/// Deterministic (RFC 6979) and with a low `s`.
fn ecdsa(curve: &Secp256k1<All>, private: &SecretKey, digest: [u8; 32]) -> [u8; 64] {
    curve.sign_ecdsa(&Message::from_digest(digest), private).serialize_compact()
}

#[cfg(test)]
mod tests {
    use bitcoin::secp256k1::ecdsa::Signature;

    use super::*;

    // BIP143, native P2WPKH: the key, the digest and the signature it publishes.
    #[test]
    fn signs_as_bip143_publishes() {
        let key = "619c335025c7f4012e556c2a58b2506e30b8511b53ade95ea316fd8c3286feb9";
        let digest = "c37af31116d1b27caf68aae9e3ac82f1477929014d5b917657d0eb49478cb670";
        let published = "304402203609e17b84f6a7d30c80bfa610b5b4542f32a8a0d5447a12fb1366d7f01cc44a\
            0220573a954c4518331561406f90300e8f3358f51928d43c212a8caed02de67eebee";
        let mut bytes = [0; 32];
        hex::decode_to_slice(digest, &mut bytes).unwrap();
        let made = ecdsa(&Secp256k1::new(), &key.parse().unwrap(), bytes);
        let made = Signature::from_compact(&made).unwrap();
        assert_eq!(made.to_string(), published);
    }
}
