//! What signs for an API key: an HMAC secret, or an Ed25519 private key.
//!
//! Invariant: the text that is signed is the text that is sent. Neither key is ever shown.

use std::{fmt, sync::Arc};

use base64::{Engine as _, engine::general_purpose::STANDARD};
use hmac::{Hmac, Mac};
use outbound::BuildError;
use primitives::Secret;
use ring::signature::Ed25519KeyPair;
use sha2::Sha256;

use super::config::refuse;

#[derive(Clone)]
pub(super) enum Key {
    /// Signs in hex.
    Hmac(Secret),
    /// Signs in base64.
    Ed25519(Arc<Ed25519KeyPair>),
}

impl Key {
    /// `-----BEGIN PRIVATE KEY-----`, PKCS#8, with or without the public key in it.
    pub(super) fn from_pem(pem: &Secret) -> Result<Self, BuildError> {
        let bad = || refuse("ed25519_pem is not an unencrypted PKCS#8 key of this kind");
        let body = pem
            .expose()
            .trim()
            .strip_prefix("-----BEGIN PRIVATE KEY-----")
            .and_then(|rest| rest.strip_suffix("-----END PRIVATE KEY-----"));
        let Some(body) = body else { return bad() };
        let packed: String = body.split_whitespace().collect();
        let Ok(der) = STANDARD.decode(packed) else { return bad() };
        match Ed25519KeyPair::from_pkcs8_maybe_unchecked(&der) {
            Ok(pair) => Ok(Self::Ed25519(Arc::new(pair))),
            Err(_) => bad(),
        }
    }

    pub(super) fn sign(&self, text: &str) -> String {
        match self {
            Self::Hmac(secret) => hmac_hex(secret, text),
            Self::Ed25519(pair) => STANDARD.encode(pair.sign(text.as_bytes())),
        }
    }
}

#[expect(clippy::expect_used, reason = "HMAC takes keys of every length")]
fn hmac_hex(secret: &Secret, text: &str) -> String {
    let mut mac = Hmac::<Sha256>::new_from_slice(secret.expose().as_bytes())
        .expect("HMAC takes keys of every length");
    mac.update(text.as_bytes());
    hex::encode(mac.finalize().into_bytes())
}

impl fmt::Debug for Key {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Hmac(_) => "Key(HMAC)",
            Self::Ed25519(_) => "Key(Ed25519)",
        })
    }
}
