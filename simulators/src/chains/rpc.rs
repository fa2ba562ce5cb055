//! JSON-RPC over plain HTTP to a local node.
//!
//! Invariant: answers are bounded in size and time; an error never carries the node's address,
//! which may hold a password.

use std::{
    sync::atomic::{AtomicU64, Ordering},
    time::Duration,
};

use anyhow::{Context, bail, ensure};
use serde::{Deserialize, de::DeserializeOwned};
use serde_json::{Value, json};

const TIME_LIMIT: Duration = Duration::from_secs(15);
const SIZE_LIMIT: usize = 64 << 20;

pub(super) struct Rpc {
    http: reqwest::Client,
    url: String,
    next: AtomicU64,
}

#[derive(Deserialize)]
struct Answer<T> {
    result: Option<T>,
    error: Option<Value>,
}

/// A refusal of the node, in its own words.
#[derive(Debug)]
pub(super) struct Refused {
    pub(super) code: i64,
    message: String,
}

impl std::fmt::Display for Refused {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "the node refused ({}): {}", self.code, self.message)
    }
}

impl std::error::Error for Refused {}

impl Rpc {
    pub(super) fn new(url: &str) -> anyhow::Result<Self> {
        ensure!(url.starts_with("http://") && url.len() <= 2_048, "not a plain http URL");
        // Building a client panics where no provider is installed; somebody's own stays.
        drop(rustls::crypto::ring::default_provider().install_default());
        let http = reqwest::Client::builder()
            .no_proxy()
            .timeout(TIME_LIMIT)
            .redirect(reqwest::redirect::Policy::none())
            .build()
            .map_err(reqwest::Error::without_url)?;
        Ok(Self { http, url: url.to_owned(), next: AtomicU64::new(1) })
    }

    /// The result; `None` when it is null.
    pub(super) async fn ask<T: DeserializeOwned>(
        &self,
        method: &str,
        params: Value,
    ) -> anyhow::Result<Option<T>> {
        let id = self.next.fetch_add(1, Ordering::Relaxed);
        let body = json!({"jsonrpc": "2.0", "id": id, "method": method, "params": params});
        let sent = self.http.post(&self.url).json(&body).send().await;
        let mut response = sent.map_err(reqwest::Error::without_url)?;
        let mut bytes = Vec::new();
        while let Some(chunk) = response.chunk().await.map_err(reqwest::Error::without_url)? {
            ensure!(bytes.len().saturating_add(chunk.len()) <= SIZE_LIMIT, "an answer too large");
            bytes.extend_from_slice(&chunk);
        }
        // Bitcoin says 500 beside its refusals; a wrong password has no body.
        let answer: Answer<T> = serde_json::from_slice(&bytes)
            .with_context(|| format!("{method}: status {}", response.status().as_u16()))?;
        match answer.error {
            None | Some(Value::Null) => Ok(answer.result),
            Some(error) => {
                let code = error.get("code").and_then(Value::as_i64).unwrap_or_default();
                let message = error.get("message").and_then(Value::as_str).unwrap_or_default();
                bail!(Refused { code, message: message.chars().take(200).collect() })
            }
        }
    }

    /// The result, which has to be there.
    pub(super) async fn get<T: DeserializeOwned>(
        &self,
        method: &str,
        params: Value,
    ) -> anyhow::Result<T> {
        self.ask(method, params).await?.with_context(|| format!("{method}: no result"))
    }
}

/// `0x1f` as a number.
pub(super) fn hex_number(text: &str) -> anyhow::Result<u64> {
    let digits = text.strip_prefix("0x").context("not a hex number")?;
    u64::from_str_radix(digits, 16).context("not a hex number")
}
