//! `GET /health/ready`: a database connection can be had and every migration this build knows has
//! been applied. The answer comes within a second, whatever the database does.

use axum::{Json, extract::State};
use sqlx::PgConnection;
use std::time::Duration;

use super::Health;
use crate::{
    problem::{Code, Problem},
    state::Api,
};

#[utoipa::path(
    get, path = "/health/ready", tag = "health", operation_id = "ready",
    summary = "May the process be sent requests",
    responses((status = 200, description = "Ready", body = Health))
)]
pub(crate) async fn handler(State(api): State<Api>) -> Result<Json<Health>, Problem> {
    if *api.stopping.borrow() {
        return Err(Problem::new(Code::NotReady, "The process is stopping."));
    }
    let asker = api.clone();
    let asking = tokio::spawn(async move {
        let mut conn = asker.connection().await?;
        are_applied(&mut conn, &asker.given.migrations).await.map_err(Problem::from)
    });
    // Only the wait is cut short; the question itself runs on.
    let wait = Duration::from_millis(api.given.settings.database_wait_ms);
    match tokio::time::timeout(wait, asking).await {
        Ok(Ok(Ok(true))) => Ok(Json(Health { status: "ready" })),
        Ok(Ok(Ok(false))) => Err(Problem::new(Code::NotReady, "Migrations are missing.")),
        Ok(Ok(Err(_)) | Err(_)) | Err(_) => {
            Err(Problem::new(Code::NotReady, "The database does not answer."))
        }
    }
}

async fn are_applied(conn: &mut PgConnection, known: &[i64]) -> Result<bool, sqlx::Error> {
    let applied: i64 = sqlx::query_scalar(
        "SELECT count(*) FROM _sqlx_migrations WHERE version = ANY($1) AND success",
    )
    .bind(known)
    .fetch_one(conn)
    .await?;
    Ok(usize::try_from(applied) == Ok(known.len()))
}
