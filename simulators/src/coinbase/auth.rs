//! CDP keys and the JSON Web Tokens they sign, checked as the vendor does.
//!
//! Invariant: a call passes only with a token of a known key over this very method, host and path,
//! inside its two minutes. Why another one did not is nobody's business but the tests': outside
//! there is one answer. A host written `http://…` is let through too: clients that were pointed
//! at loopback leave the scheme in the claim.

use base64::{
    Engine as _,
    engine::general_purpose::{STANDARD, URL_SAFE_NO_PAD},
};
use chrono::{DateTime, Utc};
use p256::{SecretKey, elliptic_curve::sec1::ToEncodedPoint};
use primitives::Secret;
use ring::signature::{ECDSA_P256_SHA256_FIXED, ED25519, UnparsedPublicKey, VerificationAlgorithm};
use serde::Deserialize;

use super::wire::uuid_of;
use crate::{
    World,
    keys::{private_bytes, public_of},
    serving::Call,
};

/// The vendor's own host: a claim may name it or the host that was called.
const HOST: &str = "api.coinbase.com";
/// How far the two clocks may be apart.
const SLACK_SECONDS: i64 = 5;
/// How long a token may live.
const LIFE_SECONDS: i64 = 120;
const TOKEN_MAX: usize = 8 * 1024;
/// SEC 1: what stands before the private key, between the keys, and the whole in DER.
const SEC1_HEAD: [u8; 7] = [0x30, 0x77, 0x02, 0x01, 0x01, 0x04, 0x20];
const SEC1_MIDDLE: [u8; 17] = [
    0xa0, 0x0a, 0x06, 0x08, 0x2a, 0x86, 0x48, 0xce, 0x3d, 0x03, 0x01, 0x07, 0xa1, 0x44, 0x03, 0x42,
    0x00,
];

/// Why a token is not taken.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Rejected {
    Missing,
    Malformed,
    UnknownKey,
    Signature,
    Claims,
    Time,
    Uri,
}

/// How a key signs.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Kind {
    Es256,
    EdDsa,
}

/// An API key of the account, as the developer platform shows it once.
#[derive(Debug, Clone)]
pub struct CdpKey {
    /// `organizations/…/apiKeys/…` for ES256, a bare id for Ed25519.
    pub name: String,
    /// SEC 1 PEM for ES256; base64 of seed and public key for Ed25519.
    pub secret: Secret,
    kind: Kind,
    public: Vec<u8>,
}

impl CdpKey {
    pub(super) fn es256(world: &World) -> Self {
        let name = format!(
            "organizations/{}/apiKeys/{}",
            uuid_of(world.seed, "coinbase/organization"),
            uuid_of(world.seed, "coinbase/api_key"),
        );
        // Nearly every 32 bytes are a private key of this curve; the first that are.
        let (private, secret) = (0_u32..64)
            .find_map(|turn| {
                let private = private_bytes(world.seed, &format!("coinbase/es256/{turn}"));
                SecretKey::from_slice(&private).ok().map(|secret| (private, Some(secret)))
            })
            .unwrap_or(([0; 32], None));
        let public = secret
            .map(|secret| secret.public_key().to_encoded_point(false).as_bytes().to_vec())
            .unwrap_or_default();
        let secret = Secret::new(sec1_pem(&private, &public));
        Self { name, secret, kind: Kind::Es256, public }
    }

    pub(super) fn ed25519(world: &World) -> Self {
        let private = private_bytes(world.seed, "coinbase/api");
        let public = public_of(&private);
        let both = [private.as_slice(), public.as_slice()].concat();
        Self {
            name: uuid_of(world.seed, "coinbase/ed25519_api_key"),
            secret: Secret::new(STANDARD.encode(both)),
            kind: Kind::EdDsa,
            public,
        }
    }

    fn is_signed(&self, text: &str, signature: &[u8]) -> bool {
        let algorithm: &'static dyn VerificationAlgorithm = match self.kind {
            Kind::Es256 => &ECDSA_P256_SHA256_FIXED,
            Kind::EdDsa => &ED25519,
        };
        UnparsedPublicKey::new(algorithm, &self.public).verify(text.as_bytes(), signature).is_ok()
    }
}

fn sec1_pem(private: &[u8; 32], public: &[u8]) -> String {
    let der = [SEC1_HEAD.as_slice(), private.as_slice(), SEC1_MIDDLE.as_slice(), public].concat();
    let mut pem = String::from("-----BEGIN EC PRIVATE KEY-----\n");
    let text = STANDARD.encode(der);
    let mut rest = text.as_str();
    while !rest.is_empty() {
        let (line, further) = rest.split_at_checked(64).unwrap_or((rest, ""));
        pem.push_str(line);
        pem.push('\n');
        rest = further;
    }
    pem + "-----END EC PRIVATE KEY-----\n"
}

#[derive(Deserialize)]
struct Header {
    alg: String,
    kid: String,
    nonce: String,
    #[serde(default)]
    typ: Option<String>,
}

#[derive(Deserialize)]
struct Claims {
    sub: String,
    iss: String,
    nbf: i64,
    exp: i64,
    #[serde(default)]
    uri: Option<String>,
    /// The newer generator's spelling.
    #[serde(default)]
    uris: Vec<String>,
}

fn part<T: for<'a> Deserialize<'a>>(text: &str) -> Result<T, Rejected> {
    let bytes = URL_SAFE_NO_PAD.decode(text).map_err(|_| Rejected::Malformed)?;
    serde_json::from_slice(&bytes).map_err(|_| Rejected::Malformed)
}

/// Whether the call carries a token of one of the keys, made for it.
pub(super) fn check(keys: &[&CdpKey], call: &Call, now: DateTime<Utc>) -> Result<(), Rejected> {
    let token = call.header("authorization").and_then(|text| text.strip_prefix("Bearer "));
    let token = token.filter(|token| token.len() <= TOKEN_MAX).ok_or(Rejected::Missing)?;
    let (text, signature) = token.rsplit_once('.').ok_or(Rejected::Malformed)?;
    let (header, claims) = text.split_once('.').ok_or(Rejected::Malformed)?;
    let header: Header = part(header)?;
    let key = keys.iter().find(|key| key.name == header.kid).ok_or(Rejected::UnknownKey)?;
    let algorithm = match key.kind {
        Kind::Es256 => "ES256",
        Kind::EdDsa => "EdDSA",
    };
    let is_typed = header.typ.as_deref().is_none_or(|typ| typ == "JWT");
    if header.alg != algorithm || header.nonce.is_empty() || !is_typed {
        return Err(Rejected::Malformed);
    }
    let signature = URL_SAFE_NO_PAD.decode(signature).map_err(|_| Rejected::Malformed)?;
    if !key.is_signed(text, &signature) {
        return Err(Rejected::Signature);
    }
    let claims: Claims = part(claims)?;
    if claims.sub != key.name || !matches!(claims.iss.as_str(), "cdp" | "coinbase-cloud") {
        return Err(Rejected::Claims);
    }
    let now = now.timestamp();
    let life = claims.exp.saturating_sub(claims.nbf);
    if !(1..=LIFE_SECONDS).contains(&life)
        || claims.nbf > now.saturating_add(SLACK_SECONDS)
        || claims.exp <= now.saturating_sub(SLACK_SECONDS)
    {
        return Err(Rejected::Time);
    }
    let mut uris = claims.uri.iter().chain(&claims.uris);
    if uris.any(|uri| is_for(uri, call)) { Ok(()) } else { Err(Rejected::Uri) }
}

/// `METHOD host/path`, without the query.
fn is_for(uri: &str, call: &Call) -> bool {
    let Some((method, target)) = uri.split_once(' ') else { return false };
    let target = target.strip_prefix("http://").unwrap_or(target);
    let Some(host) = target.strip_suffix(call.path.as_str()) else { return false };
    method == call.method.as_str() && (host == HOST || call.header("host") == Some(host))
}
