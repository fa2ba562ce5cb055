//! The demo's own calls: as a merchant to the API, as a stage hand to the simulators' control.

use std::{sync::Arc, time::Duration};

use anyhow::{Context as _, bail};
use outbound::{BaseUrl, Body, Client, Effect, Settings, Target};
use primitives::{Secret, SystemClock};
use serde_json::Value;

/// JSON over HTTP to one address, with a bearer key where there is one.
pub(crate) struct Caller {
    client: Client,
    base: BaseUrl,
    bearer: Option<Secret>,
}

impl Caller {
    /// # Errors
    /// When the address is none.
    pub(crate) fn new(base: &str, bearer: Option<Secret>) -> anyhow::Result<Self> {
        let client = Client::try_new("demo", &Settings::default(), Arc::new(SystemClock))?;
        Ok(Self { client, base: BaseUrl::parse(base)?, bearer })
    }

    fn target(&self, path: &str) -> Target<'_> {
        let target = match path.split_once('?') {
            Some((path, query)) => Target::new(&self.base, path).query(query),
            None => Target::new(&self.base, path),
        };
        match &self.bearer {
            Some(key) => {
                target.header("authorization", Secret::new(format!("Bearer {}", key.expose())))
            }
            None => target,
        }
    }

    /// # Errors
    /// When there is no answer, or it is not a success.
    pub(crate) async fn get(&self, path: &str) -> anyhow::Result<Value> {
        let answer = self.client.get(self.target(path)).await?;
        if !answer.is_success() {
            bail!("GET {path}: {}", String::from_utf8_lossy(&answer.body));
        }
        answer.json(Effect::None).context("an answer in JSON")
    }

    /// A POST that creates something, repeated under one key while there is no answer: the
    /// fleet may be killed and started again meanwhile, and still creates it once.
    ///
    /// # Errors
    /// When there is no answer for a minute, or it is not a success.
    pub(crate) async fn create(
        &self,
        path: &str,
        key: &str,
        body: &Value,
    ) -> anyhow::Result<Value> {
        let mut tries = 120_u32;
        loop {
            let target = self.target(path).header("idempotency-key", Secret::new(key));
            let sent = Body::Json(body.to_string());
            tries = tries.saturating_sub(1);
            match self.client.post(target, sent, Effect::None).await {
                Ok(answer) if answer.is_success() => {
                    return answer.json(Effect::None).context("an answer in JSON");
                }
                Ok(answer) if answer.status < 500 => {
                    bail!("POST {path}: {}", String::from_utf8_lossy(&answer.body));
                }
                _ if tries > 0 => tokio::time::sleep(Duration::from_millis(500)).await,
                Ok(answer) => bail!("POST {path}: {}", String::from_utf8_lossy(&answer.body)),
                Err(error) => return Err(error.into()),
            }
        }
    }

    /// # Errors
    /// As [`Caller::get`].
    pub(crate) async fn post(&self, path: &str, body: &Value) -> anyhow::Result<Value> {
        let body = Body::Json(body.to_string());
        let answer = self.client.post(self.target(path), body, Effect::None).await?;
        if !answer.is_success() {
            bail!("POST {path}: {}", String::from_utf8_lossy(&answer.body));
        }
        answer.json(Effect::None).context("an answer in JSON")
    }
}
