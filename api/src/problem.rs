//! Refusals, as RFC 9457 problem documents.
//!
//! Invariant: `code` is one of the closed list below and never changes its meaning; `detail` is a
//! sentence for a person and never carries an internal detail. What a client sent is repeated only
//! shortened and without control characters.

use std::borrow::Cow;

use axum::{
    http::{HeaderValue, StatusCode, header},
    response::{IntoResponse, Response},
};
use serde::{Serialize, Serializer};
use utoipa::{
    PartialSchema, ToSchema,
    openapi::{ObjectBuilder, RefOr, Schema, Type},
};

macro_rules! codes {
    ($($name:ident = $code:literal, $status:ident, $title:literal;)+) => {
        /// The stable name of a refusal.
        #[derive(Debug, Clone, Copy, PartialEq, Eq)]
        pub(crate) enum Code { $($name,)+ }

        impl Code {
            const NAMES: &[&str] = &[$($code,)+];

            pub(crate) const fn name(self) -> &'static str {
                match self { $(Self::$name => $code,)+ }
            }

            pub(crate) const fn status(self) -> StatusCode {
                match self { $(Self::$name => StatusCode::$status,)+ }
            }

            const fn title(self) -> &'static str {
                match self { $(Self::$name => $title,)+ }
            }
        }
    };
}

codes! {
    InvalidJson = "invalid_json", BAD_REQUEST, "The body is not JSON";
    InvalidQuery = "invalid_query", BAD_REQUEST, "The query string is not understood";
    InvalidPath = "invalid_path", BAD_REQUEST, "The path is not understood";
    InvalidId = "invalid_id", BAD_REQUEST, "Not an id of this kind";
    InvalidBody = "invalid_body", BAD_REQUEST, "The body ended early";
    IdempotencyKeyInvalid = "idempotency_key_invalid", BAD_REQUEST,
        "The idempotency key is not usable";
    LastEventIdInvalid = "last_event_id_invalid", BAD_REQUEST, "The last event id is not usable";
    Unauthorized = "unauthorized", UNAUTHORIZED, "A valid API key is needed";
    ScopeMissing = "scope_missing", FORBIDDEN, "The API key may not do this";
    RouteNotFound = "route_not_found", NOT_FOUND, "There is nothing at this address";
    PaymentNotFound = "payment_not_found", NOT_FOUND, "There is no such payment";
    RailUnknown = "rail_unknown", NOT_FOUND, "There is no such rail";
    MethodNotAllowed = "method_not_allowed", METHOD_NOT_ALLOWED, "Not with this method";
    BodyTimeout = "body_timeout", REQUEST_TIMEOUT, "The body came too slowly";
    IdempotencyKeyReused = "idempotency_key_reused", CONFLICT,
        "The idempotency key belongs to another request";
    ReferenceReused = "reference_reused", CONFLICT, "The reference was used before";
    DestinationMissing = "destination_missing", CONFLICT, "There is nowhere to pay the rupees to";
    PaymentNotCancellable = "payment_not_cancellable", CONFLICT,
        "The payment can no longer be cancelled";
    PaymentNotPayable = "payment_not_payable", CONFLICT, "The payment no longer awaits a deposit";
    PaymentExpired = "payment_expired", CONFLICT, "The payment's time is up";
    MarketTooThin = "market_too_thin", CONFLICT, "The market does not carry this amount now";
    BodyTooLarge = "body_too_large", PAYLOAD_TOO_LARGE, "The body is too large";
    UriTooLong = "uri_too_long", URI_TOO_LONG, "The address is too long";
    HeadersTooLarge = "headers_too_large", REQUEST_HEADER_FIELDS_TOO_LARGE,
        "The headers are too large";
    UnsupportedMediaType = "unsupported_media_type", UNSUPPORTED_MEDIA_TYPE,
        "The body must be JSON, without compression";
    InvalidRequest = "invalid_request", UNPROCESSABLE_ENTITY, "The request has the wrong shape";
    AmountInvalid = "amount_invalid", UNPROCESSABLE_ENTITY, "The amount is not whole minor units";
    AmountNotPositive = "amount_not_positive", UNPROCESSABLE_ENTITY, "The amount is not positive";
    AmountTooSmall = "amount_too_small", UNPROCESSABLE_ENTITY, "The amount is too small";
    AmountTooLarge = "amount_too_large", UNPROCESSABLE_ENTITY, "The amount is too large";
    AssetUnknown = "asset_unknown", UNPROCESSABLE_ENTITY, "There is no such asset";
    AssetNotAccepted = "asset_not_accepted", UNPROCESSABLE_ENTITY,
        "This asset is not accepted here";
    MethodNotAccepted = "method_not_accepted", UNPROCESSABLE_ENTITY,
        "This asset is not accepted on this network";
    NetworkUnknown = "network_unknown", UNPROCESSABLE_ENTITY, "There is no such network";
    ReferenceInvalid = "reference_invalid", UNPROCESSABLE_ENTITY, "The reference is not usable";
    MetadataInvalid = "metadata_invalid", UNPROCESSABLE_ENTITY, "The metadata is not usable";
    ExpiryInvalid = "expiry_invalid", UNPROCESSABLE_ENTITY, "The expiry is out of range";
    VpaInvalid = "vpa_invalid", UNPROCESSABLE_ENTITY, "Not a UPI address";
    NameInvalid = "name_invalid", UNPROCESSABLE_ENTITY, "The name is not usable";
    UrlInvalid = "url_invalid", UNPROCESSABLE_ENTITY, "The address of the endpoint is not usable";
    RateLimited = "rate_limited", TOO_MANY_REQUESTS, "Too many requests";
    TooManyStreams = "too_many_streams", TOO_MANY_REQUESTS, "Too many open event streams";
    Internal = "internal", INTERNAL_SERVER_ERROR, "Something went wrong on our side";
    DatabaseUnavailable = "database_unavailable", SERVICE_UNAVAILABLE,
        "The service cannot reach its database";
    Busy = "busy", SERVICE_UNAVAILABLE, "The service is busy";
    Timeout = "timeout", SERVICE_UNAVAILABLE, "The answer took too long";
    RateUnavailable = "rate_unavailable", SERVICE_UNAVAILABLE,
        "There is no trustworthy price at the moment";
    QuotesPaused = "quotes_paused", SERVICE_UNAVAILABLE, "New quotes are paused";
    AssetNotSellable = "asset_not_sellable", SERVICE_UNAVAILABLE,
        "This asset cannot be sold at the moment";
    AssetLimitReached = "asset_limit_reached", SERVICE_UNAVAILABLE,
        "No more of this asset is taken at the moment";
    AddressUnavailable = "address_unavailable", SERVICE_UNAVAILABLE,
        "No deposit address is ready yet";
    NotReady = "not_ready", SERVICE_UNAVAILABLE, "The service is not ready";
}

impl Serialize for Code {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(self.name())
    }
}

// The derive does not see names that come out of a macro.
impl PartialSchema for Code {
    fn schema() -> RefOr<Schema> {
        ObjectBuilder::new()
            .schema_type(Type::String)
            .description(Some("The stable name of a refusal."))
            .enum_values(Some(Self::NAMES.iter().copied()))
            .into()
    }
}

impl ToSchema for Code {
    fn name() -> Cow<'static, str> {
        Cow::Borrowed("ProblemCode")
    }
}

/// One refusal on its way out.
#[derive(Debug, Clone)]
pub(crate) struct Problem {
    code: Code,
    detail: Cow<'static, str>,
    field: Option<&'static str>,
    retry_after_s: Option<u32>,
}

/// The document of RFC 9457 with three members of ours: `code`, and where it helps `field`.
#[derive(Serialize, ToSchema)]
#[schema(as = Problem)]
pub(crate) struct ProblemDocument<'a> {
    /// A name for the kind of problem, made from the code.
    #[schema(example = "urn:chukta:problem:reference_reused")]
    r#type: String,
    title: &'static str,
    #[schema(minimum = 400, maximum = 599)]
    status: u16,
    /// A sentence for a person. It may change; `code` does not.
    detail: &'a str,
    code: Code,
    /// The member of the request that was refused.
    #[serde(skip_serializing_if = "Option::is_none")]
    field: Option<&'static str>,
}

impl Problem {
    pub(crate) const fn new(code: Code, detail: &'static str) -> Self {
        Self { code, detail: Cow::Borrowed(detail), field: None, retry_after_s: None }
    }

    /// A refusal whose sentence repeats something that was sent.
    pub(crate) fn telling(code: Code, detail: &str) -> Self {
        let shown: String = detail
            .chars()
            .map(|c| if crate::text::is_visible(c) { c } else { '\u{fffd}' })
            .take(200)
            .collect();
        Self { code, detail: Cow::Owned(shown), field: None, retry_after_s: None }
    }

    pub(crate) const fn field(mut self, field: &'static str) -> Self {
        self.field = Some(field);
        self
    }

    pub(crate) const fn retry_after(mut self, seconds: u32) -> Self {
        self.retry_after_s = Some(seconds);
        self
    }

    pub(crate) const fn internal() -> Self {
        Self::new(Code::Internal, "The failure was recorded. Nothing can be said about its effect.")
    }
}

impl IntoResponse for Problem {
    fn into_response(self) -> Response {
        let status = self.code.status();
        let document = ProblemDocument {
            r#type: format!("urn:chukta:problem:{}", self.code.name()),
            title: self.code.title(),
            status: status.as_u16(),
            detail: &self.detail,
            code: self.code,
            field: self.field,
        };
        let body = serde_json::to_string(&document).unwrap_or_default();
        let mut response = (status, body).into_response();
        let headers = response.headers_mut();
        let json = HeaderValue::from_static("application/problem+json");
        headers.insert(header::CONTENT_TYPE, json);
        if status == StatusCode::UNAUTHORIZED {
            let challenge = HeaderValue::from_static("Bearer realm=\"chukta\"");
            headers.insert(header::WWW_AUTHENTICATE, challenge);
        }
        let wait = self.retry_after_s.or_else(|| {
            // Every refusal that time alone may heal says when to come back.
            (status == StatusCode::SERVICE_UNAVAILABLE).then_some(1)
        });
        if let Some(seconds) = wait {
            headers.insert(header::RETRY_AFTER, HeaderValue::from(seconds));
        }
        response
    }
}
