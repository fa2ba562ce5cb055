//! The routes under `/v1` and what every request passes: key, body, faults, desk.
//!
//! Invariant: nothing is looked at before the key is verified, and every answer is the vendor's
//! JSON, also for unknown URLs. What an operation does is in the file named after it.

use std::sync::Arc;

use axum::body::to_bytes;
use axum::extract::{Path, Request, State};
use axum::http::{HeaderMap, Method, StatusCode, header};
use axum::middleware::{self, Next};
use axum::response::{IntoResponse, Response};
use axum::routing::{get, post};
use axum::{Json, Router};
use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use serde_json::{Value, json};
use subtle::ConstantTimeEq;

use crate::serving::{BODY_LIMIT, Dialect, READ_LIMIT, faults};

use super::bank::{Bank, Desk};
use super::books::NAME;
use super::checks::{Query, object};
use super::refusal::Refusal;

/// What faults can be aimed at.
pub(super) const OPERATIONS: &[&str] = &[
    "create_contact",
    "update_contact",
    "fetch_contact",
    "list_contacts",
    "create_fund_account",
    "update_fund_account",
    "fetch_fund_account",
    "list_fund_accounts",
    "create_payout",
    "fetch_payout",
    "list_payouts",
    "cancel_payout",
    "balance",
    "list_transactions",
    "fetch_transaction",
    "create_validation",
    "fetch_validation",
    "list_validations",
];

const DIALECT: Dialect = Dialect {
    target: NAME,
    failure: |status| Refusal::server(status).into_response(),
    rejection: |code| Refusal::by_code(code).into_response(),
    limited: |_, seconds| {
        let mut response = Refusal::too_many_requests().into_response();
        response.headers_mut().insert(header::RETRY_AFTER, seconds.into());
        response
    },
};

type Bench = State<Arc<Bank>>;

pub(super) fn router(bank: Arc<Bank>) -> Router {
    let verify = middleware::from_fn_with_state(Arc::clone(&bank), verify);
    Router::new()
        .route("/v1/contacts", post(create_contact).get(list_contacts))
        .route("/v1/contacts/{id}", get(fetch_contact).patch(update_contact))
        .route("/v1/fund_accounts", post(create_fund_account).get(list_fund_accounts))
        .route("/v1/fund_accounts/{id}", get(fetch_fund_account).patch(update_fund_account))
        .route("/v1/fund_accounts/validations", post(create_validation).get(list_validations))
        .route("/v1/fund_accounts/validations/{id}", get(fetch_validation))
        .route("/v1/payouts", post(create_payout).get(list_payouts))
        .route("/v1/payouts/{id}", get(fetch_payout))
        .route("/v1/payouts/{id}/cancel", post(cancel_payout).patch(cancel_payout))
        .route("/v1/banking_balances", get(balances))
        .route("/v1/transactions", get(list_transactions))
        .route("/v1/transactions/{id}", get(fetch_transaction))
        .route_layer(verify)
        .fallback(unknown_url)
        .method_not_allowed_fallback(unknown_url)
        .with_state(bank)
}

async fn unknown_url() -> Refusal {
    Refusal::unknown_url()
}

async fn verify(State(bank): Bench, request: Request, next: Next) -> Response {
    if is_ours(&bank, request.headers()) {
        next.run(request).await
    } else {
        Refusal::unauthenticated().into_response()
    }
}

/// HTTP Basic, compared in the same time whatever is wrong.
fn is_ours(bank: &Bank, headers: &HeaderMap) -> bool {
    let credentials = bank.credentials();
    let expected = format!("{}:{}", credentials.key_id, credentials.key_secret);
    let given = headers
        .get(header::AUTHORIZATION)
        .and_then(|value| value.to_str().ok())
        .and_then(|value| value.split_once(' '))
        .filter(|(scheme, _)| scheme.eq_ignore_ascii_case("basic"))
        .and_then(|(_, pair)| STANDARD.decode(pair.trim()).ok());
    given.is_some_and(|given| bool::from(given.as_slice().ct_eq(expected.as_bytes())))
}

/// A request, read whole.
struct Incoming {
    query: Query,
    key: Option<String>,
    body: Value,
}

impl Incoming {
    async fn read(request: Request) -> Result<Self, Refusal> {
        let (parts, body) = request.into_parts();
        let query = Query::parse(parts.uri.query());
        let key = parts.headers.get("x-payout-idempotency");
        // A header that is not text is a malformed key, not a missing one.
        let key = key.map(|value| value.to_str().unwrap_or("\u{7f}").to_owned());
        if parts.method == Method::GET {
            return Ok(Self { query, key, body: json!({}) });
        }
        let bytes = tokio::time::timeout(READ_LIMIT, to_bytes(body, BODY_LIMIT))
            .await
            .map_err(|_| Refusal::unread(StatusCode::REQUEST_TIMEOUT))?
            .map_err(|_| Refusal::unread(StatusCode::PAYLOAD_TOO_LARGE))?;
        let body = object(&bytes)?;
        Ok(Self { query, key, body })
    }
}

async fn answer(
    bank: Arc<Bank>,
    operation: &str,
    request: Request,
    work: impl FnOnce(&mut Desk<'_>, &Incoming) -> Result<Value, Refusal> + Send + 'static,
) -> Response {
    let incoming = match Incoming::read(request).await {
        Ok(incoming) => incoming,
        Err(refusal) => return refusal.into_response(),
    };
    let world = Arc::clone(&bank.world);
    world.run_due();
    faults::respond(&world, DIALECT, operation, move || {
        match bank.visit(|desk| work(desk, &incoming)) {
            Ok(entity) => Json(entity).into_response(),
            Err(refusal) => refusal.into_response(),
        }
    })
    .await
}

async fn create_contact(State(bank): Bench, request: Request) -> Response {
    answer(bank, "create_contact", request, |desk, call| desk.create_contact(&call.body)).await
}

async fn update_contact(State(bank): Bench, Path(id): Path<String>, request: Request) -> Response {
    let work = move |desk: &mut Desk<'_>, call: &Incoming| desk.update_contact(&id, &call.body);
    answer(bank, "update_contact", request, work).await
}

async fn fetch_contact(State(bank): Bench, Path(id): Path<String>, request: Request) -> Response {
    answer(bank, "fetch_contact", request, move |desk, _| desk.fetch_contact(&id)).await
}

async fn list_contacts(State(bank): Bench, request: Request) -> Response {
    let work = |desk: &mut Desk<'_>, call: &Incoming| {
        Ok(desk.list_contacts(&call.query, call.query.page()?))
    };
    answer(bank, "list_contacts", request, work).await
}

async fn create_fund_account(State(bank): Bench, request: Request) -> Response {
    let work = |desk: &mut Desk<'_>, call: &Incoming| desk.create_fund_account(&call.body);
    answer(bank, "create_fund_account", request, work).await
}

async fn update_fund_account(
    State(bank): Bench,
    Path(id): Path<String>,
    request: Request,
) -> Response {
    let work =
        move |desk: &mut Desk<'_>, call: &Incoming| desk.update_fund_account(&id, &call.body);
    answer(bank, "update_fund_account", request, work).await
}

async fn fetch_fund_account(
    State(bank): Bench,
    Path(id): Path<String>,
    request: Request,
) -> Response {
    answer(bank, "fetch_fund_account", request, move |desk, _| desk.fetch_fund_account(&id)).await
}

async fn list_fund_accounts(State(bank): Bench, request: Request) -> Response {
    let work = |desk: &mut Desk<'_>, call: &Incoming| {
        Ok(desk.list_fund_accounts(&call.query, call.query.page()?))
    };
    answer(bank, "list_fund_accounts", request, work).await
}

async fn create_payout(State(bank): Bench, request: Request) -> Response {
    let work =
        |desk: &mut Desk<'_>, call: &Incoming| desk.create_payout(call.key.as_deref(), &call.body);
    let response = answer(Arc::clone(&bank), "create_payout", request, work).await;
    if bank.courier.mode().before_reply {
        bank.deliver_due().await;
    }
    response
}

async fn fetch_payout(State(bank): Bench, Path(id): Path<String>, request: Request) -> Response {
    answer(bank, "fetch_payout", request, move |desk, _| desk.fetch_payout(&id)).await
}

async fn list_payouts(State(bank): Bench, request: Request) -> Response {
    answer(bank, "list_payouts", request, |desk, call| desk.list_payouts(&call.query)).await
}

async fn cancel_payout(State(bank): Bench, Path(id): Path<String>, request: Request) -> Response {
    answer(bank, "cancel_payout", request, move |desk, _| desk.cancel_payout(&id)).await
}

async fn balances(State(bank): Bench, request: Request) -> Response {
    answer(bank, "balance", request, |desk, call| desk.balances(&call.query)).await
}

async fn list_transactions(State(bank): Bench, request: Request) -> Response {
    let work = |desk: &mut Desk<'_>, call: &Incoming| desk.list_transactions(&call.query);
    answer(bank, "list_transactions", request, work).await
}

async fn fetch_transaction(
    State(bank): Bench,
    Path(id): Path<String>,
    request: Request,
) -> Response {
    answer(bank, "fetch_transaction", request, move |desk, _| desk.fetch_transaction(&id)).await
}

async fn create_validation(State(bank): Bench, request: Request) -> Response {
    let work = |desk: &mut Desk<'_>, call: &Incoming| desk.create_validation(&call.body);
    answer(bank, "create_validation", request, work).await
}

async fn fetch_validation(
    State(bank): Bench,
    Path(id): Path<String>,
    request: Request,
) -> Response {
    answer(bank, "fetch_validation", request, move |desk, _| desk.fetch_validation(&id)).await
}

async fn list_validations(State(bank): Bench, request: Request) -> Response {
    let work = |desk: &mut Desk<'_>, call: &Incoming| Ok(desk.list_validations(call.query.page()?));
    answer(bank, "list_validations", request, work).await
}
