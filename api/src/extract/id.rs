//! Ids in the path.

use axum::{
    extract::{FromRequestParts, Path},
    http::request::Parts,
};
use primitives::PaymentId;

use crate::problem::{Code, Problem};

/// The `{id}` of a payment's routes.
#[derive(Debug)]
pub(crate) struct PaymentIdPath(pub(crate) PaymentId);

impl<S: Send + Sync> FromRequestParts<S> for PaymentIdPath {
    type Rejection = Problem;

    async fn from_request_parts(parts: &mut Parts, state: &S) -> Result<Self, Problem> {
        let Path(text) = Path::<String>::from_request_parts(parts, state)
            .await
            .map_err(|_| Problem::new(Code::InvalidPath, "The path must be UTF-8."))?;
        text.parse().map(Self).map_err(|_| {
            Problem::new(Code::InvalidId, "A payment's id looks like pay_….").field("id")
        })
    }
}
