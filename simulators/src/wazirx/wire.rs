//! Codes, texts, amounts and the signature rule as WazirX writes them.
//!
//! Invariant: amounts are decimal strings with at least one place (`"210.0"`), never in
//! scientific notation. Codes the vendor does not publish are named where they are chosen.

use axum::{
    Json,
    http::{HeaderValue, StatusCode, header},
    response::{IntoResponse, Response},
};
use chrono::{DateTime, Utc};
use rust_decimal::Decimal;
use serde_json::{Value, json};

use crate::{
    serving::{Call, Dialect},
    signature::{is_signed, without_signature},
};

pub(crate) const DIALECT: Dialect = Dialect { target: super::NAME, failure, rejection, limited };

/// A refusal `{"code","message"}`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Refusal {
    status: StatusCode,
    code: i64,
    message: String,
}

impl Refusal {
    pub(crate) fn new(code: i64, message: impl Into<String>) -> Self {
        Self { status: StatusCode::BAD_REQUEST, code, message: message.into() }
    }

    pub(crate) const fn code(&self) -> i64 {
        self.code
    }

    /// The vendor's "validation" class; the text says what was wrong.
    pub(crate) fn invalid(message: impl Into<String>) -> Self {
        Self::new(1999, message)
    }

    pub(crate) fn missing(name: &str) -> Self {
        Self::invalid(format!("{name} is missing, {name} does not have a valid value"))
    }

    pub(crate) fn invalid_symbol() -> Self {
        Self::new(-1121, "Invalid symbol.")
    }

    /// No code is published for an unknown key; the status follows the vendor's users.
    pub(crate) fn unknown_key() -> Self {
        let message = "Permission denied.".to_owned();
        Self { status: StatusCode::UNAUTHORIZED, code: 2078, message }
    }

    /// Only the text is known; the validation code carries it.
    pub(crate) fn order_not_found() -> Self {
        Self::invalid("Order does not exist")
    }

    pub(crate) fn into_response(self) -> Response {
        let body = json!({"code": self.code, "message": self.message});
        (self.status, Json(body)).into_response()
    }
}

pub(crate) fn ok(body: Value) -> Result<Response, Refusal> {
    Ok(Json(body).into_response())
}

/// `"210.0"`: at least one place, no more than needed.
pub(crate) fn amount(value: Decimal) -> String {
    let text = value.normalize().to_string();
    if text.contains('.') { text } else { format!("{text}.0") }
}

/// A positive decimal parameter, in any notation a client's language prints.
pub(crate) fn decimal_param(call: &Call, name: &str) -> Result<Option<Decimal>, Refusal> {
    let Some(text) = call.param(name) else {
        return Ok(None);
    };
    let bad = || Refusal::invalid(format!("{name} does not have a valid value"));
    let plain = text.len() <= 40
        && text
            .bytes()
            .all(|b| b.is_ascii_digit() || matches!(b, b'.' | b'e' | b'E' | b'-' | b'+'));
    if !plain {
        return Err(bad());
    }
    let parsed = Decimal::from_str_exact(text).or_else(|_| Decimal::from_scientific(text));
    let value = parsed.map_err(|_| bad())?.normalize();
    let fits =
        value > Decimal::ZERO && value <= Decimal::new(1_000_000_000_000, 0) && value.scale() <= 18;
    if fits { Ok(Some(value)) } else { Err(bad()) }
}

pub(crate) fn whole_param(call: &Call, name: &str) -> Result<Option<u64>, Refusal> {
    let Some(text) = call.param(name) else {
        return Ok(None);
    };
    let bad = |_| Refusal::invalid(format!("{name} does not have a valid value"));
    text.parse().map(Some).map_err(bad)
}

/// `limit`, within its bounds.
pub(crate) fn limit_param(call: &Call, default: u64, most: u64) -> Result<usize, Refusal> {
    let limit = whole_param(call, "limit")?.unwrap_or(default);
    if limit == 0 || limit > most {
        return Err(Refusal::invalid("limit does not have a valid value"));
    }
    usize::try_from(limit).map_err(|_| Refusal::invalid("limit does not have a valid value"))
}

/// The signature over the raw query or form body, then the receiving window.
pub(crate) fn check_signed(call: &Call, secret: &str, now: DateTime<Utc>) -> Result<(), Refusal> {
    let given =
        call.param("signature").ok_or_else(|| Refusal::new(2115, "Signature not found."))?;
    // Connectors put everything into the query or everything into the form body.
    let text = without_signature(&call.query) + &without_signature(&call.body);
    if !is_signed(secret, &text, given) {
        return Err(Refusal::new(2005, "Signature is incorrect."));
    }
    let window = match call.param("recvWindow") {
        None => 5000,
        Some(text) => text
            .parse::<i64>()
            .ok()
            .filter(|window| (1..=60_000).contains(window))
            .ok_or_else(|| Refusal::new(2113, "RecvWindow must be in range 1..60000"))?,
    };
    let sent = call.param("timestamp").ok_or_else(|| Refusal::missing("timestamp"))?;
    let sent = sent.parse::<i64>().map_err(|_| Refusal::missing("timestamp"))?;
    check_window(sent, window, now)
}

/// The vendor's rule of time, in milliseconds.
pub(crate) fn check_window(sent: i64, window: i64, now: DateTime<Utc>) -> Result<(), Refusal> {
    let server = now.timestamp_millis();
    let fresh = sent < server.saturating_add(1000) && server.saturating_sub(sent) <= window;
    if fresh { Ok(()) } else { Err(Refusal::new(2098, "Request out of receiving window.")) }
}

/// 429, or 418 for who went on calling.
pub(crate) fn limited(banned: bool, seconds: u64) -> Response {
    let status = if banned { StatusCode::IM_A_TEAPOT } else { StatusCode::TOO_MANY_REQUESTS };
    let body = json!({"code": 2136, "message": "Too many api request"});
    let mut response = (status, Json(body)).into_response();
    response.headers_mut().insert(header::RETRY_AFTER, HeaderValue::from(seconds));
    response
}

/// The vendor documents no body for 5xx; what users see is the proxy's page.
fn failure(status: StatusCode) -> Response {
    let reason = status.canonical_reason().unwrap_or("Error");
    let page = format!("<html><head><title>{} {reason}</title></head></html>", status.as_u16());
    (status, [(header::CONTENT_TYPE, "text/html")], page).into_response()
}

fn rejection(code: &str) -> Response {
    let message = match code {
        "-1121" => "Invalid symbol.",
        "1999" => "symbol is missing, symbol does not have a valid value",
        "2002" => "Not enough BTC balance to execute self order",
        "2005" => "Signature is incorrect.",
        "2031" => "Minimum sell amount must be worth 50.0 INR",
        "2078" => "Permission denied.",
        "2098" => "Request out of receiving window.",
        "2113" => "RecvWindow must be in range 1..60000",
        "2115" => "Signature not found.",
        "2136" => return limited(false, 1),
        "94001" => "Stop price not found.",
        _ => "Request could not be processed.",
    };
    Refusal::new(code.parse().unwrap_or(1999), message).into_response()
}
