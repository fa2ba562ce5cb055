//! Telling a merchant: one signed POST to an address somebody else chose.
//!
//! Invariants: the signature is Standard Webhooks 1.0.0; the connection goes only to an address
//! that was vetted in that very attempt; nothing of the answer but its status is used. When and how
//! often to send is deliberately elsewhere: in the job.

mod guard;
mod sign;
#[cfg(test)]
mod tests;

use std::{sync::Arc, time::Duration};

use chrono::{DateTime, Utc};
use reqwest::header::{CONTENT_TYPE, HeaderMap, HeaderValue};

use crate::{
    BuildError, Settings,
    client::{builder, describe, read_at_most},
};
pub use guard::{Policy, UrlRefusal, check_url};
pub use sign::{SigningSecret, SigningSecretError, signature};

/// What is sent. `id` stays the same over every retry of the same message.
#[derive(Debug, Clone, Copy)]
pub struct Message<'a> {
    pub url: &'a str,
    pub id: &'a str,
    /// The time of this attempt.
    pub at: DateTime<Utc>,
    /// The exact JSON that is signed and sent.
    pub body: &'a str,
    /// Every live secret, newest first; two during a rotation.
    pub secrets: &'a [SigningSecret],
}

/// What became of one attempt.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Outcome {
    /// Answered 2xx.
    Delivered(u16),
    /// Answered something else; redirects included. `permanent` on 410: stop sending.
    Refused { status: u16, permanent: bool },
    /// No answer, or not sent at all; says why without naming the address.
    Failed(String),
}

/// The whole attempt, looking the name up included.
const ATTEMPT: Duration = Duration::from_secs(15);
const ANSWER_BYTES_MAX: usize = 64 * 1024;
const BODY_BYTES_MAX: usize = 256 * 1024;

/// Sends webhooks. One for the process; opens a new connection for every attempt.
#[derive(Debug)]
pub struct Sender {
    http: reqwest::Client,
    policy: Policy,
}

impl Sender {
    /// # Errors
    /// `BuildError` when the machine has no trusted certificates.
    pub fn try_new(policy: Policy) -> Result<Self, BuildError> {
        let settings = Settings {
            connect_timeout_ms: 5_000,
            total_timeout_ms: 15_000,
            user_agent: concat!("chukta-webhooks/", env!("CARGO_PKG_VERSION")).to_owned(),
            ..Settings::default()
        };
        let http = builder(&settings)
            .dns_resolver(Arc::new(guard::Resolver::new(policy.clone())))
            // A kept connection would outlive its vetting: an address is vetted in every attempt.
            .pool_max_idle_per_host(0)
            .build()
            .map_err(|error| BuildError::Client(error.to_string()))?;
        Ok(Self { http, policy })
    }

    /// One attempt. Never retried here.
    pub async fn send(&self, message: &Message<'_>) -> Outcome {
        match tokio::time::timeout(ATTEMPT, self.attempt(message)).await {
            Ok(Ok(outcome)) => outcome,
            Ok(Err(why)) => Outcome::Failed(why),
            Err(_) => Outcome::Failed("timed out".into()),
        }
    }

    async fn attempt(&self, message: &Message<'_>) -> Result<Outcome, String> {
        let url = guard::check(message.url, &self.policy).map_err(|why| why.to_string())?;
        if message.body.len() > BODY_BYTES_MAX {
            return Err("message too long".into());
        }
        let request = self.http.post(url).headers(headers(message)?).body(message.body.to_owned());
        let answer = request.send().await.map_err(|error| {
            guard::refusal_in(&error).map_or_else(|| describe(&error), |why| why.to_string())
        })?;
        let status = answer.status();
        // Read for politeness: the receiver's last write should not meet a closed socket.
        drop(read_at_most(answer, ANSWER_BYTES_MAX).await);
        let (status, delivered) = (status.as_u16(), status.is_success());
        Ok(if delivered {
            Outcome::Delivered(status)
        } else {
            Outcome::Refused { status, permanent: status == 410 }
        })
    }
}

fn headers(message: &Message<'_>) -> Result<HeaderMap, String> {
    let timestamp = message.at.timestamp();
    let signed = signature(message.secrets, message.id, timestamp, message.body.as_bytes())
        .ok_or("no signing secret")?;
    let value = |text: &str| HeaderValue::from_str(text).map_err(|_| "unusable header".to_owned());
    let mut headers = HeaderMap::new();
    headers.insert(CONTENT_TYPE, HeaderValue::from_static("application/json"));
    headers.insert("webhook-id", value(message.id)?);
    headers.insert("webhook-timestamp", value(&timestamp.to_string())?);
    headers.insert("webhook-signature", value(&signed)?);
    Ok(headers)
}
