//! What an error of this venue means for us. Pure.
//!
//! Invariant: "it did not happen" is said only of codes documented to mean that. A code we do not
//! know, like the codes that say "execution status unknown", leaves the outcome of a call with an
//! effect unknown.

use outbound::{Effect, Response, vendor_text};
use primitives::CallError;

use super::{NAME, limits::Count, wire};

/// What a 4xx of this venue says, before it becomes ours.
#[derive(Debug)]
pub(super) enum Refusal {
    /// Nothing is found under our reference.
    NoSuchOrder,
    /// The order cannot be cancelled: unknown, or closed already. Look.
    NotCancelled,
    /// The timestamp was refused: nothing happened.
    Stale,
    /// A window of the venue is used up.
    UsedUp(Count),
    Other(CallError),
}

impl From<CallError> for Refusal {
    fn from(error: CallError) -> Self {
        Self::Other(error)
    }
}

impl From<Refusal> for CallError {
    fn from(refusal: Refusal) -> Self {
        let rejected = |code: &str, reason: &str| Self::Rejected {
            code: code.to_owned(),
            reason: reason.to_owned(),
        };
        match refusal {
            Refusal::NoSuchOrder => rejected("no_such_order", "order does not exist"),
            Refusal::NotCancelled => rejected("-2011", "order is unknown or closed"),
            Refusal::Stale => {
                Self::NotSent("binance: timestamp refused, clock to be measured again".into())
            }
            Refusal::UsedUp(_) => Self::RateLimited { retry_after_s: 60 },
            Refusal::Other(error) => error,
        }
    }
}

/// A 4xx that does not speak the venue's language comes from somebody in between and proves
/// nothing.
pub(super) fn read(response: &Response, effect: Effect) -> Refusal {
    match response.json::<wire::Failure>(effect) {
        Ok(failure) => classify(response.status, &failure, effect),
        Err(error) => Refusal::Other(error),
    }
}

pub(super) fn classify(status: u16, failure: &wire::Failure, effect: Effect) -> Refusal {
    let code = failure.code;
    let message = failure.msg.to_ascii_lowercase();
    let unknown = |what: &str| Refusal::Other(effect.failed(format!("{NAME}: {code}: {what}")));
    match code {
        // "Execution status unknown", and what sounds like it.
        -1000 | -1001 | -1006 | -1007 | -1008 => unknown("the venue does not know itself"),
        -1003 | -1016 | -1034 => Refusal::UsedUp(Count::Weight),
        -1015 => Refusal::UsedUp(orders_counted(&message)),
        -1021 => Refusal::Stale,
        -1002 | -1022 | -2014 | -2015 => refused_us(failure),
        // Our key, its rights or our address, whatever the code.
        _ if matches!(status, 401 | 403) => refused_us(failure),
        -2013 => Refusal::NoSuchOrder,
        -2011 => Refusal::NotCancelled,
        // A refused reference proves that an open order carries it: not "it did not happen".
        _ if effect == Effect::Money && is_repeated(&message) => unknown("the reference is in use"),
        _ if effect == Effect::None || says_no(code) => Refusal::Other(CallError::Rejected {
            code: code.to_string(),
            reason: vendor_text(&failure.msg),
        }),
        _ => unknown("a code we do not know"),
    }
}

fn refused_us(failure: &wire::Failure) -> Refusal {
    let why = format!("{} {}", failure.code, vendor_text(&failure.msg));
    Refusal::Other(crate::access_refused(NAME, &why))
}

fn is_repeated(message: &str) -> bool {
    message.contains("duplicate") || message.contains("already exist")
}

/// Documented as refused before or by the engine, or (−4xxx) by the wallet.
const fn says_no(code: i64) -> bool {
    matches!(code,
        -1014 | -1013 | -1020 | -1199..=-1100 | -1220
        | -2010 | -2026..=-2020 | -2039 | -4999..=-4000)
}

/// Which window "Too many new orders; current limit is %s orders per %s." speaks of.
fn orders_counted(message: &str) -> Count {
    if message.contains("day") { Count::OrdersLong } else { Count::OrdersShort }
}

/// Codes after which the rules of the market must be read again.
pub(super) fn is_about_rules(error: &CallError) -> bool {
    matches!(error, CallError::Rejected { code, reason }
        if matches!(code.as_str(), "-1013" | "-1111" | "-1121")
            || (code == "-2010" && reason.to_ascii_lowercase().contains("closed")))
}
