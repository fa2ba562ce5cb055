//! A merchant's webhook endpoint: takes what is sent to `/hooks/…`, keeps it, answers as told.
//!
//! Invariant: every request that reaches the handler is kept as it came, before it is judged;
//! verification (`verify.rs`) is a remark beside it and changes no answer. The bank rail's webhooks
//! are not received here: they go to the product.

mod control;
mod inbox;
mod verify;

use std::collections::BTreeMap;
use std::sync::Arc;

use axum::body::{Bytes, to_bytes};
use axum::extract::{Request, State};
use axum::http::{HeaderMap, HeaderValue, StatusCode, header};
use axum::response::{IntoResponse, Response};
use axum::routing::post;
use axum::{Json, Router};
use serde_json::json;

use crate::World;
use crate::serving::{Dialect, READ_LIMIT, faults};

pub use inbox::Inbox;
pub use verify::sign;

/// The simulator's name in journal and faults.
const NAME: &str = "merchant";

/// More than any webhook of ours may have.
const BODY_MAX: usize = 256 * 1024;

const DIALECT: Dialect = Dialect {
    target: NAME,
    failure: |status| (status, "out of order").into_response(),
    rejection: |code| {
        let status = code.parse().ok().and_then(|code| StatusCode::from_u16(code).ok());
        status.unwrap_or(StatusCode::BAD_REQUEST).into_response()
    },
    limited: |_, seconds| {
        let retry = [(header::RETRY_AFTER, seconds.to_string())];
        (StatusCode::TOO_MANY_REQUESTS, retry).into_response()
    },
};

/// The endpoint, and the inbox behind it.
pub fn router(world: Arc<World>) -> (Router, Arc<Inbox>) {
    world.faults.declare(NAME, &["receive"], &[]);
    let inbox = Arc::new(Inbox::new(world));
    let router = Router::new()
        .route("/hooks", post(receive))
        .route("/hooks/{*anything}", post(receive))
        .with_state(Arc::clone(&inbox));
    (router, inbox)
}

/// Routes of the control server, nested there under `/merchant`.
pub fn control_router(inbox: Arc<Inbox>) -> Router {
    control::router(inbox)
}

async fn receive(State(inbox): State<Arc<Inbox>>, request: Request) -> Response {
    let (parts, body) = request.into_parts();
    let reading = tokio::time::timeout(READ_LIMIT, to_bytes(body, BODY_MAX));
    let body = match reading.await {
        Ok(Ok(body)) => body,
        Ok(Err(_)) => return StatusCode::PAYLOAD_TOO_LARGE.into_response(),
        Err(_) => return StatusCode::REQUEST_TIMEOUT.into_response(),
    };
    let path = parts.uri.path().to_owned();
    let world = Arc::clone(inbox.world());
    let delay = inbox.delay_of_next(&path);
    let response = faults::respond(&world, DIALECT, "receive", move || {
        answer(&inbox, &path, &parts.headers, &body)
    })
    .await;
    tokio::time::sleep(delay).await;
    response
}

fn answer(inbox: &Inbox, path: &str, headers: &HeaderMap, body: &Bytes) -> Response {
    let headers: BTreeMap<String, String> = headers
        .iter()
        .map(|(name, value)| {
            (name.as_str().to_owned(), String::from_utf8_lossy(value.as_bytes()).into_owned())
        })
        .collect();
    let reply = inbox.keep(path, headers, body);
    let status = StatusCode::from_u16(reply.status).unwrap_or(StatusCode::OK);
    let mut response = (status, Json(json!({"received": true}))).into_response();
    if let Some(location) = reply.location.and_then(|text| HeaderValue::from_str(&text).ok()) {
        response.headers_mut().insert(header::LOCATION, location);
    }
    response
}
