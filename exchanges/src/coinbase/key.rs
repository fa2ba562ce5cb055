//! A CDP key: ECDSA over P-256 (ES256) or Ed25519 (`EdDSA`), and the tokens it signs.
//!
//! Invariants: a token is good for one method and path, from its stamp on for as long as the
//! settings say; the private key is never shown. Where a token is refused is deliberately
//! elsewhere.

use std::{fmt, sync::Arc};

use base64::{
    Engine as _,
    engine::general_purpose::{STANDARD, URL_SAFE_NO_PAD},
};
use outbound::BuildError;
use primitives::{CallError, CallResult, Secret};
use ring::{
    rand::SystemRandom,
    signature::{ECDSA_P256_SHA256_FIXED_SIGNING, EcdsaKeyPair, Ed25519KeyPair},
};
use serde::Serialize;

use super::{NAME, config::refuse};

#[derive(Clone)]
pub(super) enum Key {
    Es256(Arc<EcdsaKeyPair>),
    EdDsa(Arc<Ed25519KeyPair>),
}

const SEED: usize = 32;

impl Key {
    /// As the vendor's portal gives it: PEM of an EC key, base64 of an Ed25519 key's seed and
    /// public half, or PEM of either as PKCS#8. Line breaks may be written `\n`.
    pub(super) fn read(secret: &Secret) -> Result<Self, BuildError> {
        let text = secret.expose().replace("\\n", "\n");
        let text = text.trim();
        let read = if let Some(der) = pem(text, "EC PRIVATE KEY") {
            sec1(&der)
        } else if let Some(der) = pem(text, "PRIVATE KEY") {
            pkcs8(&der)
        } else {
            seed(text)
        };
        match read {
            Some(key) => Ok(key),
            None => refuse("private_key is neither an EC key on P-256 nor an Ed25519 key"),
        }
    }

    pub(super) fn sign(&self, text: &[u8]) -> CallResult<Vec<u8>> {
        match self {
            Self::Es256(pair) => pair
                .sign(&SystemRandom::new(), text)
                .map(|signature| signature.as_ref().to_vec())
                .map_err(|_| CallError::NotSent(format!("{NAME}: the request cannot be signed"))),
            Self::EdDsa(pair) => Ok(pair.sign(text).as_ref().to_vec()),
        }
    }

    const fn alg(&self) -> &'static str {
        match self {
            Self::Es256(_) => "ES256",
            Self::EdDsa(_) => "EdDSA",
        }
    }
}

impl fmt::Debug for Key {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Key({})", self.alg())
    }
}

fn pem(text: &str, kind: &str) -> Option<Vec<u8>> {
    let body = text
        .strip_prefix(&format!("-----BEGIN {kind}-----"))?
        .strip_suffix(&format!("-----END {kind}-----"))?;
    let packed: String = body.split_whitespace().collect();
    STANDARD.decode(packed).ok()
}

fn es256(private: &[u8], public: &[u8]) -> Option<Key> {
    let (alg, rng) = (&ECDSA_P256_SHA256_FIXED_SIGNING, SystemRandom::new());
    let pair = EcdsaKeyPair::from_private_key_and_public_key(alg, private, public, &rng);
    Some(Key::Es256(Arc::new(pair.ok()?)))
}

fn pkcs8(der: &[u8]) -> Option<Key> {
    let (alg, rng) = (&ECDSA_P256_SHA256_FIXED_SIGNING, SystemRandom::new());
    if let Ok(pair) = EcdsaKeyPair::from_pkcs8(alg, der, &rng) {
        return Some(Key::Es256(Arc::new(pair)));
    }
    let pair = Ed25519KeyPair::from_pkcs8_maybe_unchecked(der).ok()?;
    Some(Key::EdDsa(Arc::new(pair)))
}

/// Base64 of the seed, with the public half behind it or without.
fn seed(text: &str) -> Option<Key> {
    let bytes = STANDARD.decode(text).ok()?;
    let (seed, public) = bytes.split_at_checked(SEED)?;
    let pair = if public.is_empty() {
        Ed25519KeyPair::from_seed_unchecked(seed)
    } else {
        Ed25519KeyPair::from_seed_and_public_key(seed, public)
    };
    Some(Key::EdDsa(Arc::new(pair.ok()?)))
}

/// RFC 5915: `SEQUENCE { 1, OCTET STRING private, [0] curve, [1] { BIT STRING public } }`. A key
/// without its public half is not taken: no tool of the vendor's makes one.
fn sec1(der: &[u8]) -> Option<Key> {
    let (body, rest) = field(der, 0x30)?;
    let (version, body) = field(body, 0x02)?;
    let (private, mut body) = field(body, 0x04)?;
    if version != [1] || !rest.is_empty() {
        return None;
    }
    if let Some((_, after)) = field(body, 0xa0) {
        body = after;
    }
    let (public, _) = field(body, 0xa1)?;
    let (bits, _) = field(public, 0x03)?;
    es256(private, bits.strip_prefix(&[0])?)
}

/// The content of the field that begins here, if it is of this kind, and what follows it. Keys on
/// this curve have no field of 256 bytes or more.
fn field(der: &[u8], tag: u8) -> Option<(&[u8], &[u8])> {
    let (&found, rest) = der.split_first()?;
    let (&first, rest) = rest.split_first()?;
    let (length, rest) = match first {
        0..=0x7f => (first, rest),
        0x81 => rest.split_first().map(|(length, rest)| (*length, rest))?,
        _ => return None,
    };
    (found == tag).then(|| rest.split_at_checked(usize::from(length)))?
}

#[derive(Serialize)]
struct Header<'a> {
    alg: &'a str,
    kid: &'a str,
    nonce: &'a str,
    typ: &'a str,
}

#[derive(Serialize)]
struct Claims<'a> {
    sub: &'a str,
    iss: &'a str,
    nbf: i64,
    exp: i64,
    uri: &'a str,
}

/// What a token is made for.
pub(super) struct Request<'a> {
    /// `GET api.coinbase.com/api/v3/brokerage/accounts`, without the query.
    pub(super) uri: &'a str,
    pub(super) not_before: i64,
    pub(super) expires: i64,
    pub(super) nonce: &'a str,
}

/// The compact form of RFC 7515: header, claims, signature.
pub(super) fn token(name: &Secret, key: &Key, of: &Request<'_>) -> CallResult<String> {
    let kid = name.expose().trim();
    let header = Header { alg: key.alg(), kid, nonce: of.nonce, typ: "JWT" };
    let (nbf, exp) = (of.not_before, of.expires);
    let claims = Claims { sub: kid, iss: "cdp", nbf, exp, uri: of.uri };
    let text = format!("{}.{}", part(&header)?, part(&claims)?);
    let signature = URL_SAFE_NO_PAD.encode(key.sign(text.as_bytes())?);
    Ok(format!("{text}.{signature}"))
}

fn part(of: &impl Serialize) -> CallResult<String> {
    let json = serde_json::to_vec(of)
        .map_err(|_| CallError::NotSent(format!("{NAME}: the token cannot be written")))?;
    Ok(URL_SAFE_NO_PAD.encode(json))
}
