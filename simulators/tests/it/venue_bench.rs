//! The exchanges and the rate source on one manual clock, called without a network. What is special
//! about Coinbase's calls is in `coinbase_bench.rs`.

use std::sync::Arc;

use axum::{
    Router,
    body::{Body, to_bytes},
    http::{HeaderMap, Request, StatusCode},
};
use base64::{Engine as _, engine::general_purpose::STANDARD};
use chrono::{DateTime, TimeDelta};
use percent_encoding::{NON_ALPHANUMERIC, percent_encode};
use primitives::{Clock, ManualClock};
use ring::signature::Ed25519KeyPair;
use rust_decimal::Decimal;
use serde_json::Value;
use simulators::{
    Options, World, binance, coinbase, coingecko, fault::Fault, signature::hmac_hex, wazirx,
};
use tower::ServiceExt;

pub(crate) struct Venues {
    pub(crate) clock: ManualClock,
    pub(crate) world: Arc<World>,
    pub(crate) wazirx: Arc<wazirx::Exchange>,
    pub(crate) binance: Arc<binance::Exchange>,
    pub(crate) coinbase: Arc<coinbase::Exchange>,
    wazirx_api: Router,
    binance_api: Router,
    pub(crate) coinbase_api: Router,
    pub(crate) coingecko: Arc<coingecko::Source>,
    coingecko_api: Router,
}

pub(crate) struct Answer {
    pub(crate) status: StatusCode,
    pub(crate) headers: HeaderMap,
    /// `None` when the connection broke in the body.
    pub(crate) text: Option<String>,
    pub(crate) body: Value,
}

impl Venues {
    pub(crate) fn new() -> Self {
        let clock = ManualClock::new(DateTime::from_timestamp(1_767_225_600, 0).unwrap());
        let world = World::new(&Options::new(Arc::new(clock.clone()))).unwrap();
        let (wazirx_api, wazirx) = wazirx::router(Arc::clone(&world));
        let (binance_api, binance) = binance::router(Arc::clone(&world));
        let (coinbase_api, coinbase) = coinbase::router(Arc::clone(&world));
        let (coingecko_api, coingecko) = coingecko::router(Arc::clone(&world));
        Self {
            clock,
            world,
            wazirx,
            binance,
            coinbase,
            wazirx_api,
            binance_api,
            coinbase_api,
            coingecko,
            coingecko_api,
        }
    }

    pub(crate) fn pin(&self, pair: &str, price: &str) {
        self.world.prices.pin(pair, dec(price)).unwrap();
    }

    pub(crate) fn pass(&self, ms: i64) {
        self.clock.advance(TimeDelta::milliseconds(ms));
    }

    pub(crate) fn fault(&self, target: &str, operation: &str, name: &str, value: Option<&str>) {
        let mut fault = Fault::new(target, operation, name);
        fault.value = value.map(str::to_owned);
        fault.delay_ms = Some(1);
        self.world.faults.queue(fault).unwrap();
    }

    pub(crate) fn timestamp(&self) -> i64 {
        self.clock.now().timestamp_millis()
    }

    /// A signed WazirX call with everything in the query.
    pub(crate) async fn wazirx(&self, method: &str, path: &str, params: &str) -> Answer {
        let keys = self.wazirx.credentials();
        let text = with_timestamp(params, self.timestamp());
        let signature = hmac_hex(keys.secret.expose(), &text);
        let uri = format!("/sapi/v1/{path}?{text}&signature={signature}");
        self.raw_wazirx(method, &uri, "", Some(&keys.api_key)).await
    }

    pub(crate) async fn raw_wazirx(
        &self,
        method: &str,
        uri: &str,
        body: &str,
        key: Option<&str>,
    ) -> Answer {
        send(&self.wazirx_api, method, uri, body, key.map(|key| ("x-api-key", key))).await
    }

    /// A signed Binance call: the query for GET and DELETE, a form body for POST.
    pub(crate) async fn binance(&self, method: &str, path: &str, params: &str) -> Answer {
        let keys = self.binance.credentials();
        let text = with_timestamp(params, self.timestamp());
        let signed = format!("{text}&signature={}", hmac_hex(keys.secret.expose(), &text));
        let key = Some(keys.api_key.as_str());
        if method == "POST" {
            return self.raw_binance(method, path, &signed, key).await;
        }
        self.raw_binance(method, &format!("{path}?{signed}"), "", key).await
    }

    pub(crate) async fn raw_binance(
        &self,
        method: &str,
        uri: &str,
        body: &str,
        key: Option<&str>,
    ) -> Answer {
        send(&self.binance_api, method, uri, body, key.map(|key| ("x-mbx-apikey", key))).await
    }

    /// A public Coinbase call.
    pub(crate) async fn coinbase(&self, uri: &str) -> Answer {
        send(&self.coinbase_api, "GET", uri, "", None).await
    }

    pub(crate) async fn coingecko(&self, uri: &str, key: Option<(&str, &str)>) -> Answer {
        send(&self.coingecko_api, "GET", uri, "", key).await
    }

    /// A Binance call signed with the account's Ed25519 key.
    pub(crate) async fn binance_ed25519(&self, method: &str, path: &str, params: &str) -> Answer {
        let text = with_timestamp(params, self.timestamp());
        let signature = ed25519(self.binance.ed25519(), &text);
        let signature = percent_encode(signature.as_bytes(), NON_ALPHANUMERIC);
        let signed = format!("{text}&signature={signature}");
        let key = Some(self.binance.ed25519().api_key.as_str());
        if method == "POST" {
            return self.raw_binance(method, path, &signed, key).await;
        }
        self.raw_binance(method, &format!("{path}?{signed}"), "", key).await
    }

    /// A WazirX order, the parameters beyond symbol, side, quantity and price being `more`.
    pub(crate) async fn wazirx_order(&self, order: &str, more: &str) -> Answer {
        let mut words = order.split(' ');
        let mut next = || words.next().unwrap();
        let (side, quantity, symbol, price) = (next(), next(), next(), next());
        let params = format!(
            "symbol={symbol}&side={side}&type=limit&quantity={quantity}&price={price}{more}"
        );
        self.wazirx("POST", "order", &params).await
    }

    /// A Binance limit order, as `wazirx_order`.
    pub(crate) async fn binance_order(&self, order: &str, more: &str) -> Answer {
        let mut words = order.split(' ');
        let mut next = || words.next().unwrap();
        let (side, quantity, symbol, price) = (next(), next(), next(), next());
        let params = format!(
            "symbol={symbol}&side={side}&type=LIMIT&quantity={quantity}&price={price}{more}"
        );
        self.binance("POST", "/api/v3/order", &params).await
    }

    /// Balances equal the sums of the journal, at every exchange, and none is below zero.
    pub(crate) fn assert_books_balance(&self) {
        let books = [
            ("wazirx", self.wazirx.book()),
            ("binance", self.binance.book()),
            ("coinbase", self.coinbase.book()),
        ];
        for (name, book) in books {
            let sums = self.world.journal.balances(name);
            for (asset, pockets) in book["balances"].as_object().unwrap() {
                for pocket in ["free", "locked"] {
                    let held = dec(pockets[pocket].as_str().unwrap());
                    let sum = sums[asset].get(pocket).copied().unwrap_or_default();
                    assert_eq!(held, sum, "{name} {asset} {pocket}");
                    assert!(held >= Decimal::ZERO, "{name} {asset} {pocket}");
                }
            }
        }
    }
}

impl Answer {
    /// The body, where nothing but success is expected.
    pub(crate) fn ok(self) -> Value {
        assert_eq!(self.status, StatusCode::OK, "{}", self.body);
        self.body
    }

    /// Status and code of a refusal.
    pub(crate) fn refusal(&self) -> (u16, i64) {
        (self.status.as_u16(), self.body["code"].as_i64().unwrap_or_default())
    }

    pub(crate) fn header(&self, name: &str) -> Option<&str> {
        self.headers.get(name).map(|value| value.to_str().unwrap())
    }
}

/// The signature in base64, made from the PEM as a client would.
pub(crate) fn ed25519(keys: &binance::Ed25519Credentials, text: &str) -> String {
    ed25519_of(keys.private_key_pem.expose(), text)
}

pub(crate) fn ed25519_of(pem: &str, text: &str) -> String {
    let inside: String = pem.lines().filter(|line| !line.starts_with('-')).collect();
    let der = STANDARD.decode(inside).unwrap();
    let pair = Ed25519KeyPair::from_pkcs8_maybe_unchecked(&der).unwrap();
    STANDARD.encode(pair.sign(text.as_bytes()).as_ref())
}

pub(crate) fn with_timestamp(params: &str, timestamp: i64) -> String {
    let joint = if params.is_empty() { "" } else { "&" };
    format!("{params}{joint}timestamp={timestamp}")
}

pub(crate) async fn answered(router: &Router, request: Request<Body>) -> Answer {
    let response = router.clone().oneshot(request).await.unwrap();
    let (parts, body) = response.into_parts();
    let bytes = to_bytes(body, 128 << 20).await.ok();
    let text = bytes.map(|bytes| String::from_utf8_lossy(&bytes).into_owned());
    let body = text.as_ref().and_then(|text| serde_json::from_str(text).ok());
    Answer { status: parts.status, headers: parts.headers, text, body: body.unwrap_or(Value::Null) }
}

async fn send(
    router: &Router,
    method: &str,
    uri: &str,
    body: &str,
    key: Option<(&str, &str)>,
) -> Answer {
    let mut request = Request::builder().method(method).uri(uri);
    request = request.header("content-type", "application/x-www-form-urlencoded");
    if let Some((name, key)) = key {
        request = request.header(name, key);
    }
    let request = request.body(Body::from(body.to_owned())).unwrap();
    answered(router, request).await
}

pub(crate) fn dec(text: &str) -> Decimal {
    text.parse().unwrap()
}

/// A decimal string field.
pub(crate) fn number(value: &Value, field: &str) -> Decimal {
    dec(value[field].as_str().unwrap_or_else(|| panic!("{field} of {value}")))
}
