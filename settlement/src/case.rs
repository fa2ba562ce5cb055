//! Cases: what a person must look at. A case never moves money; it says why money waits.

use primitives::{Amount, CaseId, PaymentId};
use serde_json::Value;
use sqlx::PgConnection;

use crate::{Base, Error, money_column};

/// A reason to call a person. One case per (kind, subject), however often it is opened.
#[derive(Debug)]
pub struct NewCase<'a> {
    /// Stable code, a heading of `docs/RUNBOOK.md`.
    pub kind: &'static str,
    pub subject: &'a str,
    pub payment: Option<PaymentId>,
    pub amount: Option<Amount>,
    pub detail: Value,
}

/// Opens the case in the caller's transaction; quiet when it is known, open or closed.
///
/// # Errors
/// `Database`.
pub async fn open_in(conn: &mut PgConnection, base: &Base, new: NewCase<'_>) -> Result<(), Error> {
    sqlx::query(
        "insert into cases (id, kind, subject, payment_id, asset, amount_minor, detail, opened_at)
         values ($1, $2, $3, $4, $5, $6::text::numeric, $7, $8)
         on conflict on constraint cases_one_per_subject do nothing",
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
