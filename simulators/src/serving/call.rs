//! One request, read whole: the bytes as sent, because signatures are made over them.

use std::collections::BTreeMap;

use axum::{
    body::to_bytes,
    extract::Request,
    http::{HeaderMap, HeaderValue, Method, StatusCode},
};

use super::{BODY_LIMIT, READ_LIMIT};
use crate::signature::Params;

#[derive(Debug, Clone)]
pub(crate) struct Call {
    pub(crate) method: Method,
    pub(crate) path: String,
    /// The raw query, without the question mark.
    pub(crate) query: String,
    pub(crate) headers: HeaderMap,
    pub(crate) body: String,
    params: Params,
}

impl Call {
    /// Reads the request within its bounds.
    ///
    /// # Errors
    /// 413 for a large body, 408 for a slow one, 400 for one that is not text.
    pub(crate) async fn read(request: Request) -> Result<Self, StatusCode> {
        let (parts, body) = request.into_parts();
        let bytes = tokio::time::timeout(READ_LIMIT, to_bytes(body, BODY_LIMIT))
            .await
            .map_err(|_| StatusCode::REQUEST_TIMEOUT)?
            .map_err(|_| StatusCode::PAYLOAD_TOO_LARGE)?;
        let body = String::from_utf8(bytes.to_vec()).map_err(|_| StatusCode::BAD_REQUEST)?;
        let query = parts.uri.query().unwrap_or("").to_owned();
        let path = parts.uri.path().to_owned();
        // If a name is in both, the query wins: the first one found counts.
        let params = Params::parse(&query).and_then(|mut params| {
            params.extend(Params::parse(&body)?);
            Some(params)
        });
        let params = params.ok_or(StatusCode::BAD_REQUEST)?;
        Ok(Self { method: parts.method, path, query, headers: parts.headers, body, params })
    }

    /// A call that came over a socket: its parameters are what they are.
    pub(crate) fn of_socket(
        method: Method,
        path: &str,
        params: BTreeMap<String, String>,
        time_unit: Option<&str>,
    ) -> Self {
        let mut headers = HeaderMap::new();
        if let Some(unit) = time_unit.and_then(|unit| HeaderValue::from_str(unit).ok()) {
            headers.insert("x-mbx-time-unit", unit);
        }
        let (query, body) = (String::new(), String::new());
        Self { method, path: path.to_owned(), query, headers, body, params: Params::plain(params) }
    }

    /// The parameter's value, percent-decoded; `None` when absent or empty.
    pub(crate) fn param(&self, name: &str) -> Option<&str> {
        self.params.get(name).filter(|value| !value.is_empty())
    }

    pub(crate) fn header(&self, name: &str) -> Option<&str> {
        self.headers.get(name).and_then(|value| value.to_str().ok())
    }
}
