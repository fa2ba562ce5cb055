//! The wire: one JSON-RPC exchange over HTTP, bounded in bytes and in time.
//!
//! Invariants: no answer larger than the limit is ever held; one clock covers connecting, headers
//! and body; no redirect and no proxy of the environment is followed; an error never carries the
//! node's address. What the answers mean is deliberately elsewhere: `node`.

use std::{
    task::{Context, Poll},
    time::Duration,
};

use alloy::{
    rpc::{
        client::RpcClient,
        json_rpc::{RequestPacket, ResponsePacket},
    },
    transports::{TransportError, TransportErrorKind, TransportFut, http::reqwest},
};
use tower::Service;
use url::Url;

/// How long and how large an answer may be.
#[derive(Debug, Clone, Copy)]
pub struct Limits {
    pub timeout: Duration,
    pub max_bytes: usize,
}

/// An alloy client over the bounded transport.
///
/// # Errors
/// A sentence when no HTTP client can be built.
pub fn client(url: Url, limits: Limits) -> Result<RpcClient, String> {
    // Where TLS is compiled in without a provider, building a client panics until one is installed.
    // Somebody may have done so already: then theirs stays.
    drop(rustls::crypto::ring::default_provider().install_default());
    let http = reqwest::Client::builder()
        .timeout(limits.timeout)
        .connect_timeout(limits.timeout)
        .redirect(reqwest::redirect::Policy::none())
        .no_proxy()
        .build()
        .map_err(|error| format!("no HTTP client: {}", error.without_url()))?;
    let transport = BoundedHttp { http, url, max_bytes: limits.max_bytes };
    Ok(RpcClient::new(transport, false))
}

#[derive(Clone)]
struct BoundedHttp {
    http: reqwest::Client,
    url: Url,
    max_bytes: usize,
}

impl BoundedHttp {
    async fn exchange(self, packet: RequestPacket) -> Result<ResponsePacket, TransportError> {
        let lost = |error: reqwest::Error| {
            let kind = if error.is_timeout() {
                "no answer in time"
            } else if error.is_connect() {
                "no connection"
            } else {
                "the connection broke"
            };
            TransportErrorKind::custom_str(kind)
        };
        let mut response = self.http.post(self.url).json(&packet).send().await.map_err(lost)?;
        let status = response.status();
        let mut body: Vec<u8> = Vec::new();
        while let Some(chunk) = response.chunk().await.map_err(lost)? {
            if body.len().saturating_add(chunk.len()) > self.max_bytes {
                return Err(TransportErrorKind::custom_str("answer too large"));
            }
            body.extend_from_slice(&chunk);
        }
        match serde_json::from_slice::<ResponsePacket>(&body) {
            // Some providers send proper JSON-RPC errors with a 4xx.
            Ok(answer) if status.is_success() || answer.is_error() => Ok(answer),
            _ if !status.is_success() => {
                Err(TransportErrorKind::custom_str(&format!("HTTP status {}", status.as_u16())))
            }
            _ => Err(TransportErrorKind::custom_str("not a JSON-RPC answer")),
        }
    }
}

impl Service<RequestPacket> for BoundedHttp {
    type Response = ResponsePacket;
    type Error = TransportError;
    type Future = TransportFut<'static>;

    fn poll_ready(&mut self, _context: &mut Context<'_>) -> Poll<Result<(), Self::Error>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, packet: RequestPacket) -> Self::Future {
        Box::pin(self.clone().exchange(packet))
    }
}
