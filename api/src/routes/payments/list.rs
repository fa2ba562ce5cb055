//! `GET /v1/payments`: newest first, a page at a time. The cursor is the last id of a page, so new
//! payments neither repeat nor hide others.

use axum::{Json, extract::State};
use primitives::PaymentId;
use serde::{Deserialize, Serialize};
use settlement::{
    payment::{self, PaymentState},
    quote,
};
use utoipa::ToSchema;

use crate::{
    auth::{Guarded, PaymentsRead},
    extract::QueryOf,
    problem::{Code, Problem},
    routes::view::PaymentView,
    state::Api,
};

const LIMIT_DEFAULT: i64 = 20;
const LIMIT_MAX: i64 = 100;

/// Which page.
#[derive(Debug, Deserialize, utoipa::IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
pub(crate) struct Page {
    /// Payments in a page.
    #[param(minimum = 1, maximum = 100, default = 20)]
    limit: Option<i64>,
    /// The `next` of the page before.
    #[param(example = "pay_0193452a6f8d7c3a9d0e5b1f2a3c4d5e")]
    after: Option<String>,
    /// Only payments in this state.
    #[param(example = "settled")]
    state: Option<String>,
}

/// One page of payments.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct PaymentPage {
    data: Vec<PaymentView>,
    /// Send it as `after` for the next page; absent on the last one.
    next: Option<String>,
}

#[utoipa::path(
    get, path = "/v1/payments", tag = "payments", operation_id = "list_payments",
    summary = "List payments, newest first",
    params(Page),
    responses((status = 200, description = "A page of payments", body = PaymentPage))
)]
pub(crate) async fn handler(
    State(api): State<Api>,
    caller: Guarded<PaymentsRead>,
    QueryOf(page): QueryOf<Page>,
) -> Result<Json<PaymentPage>, Problem> {
    let limit = page.limit.unwrap_or(LIMIT_DEFAULT);
    if !(1..=LIMIT_MAX).contains(&limit) {
        return Err(
            Problem::new(Code::InvalidQuery, "A page has 1 to 100 payments.").field("limit")
        );
    }
    let after: Option<PaymentId> =
        page.after.as_deref().map(str::parse).transpose().map_err(|_| {
            Problem::new(Code::InvalidQuery, "The cursor is a payment's id.").field("after")
        })?;
    let state =
        page.state.as_deref().map(PaymentState::parse).transpose().map_err(|_| {
            Problem::new(Code::InvalidQuery, "There is no such state.").field("state")
        })?;
    let mut conn = api.connection().await?;
    // One more than asked for tells whether there is a next page.
    let wanted = limit.saturating_add(1);
    let mut found = payment::list(&mut conn, caller.merchant, state, after, wanted).await?;
    let methods = quote::options(&mut conn, &api.given.base).await?;
    let limit = usize::try_from(limit).unwrap_or(usize::MAX);
    let more = found.len() > limit;
    found.truncate(limit);
    let next = found.last().filter(|_| more).map(|last| last.id.to_string());
    let data = found.into_iter().map(|payment| PaymentView::new(payment, &methods)).collect();
    Ok(Json(PaymentPage { data, next }))
}
