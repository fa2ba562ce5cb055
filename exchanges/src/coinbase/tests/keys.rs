//! Keys in every form the vendor gives them, tokens claim by claim, and the vectors of RFC 7515 and
//! RFC 8037.

use base64::{
    Engine as _,
    engine::general_purpose::{STANDARD, URL_SAFE_NO_PAD},
};
use primitives::Secret;
use ring::signature::{ECDSA_P256_SHA256_FIXED, ED25519, UnparsedPublicKey, VerificationAlgorithm};

use super::super::{
    Config,
    key::{Key, Request, token},
};

/// RFC 7515, A.3: the key, and what was signed with it.
const D: &str = "jpsQnnGQmL-YBIffH1136cspYG6-0iY7X1fCE9-E9LI";
const X: &str = "f83OJ3D2xF1Bg8vub9tLe1gHMzV76e8Tus9uPHvRVEU";
const Y: &str = "x_FEzRu9m36HLN_tue659LNpXW6pCyStikYjKIWI5a0";
const SIGNED: &str = "eyJhbGciOiJFUzI1NiJ9.eyJpc3MiOiJqb2UiLA0KICJleHAiOjEzMDA4MTkzODAsDQogImh0dHA6\
    Ly9leGFtcGxlLmNvbS9pc19yb290Ijp0cnVlfQ";
const SIGNATURE: &str =
    "DtEhU3ljbEg8L38VWAfUAqOyKAM6-Xx-F4GawxaepmXFCgfTjDxw5djxLa8ISlSApmWQxfKTUJqPP3-Kg6NU1Q";
/// RFC 8037, A.1 and A.4.
const SEED: &str = "nWGxne_9WmC6hEr0kuwsxERJxWl7MmkZcDusAxyuf2A";
const PUBLIC: &str = "11qYAYKxCrfVS_7TyWQHOg7hcvPapiMlrwIaaPcHURo";

fn bytes(base64url: &str) -> Vec<u8> {
    URL_SAFE_NO_PAD.decode(base64url).unwrap()
}

fn point() -> Vec<u8> {
    [vec![4], bytes(X), bytes(Y)].concat()
}

/// As RFC 5915 writes it, with the curve's name or without.
fn ec_pem(with_curve: bool) -> String {
    let mut body = vec![2, 1, 1, 4, 32];
    body.extend(bytes(D));
    if with_curve {
        body.extend([0xa0, 10, 6, 8, 0x2a, 0x86, 0x48, 0xce, 0x3d, 3, 1, 7]);
    }
    body.extend([0xa1, 68, 3, 66, 0]);
    body.extend(point());
    let mut der = vec![0x30, u8::try_from(body.len()).unwrap()];
    der.extend(body);
    format!(
        "-----BEGIN EC PRIVATE KEY-----\n{}\n-----END EC PRIVATE KEY-----\n",
        STANDARD.encode(der)
    )
}

fn ed25519() -> String {
    STANDARD.encode([bytes(SEED), bytes(PUBLIC)].concat())
}

fn key(text: impl Into<String>) -> Key {
    Key::read(&Secret::new(text)).unwrap()
}

fn verify(alg: &'static dyn VerificationAlgorithm, public: &[u8], text: &str, signature: &str) {
    let public = UnparsedPublicKey::new(alg, public);
    public.verify(text.as_bytes(), &bytes(signature)).unwrap();
}

// ECDSA signs differently every time: the vector shows that what we verify with is what the RFC
// means, and ours then verifies the same way.
#[test]
fn signs_es256_as_rfc_7515_does() {
    verify(&ECDSA_P256_SHA256_FIXED, &point(), SIGNED, SIGNATURE);
    for pem in [ec_pem(true), ec_pem(false), ec_pem(true).replace('\n', "\\n")] {
        let signature = key(pem).sign(SIGNED.as_bytes()).unwrap();
        assert_eq!(signature.len(), 64, "r and s, not DER");
        let signature = URL_SAFE_NO_PAD.encode(signature);
        verify(&ECDSA_P256_SHA256_FIXED, &point(), SIGNED, &signature);
    }
}

#[test]
fn signs_eddsa_as_rfc_8037_does() {
    let text = "eyJhbGciOiJFZERTQSJ9.RXhhbXBsZSBvZiBFZDI1NTE5IHNpZ25pbmc";
    let expected =
        "hgyY0il_MGCjP0JzlnLWG1PPOt7-09PGcvMg3AIbQR6dWbhijcNR4ki4iylGjg5BhVsPt9g7sVvpAr_MuM0KAg";
    let pkcs8 = [hex::decode("302e020100300506032b657004220420").unwrap(), bytes(SEED)].concat();
    let pem = format!(
        "-----BEGIN PRIVATE KEY-----\n{}\n-----END PRIVATE KEY-----",
        STANDARD.encode(pkcs8)
    );
    for text_of_key in [ed25519(), STANDARD.encode(bytes(SEED)), pem] {
        let signature = key(text_of_key).sign(text.as_bytes()).unwrap();
        assert_eq!(URL_SAFE_NO_PAD.encode(signature), expected);
    }
}

#[test]
fn a_token_claims_what_the_vendor_documents() {
    let name = Secret::new("organizations/o/apiKeys/k");
    let uri = "GET api.coinbase.com/api/v3/brokerage/accounts";
    let of = Request { uri, not_before: 100, expires: 110, nonce: "00ff" };
    let table: [(String, &str, &'static dyn VerificationAlgorithm, Vec<u8>); 2] = [
        (ec_pem(true), "ES256", &ECDSA_P256_SHA256_FIXED, point()),
        (ed25519(), "EdDSA", &ED25519, bytes(PUBLIC)),
    ];
    for (text, alg, verifier, public) in table {
        let token = token(&name, &key(text), &of).unwrap();
        let parts: Vec<&str> = token.split('.').collect();
        let json = |part: &str| serde_json::from_slice::<serde_json::Value>(&bytes(part)).unwrap();
        let header = serde_json::json!({
            "alg": alg, "kid": "organizations/o/apiKeys/k", "nonce": "00ff", "typ": "JWT",
        });
        let claims = serde_json::json!({
            "sub": "organizations/o/apiKeys/k", "iss": "cdp", "nbf": 100, "exp": 110, "uri": uri,
        });
        assert_eq!((json(parts[0]), json(parts[1])), (header, claims));
        verify(verifier, &public, &format!("{}.{}", parts[0], parts[1]), parts[2]);
    }
}

#[test]
fn what_is_no_key_is_refused_without_being_shown() {
    let whole = ec_pem(true);
    let cut = STANDARD.encode(bytes(SEED).split_at(31).0);
    let foreign = ed25519().replace('A', "B");
    let no_public = "-----BEGIN EC PRIVATE KEY-----\nMAMCAQE=\n-----END EC PRIVATE KEY-----";
    for bad in [whole.replace("EC PRIVATE", "RSA PRIVATE"), cut, foreign, no_public.into()] {
        let refused = Key::read(&Secret::new(bad.clone())).unwrap_err().to_string();
        assert!(!refused.contains(&bad) && refused.contains("private_key"), "{refused}");
    }
    assert_eq!(format!("{:?} {:?}", key(whole), key(ed25519())), "Key(ES256) Key(EdDSA)");
}

#[test]
fn settings_are_checked_and_secrets_not_shown() {
    let read = |more: serde_json::Value| {
        let mut json = serde_json::json!({"base_url": "https://api.coinbase.com"});
        json.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
        serde_json::from_value::<Config>(json)
    };
    let keyed = read(serde_json::json!({"api_key": "k", "private_key": ed25519()})).unwrap();
    keyed.check().unwrap();
    assert!(keyed.key().unwrap().is_some());
    assert!(!format!("{keyed:?}").contains(&ed25519()));
    assert!(read(serde_json::json!({})).unwrap().key().unwrap().is_none());
    for more in [
        serde_json::json!({"api_key": "k"}),
        serde_json::json!({"private_key": ed25519()}),
        serde_json::json!({"api_key": " ", "private_key": ed25519()}),
        serde_json::json!({"api_key": "k", "private_key": "k"}),
    ] {
        assert!(read(more.clone()).unwrap().key().is_err(), "{more}");
    }
    for more in [
        serde_json::json!({"token_life_s": 1}),
        serde_json::json!({"token_life_s": 121}),
        serde_json::json!({"look_back_days": 0}),
        serde_json::json!({"networks": {"ethereum": "eth/../x"}}),
    ] {
        assert!(read(more.clone()).unwrap().check().is_err(), "{more}");
    }
    let fee = |fee: &str| read(serde_json::json!({"send_fees": {"ethereum": {"ETH": fee}}}));
    assert!(fee("0.001").is_ok() && fee("-1").is_err() && fee("much").is_err());
    assert!(read(serde_json::json!({"secret": "x"})).is_err(), "unknown keys are errors");
}
