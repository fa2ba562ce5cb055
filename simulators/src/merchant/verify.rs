//! Standard Webhooks signatures, checked the way a careful merchant would.
//!
//! Invariant: the signed text is `id.timestamp.body` over the bytes as received; a signature counts
//! when any of the space-separated `v1` ones was made with any secret registered for the path.

use std::collections::BTreeMap;

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use chrono::{DateTime, Utc};
use hmac::{Hmac, Mac};
use serde::Serialize;
use sha2::Sha256;
use subtle::ConstantTimeEq;

/// How far the sender's clock may be off.
const TOLERANCE_SECONDS: i64 = 300;

/// What a merchant would say of one request.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub(super) struct Verdict {
    /// `None` when no secret was registered for the path.
    pub(super) verified: Option<bool>,
    /// Which of the registered secrets it was, counted from 0 in order of registration.
    pub(super) secret: Option<usize>,
    pub(super) problem: Option<&'static str>,
}

impl Verdict {
    fn no(problem: &'static str) -> Self {
        Self { verified: Some(false), secret: None, problem: Some(problem) }
    }
}

/// The bytes behind `whsec_…`, or nothing when they are not base64.
pub(super) fn key_of(secret: &str) -> Option<Vec<u8>> {
    STANDARD.decode(secret.strip_prefix("whsec_").unwrap_or(secret)).ok()
}

/// The `v1,…` signature of a message, `None` when the secret is not base64.
#[must_use]
pub fn sign(secret: &str, id: &str, timestamp: &str, body: &[u8]) -> Option<String> {
    let mut mac = Hmac::<Sha256>::new_from_slice(&key_of(secret)?).ok()?;
    mac.update(format!("{id}.{timestamp}.").as_bytes());
    mac.update(body);
    Some(format!("v1,{}", STANDARD.encode(mac.finalize().into_bytes())))
}

pub(super) fn verify(
    secrets: &[String],
    headers: &BTreeMap<String, String>,
    body: &[u8],
    now: DateTime<Utc>,
) -> Verdict {
    if secrets.is_empty() {
        return Verdict { verified: None, secret: None, problem: None };
    }
    let header = |name: &str| headers.get(name).map(String::as_str);
    let (Some(id), Some(timestamp), Some(signatures)) =
        (header("webhook-id"), header("webhook-timestamp"), header("webhook-signature"))
    else {
        return Verdict::no("a webhook header is missing");
    };
    let Ok(sent_at) = timestamp.parse::<i64>() else {
        return Verdict::no("the timestamp is not in epoch seconds");
    };
    if now.timestamp().abs_diff(sent_at) > TOLERANCE_SECONDS.unsigned_abs() {
        return Verdict::no("the timestamp is more than five minutes off");
    }
    let made_with = |secret: &String| {
        let expected = sign(secret, id, timestamp, body)?;
        let matches = |given: &str| bool::from(given.as_bytes().ct_eq(expected.as_bytes()));
        signatures.split(' ').any(matches).then_some(())
    };
    match secrets.iter().position(|secret| made_with(secret).is_some()) {
        Some(place) => Verdict { verified: Some(true), secret: Some(place), problem: None },
        None => Verdict::no("no signature matches"),
    }
}

#[cfg(test)]
mod tests {
    use super::sign;

    /// The example of the Standard Webhooks reference libraries.
    #[test]
    fn published_vector() {
        let signature = sign(
            "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw",
            "msg_p5jXN8AQM9LWM0D4loKWxJek",
            "1614265330",
            br#"{"test": 2432232314}"#,
        );
        assert_eq!(signature.unwrap(), "v1,g0hM9SsE+OTPJTGt/tmIKtSyZlE3uFJELVlNIOLJ1OE=");
    }
}
