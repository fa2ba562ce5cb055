//! A refusal in the vendor's words: status, code, sentence, field.
//!
//! Invariant: one shape for every error body, `{"error":{code, description, source, step, reason,
//! metadata, field}}`. Injected faults (`faults.rs`) may break the shape; refusals never do.

use axum::Json;
use axum::http::{StatusCode, header};
use axum::response::{IntoResponse, Response};
use serde_json::{Value, json};

/// What the vendor answers instead of an entity.
#[derive(Debug, Clone)]
pub(super) struct Refusal {
    status: StatusCode,
    code: &'static str,
    description: String,
    source: Option<&'static str>,
    step: Option<&'static str>,
    reason: &'static str,
    field: Option<Box<str>>,
}

impl Refusal {
    /// A field of the request is missing or wrong.
    pub(super) fn input(field: &str, description: impl Into<String>) -> Self {
        Self {
            field: Some(field.into()),
            reason: "input_validation_failed",
            ..Self::business(description)
        }
    }

    /// The request is well-formed and still not possible.
    pub(super) fn business(description: impl Into<String>) -> Self {
        Self {
            status: StatusCode::BAD_REQUEST,
            code: "BAD_REQUEST_ERROR",
            description: description.into(),
            source: Some("business"),
            step: None,
            reason: "input_validation_failed",
            field: None,
        }
    }

    pub(super) fn required(field: &str) -> Self {
        Self::input(field, format!("The {} field is required.", field.replace('_', " ")))
    }

    pub(super) fn unknown_id() -> Self {
        Self::business("The id provided does not exist")
    }

    /// The header is missing: the exact body of the vendor, with `reason` the word "null".
    pub(super) fn key_missing() -> Self {
        Self::key("Idempotency key is missing. Include idempotency header and key in the request.")
    }

    pub(super) fn key_malformed() -> Self {
        Self::key(
            "Idempotency key is invalid. It must have 4 to 36 letters, digits, hyphens, \
             underscores or spaces.",
        )
    }

    pub(super) fn key_reused() -> Self {
        Self::key("Different request body sent for the same Idempotency Header.")
    }

    fn key(description: &str) -> Self {
        Self {
            reason: "null",
            field: Some("X-Payout-Idempotency".into()),
            ..Self::business(description)
        }
    }

    pub(super) fn unknown_url() -> Self {
        Self {
            source: Some("NA"),
            step: Some("NA"),
            reason: "NA",
            ..Self::business("The requested URL was not found on the server.")
        }
    }

    pub(super) fn unauthenticated() -> Self {
        Self {
            status: StatusCode::UNAUTHORIZED,
            code: "BAD_REQUEST_AUTHENTICATION_ERROR",
            source: Some("NA"),
            step: Some("NA"),
            reason: "NA",
            ..Self::business("Authentication failed")
        }
    }

    pub(super) fn too_many_requests() -> Self {
        Self {
            status: StatusCode::TOO_MANY_REQUESTS,
            ..Self::business("Request failed. Please try after sometime.")
        }
    }

    /// The request did not arrive whole, within its bounds.
    pub(super) fn unread(status: StatusCode) -> Self {
        Self { status, ..Self::business("The request is too large or took too long.") }
    }

    /// A refusal injected by its code.
    pub(super) fn by_code(code: &str) -> Self {
        match code {
            "401" => Self::unauthenticated(),
            "404" => Self::unknown_url(),
            "ip_not_allowed" => {
                Self::business("Transactions from this IP are not allowed for your account.")
            }
            _ => Self::business(code),
        }
    }

    /// The vendor's own trouble: what happened to the request is unknown to the caller.
    pub(super) fn server(status: StatusCode) -> Self {
        let gateway = matches!(status, StatusCode::BAD_GATEWAY | StatusCode::GATEWAY_TIMEOUT);
        Self {
            status,
            code: if gateway { "GATEWAY_ERROR" } else { "SERVER_ERROR" },
            source: Some("internal"),
            reason: "server_error",
            ..Self::business(
                "We are facing some trouble completing your request at the moment. Please try \
                 again shortly.",
            )
        }
    }

    pub(super) fn body(&self) -> Value {
        json!({
            "error": {
                "code": self.code,
                "description": self.description,
                "source": self.source,
                "step": self.step,
                "reason": self.reason,
                "metadata": {},
                "field": self.field,
            }
        })
    }
}

impl IntoResponse for Refusal {
    fn into_response(self) -> Response {
        let mut response = (self.status, Json(self.body())).into_response();
        if self.status == StatusCode::UNAUTHORIZED {
            let challenge = header::HeaderValue::from_static("Basic realm=\"RazorpayX\"");
            response.headers_mut().insert(header::WWW_AUTHENTICATE, challenge);
        }
        response
    }
}
