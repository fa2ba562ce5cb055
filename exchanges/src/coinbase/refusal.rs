//! What an error of this venue means for us. Pure.
//!
//! Invariant: "it did not happen" is said only of words documented to mean that. A word we do not
//! know leaves the outcome of a call with an effect unknown.

use outbound::{Effect, Response, vendor_text};
use primitives::CallError;

use super::{NAME, wire};

/// What a 4xx of this venue says, before it becomes ours.
#[derive(Debug)]
pub(super) enum Refusal {
    /// Nothing is found under this id.
    NotFound,
    /// The token was not taken: its time, the key, its rights, or (seen) nothing at all.
    Unauthorized(String),
    Other(CallError),
}

impl From<CallError> for Refusal {
    fn from(error: CallError) -> Self {
        Self::Other(error)
    }
}

impl From<Refusal> for CallError {
    fn from(refusal: Refusal) -> Self {
        match refusal {
            Refusal::NotFound => super::rejected("not_found", "the venue knows nothing by this id"),
            Refusal::Unauthorized(why) => crate::access_refused(NAME, &why),
            Refusal::Other(error) => error,
        }
    }
}

pub(super) fn no_such_order() -> CallError {
    super::rejected("no_such_order", "order does not exist")
}

/// A 4xx that does not speak the venue's language comes from somebody in between and proves
/// nothing. Of a token alone the venue says one bare word.
pub(super) fn read(response: &Response, effect: Effect) -> Refusal {
    let bare = response.body.trim_ascii().eq_ignore_ascii_case(b"unauthorized");
    if response.status == 401 && bare {
        return Refusal::Unauthorized("unauthorized".to_owned());
    }
    match response.json::<wire::Failure>(effect) {
        Ok(failure) => classify(response.status, &failure, effect),
        Err(error) => Refusal::Other(error),
    }
}

/// Code and sentence, in the words of either API.
fn said(failure: &wire::Failure) -> Option<(&str, &str)> {
    if let Some(first) = failure.errors.as_ref().and_then(|errors| errors.first()) {
        return Some((&first.id, &first.message));
    }
    let code = failure.error.as_deref()?;
    let details = failure.error_details.as_deref().filter(|details| !details.is_empty());
    Some((code, details.or(failure.message.as_deref()).unwrap_or_default()))
}

pub(super) fn classify(status: u16, failure: &wire::Failure, effect: Effect) -> Refusal {
    let Some((code, reason)) = said(failure) else {
        return Refusal::Other(effect.failed(format!("{NAME}: refused without a reason")));
    };
    let (code, reason) = (vendor_text(code), vendor_text(reason));
    let name = code.to_ascii_uppercase();
    match status {
        401 => return Refusal::Unauthorized(format!("{code} {reason}")),
        403 => return Refusal::Other(crate::access_refused(NAME, &format!("{code} {reason}"))),
        _ => {}
    }
    if matches!(name.as_str(), "RESOURCE_EXHAUSTED" | "RATE_LIMIT_EXCEEDED") {
        return Refusal::Other(CallError::RateLimited { retry_after_s: 1 });
    }
    if effect == Effect::None && name == "NOT_FOUND" {
        return Refusal::NotFound;
    }
    if effect == Effect::None || says_no(&name) {
        return Refusal::Other(CallError::Rejected { code, reason });
    }
    Refusal::Other(effect.failed(format!("{NAME}: {code}: a word we do not know")))
}

/// Documented as refused before anything was done, by the order API or by the wallet's. "Not found"
/// is not among them: it answers who looks for something, not who makes it.
fn says_no(name: &str) -> bool {
    matches!(
        name,
        "INVALID_ARGUMENT"
            | "FAILED_PRECONDITION"
            | "OUT_OF_RANGE"
            | "UNIMPLEMENTED"
            | "PARAM_REQUIRED"
            | "VALIDATION_ERROR"
            | "INVALID_REQUEST"
            | "TWO_FACTOR_REQUIRED"
            | "PERSONAL_DETAILS_REQUIRED"
            | "IDENTITY_VERIFICATION_REQUIRED"
            | "JUMIO_VERIFICATION_REQUIRED"
            | "UNVERIFIED_EMAIL"
    )
}

/// An order that was not taken, in the words of `NewOrderFailureReason`. "Unknown" is one of them,
/// and so is everything the vendor adds later: of those the outcome is unknown.
pub(super) fn not_placed(failed: &wire::Placed) -> CallError {
    let words = failed.error_response.as_ref();
    let candidates = [
        words.and_then(|words| words.error.as_deref()),
        words.and_then(|words| words.new_order_failure_reason.as_deref()),
        failed.failure_reason.as_deref(),
        words.and_then(|words| words.preview_failure_reason.as_deref()),
    ];
    let names = || candidates.into_iter().flatten();
    let code = names().find(|name| !name.contains("UNKNOWN_") && !name.is_empty());
    let Some(code) = code.filter(|code| is_refusal_of_order(code)) else {
        let what = vendor_text(code.unwrap_or("no reason"));
        return Effect::Money.failed(format!("{NAME}: not placed: {what}"));
    };
    let told = words.and_then(|words| words.message.as_deref()).unwrap_or_default();
    CallError::Rejected { code: vendor_text(code), reason: vendor_text(told) }
}

fn is_refusal_of_order(name: &str) -> bool {
    matches!(
        name,
        "UNSUPPORTED_ORDER_CONFIGURATION"
            | "INVALID_SIDE"
            | "INVALID_PRODUCT_ID"
            | "INVALID_SIZE_PRECISION"
            | "INVALID_PRICE_PRECISION"
            | "INSUFFICIENT_FUND"
            | "INSUFFICIENT_FUNDS"
            | "INVALID_LEDGER_BALANCE"
            | "ORDER_ENTRY_DISABLED"
            | "INELIGIBLE_PAIR"
            | "INVALID_LIMIT_PRICE_POST_ONLY"
            | "INVALID_LIMIT_PRICE"
            | "INVALID_NO_LIQUIDITY"
            | "INVALID_REQUEST"
            | "COMMANDER_REJECTED_NEW_ORDER"
            | "INVALID_ORDER_CONFIG"
            | "UNTRADABLE_PRODUCT"
            | "INVALID_BASE_SIZE_TOO_SMALL"
            | "INVALID_BASE_SIZE_TOO_LARGE"
            | "INVALID_QUOTE_SIZE_TOO_SMALL"
            | "INVALID_QUOTE_SIZE_TOO_LARGE"
    ) || name.starts_with("PREVIEW_")
}

/// Words after which the rules of the market must be read again.
pub(super) fn is_about_rules(error: &CallError) -> bool {
    matches!(error, CallError::Rejected { code, .. } if matches!(code.as_str(),
        "INVALID_SIZE_PRECISION" | "INVALID_PRICE_PRECISION" | "INVALID_PRODUCT_ID"
        | "ORDER_ENTRY_DISABLED" | "INELIGIBLE_PAIR" | "UNTRADABLE_PRODUCT"))
}
