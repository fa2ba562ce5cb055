//! `POST /v1/payments/{id}/quotes`: what a payer must send for one way of paying. While a quote
//! holds, asking again returns it.

use axum::{extract::State, http::StatusCode, response::Response};
use futures::FutureExt;
use primitives::{Asset, MerchantId, NetworkId, PaymentId};
use serde::{Deserialize, Serialize};
use settlement::{
    Base, payment,
    quote::{self, Quote, QuoteError},
    rates::RateRefusal,
};
use sqlx::PgConnection;
use utoipa::ToSchema;

use crate::{
    auth::{Guarded, PaymentsWrite},
    extract::{JsonBody, PaymentIdPath},
    idempotency::{Answer, Command, IdempotencyKey},
    problem::{Code, Problem},
    routes::{payments::not_found, view::QuoteView},
    state::Api,
};

/// How the payer wants to pay.
#[derive(Debug, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
#[schema(as = NewQuote)]
pub(crate) struct Request {
    #[schema(example = "ethereum")]
    network: String,
    #[schema(example = "USDC")]
    asset: String,
}

impl From<QuoteError> for Problem {
    fn from(error: QuoteError) -> Self {
        match error {
            QuoteError::NotFound => not_found(),
            QuoteError::UnknownMethod => {
                Self::new(Code::MethodNotAccepted, "The payment's methods list what is accepted.")
            }
            QuoteError::NotPayable(state) => {
                Self::telling(Code::PaymentNotPayable, &format!("It is {}.", state.name()))
            }
            QuoteError::Expired => Self::new(Code::PaymentExpired, "Make a new payment."),
            QuoteError::TooThin => {
                Self::new(Code::MarketTooThin, "Try later, a smaller amount or another asset.")
            }
            QuoteError::Stopped => Self::new(Code::QuotesPaused, "Try again later."),
            QuoteError::VenueFrozen(_) | QuoteError::Unsellable(_) => {
                Self::new(Code::AssetNotSellable, "Try another asset, or later.").retry_after(60)
            }
            QuoteError::ExposureFull(_) => {
                Self::new(Code::AssetLimitReached, "Try another asset, or later.").retry_after(60)
            }
            QuoteError::NoRate => {
                Self::new(Code::RateUnavailable, "Try again in a moment.").retry_after(10)
            }
            QuoteError::NoAddress => Self::new(Code::AddressUnavailable, "Try again in a moment."),
            QuoteError::Internal(error) => error.into(),
        }
    }
}

impl From<RateRefusal> for Problem {
    fn from(refusal: RateRefusal) -> Self {
        match refusal {
            RateRefusal::Internal(error) => error.into(),
            refusal @ (RateRefusal::Missing
            | RateRefusal::Stale { .. }
            | RateRefusal::Unusable(_)) => {
                tracing::warn!(%refusal, "no quote without a price");
                Self::new(Code::RateUnavailable, "Try again in a moment.").retry_after(10)
            }
        }
    }
}

#[utoipa::path(
    post, path = "/v1/payments/{id}/quotes", tag = "payments", operation_id = "create_quote",
    summary = "Get an address, an amount and a rate that holds",
    params(
        ("id" = String, Path, description = "The payment's id", example = "pay_…"),
        ("Idempotency-Key" = Option<String>, Header, description = "As for creating a payment"),
    ),
    request_body = Request,
    responses(
        (status = 201, description = "The quote", body = QuoteView),
        (status = 409, description = "payment_not_payable, payment_expired, market_too_thin or \
            idempotency_key_reused", body = crate::problem::ProblemDocument,
            content_type = "application/problem+json"),
    )
)]
pub(crate) async fn handler(
    State(api): State<Api>,
    caller: Guarded<PaymentsWrite>,
    PaymentIdPath(id): PaymentIdPath,
    key: IdempotencyKey,
    JsonBody(request): JsonBody<Request>,
) -> Result<Response, Problem> {
    let merchant = caller.merchant;
    let route = "POST /v1/payments/{id}/quotes";
    let command = Command::new(merchant, route, key, &id.to_string(), &request)?;
    let base = api.given.base.clone();
    let wanted = Wanted { merchant, payment: id, method: understand(&base, &request)? };
    // Where there is no price nobody needs to wait for a lock; the price itself is read behind it.
    // The board may need a connection of its own, so it is asked before one is held.
    let refusal = api.given.board.latest(wanted.method.1).await.err();
    command
        .run(&api, |conn| {
            async move {
                let quote = quote_in(conn, &base, &wanted, refusal).await?;
                let due = quote::due_in(conn, &quote).await?;
                Answer::new(StatusCode::CREATED, &QuoteView::new(quote, due))
            }
            .boxed()
        })
        .await
}

struct Wanted {
    merchant: MerchantId,
    payment: PaymentId,
    method: (NetworkId, Asset),
}

async fn quote_in(
    conn: &mut PgConnection,
    base: &Base,
    wanted: &Wanted,
    refusal: Option<RateRefusal>,
) -> Result<Quote, Problem> {
    let (network, asset) = &wanted.method;
    let Some(refusal) = refusal else {
        let (merchant, method) = (wanted.merchant, (network, *asset));
        return Ok(quote::create_in(conn, base, merchant, wanted.payment, method).await?);
    };
    // Without a price nothing new is promised; what was promised still holds.
    let found = payment::find(conn, wanted.merchant, wanted.payment).await?.ok_or(not_found())?;
    if !found.state.is_payable() {
        return Err(QuoteError::NotPayable(found.state).into());
    }
    let live = quote::live_of(conn, wanted.payment, network, *asset, base.now()).await?;
    live.ok_or_else(|| refusal.into())
}

fn understand(base: &Base, request: &Request) -> Result<(NetworkId, Asset), Problem> {
    let network = NetworkId::new(&request.network)
        .filter(|network| base.settings.networks.contains_key(network))
        .ok_or(
            Problem::new(Code::NetworkUnknown, "The payment's methods list what is accepted.")
                .field("network"),
        )?;
    let asset: Asset = request.asset.parse().map_err(|_| {
        Problem::new(Code::AssetUnknown, "Assets are named like ETH.").field("asset")
    })?;
    if !asset.is_crypto() {
        return Err(
            Problem::new(Code::AssetNotAccepted, "The payer pays in crypto.").field("asset")
        );
    }
    if !base.settings.carries(&network, asset) {
        return Err(QuoteError::UnknownMethod.into());
    }
    Ok((network, asset))
}
