//! A person allows one more order of a parked conversion.
//!
//! Invariant: only when no order of it is alive: one whose fate is unknown may have sold already.

use primitives::ConversionId;
use serde_json::json;
use sqlx::PgConnection;

use super::{
    AttemptState, ConversionEvent, ConversionState, get_in, live_attempt_in, lock_in, payments_of,
    store::step_in,
};
use crate::{
    Base, Error,
    jobs::ResolveConversion,
    payment::{self, PaymentEvent, PaymentState},
};

/// Why a parked conversion was not tried again; nothing changed.
#[derive(Debug, thiserror::Error)]
pub enum RetryError {
    #[error("no such conversion")]
    NotFound,
    #[error("a conversion in state {0} is not parked")]
    NotParked(ConversionState),
    #[error("an order of it is {0}: only the venue's own word can end it")]
    StillOpen(&'static str),
    #[error(transparent)]
    Internal(#[from] Error),
}

impl From<sqlx::Error> for RetryError {
    fn from(error: sqlx::Error) -> Self {
        Self::Internal(error.into())
    }
}

/// Takes a parked conversion up again with one more order, and its payments with it.
///
/// # Errors
/// `RetryError`.
pub async fn retry_in(
    conn: &mut PgConnection,
    base: &Base,
    id: ConversionId,
    note: &str,
) -> Result<(), RetryError> {
    let unlocked = match get_in(conn, id).await {
        Err(Error::Database(sqlx::Error::RowNotFound)) => return Err(RetryError::NotFound),
        found => found?,
    };
    // Payments come before the conversion, as everywhere.
    let ids = payments_of(conn, &unlocked).await?.into_iter().map(|(payment, _)| payment);
    let payments = payment::lock_all_in(conn, ids).await?;
    let mut conversion = lock_in(conn, id).await?;
    if conversion.state != ConversionState::InReview {
        return Err(RetryError::NotParked(conversion.state));
    }
    if let Some(order) = live_attempt_in(conn, &conversion).await? {
        return Err(RetryError::StillOpen(AttemptState::name(order.state)));
    }
    sqlx::query("update conversions set retries = retries + 1 where id = $1")
        .bind(id.uuid())
        .execute(&mut *conn)
        .await?;
    let cause = json!({ "by": "a person", "note": note });
    step_in(conn, base, &mut conversion, ConversionEvent::TryAgain, cause.clone()).await?;
    for mut payment in payments {
        let parked = payment.review_reason.as_deref() == Some("conversion_stuck");
        if payment.state == PaymentState::InReview && parked {
            let event = PaymentEvent::Resumed;
            payment::step_in(conn, base, &mut payment, event, cause.clone()).await?;
        }
    }
    sqlx::query(
        "update cases set closed_at = $2, detail = detail || $3
         where kind = 'conversion_stuck' and (subject = $1 or starts_with(subject, $1 || ':'))
           and closed_at is null",
    )
    .bind(id.to_string())
    .bind(base.now())
    .bind(json!({ "closed": note }))
    .execute(&mut *conn)
    .await?;
    let job = ResolveConversion { conversion: id };
    queue::enqueue(conn, &job, base.now()).await.map_err(Error::from)?;
    Ok(())
}
