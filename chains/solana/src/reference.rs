//! Reference keys: 32 bytes that name a payment, derived from a seed and the payment's number.
//!
//! Invariant: the same seed, wallet and number give the same key for ever, and nobody holds a
//! private key for it: it is a hash, added to a transfer as a read-only account that signs nothing
//! (Solana Pay). Why not an address per payment: ed25519 has no public derivation, and every new
//! token account costs rent.

use chains::DepositAddress;
use sha2::{Digest as _, Sha256};
use solana_pubkey::Pubkey;

/// What makes our hashes ours.
const DOMAIN: &[u8] = b"chukta reference 1";
/// Numbers above are refused, as on the networks with derived keys.
const HIGHEST: u32 = 0x7fff_ffff;

pub(crate) struct References {
    seed: String,
    wallet: Pubkey,
}

impl References {
    pub(crate) fn try_new(seed: &str, wallet: Pubkey) -> Result<Self, String> {
        if seed.len() < 16 {
            return Err("reference_seed is shorter than 16 bytes".to_owned());
        }
        Ok(Self { seed: seed.to_owned(), wallet })
    }

    pub(crate) fn key(&self, index: u32) -> Result<DepositAddress, String> {
        if index > HIGHEST {
            return Err(format!("index {index} is beyond the numbers of references"));
        }
        let hash = Sha256::new()
            .chain_update(DOMAIN)
            .chain_update(self.wallet.to_bytes())
            .chain_update(index.to_be_bytes())
            .chain_update(self.seed.as_bytes())
            .finalize();
        let key = Pubkey::new_from_array(hash.into());
        Ok(DepositAddress { address: key.to_string(), path: format!("reference/{index}") })
    }
}
