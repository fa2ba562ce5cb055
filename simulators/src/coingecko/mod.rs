//! CoinGecko's public price (`/api/v3/simple/price`): a slow fifth opinion.
//!
//! Invariant: prices are JSON numbers, tiny ones with an exponent, as at the vendor; one answer is
//! kept for a minute and given to everybody who asks the same. There is no account and nothing to
//! trade here, so no books.

use std::{
    collections::BTreeMap,
    sync::{Arc, Mutex, PoisonError},
};

use axum::{
    Json, Router,
    body::Body,
    extract::{Request, State as Shared},
    http::{HeaderValue, Method, StatusCode, header},
    response::{IntoResponse, Response},
};
use chrono::{DateTime, TimeDelta, Utc};
use primitives::Secret;
use rust_decimal::Decimal;
use serde_json::json;

use crate::{
    World,
    serving::{Call, Dialect, faults},
    venue::{Limiter, Verdict},
};

/// The simulator's name in faults and prices.
pub(crate) const NAME: &str = "coingecko";
const DIALECT: Dialect = Dialect { target: NAME, failure, rejection, limited };
const OPERATIONS: &[&str] = &["ping", "price"];
/// The demo plan.
const PER_MINUTE: u32 = 100;
const CACHE_SECONDS: i64 = 60;
/// Answers that are kept; more different questions than anybody has.
const CACHE_MOST: usize = 1_000;
const ASK_MOST: usize = 50;

/// The vendor's names of the assets.
const COINS: [(&str, &str); 5] = [
    ("bitcoin", "BTC"),
    ("ethereum", "ETH"),
    ("solana", "SOL"),
    ("tether", "USDT"),
    ("usd-coin", "USDC"),
];

/// The price service and its one key.
#[derive(Debug)]
pub struct Source {
    world: Arc<World>,
    api_key: Secret,
    limiter: Mutex<Limiter>,
    cache: Mutex<BTreeMap<String, (DateTime<Utc>, String)>>,
}

impl Source {
    #[must_use]
    pub fn api_key(&self) -> &Secret {
        &self.api_key
    }
}

/// The HTTP side and its handle.
pub fn router(world: Arc<World>) -> (Router, Arc<Source>) {
    world.faults.declare(NAME, OPERATIONS, &[]);
    let api_key = Secret::new(format!("CG-{}", world.token("coingecko/api_key", 24)));
    let (limiter, cache) = (Mutex::default(), Mutex::default());
    let source = Arc::new(Source { world, api_key, limiter, cache });
    (Router::new().fallback(handle).with_state(Arc::clone(&source)), source)
}

async fn handle(Shared(source): Shared<Arc<Source>>, request: Request) -> Response {
    let call = match Call::read(request).await {
        Ok(call) => call,
        Err(status) => return status.into_response(),
    };
    let world = Arc::clone(&source.world);
    world.run_due();
    let operation = match call.path.as_str() {
        "/api/v3/ping" if call.method == Method::GET => "ping",
        "/api/v3/simple/price" if call.method == Method::GET => "price",
        _ => return plain(StatusCode::NOT_FOUND, "Incorrect path. Please check the docs."),
    };
    faults::respond(&world, DIALECT, operation, move || source.answer(operation, &call)).await
}

/// Why there is no price; boxed because answers are large.
type Refusal = Box<Response>;

impl Source {
    fn answer(&self, operation: &str, call: &Call) -> Response {
        if let Err(refusal) = self.check_key(call) {
            return *refusal;
        }
        let now = self.world.now();
        let verdict = if self.world.limits() {
            let mut limiter = self.limiter.lock().unwrap_or_else(PoisonError::into_inner);
            limiter.take("all", PER_MINUTE, PER_MINUTE, now)
        } else {
            Verdict::Pass
        };
        match verdict {
            Verdict::Slow(seconds) | Verdict::Banned(seconds) => limited(false, seconds),
            Verdict::Pass if operation == "ping" => {
                Json(json!({"gecko_says": "(V3) To the Moon!"})).into_response()
            }
            Verdict::Pass => self.prices(call, now),
        }
    }

    fn check_key(&self, call: &Call) -> Result<(), Refusal> {
        if call.header("x-cg-pro-api-key").is_some() || call.param("x_cg_pro_api_key").is_some() {
            let text = "If you are using Pro API key, please change your root URL from \
                        api.coingecko.com to pro-api.coingecko.com";
            return Err(Box::new(refuse(StatusCode::BAD_REQUEST, 10_011, text)));
        }
        let given = call.header("x-cg-demo-api-key").or(call.param("x_cg_demo_api_key"));
        match given {
            Some(given) if given == self.api_key.expose() => Ok(()),
            _ => Err(Box::new(refuse(StatusCode::UNAUTHORIZED, 10_002, "API Key Missing"))),
        }
    }

    fn prices(&self, call: &Call, now: DateTime<Utc>) -> Response {
        let mut cache = self.cache.lock().unwrap_or_else(PoisonError::into_inner);
        let fresh = |at: DateTime<Utc>| now - at < TimeDelta::seconds(CACHE_SECONDS) && at <= now;
        cache.retain(|_, (at, _)| fresh(*at));
        if let Some((at, body)) = cache.get(&call.query) {
            return raw(body.clone(), (now - *at).num_seconds());
        }
        let body = match self.body(call, now) {
            Ok(body) => body,
            Err(refusal) => return *refusal,
        };
        if cache.len() < CACHE_MOST {
            cache.insert(call.query.clone(), (now, body.clone()));
        }
        raw(body, 0)
    }

    fn body(&self, call: &Call, now: DateTime<Utc>) -> Result<String, Refusal> {
        let missing = |name: &str| {
            Box::new(plain(StatusCode::UNPROCESSABLE_ENTITY, &format!("Missing parameter {name}")))
        };
        let ids = call.param("ids").ok_or_else(|| missing("ids"))?;
        let against = call.param("vs_currencies").ok_or_else(|| missing("vs_currencies"))?;
        let with_time = call.param("include_last_updated_at") == Some("true");
        let mut coins = Vec::new();
        for id in ids.split(',').take(ASK_MOST) {
            let Some((_, asset)) = COINS.iter().find(|known| known.0 == id.trim()) else {
                continue;
            };
            let mut fields = Vec::new();
            let mut updated = None;
            for money in against.split(',').take(ASK_MOST) {
                let money = money.trim().to_ascii_lowercase();
                let pair = format!("{asset}{}", money.to_ascii_uppercase());
                if let Some(quote) = self.world.prices.shown(NAME, &pair, now) {
                    fields.push(format!("\"{money}\":{}", number(quote.mid)));
                    updated = Some(quote.at.timestamp());
                }
            }
            if let Some(at) = updated.filter(|_| with_time) {
                fields.push(format!("\"last_updated_at\":{at}"));
            }
            // A coin whose prices are missing stands there without any.
            coins.push(format!("\"{}\":{{{}}}", id.trim(), fields.join(",")));
        }
        Ok(format!("{{{}}}", coins.join(",")))
    }
}

/// A JSON number: two places for large prices, an exponent below a millionth.
fn number(price: Decimal) -> String {
    let places = if price >= Decimal::ONE { 2 } else { 18 };
    let price = price.round_dp(places).normalize();
    if price.is_zero() || price.abs() >= Decimal::new(1, 6) {
        return price.to_string();
    }
    let digits = price.mantissa().unsigned_abs().to_string();
    let (first, rest) = digits.split_at_checked(1).unwrap_or((&digits, ""));
    let length = u32::try_from(rest.len()).unwrap_or(0);
    let power = price.scale().saturating_sub(length);
    let point = if rest.is_empty() { "" } else { "." };
    format!("{first}{point}{rest}e-{power}")
}

fn raw(body: String, age: i64) -> Response {
    let mut response = Response::new(Body::from(body));
    let headers = response.headers_mut();
    let json = HeaderValue::from_static("application/json; charset=utf-8");
    headers.insert(header::CONTENT_TYPE, json);
    let cache = HeaderValue::from_static("public, max-age=60");
    headers.insert(header::CACHE_CONTROL, cache);
    headers.insert(header::AGE, HeaderValue::from(age));
    response
}

fn plain(status: StatusCode, text: &str) -> Response {
    (status, Json(json!({"error": text}))).into_response()
}

fn refuse(status: StatusCode, code: u32, text: &str) -> Response {
    (status, Json(json!({"status": {"error_code": code, "error_message": text}}))).into_response()
}

fn limited(_: bool, seconds: u64) -> Response {
    let text = "You've exceeded the Rate Limit. Please visit \
                https://www.coingecko.com/en/api/pricing to subscribe to our API plans for \
                higher rate limits.";
    let mut response = refuse(StatusCode::TOO_MANY_REQUESTS, 429, text);
    response.headers_mut().insert(header::RETRY_AFTER, HeaderValue::from(seconds));
    response
}

fn failure(status: StatusCode) -> Response {
    plain(status, status.canonical_reason().unwrap_or("Error"))
}

fn rejection(code: &str) -> Response {
    refuse(StatusCode::BAD_REQUEST, code.parse().unwrap_or(10_005), "Request was rejected.")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn small_prices_carry_an_exponent() {
        let cases = [
            ("9200000", "9200000"),
            ("88.456", "88.46"),
            ("0.0113", "0.0113"),
            ("0.0000001", "1e-7"),
            ("0.00000012345", "1.2345e-7"),
            ("0.000001", "0.000001"),
        ];
        for (price, expected) in cases {
            assert_eq!(number(price.parse().unwrap()), expected);
        }
    }
}
