//! What a request is made of, each part refused with a problem of its own.
//!
//! Invariant: no extractor of the framework is used bare, so no refusal leaves in another form.

mod id;
mod json;
mod query;

pub(crate) use id::PaymentIdPath;
pub(crate) use json::{JsonBody, NoBody};
pub(crate) use query::QueryOf;
