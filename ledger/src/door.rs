//! The call of `ledger.post`, in one place.
//!
//! Invariant: lists of one call have one length; plain postings pass no phases at all, so that
//! `post` and `post_many` compute the same fingerprint for the same content.

use std::collections::BTreeMap;

use chrono::{DateTime, Utc};
use serde_json::Value;
use sqlx::PgConnection;
use uuid::Uuid;

use crate::{LedgerError, Posted, error::from_database};

/// The arguments of `ledger.post`. Account ids are null where a hold names them.
pub(crate) struct Call<'a> {
    pub(crate) key: &'a str,
    pub(crate) kind: &'a str,
    pub(crate) correlation: Option<Uuid>,
    pub(crate) actor: &'a str,
    pub(crate) effective_at: DateTime<Utc>,
    pub(crate) meta: Option<&'a Value>,
    pub(crate) debit: Vec<Option<i64>>,
    pub(crate) credit: Vec<Option<i64>>,
    pub(crate) amount: Vec<String>,
    pub(crate) phase: Option<Vec<i16>>,
    pub(crate) hold: Option<Vec<i64>>,
    pub(crate) hold_leg: Option<Vec<i16>>,
}

impl Call<'_> {
    /// `subject` is the key an error should speak of.
    pub(crate) async fn run(
        self,
        conn: &mut PgConnection,
        subject: &str,
        names: &BTreeMap<i64, String>,
    ) -> Result<Posted, LedgerError> {
        let row: Result<(i64, bool), sqlx::Error> = sqlx::query_as(
            "select transfer_id, created from ledger.post(
                $1, (select id from ledger.transfer_kinds where code = $2), $3, $4, $5, $6,
                $7, $8, $9::text[]::numeric[], $10, $11, $12)",
        )
        .bind(self.key)
        .bind(self.kind)
        .bind(self.effective_at)
        .bind(self.correlation)
        .bind(self.actor)
        .bind(self.meta)
        .bind(self.debit)
        .bind(self.credit)
        .bind(self.amount)
        .bind(self.phase)
        .bind(self.hold)
        .bind(self.hold_leg)
        .fetch_one(conn)
        .await;
        match row {
            Ok((id, created)) => Ok(Posted { id, created }),
            Err(error) => Err(match from_database(error, subject, names) {
                // A conflict is about the key being posted, not about what it resolves.
                LedgerError::Conflict { .. } => LedgerError::Conflict { key: self.key.to_owned() },
                other => other,
            }),
        }
    }
}
