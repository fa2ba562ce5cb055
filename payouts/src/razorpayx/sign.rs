//! Who we are to RazorpayX, and whether a webhook is from them.
//!
//! Invariants: the signature is over the raw bytes; exactly one, strict lower-case hex, compared
//! in constant time with every live secret. The vendor's event-id header is unsigned and not read.

use base64::{Engine as _, engine::general_purpose::STANDARD};
use hmac::{Hmac, Mac};
use primitives::Secret;
use sha2::Sha256;
use subtle::{Choice, ConstantTimeEq as _};

use crate::WebhookError;

/// The value of `Authorization`.
pub(super) fn basic(key_id: &Secret, key_secret: &Secret) -> Secret {
    let pair = format!("{}:{}", key_id.expose(), key_secret.expose());
    Secret::new(format!("Basic {}", STANDARD.encode(pair)))
}

pub(super) fn verify(
    secrets: &[Secret],
    signatures: &[&str],
    body: &[u8],
) -> Result<(), WebhookError> {
    let [signature] = signatures else {
        return Err(WebhookError::Malformed);
    };
    let is_strict = signature.bytes().all(|b| matches!(b, b'0'..=b'9' | b'a'..=b'f'));
    let mut given = [0_u8; 32];
    if !is_strict || hex::decode_to_slice(signature, &mut given).is_err() {
        return Err(WebhookError::Malformed);
    }
    // Every secret is tried, so that the time does not tell which one was right.
    let matched = secrets.iter().fold(Choice::from(0), |matched, secret| {
        matched | mac(secret, body).as_slice().ct_eq(given.as_slice())
    });
    if bool::from(matched) { Ok(()) } else { Err(WebhookError::Forged) }
}

#[expect(clippy::expect_used, reason = "HMAC takes keys of every length")]
pub(super) fn mac(secret: &Secret, body: &[u8]) -> [u8; 32] {
    let mut mac = Hmac::<Sha256>::new_from_slice(secret.expose().as_bytes())
        .expect("HMAC takes keys of every length");
    mac.update(body);
    mac.finalize().into_bytes().into()
}
