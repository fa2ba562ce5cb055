//! Control of the merchant's endpoint: secrets to verify with, replies to give, what was received.
//!
//! Invariant: control only sets what the merchant does next; what was received cannot be changed.

use std::sync::Arc;

use axum::extract::{Query, State};
use axum::http::StatusCode;
use axum::response::{IntoResponse, Response};
use axum::routing::{get, post};
use axum::{Json, Router};
use serde::Deserialize;
use serde_json::{Value, json};

use super::inbox::{Inbox, Reply};
use super::verify::key_of;

type Desk = State<Arc<Inbox>>;

pub(super) fn router(inbox: Arc<Inbox>) -> Router {
    Router::new()
        .route("/secrets", post(secrets))
        .route("/replies", post(replies).get(planned))
        .route("/received", get(received))
        .with_state(inbox)
}

fn bad(sentence: &str) -> Response {
    (StatusCode::BAD_REQUEST, Json(json!({"error": sentence}))).into_response()
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct NewSecret {
    path: String,
    secret: String,
    /// Forget the secrets registered before.
    #[serde(default)]
    replace: bool,
}

async fn secrets(State(inbox): Desk, Json(new): Json<NewSecret>) -> Response {
    if key_of(&new.secret).is_none_or(|key| key.is_empty()) {
        return bad("the secret must be base64, after an optional whsec_");
    }
    inbox.add_secret(&new.path, new.secret, new.replace);
    Json(json!({})).into_response()
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Replies {
    #[serde(default)]
    replies: Vec<Reply>,
    /// Forget the replies planned before.
    #[serde(default)]
    clear: bool,
}

async fn replies(State(inbox): Desk, Json(wish): Json<Replies>) -> Response {
    let wrong = |reply: &Reply| !(200..600).contains(&reply.status);
    if wish.replies.iter().any(wrong) {
        return bad("a status must be from 200 to 599");
    }
    inbox.plan(wish.replies, wish.clear);
    planned(State(inbox)).await.into_response()
}

async fn planned(State(inbox): Desk) -> Json<Value> {
    Json(json!({"replies": inbox.planned()}))
}

#[derive(Deserialize)]
struct Filter {
    #[serde(default)]
    after: usize,
    path: Option<String>,
}

async fn received(State(inbox): Desk, Query(filter): Query<Filter>) -> Json<Value> {
    Json(inbox.received(filter.after, filter.path.as_deref()))
}
