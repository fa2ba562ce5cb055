//! What is to be sent: the adapter builds path, query and body; nothing here changes a byte.
//!
//! Invariant: an address that cannot be written exactly as given is refused before it is sent,
//! because signatures cover the raw text.

use primitives::{CallError, Secret};
use url::Url;

use crate::BaseUrl;

/// Whether the call can change something over there. Decides what a lost answer means.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Effect {
    /// Only reads: a failed call changed nothing and may be repeated.
    None,
    /// May move money or create something: a lost answer is `Unknown`.
    Money,
}

impl Effect {
    /// The error of a call whose answer is missing or unreadable after it was sent.
    #[must_use]
    pub fn failed(self, what: impl Into<String>) -> CallError {
        match self {
            Self::None => CallError::NotSent(format!("read failed: {}", what.into())),
            Self::Money => CallError::Unknown(what.into()),
        }
    }
}

/// Where a call goes. Not `Debug`: the query of a signed call carries its signature.
pub struct Target<'a> {
    base: &'a BaseUrl,
    path: String,
    query: Option<String>,
    headers: Vec<(&'static str, Secret)>,
}

impl<'a> Target<'a> {
    #[must_use]
    pub fn new(base: &'a BaseUrl, path: impl Into<String>) -> Self {
        Self { base, path: path.into(), query: None, headers: Vec::new() }
    }

    /// The raw query without `?`, percent-encoded by the caller.
    #[must_use]
    pub fn query(mut self, raw: impl Into<String>) -> Self {
        self.query = Some(raw.into());
        self
    }

    #[must_use]
    pub fn header(mut self, name: &'static str, value: Secret) -> Self {
        self.headers.push((name, value));
        self
    }

    pub(crate) fn headers(&self) -> &[(&'static str, Secret)] {
        &self.headers
    }

    pub(crate) fn path(&self) -> &str {
        &self.path
    }

    pub(crate) fn url(&self) -> Result<Url, CallError> {
        let mut url = self.base.url().clone();
        url.set_path(&self.path);
        url.set_query(self.query.as_deref());
        let exact = url.path() == self.path && url.query() == self.query.as_deref();
        let short = url.as_str().len() <= URL_BYTES_MAX;
        if exact && short {
            return Ok(url);
        }
        Err(CallError::NotSent("the address cannot be written as given".into()))
    }
}

const URL_BYTES_MAX: usize = 8 * 1024;

/// What a POST carries, already encoded.
pub enum Body {
    /// `application/x-www-form-urlencoded`
    Form(String),
    /// `application/json`
    Json(String),
    Raw {
        content_type: &'static str,
        bytes: Vec<u8>,
    },
}

impl Body {
    pub(crate) fn into_parts(self) -> (&'static str, Vec<u8>) {
        match self {
            Self::Form(text) => ("application/x-www-form-urlencoded", text.into_bytes()),
            Self::Json(text) => ("application/json", text.into_bytes()),
            Self::Raw { content_type, bytes } => (content_type, bytes),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn refuses_what_would_be_rewritten() {
        let base = BaseUrl::parse("https://example.com").unwrap();
        let signed = "a=%5B%22BTC%22%5D&b=x+y&signature=00";
        let good = Target::new(&base, "/v1/x").query(signed).url().unwrap();
        assert_eq!(good.query(), Some(signed));
        for (path, query) in [("/a b", "x"), ("/a/../b", "x"), ("/a", "x=\"y\""), ("a", "x")] {
            assert!(Target::new(&base, path).query(query).url().is_err(), "{path}?{query}");
        }
        let long = "x".repeat(URL_BYTES_MAX);
        assert!(Target::new(&base, "/a").query(long).url().is_err());
    }
}
