//! An answer that arrived whole, within its bounds.
//!
//! Invariant: only 2xx and the refusals among 4xx become a `Response`; everything else is an error
//! already. The text of a body never enters an error or a log line.

use std::fmt;

use chrono::{DateTime, TimeDelta, Utc};
use primitives::{CallError, CallResult};
use reqwest::header::HeaderMap;
use serde::de::DeserializeOwned;

use crate::Effect;

/// Status, the few headers an adapter may want, and the body.
#[derive(Clone)]
pub struct Response {
    pub status: u16,
    pub body: Vec<u8>,
    headers: Vec<(String, String)>,
}

impl Response {
    pub(crate) fn new(status: u16, headers: &HeaderMap, body: Vec<u8>) -> Self {
        let wanted = |name: &str| {
            matches!(name, "age" | "date" | "retry-after") || name.starts_with("x-mbx-")
        };
        let headers = headers
            .iter()
            .filter(|(name, _)| wanted(name.as_str()))
            .filter_map(|(name, value)| Some((name.to_string(), value.to_str().ok()?.to_owned())))
            .collect();
        Self { status, body, headers }
    }

    #[must_use]
    pub const fn is_success(&self) -> bool {
        self.status >= 200 && self.status < 300
    }

    /// `age`, `date`, `retry-after` or an `x-mbx-…` header; lower-case name.
    #[must_use]
    pub fn header(&self, name: &str) -> Option<&str> {
        self.headers.iter().find(|(n, _)| n == name).map(|(_, value)| value.as_str())
    }

    /// The body as the vendor's JSON.
    ///
    /// # Errors
    /// `effect.failed(…)` when it is not what the vendor promises; says where, never what.
    pub fn json<T: DeserializeOwned>(&self, effect: Effect) -> CallResult<T> {
        serde_json::from_slice(&self.body).map_err(|error| {
            let (line, column) = (error.line(), error.column());
            let what = match error.classify() {
                serde_json::error::Category::Data => "has an unexpected shape",
                _ => "is not JSON",
            };
            let status = self.status;
            effect.failed(format!("answer {status} {what} at {line}:{column}"))
        })
    }
}

impl fmt::Debug for Response {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Response({}, {} bytes)", self.status, self.body.len())
    }
}

/// A ban may last three days; a vendor who says more is not believed.
const RETRY_AFTER_S_MAX: u64 = 3 * 24 * 60 * 60;

/// How long a 429 or 418 asks us to stay away. Silence is read as a few seconds, a ban as minutes.
pub(crate) fn rate_limited(status: u16, headers: &HeaderMap, now: DateTime<Utc>) -> CallError {
    let text = |name: &str| headers.get(name).and_then(|value| value.to_str().ok());
    let date =
        |text: &str| DateTime::parse_from_rfc2822(text).ok().map(|at| at.with_timezone(&Utc));
    let until_date = |at: DateTime<Utc>| {
        // Their clock against their clock, where they show it.
        let from = text("date").and_then(date).unwrap_or(now);
        let wait: TimeDelta = at.signed_duration_since(from);
        u64::try_from(wait.num_seconds()).unwrap_or(0)
    };
    let silence = if status == 418 { 120 } else { 5 };
    let asked = text("retry-after")
        .and_then(|value| value.parse::<u64>().ok().or_else(|| date(value).map(until_date)));
    CallError::RateLimited { retry_after_s: asked.unwrap_or(silence).clamp(1, RETRY_AFTER_S_MAX) }
}

#[cfg(test)]
mod tests {
    use reqwest::header::HeaderValue;

    use super::*;

    #[test]
    fn reads_retry_after_in_both_spellings() {
        let now = DateTime::from_timestamp(1_700_000_000, 0).unwrap();
        let seconds = |status: u16, pairs: &[(&'static str, &'static str)]| {
            let mut headers = HeaderMap::new();
            for (name, value) in pairs {
                headers.insert(*name, HeaderValue::from_static(value));
            }
            match rate_limited(status, &headers, now) {
                CallError::RateLimited { retry_after_s } => retry_after_s,
                other => panic!("{other}"),
            }
        };
        assert_eq!(seconds(429, &[("retry-after", "7")]), 7);
        assert_eq!(seconds(429, &[("retry-after", "0")]), 1);
        assert_eq!(seconds(429, &[("retry-after", "99999999999")]), RETRY_AFTER_S_MAX);
        assert_eq!(seconds(429, &[]), 5);
        assert_eq!(seconds(418, &[("retry-after", "soon")]), 120);
        let date = "Wed, 21 Oct 2015 07:28:00 GMT";
        let later = "Wed, 21 Oct 2015 07:29:30 GMT";
        assert_eq!(seconds(429, &[("retry-after", later), ("date", date)]), 90);
        assert_eq!(seconds(429, &[("retry-after", date), ("date", later)]), 1);
    }
}
