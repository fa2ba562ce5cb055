//! The four walls around every handler: response headers and log, bounds, the body, the run.
//!
//! Invariants: a request whose body has arrived runs to its end in a task of its own, so neither a
//! client that hangs up nor our own time limit cancels a database transaction; a panic becomes a
//! problem without detail. A body is read before any work begins and never beyond its limit.

use std::time::{Duration, Instant};

use axum::{
    body::{Body, Bytes},
    extract::{MatchedPath, Request, State},
    http::{HeaderName, HeaderValue, header},
    middleware::Next,
    response::{IntoResponse, Response},
};
use futures::StreamExt;
use tracing::Instrument;

use crate::{
    problem::{Code, Problem},
    state::Api,
};

const URI_MAX: usize = 2048;
const HEADERS_MAX: usize = 16 * 1024;
/// The largest body any route takes: a provider's webhook.
pub(crate) const BODY_MAX: usize = 256 * 1024;
/// A body that is too large is read on and thrown away up to here, so that the client hears the
/// refusal: a connection closed on a client that is still sending loses the answer.
const DISCARD_MAX: usize = 32 * 1024 * 1024;

static REQUEST_ID: HeaderName = HeaderName::from_static("x-request-id");

const SECURITY_HEADERS: [(HeaderName, &str); 5] = [
    (header::CACHE_CONTROL, "no-store"),
    (header::X_CONTENT_TYPE_OPTIONS, "nosniff"),
    (header::CONTENT_SECURITY_POLICY, "default-src 'none'; frame-ancestors 'none'"),
    (header::REFERRER_POLICY, "no-referrer"),
    (HeaderName::from_static("cross-origin-resource-policy"), "same-origin"),
];

/// Puts the security headers and a request id on every answer and writes one log line. The log
/// knows the path's template only: ids and whatever else a client wrote into it stay out.
pub(crate) async fn dress(State(api): State<Api>, request: Request, next: Next) -> Response {
    let begun = Instant::now();
    let request_id = api.given.base.uuid().simple().to_string();
    let method = request.method().clone();
    let path = request.extensions().get::<MatchedPath>().map(|path| path.as_str().to_owned());
    let span = tracing::info_span!("request", id = %request_id);
    let mut response = next.run(request).instrument(span).await;
    let headers = response.headers_mut();
    for (name, value) in &SECURITY_HEADERS {
        headers.insert(name, HeaderValue::from_static(value));
    }
    if let Ok(value) = HeaderValue::from_str(&request_id) {
        headers.insert(&REQUEST_ID, value);
    }
    tracing::info!(
        id = %request_id,
        %method,
        path = path.as_deref().unwrap_or("-"),
        status = response.status().as_u16(),
        ms = u64::try_from(begun.elapsed().as_millis()).unwrap_or(u64::MAX),
        "answered"
    );
    response
}

/// Refuses addresses and headers beyond their bounds.
pub(crate) async fn bound(request: Request, next: Next) -> Response {
    let uri = request.uri().path_and_query().map_or(0, |uri| uri.as_str().len());
    if uri > URI_MAX {
        return Problem::new(Code::UriTooLong, "The limit is 2048 bytes.").into_response();
    }
    let headers: usize =
        request.headers().iter().map(|(name, value)| name.as_str().len() + value.len()).sum();
    if headers > HEADERS_MAX {
        return Problem::new(Code::HeadersTooLarge, "The limit is 16 KiB.").into_response();
    }
    next.run(request).await
}

/// Reads the whole body before anything is done with it.
pub(crate) async fn read_body(State(api): State<Api>, request: Request, next: Next) -> Response {
    let (parts, body) = request.into_parts();
    let wait = Duration::from_millis(api.given.settings.body_timeout_ms);
    // Reading a body touches no database, so this wait may be cut short.
    match tokio::time::timeout(wait, collect(body)).await {
        Ok(Ok(bytes)) => next.run(Request::from_parts(parts, Body::from(bytes))).await,
        Ok(Err(problem)) => problem.into_response(),
        Err(_) => Problem::new(Code::BodyTimeout, "The whole body must arrive within seconds.")
            .into_response(),
    }
}

async fn collect(body: Body) -> Result<Bytes, Problem> {
    let mut stream = body.into_data_stream();
    let mut kept = Vec::new();
    let mut seen = 0_usize;
    while let Some(chunk) = stream.next().await {
        let chunk = chunk.map_err(|_| {
            Problem::new(Code::InvalidBody, "The body did not arrive as it was announced.")
        })?;
        seen = seen.saturating_add(chunk.len());
        if seen <= BODY_MAX {
            kept.extend_from_slice(&chunk);
        } else if seen > DISCARD_MAX {
            break;
        }
    }
    if seen > BODY_MAX {
        return Err(Problem::new(Code::BodyTooLarge, "The limit is 64 KiB, 256 for webhooks."));
    }
    Ok(kept.into())
}

/// Runs the handler to its end in a task of its own and waits for it, within limits.
pub(crate) async fn run_to_the_end(
    State(api): State<Api>,
    request: Request,
    next: Next,
) -> Response {
    let Ok(permit) = api.in_flight.clone().try_acquire_owned() else {
        return Problem::new(Code::Busy, "Too many requests are being answered.").into_response();
    };
    let at_work = api.at_work.clone();
    let work = async move {
        let response = next.run(request).await;
        drop((permit, at_work));
        response
    };
    let wait = Duration::from_millis(api.given.settings.handler_timeout_ms);
    contain(work, wait).await
}

async fn contain(
    work: impl Future<Output = Response> + Send + 'static,
    wait: Duration,
) -> Response {
    let task = tokio::spawn(work.in_current_span());
    match tokio::time::timeout(wait, task).await {
        Ok(Ok(response)) => response,
        Ok(Err(_)) => {
            tracing::error!("a handler panicked");
            Problem::internal().into_response()
        }
        Err(_) => Problem::new(
            Code::Timeout,
            "The work goes on. Ask again, with the same idempotency key if there was one.",
        )
        .into_response(),
    }
}

#[cfg(test)]
mod tests {
    use axum::http::StatusCode;

    use super::*;

    const WAIT: Duration = Duration::from_secs(5);

    #[tokio::test]
    async fn a_panic_is_a_problem_without_detail() {
        let response = contain(async { panic!("a secret") }, WAIT).await;
        assert_eq!(response.status(), StatusCode::INTERNAL_SERVER_ERROR);
        let body = axum::body::to_bytes(response.into_body(), 4096).await.unwrap();
        assert!(!String::from_utf8_lossy(&body).contains("secret"));
    }

    #[tokio::test]
    async fn work_goes_on_when_nobody_waits() {
        let (done, mut told) = tokio::sync::mpsc::channel(1);
        let (go, wait_for_go) = tokio::sync::oneshot::channel::<()>();
        let work = async move {
            let _ = wait_for_go.await;
            let _ = done.send(()).await;
            StatusCode::OK.into_response()
        };
        let response = contain(work, Duration::from_millis(1)).await;
        assert_eq!(response.status(), StatusCode::SERVICE_UNAVAILABLE);
        go.send(()).unwrap();
        assert_eq!(told.recv().await, Some(()));
    }
}
