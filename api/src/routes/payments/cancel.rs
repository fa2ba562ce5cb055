//! `POST /v1/payments/{id}/cancel`: ends a payment nobody has paid. Cancelling twice is one
//! cancellation.

use axum::{extract::State, http::StatusCode, response::Response};
use futures::FutureExt;
use settlement::{
    payment::{self, CancelError},
    quote,
};

use crate::{
    auth::{Guarded, PaymentsWrite},
    extract::{NoBody, PaymentIdPath},
    idempotency::{Answer, Command, IdempotencyKey},
    problem::{Code, Problem},
    routes::view::PaymentView,
    state::Api,
};

use super::not_found;

impl From<CancelError> for Problem {
    fn from(error: CancelError) -> Self {
        match error {
            CancelError::NotFound => not_found(),
            CancelError::TooLate(state) => {
                let detail =
                    format!("It is {}. Only an unpaid one can be cancelled.", state.name());
                Self::telling(Code::PaymentNotCancellable, &detail)
            }
            CancelError::Internal(error) => error.into(),
        }
    }
}

#[utoipa::path(
    post, path = "/v1/payments/{id}/cancel", tag = "payments", operation_id = "cancel_payment",
    summary = "Cancel an unpaid payment",
    params(
        ("id" = String, Path, description = "The payment's id", example = "pay_…"),
        ("Idempotency-Key" = Option<String>, Header, description = "As for creating"),
    ),
    responses(
        (status = 200, description = "The payment is cancelled", body = PaymentView),
        (status = 409, description = "payment_not_cancellable or idempotency_key_reused",
            body = crate::problem::ProblemDocument, content_type = "application/problem+json"),
    )
)]
pub(crate) async fn handler(
    State(api): State<Api>,
    caller: Guarded<PaymentsWrite>,
    PaymentIdPath(id): PaymentIdPath,
    key: IdempotencyKey,
    _: NoBody,
) -> Result<Response, Problem> {
    let merchant = caller.merchant;
    let route = "POST /v1/payments/{id}/cancel";
    let command = Command::new(merchant, route, key, &id.to_string(), &())?;
    let base = api.given.base.clone();
    command
        .run(&api, |conn| {
            async move {
                let ended = payment::cancel_in(conn, &base, merchant, id).await?;
                let methods = quote::options(conn, &base).await?;
                Answer::new(StatusCode::OK, &PaymentView::new(ended, &methods))
            }
            .boxed()
        })
        .await
}
