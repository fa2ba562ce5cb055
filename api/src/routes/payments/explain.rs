//! `GET /v1/payments/{id}/explain`: every number of a payment, from ledger rows.

use axum::{Json, extract::State};
use settlement::views::{self, Explanation};

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
        body = serde_json::Value))
)]
pub(crate) async fn handler(
    State(api): State<Api>,
    caller: Guarded<PaymentsRead>,
    PaymentIdPath(id): PaymentIdPath,
) -> Result<Json<Explanation>, Problem> {
    let mut conn = api.connection().await?;
    views::explain(&mut conn, caller.merchant, id).await?.map(Json).ok_or(not_found())
}
