//! Standard Webhooks 1.0.0 signatures, symmetric scheme `v1`.
//!
//! Invariant: what is signed is exactly `id.timestamp.body`; an empty list of secrets signs nothing
//! and says so, because an unsigned webhook must not exist.

use std::fmt;

use base64::{Engine as _, engine::general_purpose::STANDARD};
use hmac::{Hmac, Mac};
use primitives::Secret;
use sha2::Sha256;

/// A decoded `whsec_…` secret of 24 to 64 bytes.
#[derive(Clone, PartialEq, Eq)]
pub struct SigningSecret(Vec<u8>);

#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("a webhook secret is whsec_ and 24 to 64 bytes in base64")]
pub struct SigningSecretError;

impl SigningSecret {
    /// # Errors
    /// When the prefix is missing, the rest is not base64 or the length is out of range.
    pub fn parse(secret: &Secret) -> Result<Self, SigningSecretError> {
        let encoded = secret.expose().strip_prefix("whsec_").ok_or(SigningSecretError)?;
        let bytes = STANDARD.decode(encoded).map_err(|_| SigningSecretError)?;
        if (24..=64).contains(&bytes.len()) { Ok(Self(bytes)) } else { Err(SigningSecretError) }
    }
}

impl fmt::Debug for SigningSecret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("SigningSecret(…)")
    }
}

/// The value of `webhook-signature`: one `v1,…` per secret, separated by spaces. `None` without
/// a secret.
#[must_use]
pub fn signature(
    secrets: &[SigningSecret],
    id: &str,
    timestamp: i64,
    body: &[u8],
) -> Option<String> {
    let sign = |secret: &SigningSecret| {
        let mut mac = Hmac::<Sha256>::new_from_slice(&secret.0).ok()?;
        mac.update(format!("{id}.{timestamp}.").as_bytes());
        mac.update(body);
        Some(format!("v1,{}", STANDARD.encode(mac.finalize().into_bytes())))
    };
    let signed = secrets.iter().map(sign).collect::<Option<Vec<_>>>()?;
    (!signed.is_empty()).then(|| signed.join(" "))
}
