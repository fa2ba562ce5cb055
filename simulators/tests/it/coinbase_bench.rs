//! Coinbase's tokens as a client makes them, and calls with them.

use axum::{body::Body, http::Request};
use base64::{
    Engine as _,
    engine::general_purpose::{STANDARD, URL_SAFE_NO_PAD},
};
use ring::{
    rand::SystemRandom,
    signature::{ECDSA_P256_SHA256_FIXED_SIGNING, EcdsaKeyPair, Ed25519KeyPair},
};
use rust_decimal::Decimal;
use serde_json::{Value, json};
use simulators::coinbase::CdpKey;

use crate::venue_bench::{Answer, Venues, answered, number};

pub(crate) const ORDERS: &str = "/api/v3/brokerage/orders";
pub(crate) const HISTORY: &str = "/api/v3/brokerage/orders/historical/batch";
pub(crate) const FILLS: &str = "/api/v3/brokerage/orders/historical/fills";
pub(crate) const CANCEL: &str = "/api/v3/brokerage/orders/batch_cancel";
pub(crate) const HOST: &str = "api.coinbase.com";

/// What a token says.
#[derive(Clone)]
pub(crate) struct Token {
    pub(crate) header: Value,
    pub(crate) claims: Value,
}

impl Token {
    /// As the vendor's pages tell to make one.
    pub(crate) fn new(key: &CdpKey, method: &str, path: &str, now: i64) -> Self {
        let alg = if is_es256(key) { "ES256" } else { "EdDSA" };
        let header = json!({"alg": alg, "kid": key.name, "nonce": "6e6f6e6365", "typ": "JWT"});
        let path = path.split('?').next().unwrap();
        let uri = format!("{method} {HOST}{path}");
        let claims =
            json!({"sub": key.name, "iss": "cdp", "nbf": now, "exp": now + 120, "uri": uri});
        Self { header, claims }
    }

    pub(crate) fn signed(&self, key: &CdpKey) -> String {
        let part = |value: &Value| URL_SAFE_NO_PAD.encode(value.to_string());
        let text = format!("{}.{}", part(&self.header), part(&self.claims));
        let signature = sign(key, text.as_bytes());
        format!("{text}.{}", URL_SAFE_NO_PAD.encode(signature))
    }
}

fn is_es256(key: &CdpKey) -> bool {
    key.secret.expose().starts_with("-----BEGIN EC PRIVATE KEY-----")
}

/// With what is in the secret alone: the PEM, or the base64 of 64 bytes.
fn sign(key: &CdpKey, text: &[u8]) -> Vec<u8> {
    let secret = key.secret.expose();
    if !is_es256(key) {
        let both = STANDARD.decode(secret).unwrap();
        let pair = Ed25519KeyPair::from_seed_and_public_key(&both[..32], &both[32..]).unwrap();
        return pair.sign(text).as_ref().to_vec();
    }
    let inside: String = secret.lines().filter(|line| !line.starts_with('-')).collect();
    let der = STANDARD.decode(inside).unwrap();
    assert_eq!(usize::from(der[1]) + 2, der.len(), "one sequence and nothing behind it");
    let (private, public) = (&der[7..39], &der[der.len() - 65..]);
    let (algorithm, random) = (&ECDSA_P256_SHA256_FIXED_SIGNING, SystemRandom::new());
    // Refuses a public key that is not the private one's.
    let pair = EcdsaKeyPair::from_private_key_and_public_key(algorithm, private, public, &random);
    pair.unwrap().sign(&random, text).unwrap().as_ref().to_vec()
}

impl Venues {
    /// A call with a token of the ES256 key.
    pub(crate) async fn cb(&self, method: &str, uri: &str, body: Value) -> Answer {
        let (key, now) = (self.coinbase.key().clone(), self.timestamp() / 1000);
        let token = Token::new(&key, method, uri, now).signed(&key);
        self.cb_with(method, uri, &body, &[("authorization", &format!("Bearer {token}"))]).await
    }

    pub(crate) async fn cb_get(&self, uri: &str) -> Answer {
        self.cb("GET", uri, Value::Null).await
    }

    pub(crate) async fn cb_with(
        &self,
        method: &str,
        uri: &str,
        body: &Value,
        headers: &[(&str, &str)],
    ) -> Answer {
        let mut request = Request::builder().method(method).uri(uri);
        for (name, value) in headers {
            request = request.header(*name, *value);
        }
        let text = if body.is_null() { String::new() } else { body.to_string() };
        answered(&self.coinbase_api, request.body(Body::from(text)).unwrap()).await
    }

    /// `sell 0.1 BTC-USDT limit_limit_gtc 99000`, under a client id.
    pub(crate) async fn cb_order(&self, order: &str, id: &str) -> Answer {
        let words: Vec<&str> = order.split(' ').collect();
        let inside = match words.get(4) {
            Some(price) => json!({"base_size": words[1], "limit_price": price}),
            None => json!({"base_size": words[1]}),
        };
        self.cb_configured(words[0], words[2], json!({words[3]: inside}), id).await
    }

    pub(crate) async fn cb_configured(
        &self,
        side: &str,
        product: &str,
        configuration: Value,
        id: &str,
    ) -> Answer {
        let body = json!({
            "client_order_id": id,
            "product_id": product,
            "side": side.to_uppercase(),
            "order_configuration": configuration,
        });
        self.cb("POST", ORDERS, body).await
    }

    /// The id of an order that must be taken.
    pub(crate) async fn cb_placed(&self, order: &str, id: &str) -> String {
        let answer = self.cb_order(order, id).await.ok();
        assert_eq!(answer["success"], true, "{answer}");
        assert_eq!(answer["order_id"], answer["success_response"]["order_id"]);
        answer["order_id"].as_str().unwrap().to_owned()
    }

    pub(crate) async fn cb_shown(&self, id: &str) -> Value {
        let path = format!("/api/v3/brokerage/orders/historical/{id}");
        self.cb_get(&path).await.ok()["order"].clone()
    }

    pub(crate) async fn cb_cancel(&self, ids: &[&str]) -> Value {
        self.cb("POST", CANCEL, json!({"order_ids": ids})).await.ok()["results"].clone()
    }

    pub(crate) async fn cb_fills(&self, query: &str) -> Vec<Value> {
        let answer = self.cb_get(&format!("{FILLS}?{query}")).await.ok();
        answer["fills"].as_array().unwrap().clone()
    }
}

/// The reasons of an order that was not taken.
pub(crate) fn reasons(answer: Answer) -> (String, String) {
    let body = answer.ok();
    assert_eq!((&body["success"], &body["order_id"]), (&json!(false), &json!("")), "{body}");
    let text = |name: &str| body["error_response"][name].as_str().unwrap().to_owned();
    (text("error"), text("preview_failure_reason"))
}

pub(crate) fn sum(fills: &[Value], of: impl Fn(&Value) -> Decimal) -> Decimal {
    fills.iter().map(of).sum()
}

/// Price times base size.
pub(crate) fn value(fill: &Value) -> Decimal {
    number(fill, "price") * number(fill, "size")
}
