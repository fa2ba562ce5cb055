//! `GET /health/live`: the process answers. It asks nobody else, so a database that is away does
//! not get the process restarted.

use axum::Json;

use super::Health;

#[utoipa::path(
    get, path = "/health/live", tag = "health", operation_id = "live",
    summary = "Is the process alive",
    responses((status = 200, description = "Alive", body = Health))
)]
pub(crate) async fn handler() -> Json<Health> {
    Json(Health { status: "ok" })
}
