//! Ed25519 keys as an exchange keeps them: a private key shown once, a public key to check with.
//!
//! Invariant: a key follows from the seed and its label alone. The private key is shown in PKCS#8
//! PEM, the form clients take; the text that is signed is deliberately elsewhere: each dialect's.

use base64::{Engine as _, engine::general_purpose::STANDARD};
use primitives::Secret;
use ring::signature::{ED25519, Ed25519KeyPair, KeyPair as _, UnparsedPublicKey};
use sha2::{Digest, Sha256};

/// RFC 8410: what stands before the 32 bytes of a private key.
const PKCS8_HEAD: [u8; 16] = [
    0x30, 0x2e, 0x02, 0x01, 0x00, 0x30, 0x05, 0x06, 0x03, 0x2b, 0x65, 0x70, 0x04, 0x22, 0x04, 0x20,
];

/// The 32 bytes a key is made of.
pub(crate) fn private_bytes(seed: u64, label: &str) -> [u8; 32] {
    Sha256::new()
        .chain_update(seed.to_be_bytes())
        .chain_update(format!("ed25519/{label}"))
        .finalize()
        .into()
}

/// The public key of a label: 32 bytes, a point of the curve.
#[must_use]
pub(crate) fn public_key(seed: u64, label: &str) -> Vec<u8> {
    public_of(&private_bytes(seed, label))
}

/// What the private key of a label makes of a message: 64 bytes.
#[must_use]
pub(crate) fn sign(seed: u64, label: &str, message: &[u8]) -> Vec<u8> {
    // Every 32 bytes are a private key, so the error arm cannot be reached.
    Ed25519KeyPair::from_seed_unchecked(&private_bytes(seed, label))
        .map(|pair| pair.sign(message).as_ref().to_vec())
        .unwrap_or_default()
}

pub(crate) fn public_of(private: &[u8; 32]) -> Vec<u8> {
    // Every 32 bytes are a private key, so the error arm cannot be reached.
    Ed25519KeyPair::from_seed_unchecked(private)
        .map(|pair| pair.public_key().as_ref().to_vec())
        .unwrap_or_default()
}

/// An API key of the account that signs with Ed25519.
#[derive(Debug, Clone)]
pub struct Ed25519Credentials {
    pub api_key: String,
    /// PKCS#8 PEM, as the vendor's pages let it be made.
    pub private_key_pem: Secret,
    public: Vec<u8>,
}

impl Ed25519Credentials {
    pub(crate) fn derive(seed: u64, label: &str, api_key: String) -> Self {
        let private = private_bytes(seed, label);
        let private_key_pem = Secret::new(pem(&private));
        Self { api_key, private_key_pem, public: public_of(&private) }
    }

    /// Whether `given`, in base64, signs the text.
    #[must_use]
    pub fn is_signed(&self, text: &str, given: &str) -> bool {
        is_signed(&self.public, text, given)
    }
}

fn is_signed(public: &[u8], text: &str, given: &str) -> bool {
    let Ok(signature) = STANDARD.decode(given) else { return false };
    UnparsedPublicKey::new(&ED25519, public).verify(text.as_bytes(), &signature).is_ok()
}

fn pem(private: &[u8; 32]) -> String {
    let bytes = [PKCS8_HEAD.as_slice(), private.as_slice()].concat();
    format!("-----BEGIN PRIVATE KEY-----\n{}\n-----END PRIVATE KEY-----\n", STANDARD.encode(bytes))
}

#[cfg(test)]
mod tests {
    use super::*;

    // RFC 8032, 7.1: the first test's key, its public key, and a signature of the empty text.
    #[test]
    fn agrees_with_the_standard() {
        let seed = "9d61b19deffd5a60ba844af492ec2cc44449c5697b326919703bac031cae7f60";
        let seed: [u8; 32] = hex::decode(seed).unwrap().try_into().unwrap();
        let public = public_of(&seed);
        let expected = "d75a980182b10ab7d54bfed3c964073a0ee172f3daa62325af021a68f707511a";
        assert_eq!(hex::encode(&public), expected);
        let signature = "e5564300c360ac729086e2cc806e828a84877f1eb8e5d974d873e065224901555fb8821590\
                         a33bacc61e39701cf9b46bd25bf5f0595bbe24655141438e7a100b";
        let given = STANDARD.encode(hex::decode(signature).unwrap());
        assert!(is_signed(&public, "", &given));
        assert!(!is_signed(&public, "x", &given));
        assert!(!is_signed(&public, "", "c2hvcnQ="));
        assert!(
            pem(&seed).contains("MC4CAQAwBQYDK2VwBCIEIJ1hsZ3v/VpguoRK9JLsLMREScVpezJpGXA7rAMcrn9g")
        );
    }
}
