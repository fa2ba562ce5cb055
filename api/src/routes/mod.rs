//! Every route, one file per endpoint: its request, its refusals, its handler.
//!
//! Invariant: each route here stands in the OpenAPI document and each in the document is served;
//! a test compares the two.

pub(crate) mod health;
pub(crate) mod inbox;
pub(crate) mod openapi;
pub(crate) mod payments;
pub(crate) mod payout_destinations;
pub(crate) mod quotes;
pub(crate) mod rates;
pub(crate) mod view;
pub(crate) mod webhook_endpoint;

use axum::{
    Router,
    routing::{get, post, put},
};

use crate::{
    problem::{Code, Problem},
    state::Api,
};

pub(crate) fn router() -> Router<Api> {
    Router::new()
        .route("/v1/payments", post(payments::create::handler).get(payments::list::handler))
        .route("/v1/payments/{id}", get(payments::show::handler))
        .route("/v1/payments/{id}/quotes", post(quotes::create::handler))
        .route("/v1/payments/{id}/events", get(payments::events::handler))
        .route("/v1/payments/{id}/explain", get(payments::explain::handler))
        .route("/v1/payments/{id}/cancel", post(payments::cancel::handler))
        .route("/v1/rates", get(rates::list::handler))
        .route(
            "/v1/payout_destinations",
            get(payout_destinations::list::handler).post(payout_destinations::create::handler),
        )
        .route("/v1/webhook_endpoint", put(webhook_endpoint::set::handler))
        .route("/v1/openapi.json", get(openapi::show::handler))
        .route("/health/live", get(health::live::handler))
        .route("/health/ready", get(health::ready::handler))
        .route("/webhooks/{rail}", post(inbox::receive::handler))
        .fallback(nothing_here)
        .method_not_allowed_fallback(wrong_method)
}

async fn nothing_here() -> Problem {
    Problem::new(Code::RouteNotFound, "The document at /v1/openapi.json lists every address.")
}

async fn wrong_method() -> Problem {
    Problem::new(Code::MethodNotAllowed, "The header Allow lists the methods of this address.")
}
