//! `GET /v1/payout_destinations`: every version, newest first.

use axum::{Json, extract::State};
use serde::Serialize;
use settlement::destination;
use utoipa::ToSchema;

use super::create::DestinationView;
use crate::{
    auth::{DestinationsRead, Guarded},
    problem::Problem,
    state::Api,
};

/// Versions, newest first; the first is the current one.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct PayoutDestinationList {
    data: Vec<DestinationView>,
}

#[utoipa::path(
    get, path = "/v1/payout_destinations", tag = "payout destinations",
    operation_id = "list_payout_destinations",
    summary = "Where rupees go, and went",
    responses((status = 200, description = "Versions, newest first", body = PayoutDestinationList))
)]
pub(crate) async fn handler(
    State(api): State<Api>,
    caller: Guarded<DestinationsRead>,
) -> Result<Json<PayoutDestinationList>, Problem> {
    let mut conn = api.connection().await?;
    let versions = destination::list(&mut conn, caller.merchant).await?;
    let newest = |(place, version)| DestinationView::new(version, place == 0);
    Ok(Json(PayoutDestinationList { data: versions.into_iter().enumerate().map(newest).collect() }))
}
