//! `POST /webhooks/{rail}`: a provider's webhook is stored as it came and acknowledged.
//!
//! Nothing is verified or understood here: the worker that knows the rail checks the signature and
//! asks the provider for the truth. What is kept of the signature is bounded; a longer one is cut
//! and then matches nothing.

use std::time::Instant;

use axum::{
    Json,
    body::Bytes,
    extract::{Path, State, rejection::PathRejection},
    http::HeaderMap,
};
use serde::Serialize;
use sqlx::Acquire;
use utoipa::ToSchema;

use crate::{
    problem::{Code, Problem},
    state::Api,
};

const SIGNATURES_MAX: usize = 4;
const SIGNATURE_CHARS_MAX: usize = 200;

/// The webhook is stored.
#[derive(Serialize, ToSchema)]
pub(crate) struct Received {
    received: bool,
}

#[utoipa::path(
    post, path = "/webhooks/{rail}", tag = "providers", operation_id = "receive_webhook",
    summary = "Take a provider's webhook",
    params(("rail" = String, Path, description = "The provider's name", example = "razorpayx")),
    request_body(content = String, content_type = "application/json",
        description = "Whatever the provider sends, up to 256 KiB; it is stored unread"),
    responses((status = 200, description = "Stored", body = Received))
)]
pub(crate) async fn handler(
    State(api): State<Api>,
    rail: Result<Path<String>, PathRejection>,
    headers: HeaderMap,
    body: Bytes,
) -> Result<Json<Received>, Problem> {
    let Path(rail) =
        rail.map_err(|_| Problem::new(Code::InvalidPath, "The path must be UTF-8."))?;
    let door = api
        .given
        .settings
        .webhook_doors
        .iter()
        .find(|door| door.rail == rail)
        .ok_or(Problem::new(Code::RailUnknown, "No provider posts here."))?;
    api.webhook_limit.take(rail, Instant::now()).map_err(|_| {
        Problem::new(Code::RateLimited, "Too many webhooks at once. Send it again.").retry_after(1)
    })?;
    let signatures: Vec<String> = headers
        .get_all(&door.signature_header)
        .iter()
        .take(SIGNATURES_MAX)
        .map(|value| {
            // A header is bytes: each becomes the character of its number, so none is lost.
            let chars = value.as_bytes().iter().map(|byte| char::from(*byte));
            chars.take(SIGNATURE_CHARS_MAX).collect()
        })
        .collect();
    let mut conn = api.connection().await?;
    let mut tx = conn.begin().await?;
    settlement::inbox::store_in(&mut tx, &api.given.base, &door.rail, &signatures, &body).await?;
    tx.commit().await?;
    Ok(Json(Received { received: true }))
}
