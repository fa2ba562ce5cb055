//! `POST /v1/payout_destinations`: a new version of where rupees go, current from now on. Payments
//! made before keep the version they were made with.

use axum::{extract::State, http::StatusCode, response::Response};
use chrono::{DateTime, Utc};
use futures::FutureExt;
use primitives::Vpa;
use serde::{Deserialize, Serialize};
use settlement::destination::{self, Destination};
use utoipa::ToSchema;

use crate::{
    auth::{DestinationsWrite, Guarded},
    extract::JsonBody,
    idempotency::{Answer, Command, IdempotencyKey},
    problem::{Code, Problem},
    routes::view,
    state::Api,
    text,
};

/// Where rupees are to go.
#[derive(Debug, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
#[schema(as = NewPayoutDestination)]
pub(crate) struct Request {
    /// A UPI address.
    #[schema(example = "ravi.stores@okaxis", min_length = 5, max_length = 100)]
    vpa: String,
    /// Whose it is, as the bank knows them.
    #[schema(example = "Ravi Stores", min_length = 3, max_length = 50)]
    name: String,
}

/// One version of a payout destination.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = PayoutDestination)]
pub(crate) struct DestinationView {
    #[schema(example = "dest_0193452a6f8d7c3a9d0e5b1f2a3c4d5e")]
    id: String,
    version: i32,
    vpa: String,
    name: String,
    /// True for the version new payments are made with.
    current: bool,
    created_at: DateTime<Utc>,
}

impl DestinationView {
    pub(crate) fn new(destination: Destination, current: bool) -> Self {
        Self {
            id: destination.id.to_string(),
            version: destination.version,
            vpa: destination.vpa.as_str().to_owned(),
            name: destination.payee_name,
            current,
            created_at: view::stored(destination.created_at),
        }
    }
}

#[utoipa::path(
    post, path = "/v1/payout_destinations", tag = "payout destinations",
    operation_id = "create_payout_destination",
    summary = "Set where rupees go from now on",
    params(("Idempotency-Key" = Option<String>, Header, description = "As for payments")),
    request_body = Request,
    responses(
        (status = 201, description = "The current version", body = DestinationView),
        (status = 409, description = "idempotency_key_reused",
            body = crate::problem::ProblemDocument, content_type = "application/problem+json"),
    )
)]
pub(crate) async fn handler(
    State(api): State<Api>,
    caller: Guarded<DestinationsWrite>,
    key: IdempotencyKey,
    JsonBody(request): JsonBody<Request>,
) -> Result<Response, Problem> {
    let merchant = caller.merchant;
    let command = Command::new(merchant, "POST /v1/payout_destinations", key, "", &request)?;
    let vpa = Vpa::parse(&request.vpa).map_err(|_| {
        Problem::new(Code::VpaInvalid, "A UPI address looks like name@bank.").field("vpa")
    })?;
    if !text::is_name(&request.name, 3, 50) {
        return Err(
            Problem::new(Code::NameInvalid, "A name has 3 to 50 visible characters.").field("name")
        );
    }
    let base = api.given.base.clone();
    command
        .run(&api, |conn| {
            async move {
                let set = destination::set_in(conn, &base, merchant, &vpa, &request.name).await?;
                Answer::new(StatusCode::CREATED, &DestinationView::new(set, true))
            }
            .boxed()
        })
        .await
}
