//! HMAC-SHA256 over parameter strings exactly as sent, and reading those parameters.
//!
//! Invariant: the text that is checked is never rebuilt from parsed parameters; only the
//! `signature` pair is cut out of it. Comparison takes the same time for every wrong signature.

use std::collections::BTreeMap;

use hmac::{Hmac, Mac};
use percent_encoding::percent_decode_str;
use sha2::Sha256;
use subtle::ConstantTimeEq;

/// More parameters than any endpoint has.
const PARAMS_MAX: usize = 200;

/// Lower-case hex HMAC-SHA256 of `text`.
#[must_use]
pub fn hmac_hex(secret: &str, text: &str) -> String {
    // HMAC takes keys of every length, so the error arm cannot be reached.
    let Ok(mut mac) = Hmac::<Sha256>::new_from_slice(secret.as_bytes()) else {
        return String::new();
    };
    mac.update(text.as_bytes());
    hex::encode(mac.finalize().into_bytes())
}

/// Whether `given` is the HMAC of `text`; the case of hex digits does not matter.
#[must_use]
pub fn is_signed(secret: &str, text: &str, given: &str) -> bool {
    let expected = hmac_hex(secret, text);
    let given = given.to_ascii_lowercase();
    !expected.is_empty() && bool::from(expected.as_bytes().ct_eq(given.as_bytes()))
}

/// The raw parameter string with its `signature` pair left out.
#[must_use]
pub fn without_signature(raw: &str) -> String {
    let kept: Vec<&str> = raw.split('&').filter(|pair| !pair.starts_with("signature=")).collect();
    kept.join("&")
}

/// Decoded parameters in the order they were sent.
#[derive(Debug, Clone, Default)]
pub struct Params(Vec<(String, String)>);

impl Params {
    /// `None` when the text is not form-encoded UTF-8 or holds too many parameters.
    #[must_use]
    pub fn parse(raw: &str) -> Option<Self> {
        let pairs: Vec<&str> = raw.split('&').filter(|pair| !pair.is_empty()).collect();
        if pairs.len() > PARAMS_MAX {
            return None;
        }
        let decode = |text: &str| {
            let spaced = text.replace('+', " ");
            percent_decode_str(&spaced).decode_utf8().ok().map(std::borrow::Cow::into_owned)
        };
        let read = |pair: &&str| {
            let (name, value) = pair.split_once('=').unwrap_or((pair, ""));
            Some((decode(name)?, decode(value)?))
        };
        pairs.iter().map(read).collect::<Option<Vec<_>>>().map(Self)
    }

    /// Parameters that never were in a URL.
    pub(crate) fn plain(params: BTreeMap<String, String>) -> Self {
        Self(params.into_iter().collect())
    }

    pub fn extend(&mut self, further: Self) {
        self.0.extend(further.0);
    }

    /// The first value sent under the name.
    #[must_use]
    pub fn get(&self, name: &str) -> Option<&str> {
        self.0.iter().find(|(known, _)| known == name).map(|(_, value)| value.as_str())
    }
}
