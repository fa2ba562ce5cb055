//! `GET /v1/payments/{id}/explain`: every number of a payment, from ledger rows.

use axum::{Json, extract::State};
use serde_json::Value;
use settlement::views;

use crate::{
    auth::{Guarded, PaymentsRead},
    extract::PaymentIdPath,
    problem::Problem,
    state::Api,
};

use super::not_found;

#[utoipa::path(
    get, path = "/v1/payments/{id}/explain", tag = "payments", operation_id = "explain_payment",
    summary = "Explain a payment to the paisa",
    params(("id" = String, Path, description = "The payment's id", example = "pay_…")),
    responses((status = 200, description = "The payment's timeline and its ledger rows",
        body = Value))
)]
pub(crate) async fn handler(
    State(api): State<Api>,
    caller: Guarded<PaymentsRead>,
    PaymentIdPath(id): PaymentIdPath,
) -> Result<Json<Value>, Problem> {
    let mut conn = api.connection().await?;
    let found = views::explain(&mut conn, caller.merchant, id).await?.ok_or(not_found())?;
    serde_json::to_value(found).map(Json).map_err(|error| {
        tracing::error!(%error, "an explanation could not be written");
        Problem::internal()
    })
}
