//! `Idempotency-Key`: the same request twice is one effect and the same answer.
//!
//! Invariants: the effect and the stored answer commit together or not at all; of concurrent
//! requests with one key the first runs and the others wait for its commit. A key is spent by the
//! first answer that had an effect: a refusal changed nothing, so it is not stored and a corrected
//! request may use the key. The scope of a key is the merchant and the route.

use axum::{
    extract::FromRequestParts,
    http::{HeaderName, HeaderValue, StatusCode, header, request::Parts},
    response::{IntoResponse, Response},
};
use futures::future::BoxFuture;
use primitives::MerchantId;
use serde::Serialize;
use sha2::{Digest, Sha256};
use sqlx::{Acquire, PgConnection, Row};

use crate::{
    problem::{Code, Problem},
    state::Api,
};

static REPLAYED: HeaderName = HeaderName::from_static("idempotent-replayed");

/// The header, where a client sent it.
#[derive(Debug, Clone)]
pub(crate) struct IdempotencyKey(Option<String>);

impl<S: Send + Sync> FromRequestParts<S> for IdempotencyKey {
    type Rejection = Problem;

    async fn from_request_parts(parts: &mut Parts, _: &S) -> Result<Self, Problem> {
        const REFUSED: Problem = Problem::new(
            Code::IdempotencyKeyInvalid,
            "Send one Idempotency-Key of 1 to 255 visible ASCII characters.",
        );
        let mut values = parts.headers.get_all("idempotency-key").iter();
        let Some(value) = values.next() else {
            return Ok(Self(None));
        };
        let text = value.to_str().map_err(|_| REFUSED)?;
        let fits =
            (1..=255).contains(&text.len()) && text.bytes().all(|byte| byte.is_ascii_graphic());
        if !fits || values.next().is_some() {
            return Err(REFUSED);
        }
        Ok(Self(Some(text.to_owned())))
    }
}

/// An answer that can be stored and given again.
#[derive(Debug)]
pub(crate) struct Answer {
    status: StatusCode,
    body: String,
}

impl Answer {
    pub(crate) fn new<T: Serialize>(status: StatusCode, body: &T) -> Result<Self, Problem> {
        let body = serde_json::to_string(body).map_err(|error| {
            tracing::error!(%error, "an answer could not be written");
            Problem::internal()
        })?;
        Ok(Self { status, body })
    }
}

impl IntoResponse for Answer {
    fn into_response(self) -> Response {
        let json = HeaderValue::from_static("application/json");
        (self.status, [(header::CONTENT_TYPE, json)], self.body).into_response()
    }
}

/// One command a merchant sends: who, where, under which key, and a hash of what it asks for.
#[derive(Debug)]
pub(crate) struct Command {
    merchant: MerchantId,
    route: &'static str,
    key: Option<String>,
    request_hash: [u8; 32],
}

impl Command {
    /// `subject` is the part of the path that is not the template, and `request` the body as it
    /// was understood: spacing and the order of members make no difference.
    pub(crate) fn new<T: Serialize>(
        merchant: MerchantId,
        route: &'static str,
        key: IdempotencyKey,
        subject: &str,
        request: &T,
    ) -> Result<Self, Problem> {
        let body = Answer::new(StatusCode::OK, request)?.body;
        let mut hash = Sha256::new();
        hash.update(subject.as_bytes());
        hash.update([0]);
        hash.update(body.as_bytes());
        Ok(Self { merchant, route, key: key.0, request_hash: hash.finalize().into() })
    }

    /// Runs `effect` in one transaction with the storing of its answer, or gives the stored one.
    pub(crate) async fn run<F>(self, api: &Api, effect: F) -> Result<Response, Problem>
    where
        F: for<'c> FnOnce(&'c mut PgConnection) -> BoxFuture<'c, Result<Answer, Problem>> + Send,
    {
        let mut conn = api.connection().await?;
        let mut tx = conn.begin().await?;
        if let Some(key) = self.key.as_deref()
            && let Some(stored) = self.claim(&mut tx, key).await?
        {
            tx.rollback().await?;
            return stored;
        }
        let outcome = effect(&mut tx).await;
        let answer = match outcome {
            Ok(answer) => answer,
            Err(problem) => {
                tx.rollback().await?;
                return Err(problem);
            }
        };
        if let Some(key) = self.key.as_deref() {
            self.store(&mut tx, key, &answer, api.given.base.now()).await?;
        }
        tx.commit().await?;
        Ok(answer.into_response())
    }

    /// Waits for whoever holds this key; then the stored answer, if there is one.
    async fn claim(
        &self,
        conn: &mut PgConnection,
        key: &str,
    ) -> Result<Option<Result<Response, Problem>>, Problem> {
        // The lock ends with the transaction. Two keys with one lock number only wait needlessly.
        sqlx::query("SELECT pg_advisory_xact_lock($1)")
            .bind(self.lock_number(key))
            .execute(&mut *conn)
            .await?;
        let row = sqlx::query(
            "SELECT request_hash, status, body FROM idempotency_keys \
             WHERE merchant_id = $1 AND route = $2 AND key = $3",
        )
        .bind(self.merchant.uuid())
        .bind(self.route)
        .bind(key)
        .fetch_optional(conn)
        .await?;
        let Some(row) = row else {
            return Ok(None);
        };
        if row.try_get::<Vec<u8>, _>("request_hash")? != self.request_hash {
            return Ok(Some(Err(Problem::new(
                Code::IdempotencyKeyReused,
                "This key was used for a request with another body. Nothing was done.",
            ))));
        }
        let status = u16::try_from(row.try_get::<i16, _>("status")?)
            .ok()
            .and_then(|status| StatusCode::from_u16(status).ok())
            .ok_or(Problem::internal())?;
        let mut response = Answer { status, body: row.try_get("body")? }.into_response();
        response.headers_mut().insert(&REPLAYED, HeaderValue::from_static("true"));
        Ok(Some(Ok(response)))
    }

    async fn store(
        &self,
        conn: &mut PgConnection,
        key: &str,
        answer: &Answer,
        now: chrono::DateTime<chrono::Utc>,
    ) -> Result<(), Problem> {
        let status = i16::try_from(answer.status.as_u16()).map_err(|_| Problem::internal())?;
        sqlx::query(
            "INSERT INTO idempotency_keys \
             (merchant_id, route, key, request_hash, status, body, created_at) \
             VALUES ($1, $2, $3, $4, $5, $6, $7)",
        )
        .bind(self.merchant.uuid())
        .bind(self.route)
        .bind(key)
        .bind(self.request_hash.as_slice())
        .bind(status)
        .bind(&answer.body)
        .bind(now)
        .execute(conn)
        .await?;
        Ok(())
    }

    fn lock_number(&self, key: &str) -> i64 {
        let mut hash = Sha256::new();
        hash.update(b"idempotency\0");
        hash.update(self.merchant.uuid().as_bytes());
        hash.update(self.route.as_bytes());
        hash.update([0]);
        hash.update(key.as_bytes());
        let digest: [u8; 32] = hash.finalize().into();
        digest.first_chunk::<8>().map_or(0, |first| i64::from_be_bytes(*first))
    }
}
