//! One client per vendor: sends a call once and sorts what comes of it.
//!
//! Invariant: `NotSent` only when no byte of the request can have left (or the call was a read),
//! `Unknown` for every other failure of a call with an effect. No redirect, proxy or retry.

use std::{error::Error as _, io, sync::Arc};

use primitives::{CallError, CallResult, Clock};
use reqwest::{
    Method, StatusCode,
    header::{CONTENT_TYPE, HeaderValue},
    redirect, retry,
};
use tokio::time::Instant;

use crate::{
    Body, Effect, Response, Target,
    crypto::install_crypto,
    pacing::Pacing,
    response,
    settings::{BuildError, Settings},
};

/// The way to one vendor. Cheap to share behind an `Arc`; keeps connections open.
#[derive(Debug)]
pub struct Client {
    name: &'static str,
    http: reqwest::Client,
    clock: Arc<dyn Clock>,
    pacing: Pacing,
    response_bytes_max: usize,
}

impl Client {
    /// `name` is the vendor's, for logs and errors.
    ///
    /// # Errors
    /// `BuildError` when a limit is out of range or the machine has no trusted certificates.
    pub fn try_new(
        name: &'static str,
        settings: &Settings,
        clock: Arc<dyn Clock>,
    ) -> Result<Self, BuildError> {
        settings.check()?;
        let http = builder(settings).build().map_err(|error| {
            BuildError::Client(
                error.source().map_or_else(|| error.to_string(), ToString::to_string),
            )
        })?;
        let pacing = Pacing::new(Arc::clone(&clock), settings.requests_per_second, settings.burst);
        Ok(Self { name, http, clock, pacing, response_bytes_max: settings.response_bytes_max })
    }

    /// Waits, at most a second, for a turn at an endpoint the vendor limits on its own. Called
    /// before a request is stamped and signed.
    ///
    /// # Errors
    /// `RateLimited` when the turn is further away, or the vendor asked for silence.
    pub async fn take_turn(&self, lane: &'static str, per_second: u32) -> CallResult<()> {
        self.pacing.take_turn(lane, per_second).await
    }

    /// A read.
    ///
    /// # Errors
    /// Never `Unknown`: nothing can have happened.
    pub async fn get(&self, target: Target<'_>) -> CallResult<Response> {
        self.call(Method::GET, target, None, Effect::None).await
    }

    /// # Errors
    /// `Unknown` when `effect` is `Money` and the answer was lost, unreadable, 3xx, 408 or 5xx.
    pub async fn post(
        &self,
        target: Target<'_>,
        body: Body,
        effect: Effect,
    ) -> CallResult<Response> {
        self.call(Method::POST, target, Some(body), effect).await
    }

    /// # Errors
    /// As [`Client::post`].
    pub async fn delete(&self, target: Target<'_>, effect: Effect) -> CallResult<Response> {
        self.call(Method::DELETE, target, None, effect).await
    }

    async fn call(
        &self,
        method: Method,
        target: Target<'_>,
        body: Option<Body>,
        effect: Effect,
    ) -> CallResult<Response> {
        let request = self.request(method.clone(), &target, body)?;
        self.pacing.admit().await?;
        let started = Instant::now();
        let result = self.send(request, effect).await;
        let elapsed_ms = started.elapsed().as_millis();
        let (vendor, path) = (self.name, target.path());
        match &result {
            Ok(answer) => {
                let status = answer.status;
                tracing::debug!(vendor, %method, path, status, elapsed_ms, "called");
            }
            Err(error) => {
                tracing::warn!(vendor, %method, path, %error, elapsed_ms, "call failed");
            }
        }
        result
    }

    fn request(
        &self,
        method: Method,
        target: &Target<'_>,
        body: Option<Body>,
    ) -> CallResult<reqwest::Request> {
        let mut request = reqwest::Request::new(method, target.url()?);
        for (name, value) in target.headers() {
            let mut value = HeaderValue::from_str(value.expose()).map_err(|_| {
                CallError::NotSent(format!("{}: unusable header {name}", self.name))
            })?;
            value.set_sensitive(true);
            request.headers_mut().insert(*name, value);
        }
        if let Some(body) = body {
            let (content_type, bytes) = body.into_parts();
            request.headers_mut().insert(CONTENT_TYPE, HeaderValue::from_static(content_type));
            *request.body_mut() = Some(bytes.into());
        }
        Ok(request)
    }

    async fn send(&self, request: reqwest::Request, effect: Effect) -> CallResult<Response> {
        let name = self.name;
        let answer = self.http.execute(request).await.map_err(|error| {
            let what = format!("{name}: {}", describe(&error));
            // Looking up, connecting and the TLS handshake come before the first byte of a request.
            if error.is_builder() || error.is_connect() {
                CallError::NotSent(what)
            } else {
                effect.failed(what)
            }
        })?;
        let status = answer.status();
        if matches!(status.as_u16(), 418 | 429) {
            let error = response::rate_limited(status.as_u16(), answer.headers(), self.clock.now());
            if let CallError::RateLimited { retry_after_s } = error {
                self.pacing.pause(retry_after_s);
            }
            return Err(error);
        }
        // 408 is a server's own timeout: it says nothing about what happened behind it.
        let refused = status.is_client_error() && status != StatusCode::REQUEST_TIMEOUT;
        if !status.is_success() && !refused {
            return Err(effect.failed(format!("{name}: answered {}", status.as_u16())));
        }
        let headers = answer.headers().clone();
        let body = read_at_most(answer, self.response_bytes_max)
            .await
            .map_err(|what| effect.failed(format!("{name}: {what}")))?;
        Ok(Response::new(status.as_u16(), &headers, body))
    }
}

/// The parts every client of this room shares, the webhook sender included.
pub(crate) fn builder(settings: &Settings) -> reqwest::ClientBuilder {
    install_crypto();
    reqwest::Client::builder()
        .user_agent(&settings.user_agent)
        .connect_timeout(settings.connect_timeout())
        .read_timeout(settings.read_timeout())
        .timeout(settings.total_timeout())
        // A connection the far side closed meanwhile costs an `Unknown`; do not keep them long.
        .pool_idle_timeout(std::time::Duration::from_secs(15))
        .redirect(redirect::Policy::none())
        .retry(retry::never())
        .no_proxy()
        .referer(false)
}

/// The body, or why there is none. Never trusts `Content-Length`.
pub(crate) async fn read_at_most(
    mut answer: reqwest::Response,
    max: usize,
) -> Result<Vec<u8>, String> {
    let mut body = Vec::new();
    loop {
        match answer.chunk().await {
            Ok(Some(chunk)) if body.len().saturating_add(chunk.len()) <= max => {
                body.extend_from_slice(&chunk);
            }
            Ok(Some(_)) => return Err(format!("answer longer than {max} bytes")),
            Ok(None) => return Ok(body),
            Err(error) => return Err(format!("answer cut short: {}", describe(&error))),
        }
    }
}

/// What went wrong, without the address: its query may carry a signature or an account.
pub(crate) fn describe(error: &reqwest::Error) -> String {
    let stage = if error.is_connect() { "while connecting" } else { "after sending" };
    let what = if error.is_timeout() {
        "timed out".to_owned()
    } else {
        io_kind(error).map_or_else(|| "connection failed".to_owned(), |kind| kind.to_string())
    };
    format!("{what} {stage}")
}

fn io_kind(error: &reqwest::Error) -> Option<io::ErrorKind> {
    let mut source = error.source();
    while let Some(cause) = source {
        if let Some(io) = cause.downcast_ref::<io::Error>() {
            return Some(io.kind());
        }
        source = cause.source();
    }
    None
}
