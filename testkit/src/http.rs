//! Calls of a test itself: as a merchant to the API, as a stage hand to control and node.

use anyhow::{Context as _, ensure};
use serde_json::{Value, json};

/// JSON over HTTP to one address.
#[derive(Debug, Clone)]
pub struct Http {
    client: reqwest::Client,
    base: String,
    bearer: Option<String>,
}

impl Http {
    /// # Errors
    /// When the machine cannot make a client.
    pub fn new(base: impl Into<String>, bearer: Option<String>) -> anyhow::Result<Self> {
        let client = reqwest::Client::builder().no_proxy().build()?;
        Ok(Self { client, base: base.into(), bearer })
    }

    async fn send(&self, request: reqwest::RequestBuilder) -> anyhow::Result<(u16, Value)> {
        let request = match &self.bearer {
            Some(key) => request.bearer_auth(key),
            None => request,
        };
        let answer = request.send().await?;
        let status = answer.status().as_u16();
        let text = answer.text().await?;
        Ok((status, serde_json::from_str(&text).unwrap_or(Value::String(text))))
    }

    /// Status and body, whatever they are.
    ///
    /// # Errors
    /// When there is no answer.
    pub async fn try_get(&self, path: &str) -> anyhow::Result<(u16, Value)> {
        self.send(self.client.get(format!("{}{path}", self.base))).await
    }

    /// Status and body, whatever they are.
    ///
    /// # Errors
    /// When there is no answer.
    pub async fn try_post(&self, path: &str, body: &Value) -> anyhow::Result<(u16, Value)> {
        self.send(self.client.post(format!("{}{path}", self.base)).json(body)).await
    }

    /// Posts bytes as they are, with headers.
    ///
    /// # Errors
    /// When there is no answer.
    pub async fn post_raw(
        &self,
        path: &str,
        headers: &[(&str, &str)],
        body: String,
    ) -> anyhow::Result<u16> {
        let mut request = self.client.post(format!("{}{path}", self.base)).body(body);
        for (name, value) in headers {
            request = request.header(*name, *value);
        }
        Ok(self.send(request).await?.0)
    }

    /// # Errors
    /// When there is no answer, or it is not a success.
    pub async fn get(&self, path: &str) -> anyhow::Result<Value> {
        let (status, body) = self.try_get(path).await?;
        ensure!((200..300).contains(&status), "GET {path}: {status} {body}");
        Ok(body)
    }

    /// # Errors
    /// As [`Http::get`].
    pub async fn post(&self, path: &str, body: &Value) -> anyhow::Result<Value> {
        let (status, answer) = self.try_post(path, body).await?;
        ensure!((200..300).contains(&status), "POST {path}: {status} {answer}");
        Ok(answer)
    }

    /// One JSON-RPC call.
    ///
    /// # Errors
    /// When the node refuses.
    pub async fn rpc(&self, method: &str, params: Value) -> anyhow::Result<Value> {
        let call = json!({ "jsonrpc": "2.0", "id": 1, "method": method, "params": params });
        let answer = self.post("", &call).await?;
        let result = answer.get("result").cloned();
        result.with_context(|| format!("{method}: {answer}"))
    }
}
