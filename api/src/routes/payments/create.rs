//! `POST /v1/payments`: the merchant asks for rupees.

use std::collections::BTreeMap;

use axum::{extract::State, http::StatusCode, response::Response};
use futures::FutureExt;
use primitives::{Amount, AmountError, Asset, MerchantId};
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};
use settlement::{
    payment::{self, CreateError, NewPayment},
    quote,
};
use utoipa::ToSchema;

use crate::{
    auth::{Guarded, PaymentsWrite},
    extract::JsonBody,
    idempotency::{Answer, Command, IdempotencyKey},
    problem::{Code, Problem},
    routes::view::PaymentView,
    state::Api,
    text,
};

const METADATA_MEMBERS_MAX: usize = 20;
const METADATA_KEY_MAX: usize = 40;
const METADATA_VALUE_MAX: usize = 256;

/// Whole minor units as text, so that no client's number type can spoil them.
#[derive(Debug, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct RequestedAmount {
    #[schema(example = "149900", pattern = "^[0-9]{1,38}$")]
    amount_minor: String,
    #[schema(example = "INR")]
    asset: String,
}

/// A payment as a merchant asks for it.
#[derive(Debug, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
#[schema(as = NewPayment)]
pub(crate) struct Request {
    amount: RequestedAmount,
    /// The shop's own name for it: 1 to 64 visible characters, used once per merchant.
    #[schema(example = "order-1042", min_length = 1, max_length = 64)]
    reference: String,
    /// Seconds until it expires, where the default does not suit.
    #[serde(default)]
    #[schema(minimum = 60)]
    expires_in_s: Option<i64>,
    /// Up to 20 members; keys up to 40 characters, values texts up to 256.
    #[serde(default)]
    metadata: BTreeMap<String, String>,
}

impl From<CreateError> for Problem {
    fn from(error: CreateError) -> Self {
        match error {
            CreateError::NotRupees => Self::new(
                Code::AssetNotAccepted,
                "A payment is asked for in INR; the payer chooses the crypto.",
            )
            .field("amount.asset"),
            CreateError::AmountOutOfRange { min_paise, .. } => {
                // Which end was missed is told by the caller, who knows the amount.
                let detail = format!("The least is {min_paise} paise.");
                Self::telling(Code::AmountTooSmall, &detail).field("amount.amount_minor")
            }
            CreateError::ExpiryOutOfRange { min_s, max_s } => {
                let detail = format!("It is between {min_s} and {max_s} seconds.");
                Self::telling(Code::ExpiryInvalid, &detail).field("expires_in_s")
            }
            CreateError::NoDestination => Self::new(
                Code::DestinationMissing,
                "Set one with POST /v1/payout_destinations first.",
            ),
            CreateError::ReferenceReused => Self::new(
                Code::ReferenceReused,
                "A payment with this reference exists. List payments to find it.",
            )
            .field("reference"),
            CreateError::Internal(error) => error.into(),
        }
    }
}

#[utoipa::path(
    post, path = "/v1/payments", tag = "payments", operation_id = "create_payment",
    summary = "Ask for a payment",
    params(("Idempotency-Key" = Option<String>, Header,
        description = "1 to 255 visible ASCII characters; the same key and body is one payment")),
    request_body = Request,
    responses(
        (status = 201, description = "The payment awaits its deposit", body = PaymentView),
        (status = 409, description = "reference_reused, idempotency_key_reused or \
            destination_missing", body = crate::problem::ProblemDocument,
            content_type = "application/problem+json"),
    )
)]
pub(crate) async fn handler(
    State(api): State<Api>,
    caller: Guarded<PaymentsWrite>,
    key: IdempotencyKey,
    JsonBody(request): JsonBody<Request>,
) -> Result<Response, Problem> {
    let command = Command::new(caller.merchant, "POST /v1/payments", key, "", &request)?;
    let max_paise = i128::from(api.given.base.settings.payment_max_paise);
    let new = understand(request, caller.merchant, max_paise)?;
    let base = api.given.base.clone();
    command
        .run(&api, |conn| {
            async move {
                let made = payment::create_in(conn, &base, new).await?;
                let methods = quote::options(conn, &base).await?;
                Answer::new(StatusCode::CREATED, &PaymentView::new(made, &methods))
            }
            .boxed()
        })
        .await
}

fn understand(
    request: Request,
    merchant: MerchantId,
    max_paise: i128,
) -> Result<NewPayment, Problem> {
    let amount = read_amount(&request.amount, max_paise)?;
    if !text::is_label(&request.reference, 1, 64) {
        return Err(Problem::new(
            Code::ReferenceInvalid,
            "A reference has 1 to 64 visible characters.",
        )
        .field("reference"));
    }
    Ok(NewPayment {
        merchant,
        amount,
        reference: request.reference,
        metadata: check_metadata(request.metadata)?,
        expires_in_s: request.expires_in_s,
    })
}

fn read_amount(requested: &RequestedAmount, max_paise: i128) -> Result<Amount, Problem> {
    const FIELD: &str = "amount.amount_minor";
    let too_large = || {
        let detail = format!("One payment is at most {max_paise} paise.");
        Problem::telling(Code::AmountTooLarge, &detail).field(FIELD)
    };
    let asset: Asset = requested.asset.parse().map_err(|_| {
        Problem::new(Code::AssetUnknown, "Assets are named like INR.").field("amount.asset")
    })?;
    let amount = Amount::parse_minor(&requested.amount_minor, asset).map_err(|why| match why {
        AmountError::OutOfRange if !requested.amount_minor.starts_with('-') => too_large(),
        AmountError::OutOfRange => {
            Problem::new(Code::AmountNotPositive, "Ask for at least one paisa.").field(FIELD)
        }
        AmountError::AssetMismatch | AmountError::NotANumber | AmountError::TooPrecise => {
            Problem::new(Code::AmountInvalid, "Send digits only, as a text: \"149900\".")
                .field(FIELD)
        }
    })?;
    if !amount.is_positive() {
        return Err(
            Problem::new(Code::AmountNotPositive, "Ask for at least one paisa.").field(FIELD)
        );
    }
    if asset == Asset::Inr && amount.minor() > max_paise {
        return Err(too_large());
    }
    Ok(amount)
}

fn check_metadata(metadata: BTreeMap<String, String>) -> Result<Map<String, Value>, Problem> {
    const REFUSED: Problem = Problem::new(
        Code::MetadataInvalid,
        "At most 20 members, keys of 1 to 40 and values of at most 256 characters.",
    )
    .field("metadata");
    let fits = |(key, value): (&String, &String)| {
        text::is_label(key, 1, METADATA_KEY_MAX) && text::is_note(value, METADATA_VALUE_MAX)
    };
    if metadata.len() > METADATA_MEMBERS_MAX || !metadata.iter().all(fits) {
        return Err(REFUSED);
    }
    Ok(metadata.into_iter().map(|(key, value)| (key, Value::String(value))).collect())
}
