//! The wire: solana-client over HTTP that is bounded in bytes and in time.
//!
//! Invariants: no answer larger than the limit is ever held; one clock covers connecting, headers
//! and body; no redirect and no proxy of the environment is followed; an error never carries the
//! node's address. The crate's own transport has no bound on size and retries by itself for longer
//! than a block lasts: that is why it is replaced here.

use std::{
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
    time::Duration,
};

use async_trait::async_trait;
use serde::Deserialize;
use serde_json::{Value, json};
use solana_client::{
    client_error::{ClientError, ClientErrorKind, Result as ClientResult},
    nonblocking::rpc_client::RpcClient,
    rpc_client::RpcClientConfig,
    rpc_request::{RpcError, RpcRequest, RpcResponseErrorData},
    rpc_sender::{RpcSender, RpcTransportStats},
};
use url::Url;

/// How long and how large an answer may be.
#[derive(Debug, Clone, Copy)]
pub struct Limits {
    pub timeout: Duration,
    pub max_bytes: usize,
}

/// A solana-client over the bounded transport.
///
/// # Errors
/// A sentence when no HTTP client can be built.
pub fn client(url: Url, limits: Limits, calls: Arc<AtomicU64>) -> Result<RpcClient, &'static str> {
    // Building a TLS client panics where no provider is installed; somebody's own stays.
    drop(rustls::crypto::ring::default_provider().install_default());
    let http = reqwest::Client::builder()
        .timeout(limits.timeout)
        .connect_timeout(limits.timeout)
        .redirect(reqwest::redirect::Policy::none())
        .no_proxy()
        .build()
        .map_err(|_| "no HTTP client")?;
    let sender = BoundedHttp { http, url, max_bytes: limits.max_bytes, calls };
    Ok(RpcClient::new_sender(sender, RpcClientConfig::default()))
}

struct BoundedHttp {
    http: reqwest::Client,
    url: Url,
    max_bytes: usize,
    calls: Arc<AtomicU64>,
}

#[derive(Deserialize)]
struct Answer {
    /// `Some(Null)` when the answer is null, `None` when there is no answer.
    #[serde(default, deserialize_with = "present")]
    result: Option<Value>,
    error: Option<Refusal>,
}

fn present<'de, D: serde::Deserializer<'de>>(deserializer: D) -> Result<Option<Value>, D::Error> {
    Value::deserialize(deserializer).map(Some)
}

#[derive(Deserialize)]
struct Refusal {
    code: i64,
    #[serde(default)]
    message: String,
}

/// In words that name no address.
fn lost(why: &str) -> ClientError {
    ClientErrorKind::Custom(why.to_owned()).into()
}

impl BoundedHttp {
    async fn exchange(&self, body: &Value) -> Result<Answer, ClientError> {
        self.calls.fetch_add(1, Ordering::Relaxed);
        let broken = |error: reqwest::Error| {
            lost(if error.is_timeout() {
                "no answer in time"
            } else if error.is_connect() {
                "no connection"
            } else {
                "the connection broke"
            })
        };
        let request = self.http.post(self.url.clone()).json(body);
        let mut response = request.send().await.map_err(broken)?;
        let status = response.status();
        let mut bytes: Vec<u8> = Vec::new();
        while let Some(chunk) = response.chunk().await.map_err(broken)? {
            if bytes.len().saturating_add(chunk.len()) > self.max_bytes {
                return Err(lost("answer too large"));
            }
            bytes.extend_from_slice(&chunk);
        }
        match serde_json::from_slice::<Answer>(&bytes) {
            // Some providers send proper JSON-RPC errors with a 4xx.
            Ok(answer) if status.is_success() || answer.error.is_some() => Ok(answer),
            _ if !status.is_success() => Err(lost(&format!("HTTP status {}", status.as_u16()))),
            _ => Err(lost("not a JSON-RPC answer")),
        }
    }
}

#[async_trait]
impl RpcSender for BoundedHttp {
    async fn send(&self, request: RpcRequest, params: Value) -> ClientResult<Value> {
        let method = request.to_string();
        let body = json!({ "jsonrpc": "2.0", "id": 1, "method": method, "params": params });
        let answer = self.exchange(&body).await?;
        match (answer.error, answer.result) {
            (Some(refusal), _) => Err(ClientErrorKind::RpcError(RpcError::RpcResponseError {
                code: refusal.code,
                message: refusal.message,
                data: RpcResponseErrorData::Empty,
            })
            .into()),
            (None, Some(result)) => Ok(result),
            (None, None) => Err(lost("neither a result nor an error")),
        }
    }

    fn get_transport_stats(&self) -> RpcTransportStats {
        RpcTransportStats::default()
    }

    fn url(&self) -> String {
        chains::settings::host_of(&self.url)
    }
}
