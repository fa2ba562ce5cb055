//! `GET /v1/openapi.json`: the document this build was tested against.

use std::sync::LazyLock;

use axum::{
    http::header,
    response::{IntoResponse, Response},
};

static DOCUMENT: LazyLock<String> = LazyLock::new(crate::openapi::openapi);

#[utoipa::path(
    get, path = "/v1/openapi.json", tag = "description", operation_id = "show_openapi",
    summary = "This document",
    responses((status = 200, description = "An OpenAPI 3.1 document", body = serde_json::Value))
)]
pub(crate) async fn handler() -> Response {
    ([(header::CONTENT_TYPE, "application/json")], DOCUMENT.as_str()).into_response()
}
