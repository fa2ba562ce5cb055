//! JSON bodies: bounded, of the right kind, and of exactly the expected shape.

use std::{collections::BTreeSet, fmt};

use axum::{
    body::Bytes,
    extract::{FromRequest, Request},
    http::{HeaderMap, header},
};
use serde::{
    Deserialize, Deserializer,
    de::{DeserializeOwned, Error as _, MapAccess, Visitor},
};
use serde_json::{Map, Value, error::Category};

use crate::problem::{Code, Problem};

const JSON_MAX: usize = 64 * 1024;

/// A body that is one JSON value of the type `T`.
#[derive(Debug)]
pub(crate) struct JsonBody<T>(pub(crate) T);

impl<S: Send + Sync, T: DeserializeOwned> FromRequest<S> for JsonBody<T> {
    type Rejection = Problem;

    async fn from_request(request: Request, state: &S) -> Result<Self, Problem> {
        check_kind(request.headers())?;
        read(&bounded(request, state).await?).map(Self)
    }
}

/// No body, or an empty JSON object from a client that always sends one.
#[derive(Debug)]
pub(crate) struct NoBody;

impl<S: Send + Sync> FromRequest<S> for NoBody {
    type Rejection = Problem;

    async fn from_request(request: Request, state: &S) -> Result<Self, Problem> {
        let kind = check_kind(request.headers());
        let bytes = bounded(request, state).await?;
        if !bytes.is_empty() {
            kind?;
            let members: Map<String, Value> = read(&bytes)?;
            if !members.is_empty() {
                return Err(Problem::new(Code::InvalidRequest, "This takes no members."));
            }
        }
        Ok(Self)
    }
}

async fn bounded<S: Send + Sync>(request: Request, state: &S) -> Result<Bytes, Problem> {
    let bytes = Bytes::from_request(request, state)
        .await
        .map_err(|_| Problem::new(Code::BodyTooLarge, "The limit is 64 KiB."))?;
    if bytes.len() > JSON_MAX {
        return Err(Problem::new(Code::BodyTooLarge, "The limit is 64 KiB."));
    }
    Ok(bytes)
}

fn read<T: DeserializeOwned>(bytes: &[u8]) -> Result<T, Problem> {
    let text = std::str::from_utf8(bytes)
        .map_err(|_| Problem::new(Code::InvalidJson, "The body must be UTF-8."))?;
    parse::<Objects>(text)?;
    parse(text)
}

fn parse<'a, T: Deserialize<'a>>(text: &'a str) -> Result<T, Problem> {
    serde_json::from_str(text).map_err(|error| match error.classify() {
        Category::Data => Problem::telling(Code::InvalidRequest, &error.to_string()),
        Category::Io | Category::Syntax | Category::Eof => {
            Problem::telling(Code::InvalidJson, &error.to_string())
        }
    })
}

/// Any JSON without lists and fractions, and with each member once. No request of ours has a list;
/// serde would take one for an object whose members it names in order. And where a member stands
/// twice, readers disagree about which counts.
struct Objects;

impl<'de> Deserialize<'de> for Objects {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_any(Self)
    }
}

impl<'de> Visitor<'de> for Objects {
    type Value = Self;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("an object or a single value")
    }

    fn visit_bool<E>(self, _: bool) -> Result<Self, E> {
        Ok(self)
    }

    fn visit_i64<E>(self, _: i64) -> Result<Self, E> {
        Ok(self)
    }

    fn visit_u64<E>(self, _: u64) -> Result<Self, E> {
        Ok(self)
    }

    fn visit_str<E>(self, _: &str) -> Result<Self, E> {
        Ok(self)
    }

    fn visit_unit<E>(self) -> Result<Self, E> {
        Ok(self)
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Self, A::Error> {
        let mut names = BTreeSet::new();
        while let Some((name, Self)) = map.next_entry::<String, Self>()? {
            if !names.insert(name) {
                return Err(A::Error::custom("a member stands twice"));
            }
        }
        Ok(self)
    }
}

/// `application/json`, in UTF-8 where a charset is named, and not compressed: a compressed body
/// has no honest size.
fn check_kind(headers: &HeaderMap) -> Result<(), Problem> {
    const REFUSED: Problem =
        Problem::new(Code::UnsupportedMediaType, "Send Content-Type: application/json.");
    let mut kinds = headers.get_all(header::CONTENT_TYPE).iter();
    let (Some(kind), None) = (kinds.next(), kinds.next()) else {
        return Err(REFUSED);
    };
    let kind = kind.to_str().map_err(|_| REFUSED)?.to_ascii_lowercase();
    let (essence, parameters) = kind.split_once(';').unwrap_or((&kind, ""));
    let utf8 = parameters
        .split(';')
        .filter_map(|parameter| parameter.trim().strip_prefix("charset="))
        .all(|charset| charset.trim_matches('"') == "utf-8");
    if essence.trim() != "application/json" || !utf8 {
        return Err(REFUSED);
    }
    let plain = headers
        .get_all(header::CONTENT_ENCODING)
        .iter()
        .all(|encoding| encoding.as_bytes().eq_ignore_ascii_case(b"identity"));
    if plain { Ok(()) } else { Err(REFUSED) }
}

#[cfg(test)]
mod tests {
    use axum::http::HeaderValue;

    use super::*;

    #[test]
    fn only_plain_json_is_read() {
        let kind = |value: &'static str| {
            let mut headers = HeaderMap::new();
            headers.insert(header::CONTENT_TYPE, HeaderValue::from_static(value));
            check_kind(&headers).is_ok()
        };
        assert!(kind("application/json"));
        assert!(kind("Application/JSON; charset=UTF-8"));
        assert!(kind("application/json;charset=\"utf-8\""));
        for bad in ["", "text/plain", "application/json; charset=utf-16", "application/jsonp"] {
            assert!(!kind(bad), "{bad}");
        }
        let mut headers = HeaderMap::new();
        assert!(check_kind(&headers).is_err());
        headers.insert(header::CONTENT_TYPE, HeaderValue::from_static("application/json"));
        headers.insert(header::CONTENT_ENCODING, HeaderValue::from_static("gzip"));
        assert!(check_kind(&headers).is_err());
    }
}
