//! What a named fault does on the wire, whatever the vendor.
//!
//! Invariant: an `…_applied` fault runs the handler to its end before the answer is spoilt, a
//! `…_not_applied` one never runs it. A late effect waits in the world's queue and is checked
//! again when it comes due, so a request that has left its receiving window stays without effect.

use std::{convert::Infallible, sync::Arc, time::Duration};

use axum::{
    body::{Body, Bytes, to_bytes},
    http::{HeaderValue, StatusCode, header},
    response::{IntoResponse, Response},
};
use futures::{Stream, StreamExt, stream};

use crate::{World, fault::Fault};

const HANG_MS: u64 = 30_000;
const HUGE_CHUNKS: usize = 256;
static HUGE_CHUNK: [u8; 64 * 1024] = [b' '; 64 * 1024];
const HTML: &str = "<html>\r\n<head><title>502 Bad Gateway</title></head>\r\n<body>\r\n\
    <center><h1>502 Bad Gateway</h1></center>\r\n<hr><center>nginx</center>\r\n</body>\r\n\
    </html>\r\n";

/// How a vendor words its failures.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Dialect {
    pub(crate) target: &'static str,
    /// The body of 408, 500, 503 and 504.
    pub(crate) failure: fn(StatusCode) -> Response,
    /// The refusal with this code.
    pub(crate) rejection: fn(&str) -> Response,
    /// 429, or 418 when banned, with the seconds to wait.
    pub(crate) limited: fn(banned: bool, seconds: u64) -> Response,
}

/// Runs the handler, or what the next fault aimed at `operation` makes of it.
pub(crate) async fn respond(
    world: &Arc<World>,
    dialect: Dialect,
    operation: &str,
    handler: impl FnOnce() -> Response + Send + 'static,
) -> Response {
    let Some(fault) = world.faults.take_common(dialect.target, operation) else {
        return handler();
    };
    if let Some(code) = fault.rejection() {
        return (dialect.rejection)(code);
    }
    let seconds = fault.delay(HANG_MS).as_secs().max(1);
    match fault.name.as_str() {
        "rate_limited" => return (dialect.limited)(false, fault.delay(1_000).as_secs().max(1)),
        "banned" => return (dialect.limited)(true, seconds.max(120)),
        "delayed_apply" => {
            let due = chrono::TimeDelta::from_std(fault.delay(2_000)).unwrap_or_default();
            world.later(world.now() + due, Box::new(move || drop(handler())));
            return (dialect.failure)(StatusCode::GATEWAY_TIMEOUT);
        }
        _ => {}
    }
    if !is_applied(&fault.name) {
        return spoil(dialect, &fault, StatusCode::OK.into_response()).await;
    }
    let answer = handler();
    spoil(dialect, &fault, answer).await
}

fn is_applied(name: &str) -> bool {
    let spoils_the_answer_only =
        ["malformed", "truncated", "wrong_type", "huge_body", "slow_drip"].contains(&name);
    spoils_the_answer_only || (name.ends_with("_applied") && !name.ends_with("_not_applied"))
}

async fn spoil(dialect: Dialect, fault: &Fault, answer: Response) -> Response {
    let name = fault.name.trim_end_matches("_not_applied").trim_end_matches("_applied");
    match name {
        "timeout" => {
            tokio::time::sleep(fault.delay(HANG_MS)).await;
            (dialect.failure)(StatusCode::GATEWAY_TIMEOUT)
        }
        "http_408" => (dialect.failure)(StatusCode::REQUEST_TIMEOUT),
        "http_500" => (dialect.failure)(StatusCode::INTERNAL_SERVER_ERROR),
        "http_502_html" => {
            let html = [(header::CONTENT_TYPE, "text/html")];
            (StatusCode::BAD_GATEWAY, html, HTML).into_response()
        }
        "http_503" => (dialect.failure)(StatusCode::SERVICE_UNAVAILABLE),
        "http_504" => (dialect.failure)(StatusCode::GATEWAY_TIMEOUT),
        "wrong_type" => json_body(Body::from("[null,{\"data\":[]}]")),
        "malformed" => json_body(Body::from(halved(answer).await.0 + "\u{0}}]")),
        "reset" => json_body(broken(Bytes::new())),
        "truncated" => json_body(broken(Bytes::from(halved(answer).await.0))),
        "huge_body" => {
            let chunk = || Ok::<_, Infallible>(Bytes::from_static(&HUGE_CHUNK));
            json_body(Body::from_stream(stream::repeat_with(chunk).take(HUGE_CHUNKS)))
        }
        "slow_drip" => {
            let (first, rest) = halved(answer).await;
            json_body(Body::from_stream(drip(first + &rest, fault.delay(HANG_MS))))
        }
        _ => answer,
    }
}

fn json_body(body: Body) -> Response {
    let mut response = Response::new(body);
    let json = HeaderValue::from_static("application/json;charset=UTF-8");
    response.headers_mut().insert(header::CONTENT_TYPE, json);
    response
}

/// The answer's body in two halves.
async fn halved(answer: Response) -> (String, String) {
    let bytes = to_bytes(answer.into_body(), 4 * 1024 * 1024).await.unwrap_or_default();
    let text = String::from_utf8_lossy(&bytes).into_owned();
    let middle = text.char_indices().nth(text.chars().count() / 2).map_or(0, |(at, _)| at);
    let (first, rest) = text.split_at_checked(middle).unwrap_or((&text, ""));
    (first.to_owned(), rest.to_owned())
}

/// A body that ends in a broken connection.
fn broken(first: Bytes) -> Body {
    let gone = std::io::Error::from(std::io::ErrorKind::ConnectionReset);
    // The pause lets the first half leave before the connection breaks.
    let end = stream::once(async {
        tokio::time::sleep(Duration::from_millis(20)).await;
        Err(gone)
    });
    Body::from_stream(stream::iter([Ok(first)]).chain(end))
}

/// The text in small pieces, spread over `total`.
fn drip(text: String, total: Duration) -> impl Stream<Item = Result<Bytes, Infallible>> {
    let pieces: Vec<Bytes> = text.as_bytes().chunks(16).map(Bytes::copy_from_slice).collect();
    let count = u32::try_from(pieces.len()).unwrap_or(u32::MAX).max(1);
    let pause = total.checked_div(count).unwrap_or(total);
    stream::iter(pieces).then(move |piece| async move {
        tokio::time::sleep(pause).await;
        Ok(piece)
    })
}
