//! Cases: what a person must look at. A case never moves money; it says why money waits.

use chrono::{DateTime, Utc};
use primitives::{Amount, CaseId, PaymentId};
use serde_json::{Value, json};
use sqlx::{PgConnection, Row};

use crate::{Base, Error, money_column};

/// A reason to call a person. One open case per (kind, subject).
#[derive(Debug)]
pub struct NewCase<'a> {
    /// Stable code, a heading of `docs/RUNBOOK.md`.
    pub kind: &'static str,
    pub subject: &'a str,
    pub payment: Option<PaymentId>,
    pub amount: Option<Amount>,
    pub detail: Value,
}

/// Opens the case in the caller's transaction; quiet while one is open.
///
/// # Errors
/// `Database`.
pub async fn open_in(conn: &mut PgConnection, base: &Base, new: NewCase<'_>) -> Result<(), Error> {
    sqlx::query(
        "insert into cases (id, kind, subject, payment_id, asset, amount_minor, detail, opened_at)
         values ($1, $2, $3, $4, $5, $6::text::numeric, $7, $8)
         on conflict (kind, subject) where closed_at is null do nothing",
    )
    .bind(CaseId::from_uuid(base.uuid()).uuid())
    .bind(new.kind)
    .bind(new.subject)
    .bind(new.payment.map(PaymentId::uuid))
    .bind(new.amount.map(|a| a.asset().code()))
    .bind(new.amount.map(money_column::minor))
    .bind(new.detail)
    .bind(base.now())
    .execute(conn)
    .await?;
    Ok(())
}

/// A case nobody has closed.
#[derive(Debug, Clone, PartialEq)]
pub struct OpenCase {
    pub id: CaseId,
    pub kind: String,
    pub subject: String,
    pub payment: Option<PaymentId>,
    pub amount: Option<Amount>,
    pub detail: Value,
    pub opened_at: DateTime<Utc>,
}

/// Open cases, oldest first, at most 500.
///
/// # Errors
/// `Database`, `Inconsistent`.
pub async fn open_cases(conn: &mut PgConnection) -> Result<Vec<OpenCase>, Error> {
    let rows = sqlx::query(
        "select id, kind, subject, payment_id, asset, amount_minor::text as amount_minor, detail,
           opened_at from cases where closed_at is null order by opened_at, id limit 500",
    )
    .fetch_all(conn)
    .await?;
    rows.iter()
        .map(|row| {
            let asset = row.try_get::<Option<&str>, _>("asset")?;
            let minor = row.try_get::<Option<&str>, _>("amount_minor")?;
            let amount = asset
                .zip(minor)
                .map(|(asset, minor)| money_column::amount(minor, money_column::asset(asset)?))
                .transpose()?;
            Ok(OpenCase {
                id: CaseId::from_uuid(row.try_get("id")?),
                kind: row.try_get("kind")?,
                subject: row.try_get("subject")?,
                payment: row
                    .try_get::<Option<uuid::Uuid>, _>("payment_id")?
                    .map(PaymentId::from_uuid),
                amount,
                detail: row.try_get("detail")?,
                opened_at: row.try_get("opened_at")?,
            })
        })
        .collect()
}

/// Closes a case with a note of what was done. `false` when it is closed or unknown. Closing says
/// that somebody looked; it moves no money and no state.
///
/// # Errors
/// `Database`.
pub async fn close_in(
    conn: &mut PgConnection,
    base: &Base,
    id: CaseId,
    note: &str,
) -> Result<bool, Error> {
    let closed = sqlx::query(
        "update cases set closed_at = $2, detail = detail || $3
         where id = $1 and closed_at is null",
    )
    .bind(id.uuid())
    .bind(base.now())
    .bind(json!({ "closed": note }))
    .execute(conn)
    .await?;
    Ok(closed.rows_affected() == 1)
}
