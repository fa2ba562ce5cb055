//! Where signatures come from: a trait a machine made for keys can implement, and a file.
//!
//! Invariant: whoever asks names a key by its place and gives a digest or a message; no key ever
//! comes out. What may be signed is deliberately not decided here.

mod derive;
mod file;
mod sealed;
mod secrets;

use async_trait::async_trait;
use bitcoin::bip32::Xpub;
use chains::carrier::KeyRef;
pub use derive::DeriveError;
pub use file::FileKeys;
use primitives::NetworkId;
pub use sealed::{SealError, open, seal};
pub use secrets::Secrets;
use solana_pubkey::Pubkey;

/// A key below the account of a network: `branch/index`. Where a network has one key, `0/0`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct KeyPath {
    pub branch: u32,
    pub index: u32,
}

impl From<KeyRef> for KeyPath {
    fn from(key: KeyRef) -> Self {
        match key {
            KeyRef::Deposit(index) => Self { branch: 0, index },
            KeyRef::Gas => Self { branch: 1, index: 0 },
        }
    }
}

/// The public side of a network's keys: everything but signing is done with it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum PublicAccount {
    /// An account of BIP32, three hardened steps below its master.
    Secp256k1(Xpub),
    /// The one wallet.
    Ed25519(Pubkey),
}

/// What is signed.
#[derive(Debug, Clone, Copy)]
pub enum ToSign<'a> {
    /// With ECDSA on secp256k1.
    Digest([u8; 32]),
    /// With Ed25519, which hashes by itself.
    Message(&'a [u8]),
}

/// Why there is no signature. Nothing was decided about the intent.
#[derive(Debug, thiserror::Error)]
pub enum KeyError {
    #[error("the key store has no key for {0}")]
    Missing(NetworkId),
    #[error("the key store: {0}")]
    Failed(String),
}

/// Somebody who holds private keys.
#[async_trait]
pub trait KeyStore: Send + Sync {
    /// Asked once, at start.
    fn account(&self, network: &NetworkId) -> Option<PublicAccount>;

    /// 64 bytes: `r` and `s` of ECDSA, or a signature of Ed25519. Whoever asked checks it against
    /// the public key before he uses it.
    async fn sign(
        &self,
        network: &NetworkId,
        key: KeyPath,
        what: ToSign<'_>,
    ) -> Result<[u8; 64], KeyError>;
}
