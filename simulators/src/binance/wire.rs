//! Codes, texts, numbers and the signature rule as Binance writes them.
//!
//! Invariant: texts are the vendor's, letter for letter: clients match on them. Prices and
//! quantities are strings with eight places, ids and times are integers.

use axum::{
    Json,
    http::{HeaderValue, StatusCode, header},
    response::{IntoResponse, Response},
};
use chrono::{DateTime, TimeDelta, Utc};
use rust_decimal::Decimal;
use serde_json::{Value, json};

use super::{Exchange, limits::WEIGHT_PER_MINUTE};
use crate::{
    keys::Ed25519Credentials,
    serving::{Call, Dialect},
    signature::{is_signed, without_signature},
    venue,
};

pub(crate) const DIALECT: Dialect = Dialect { target: super::NAME, failure, rejection, limited };

const PLACES: u32 = 8;
const TIMES: [&str; 10] = [
    "time",
    "updateTime",
    "transactTime",
    "workingTime",
    "serverTime",
    "openTime",
    "closeTime",
    "T",
    "insertTime",
    "completeTime",
];

/// A refusal `{"code","msg"}`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Refusal {
    status: StatusCode,
    code: i64,
    message: String,
    retry_after: Option<u64>,
}

impl Refusal {
    pub(crate) fn new(code: i64, message: impl Into<String>) -> Self {
        let status = StatusCode::BAD_REQUEST;
        Self { status, code, message: message.into(), retry_after: None }
    }

    fn with(status: StatusCode, code: i64, message: impl Into<String>) -> Self {
        Self { status, ..Self::new(code, message) }
    }

    pub(crate) fn mandatory(name: &str) -> Self {
        let text =
            format!("Mandatory parameter '{name}' was not sent, was empty/null, or malformed.");
        Self::new(-1102, text)
    }

    pub(crate) fn illegal(name: &str, range: &str) -> Self {
        let text =
            format!("Illegal characters found in parameter '{name}'; legal range is '{range}'.");
        Self::new(-1100, text)
    }

    pub(crate) fn filter(name: &str) -> Self {
        Self::new(-1013, format!("Filter failure: {name}"))
    }

    pub(crate) fn not_permitted() -> Self {
        let text = "Invalid API-key, IP, or permissions for action.";
        Self::with(StatusCode::UNAUTHORIZED, -2015, text)
    }

    pub(crate) fn invalid_symbol() -> Self {
        Self::new(-1121, "Invalid symbol.")
    }

    pub(crate) fn insufficient() -> Self {
        Self::new(-2010, "Account has insufficient balance for requested action.")
    }

    pub(crate) fn unknown_order() -> Self {
        Self::new(-2011, "Unknown order sent.")
    }

    pub(crate) fn no_such_order() -> Self {
        Self::new(-2013, "Order does not exist.")
    }

    pub(crate) fn too_much_weight(wait_seconds: u64) -> Self {
        let text = format!(
            "Too much request weight used; current limit is {WEIGHT_PER_MINUTE} request weight \
             per 1 MINUTE. Please use WebSocket Streams for live updates to avoid polling the API."
        );
        let status = StatusCode::TOO_MANY_REQUESTS;
        Self { retry_after: Some(wait_seconds), ..Self::with(status, -1003, text) }
    }

    pub(crate) fn banned(seconds: u64, now: DateTime<Utc>) -> Self {
        let until = now + TimeDelta::seconds(i64::try_from(seconds).unwrap_or(120));
        let text = format!(
            "Way too much request weight used; IP banned until {}. Please use WebSocket Streams \
             for live updates to avoid bans.",
            until.timestamp_millis()
        );
        let status = StatusCode::IM_A_TEAPOT;
        Self { retry_after: Some(seconds), ..Self::with(status, -1003, text) }
    }

    pub(crate) fn too_many_orders(limit: u32, per: &str) -> Self {
        let text = format!("Too many new orders; current limit is {limit} orders per {per}.");
        let status = StatusCode::TOO_MANY_REQUESTS;
        Self { retry_after: Some(10), ..Self::with(status, -1015, text) }
    }

    pub(crate) fn into_response(self) -> Response {
        let body = json!({"code": self.code, "msg": self.message});
        let mut response = (self.status, Json(body)).into_response();
        if let Some(seconds) = self.retry_after {
            response.headers_mut().insert(header::RETRY_AFTER, HeaderValue::from(seconds));
        }
        response
    }
}

/// Eight places, cut off.
pub(crate) fn fixed(value: Decimal) -> String {
    venue::fixed(value, PLACES)
}

/// A positive decimal parameter without exponent; too many places are their own refusal.
pub(crate) fn decimal_param(call: &Call, name: &str) -> Result<Option<Decimal>, Refusal> {
    let Some(text) = call.param(name) else {
        return Ok(None);
    };
    let plain = text.len() <= 20 && text.bytes().all(|b| b.is_ascii_digit() || b == b'.');
    if !plain {
        return Err(Refusal::illegal(name, "^([0-9]{1,20})(\\.[0-9]{1,20})?$"));
    }
    let value = Decimal::from_str_exact(text)
        .map_err(|_| Refusal::illegal(name, "^([0-9]{1,20})(\\.[0-9]{1,20})?$"))?
        .normalize();
    if value.scale() > PLACES {
        return Err(Refusal::new(-1111, format!("Parameter '{name}' has too much precision.")));
    }
    if value > Decimal::new(1_000_000_000_000, 0) {
        return Err(Refusal::mandatory(name));
    }
    Ok(Some(value))
}

pub(crate) fn whole_param(call: &Call, name: &str) -> Result<Option<u64>, Refusal> {
    let Some(text) = call.param(name) else {
        return Ok(None);
    };
    text.parse().map(Some).map_err(|_| Refusal::illegal(name, "^[0-9]{1,20}$"))
}

/// `limit`: above the most it is the most, as at the vendor.
pub(crate) fn limit_param(call: &Call, default: u64, most: u64) -> Result<usize, Refusal> {
    let limit = whole_param(call, "limit")?.unwrap_or(default).clamp(1, most);
    usize::try_from(limit).map_err(|_| Refusal::mandatory("limit"))
}

/// One of the account's two keys.
#[derive(Debug, Clone, Copy)]
pub(crate) enum Key<'a> {
    /// HMAC-SHA256, in hex.
    Hmac(&'a str),
    /// Ed25519, in base64.
    Ed25519(&'a Ed25519Credentials),
}

impl Key<'_> {
    pub(crate) fn is_signed(self, text: &str, given: &str) -> bool {
        match self {
            Self::Hmac(secret) => is_signed(secret, text, given),
            Self::Ed25519(key) => key.is_signed(text, given),
        }
    }
}

/// The key that is named, if it is one of ours.
pub(crate) fn known_key<'a>(ex: &'a Exchange, given: Option<&str>) -> Result<Key<'a>, Refusal> {
    let unauthorized = |code, text| Refusal::with(StatusCode::UNAUTHORIZED, code, text);
    match given {
        None | Some("") => Err(unauthorized(-2014, "API-key format invalid.")),
        Some(given) if given == ex.credentials.api_key => {
            Ok(Key::Hmac(ex.credentials.secret.expose()))
        }
        Some(given) if given == ex.ed25519.api_key => Ok(Key::Ed25519(&ex.ed25519)),
        Some(_) => Err(Refusal::not_permitted()),
    }
}

/// Characters that never stand in a URL as they are.
fn is_raw(byte: u8) -> bool {
    !byte.is_ascii_graphic() || br#"<>"[]{}|\^`"#.contains(&byte)
}

/// Mandatory parameters, the signature over query and body without separator, then the window.
pub(crate) fn check_signed(call: &Call, key: Key<'_>, now: DateTime<Utc>) -> Result<(), Refusal> {
    let text = without_signature(&call.query) + &without_signature(&call.body);
    // The text must have been percent-encoded before it was signed, since January 2026.
    let encoded = !text.bytes().any(is_raw);
    check_text(call, now, |given| encoded && key.is_signed(&text, given))
}

/// As [`check_signed`], where `is_signed` knows the text.
pub(crate) fn check_text(
    call: &Call,
    now: DateTime<Utc>,
    is_signed: impl Fn(&str) -> bool,
) -> Result<(), Refusal> {
    let given = call.param("signature").ok_or_else(|| Refusal::mandatory("signature"));
    let window = check_window(call)?;
    if !is_signed(given?) {
        return Err(Refusal::new(-1022, "Signature for this request is not valid."));
    }
    check_time(call, window, now)
}

/// `recvWindow` in milliseconds; the timestamp has to be there as well.
fn check_window(call: &Call) -> Result<Decimal, Refusal> {
    timestamp(call)?;
    let window = match call.param("recvWindow") {
        None => Decimal::new(5000, 0),
        Some(text) => Decimal::from_str_exact(text)
            .ok()
            .filter(|window| window.scale() <= 3 && !window.is_sign_negative())
            .ok_or_else(|| Refusal::mandatory("recvWindow"))?,
    };
    if window > Decimal::new(60_000, 0) {
        return Err(Refusal::new(-1131, "recvWindow must be less than 60000."));
    }
    Ok(window)
}

/// Without a signature: what a logged-on session still has to send.
pub(crate) fn check_fresh(call: &Call, now: DateTime<Utc>) -> Result<(), Refusal> {
    let window = check_window(call)?;
    check_time(call, window, now)
}

fn timestamp(call: &Call) -> Result<i64, Refusal> {
    let sent = call.param("timestamp").ok_or_else(|| Refusal::mandatory("timestamp"))?;
    sent.parse::<i64>().map_err(|_| Refusal::illegal("timestamp", "^[0-9]{1,20}$"))
}

fn check_time(call: &Call, window: Decimal, now: DateTime<Utc>) -> Result<(), Refusal> {
    let sent = timestamp(call)?;
    // Sixteen digits are microseconds.
    let is_micros = sent >= 100_000_000_000_000;
    let sent = Decimal::from(sent) / Decimal::from(if is_micros { 1000 } else { 1 });
    let server = Decimal::from(now.timestamp_millis());
    if sent >= server + Decimal::ONE_THOUSAND {
        let text = "Timestamp for this request was 1000ms ahead of the server's time.";
        return Err(Refusal::new(-1021, text));
    }
    if server - sent > window {
        let text = "Timestamp for this request is outside of the recvWindow.";
        return Err(Refusal::new(-1021, text));
    }
    Ok(())
}

/// Times a thousandfold when the caller asked for microseconds.
pub(crate) fn in_microseconds(call: &Call, body: Value) -> Value {
    let asked =
        call.header("x-mbx-time-unit").is_some_and(|unit| unit.eq_ignore_ascii_case("microsecond"));
    if asked { stretched(body) } else { body }
}

fn stretched(body: Value) -> Value {
    match body {
        Value::Array(items) => Value::Array(items.into_iter().map(stretched).collect()),
        Value::Object(fields) => {
            let field = |(name, value): (String, Value)| match value.as_i64() {
                Some(at) if TIMES.contains(&name.as_str()) => {
                    (name, Value::from(at.saturating_mul(1000)))
                }
                _ => (name, stretched(value)),
            };
            Value::Object(fields.into_iter().map(field).collect())
        }
        other => other,
    }
}

fn limited(banned: bool, seconds: u64) -> Response {
    let refusal = if banned {
        // The ban's end is part of the text; a fault has no clock at hand, `Retry-After` counts.
        Refusal::banned(seconds, DateTime::UNIX_EPOCH)
    } else {
        Refusal::too_much_weight(seconds)
    };
    refusal.into_response()
}

/// Which code goes with which status is not documented for -1007; 408 and 504 both occur.
fn failure(status: StatusCode) -> Response {
    let (code, text) = match status.as_u16() {
        408 | 504 => (
            -1007,
            "Timeout waiting for response from backend server. Send status unknown; execution \
             status unknown.",
        ),
        503 => (
            -1008,
            "Server is currently overloaded with other requests. Please try again in a few \
             minutes.",
        ),
        _ => (
            -1006,
            "An unexpected response was received from the message bus. Execution status unknown.",
        ),
    };
    Refusal::with(status, code, text).into_response()
}

fn rejection(code: &str) -> Response {
    let (number, text) = match code {
        "-1000" => (-1000, "An unknown error occurred while processing the request."),
        "-1001" => (-1001, "Internal error; unable to process your request. Please try again."),
        "-1002" => (-1002, "You are not authorized to execute this request."),
        "-1003" | "429" => return limited(false, 1),
        "-1006" => return failure(StatusCode::INTERNAL_SERVER_ERROR),
        "-1007" => return failure(StatusCode::REQUEST_TIMEOUT),
        "-1008" => return failure(StatusCode::SERVICE_UNAVAILABLE),
        "-1013" => (-1013, "Filter failure: NOTIONAL"),
        "-1015" => return Refusal::too_many_orders(100, "10 SECOND").into_response(),
        "-1016" => (-1016, "This service is no longer available."),
        "-1021" => (-1021, "Timestamp for this request is outside of the recvWindow."),
        "-1022" => (-1022, "Signature for this request is not valid."),
        "-1111" => (-1111, "Parameter 'quantity' has too much precision."),
        "-1121" => (-1121, "Invalid symbol."),
        "-2010" => (-2010, "Account has insufficient balance for requested action."),
        "-2010:duplicate" => (-2010, "Duplicate order sent."),
        "-2010:closed" => (-2010, "Market is closed."),
        "-2011" => (-2011, "Unknown order sent."),
        "-2013" => (-2013, "Order does not exist."),
        "-2014" => (-2014, "API-key format invalid."),
        "-2015" => (-2015, "Invalid API-key, IP, or permissions for action."),
        "-2026" => (
            -2026,
            "Order was canceled or expired with no executed qty over 90 days ago and has been \
             archived.",
        ),
        other => (other.parse().unwrap_or(-1000), "Request was rejected."),
    };
    let status = match number {
        -1002 | -2014 | -2015 => StatusCode::UNAUTHORIZED,
        -1000 | -1001 => StatusCode::INTERNAL_SERVER_ERROR,
        _ => StatusCode::BAD_REQUEST,
    };
    Refusal::with(status, number, text).into_response()
}
