//! `GET /v1/payments/{id}`: one payment as it stands.

use axum::{Json, extract::State};
use settlement::{payment, quote};

use crate::{
    auth::{Guarded, PaymentsRead},
    extract::PaymentIdPath,
    problem::Problem,
    routes::view::PaymentView,
    state::Api,
};

use super::not_found;

#[utoipa::path(
    get, path = "/v1/payments/{id}", tag = "payments", operation_id = "show_payment",
    summary = "Show a payment",
    params(("id" = String, Path, description = "The payment's id", example = "pay_…")),
    responses((status = 200, description = "The payment", body = PaymentView))
)]
pub(crate) async fn handler(
    State(api): State<Api>,
    caller: Guarded<PaymentsRead>,
    PaymentIdPath(id): PaymentIdPath,
) -> Result<Json<PaymentView>, Problem> {
    let mut conn = api.connection().await?;
    let found = payment::find(&mut conn, caller.merchant, id).await?.ok_or(not_found())?;
    let methods = quote::options(&mut conn, &api.given.base).await?;
    Ok(Json(PaymentView::new(found, &methods)))
}
