//! Outbound: the only room that opens HTTP to somebody else.
//!
//! Invariants: every call is bounded in time and size, follows no redirect, reads no proxy from
//! the environment and is sent once. Every failure is sorted into `CallError` by one question: may
//! it have happened? Addresses are logged without their query; headers and bodies never are.
//! What a vendor's answer means is deliberately elsewhere: in the adapters.

pub mod backoff;
mod base_url;
mod client;
mod crypto;
mod pacing;
mod redact;
mod request;
mod response;
mod settings;
pub mod webhook;

pub use base_url::{BaseUrl, BaseUrlError};
pub use client::Client;
pub use crypto::install_crypto;
pub use redact::vendor_text;
pub use request::{Body, Effect, Target};
pub use response::Response;
pub use settings::{BuildError, Settings};
