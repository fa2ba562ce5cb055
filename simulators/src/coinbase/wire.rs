//! Refusals, identifiers, numbers, times and pages as Coinbase writes them.
//!
//! Invariant: money and sizes are decimal strings, never with an exponent; an order that is refused
//! is HTTP 200 with `success: false`, everything else has a status. The older API (`/v2`) words its
//! refusals in a list, the trading API in three fields.

use axum::{
    Json,
    http::{HeaderValue, StatusCode, header},
    response::{IntoResponse, Response},
};
use chrono::{DateTime, SecondsFormat, Utc};
use percent_encoding::percent_decode_str;
use rust_decimal::Decimal;
use serde::de::DeserializeOwned;
use serde_json::{Value, json};
use sha2::{Digest, Sha256};

use crate::serving::{Call, Dialect};

pub(super) const DIALECT: Dialect = Dialect { target: super::NAME, failure, rejection, limited };

/// Why a call did nothing.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Refusal {
    /// 401 without a word.
    Unauthorized,
    /// The trading API's `{"error","error_details","message"}`.
    Trading(StatusCode, &'static str, String),
    /// The older API's `{"errors":[{"id","message"}]}`.
    App(StatusCode, &'static str, String),
    /// 429, with the seconds to wait.
    Slow(u64),
}

impl Refusal {
    pub(crate) fn invalid(text: impl Into<String>) -> Self {
        Self::Trading(StatusCode::BAD_REQUEST, "INVALID_ARGUMENT", text.into())
    }

    /// The gateway's words about a body it cannot read.
    pub(crate) fn unreadable(text: impl Into<String>) -> Self {
        Self::Trading(StatusCode::BAD_REQUEST, "unknown", text.into())
    }

    pub(crate) fn not_found(text: impl Into<String>) -> Self {
        Self::Trading(StatusCode::NOT_FOUND, "NOT_FOUND", text.into())
    }

    pub(crate) fn no_such_order() -> Self {
        Self::not_found("order with this orderID was not found")
    }

    pub(crate) fn validation(text: impl Into<String>) -> Self {
        Self::App(StatusCode::BAD_REQUEST, "validation_error", text.into())
    }

    pub(crate) fn absent(text: impl Into<String>) -> Self {
        Self::App(StatusCode::NOT_FOUND, "not_found", text.into())
    }

    pub(super) fn into_response(self, path: &str) -> Response {
        match self {
            // The older API has a body even here.
            Self::Unauthorized if path.starts_with("/v2") => {
                app(StatusCode::UNAUTHORIZED, "unauthorized", "Unauthorized")
            }
            Self::Unauthorized => (StatusCode::UNAUTHORIZED, "Unauthorized\n").into_response(),
            Self::Trading(status, code, text) => {
                let body = json!({"error": code, "error_details": text, "message": text});
                (status, Json(body)).into_response()
            }
            Self::App(status, id, text) => app(status, id, &text),
            Self::Slow(seconds) => limited(false, seconds),
        }
    }
}

fn app(status: StatusCode, id: &str, message: &str) -> Response {
    let body = json!({"errors": [{"id": id, "message": message}], "message": message});
    (status, Json(body)).into_response()
}

fn limited(_: bool, seconds: u64) -> Response {
    let body = json!({"errors": [{"id": "rate_limit_exceeded", "message": "Too many requests"}]});
    let mut response = (StatusCode::TOO_MANY_REQUESTS, Json(body)).into_response();
    response.headers_mut().insert(header::RETRY_AFTER, HeaderValue::from(seconds));
    response
}

fn failure(status: StatusCode) -> Response {
    app(status, "internal_server_error", status.canonical_reason().unwrap_or("Error"))
}

/// A code in capitals is a refusal of an order, any other one of a call.
fn rejection(code: &str) -> Response {
    if code.bytes().all(|b| b.is_ascii_uppercase() || b == b'_') {
        return Json(Rejection::told(code.to_owned()).to_json(&Value::Null)).into_response();
    }
    app(StatusCode::BAD_REQUEST, code, "Request was rejected.")
}

/// An order that is not taken.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Rejection {
    /// The reason, and the one a preview gives.
    code: String,
    preview: String,
    message: String,
}

impl Rejection {
    pub(crate) fn new(code: &str, message: &str) -> Self {
        Self { message: message.to_owned(), ..Self::told(code.to_owned()) }
    }

    /// A reason that only a preview has a word for.
    pub(crate) fn preview(preview: &str, message: &str) -> Self {
        let code = "UNKNOWN_FAILURE_REASON".to_owned();
        Self { code, preview: preview.to_owned(), message: message.to_owned() }
    }

    fn told(code: String) -> Self {
        Self { preview: format!("PREVIEW_{code}"), code, message: String::new() }
    }

    pub(crate) fn to_json(&self, configuration: &Value) -> Value {
        json!({
            "success": false,
            "failure_reason": "UNKNOWN_FAILURE_REASON",
            "order_id": "",
            "error_response": {
                "error": self.code,
                "message": self.message,
                "error_details": "",
                "preview_failure_reason": self.preview,
                "new_order_failure_reason": self.code,
            },
            "order_configuration": configuration,
        })
    }
}

/// A UUID that depends on the seed and the label alone.
pub(crate) fn uuid_of(seed: u64, label: &str) -> String {
    let digest = Sha256::new().chain_update(seed.to_be_bytes()).chain_update(label).finalize();
    let mut sixteen = [0; 16];
    for (to, from) in sixteen.iter_mut().zip(digest) {
        *to = from;
    }
    uuid(sixteen)
}

/// Random bytes in the form of a version 4 UUID.
pub(crate) fn uuid(bytes: [u8; 16]) -> String {
    let mut number = u128::from_be_bytes(bytes);
    number = (number & !(0xf << 76)) | (0x4 << 76);
    number = (number & !(0x3 << 62)) | (0x2 << 62);
    let text = format!("{number:032x}");
    let cut = |from: usize, to: usize| text.get(from..to).unwrap_or_default();
    format!("{}-{}-{}-{}-{}", cut(0, 8), cut(8, 12), cut(12, 16), cut(16, 20), cut(20, 32))
}

/// A number without trailing zeros.
pub(crate) fn plain(value: Decimal) -> String {
    value.normalize().to_string()
}

/// The trading API's times.
pub(crate) fn micros(at: DateTime<Utc>) -> String {
    at.to_rfc3339_opts(SecondsFormat::Micros, true)
}

/// The older API's times.
pub(crate) fn seconds(at: DateTime<Utc>) -> String {
    at.to_rfc3339_opts(SecondsFormat::Secs, true)
}

/// A positive decimal without sign or exponent; `None` for anything else.
pub(crate) fn decimal(text: &str) -> Option<Decimal> {
    let digits = text.bytes().all(|b| b.is_ascii_digit() || b == b'.');
    let value: Decimal = text.parse().ok()?;
    (digits && text.len() <= 40 && value > Decimal::ZERO).then_some(value)
}

/// Every value sent under the name: lists are written by repeating it.
pub(crate) fn all_of(call: &Call, name: &str) -> Vec<String> {
    let pairs = call.query.split('&').filter_map(|pair| pair.split_once('='));
    let decode =
        |text: &str| percent_decode_str(&text.replace('+', " ")).decode_utf8_lossy().into_owned();
    pairs.filter(|(known, _)| *known == name).map(|(_, value)| decode(value)).collect()
}

/// A number of things on a page.
pub(crate) fn limit(call: &Call, default: usize, most: usize) -> Result<usize, Refusal> {
    match call.param("limit") {
        None => Ok(default),
        Some(text) => {
            let wanted: usize = text.parse().map_err(|_| Refusal::invalid("invalid limit"))?;
            Ok(if wanted == 0 { default } else { wanted.min(most) })
        }
    }
}

/// A moment in a parameter.
pub(crate) fn moment(call: &Call, name: &str) -> Result<Option<DateTime<Utc>>, Refusal> {
    let read = |text: &str| {
        let read = DateTime::parse_from_rfc3339(text)
            .map_err(|_| Refusal::invalid(format!("{name} is not an RFC3339 timestamp")));
        read.map(|at| at.with_timezone(&Utc))
    };
    call.param(name).map(read).transpose()
}

/// What comes after `cursor`, newest first, at most `limit` of it, and the next cursor.
pub(crate) fn page<T>(
    call: &Call,
    found: impl Iterator<Item = (u64, T)>,
    limit: usize,
) -> Result<(Vec<T>, String), Refusal> {
    let before = match call.param("cursor") {
        None => u64::MAX,
        Some(text) => text.parse().map_err(|_| Refusal::invalid("invalid cursor"))?,
    };
    let mut rest = found.filter(|(number, _)| *number < before);
    let (mut shown, mut last) = (Vec::new(), 0);
    for (number, thing) in rest.by_ref().take(limit) {
        last = number;
        shown.push(thing);
    }
    let cursor = if rest.next().is_some() { last.to_string() } else { String::new() };
    Ok((shown, cursor))
}

/// The body of a call of the trading API.
pub(crate) fn body<T: DeserializeOwned>(call: &Call) -> Result<T, Refusal> {
    serde_json::from_str(&call.body).map_err(|error| {
        Refusal::unreadable(format!("proto: (line {}:{}): {error}", error.line(), error.column()))
    })
}
