//! Reading transfers back, with their legs, for explanations and checks.
//!
//! Invariant: what is shown is what was written, in the order of the books; nothing is summed up.

use std::str::FromStr;

use chrono::{DateTime, Utc};
use primitives::{Amount, Asset};
use serde::Serialize;
use serde_json::Value;
use sqlx::PgConnection;
use uuid::Uuid;

use crate::{LedgerError, error::unreadable, read::amount};

/// What a leg does to the balances.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Phase {
    Posted,
    Hold,
    /// Posts a hold; what is left of it is released.
    Capture,
    Release,
}

impl TryFrom<i16> for Phase {
    type Error = LedgerError;

    fn try_from(phase: i16) -> Result<Self, LedgerError> {
        match phase {
            0 => Ok(Self::Posted),
            1 => Ok(Self::Hold),
            2 => Ok(Self::Capture),
            3 => Ok(Self::Release),
            other => Err(unreadable(format!("phase {other}"))),
        }
    }
}

/// A leg as it stands in the books.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct LegRecord {
    pub leg: i16,
    pub phase: Phase,
    pub debit: String,
    pub debit_role: String,
    pub credit: String,
    pub credit_role: String,
    pub amount: Amount,
    /// The clock of the database while both accounts were locked.
    pub posted_at: DateTime<Utc>,
}

/// A transfer as it stands in the books.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct TransferRecord {
    pub id: i64,
    pub key: String,
    pub kind: String,
    pub correlation: Option<Uuid>,
    /// The key of the transfer this one reverses.
    pub reverses: Option<String>,
    pub actor: String,
    pub effective_at: DateTime<Utc>,
    pub meta: Value,
    pub legs: Vec<LegRecord>,
}

/// One leg with its header.
#[derive(sqlx::FromRow)]
struct Row {
    id: i64,
    key: String,
    kind: String,
    correlation_id: Option<Uuid>,
    reverses: Option<String>,
    actor: String,
    effective_at: DateTime<Utc>,
    meta: Option<Value>,
    leg: i16,
    phase: i16,
    asset: String,
    amount: String,
    debit: String,
    debit_role: String,
    credit: String,
    credit_role: String,
    posted_at: DateTime<Utc>,
}

// One text for both lookups, so that they cannot drift apart: the unused parameter is null.
const SELECT: &str = "
    select t.id, t.key::text as key, k.code as kind, t.correlation_id, o.key::text as reverses,
           t.actor::text as actor, t.effective_at, t.meta::jsonb as meta, l.leg::smallint as leg,
           l.phase::smallint as phase, s.code as asset, l.amount::text as amount,
           d.code as debit, dr.code as debit_role, c.code as credit, cr.code as credit_role,
           l.posted_at
    from ledger.transfers t
    join ledger.transfer_kinds k on k.id = t.kind_id
    left join ledger.transfers o on o.id = t.reverses_id
    join ledger.legs l on l.transfer_id = t.id
    join ledger.assets s on s.id = l.asset_id
    join ledger.accounts d on d.id = l.debit_id
    join ledger.roles dr on dr.id = d.role_id
    join ledger.accounts c on c.id = l.credit_id
    join ledger.roles cr on cr.id = c.role_id
    where t.key = $1::text or t.correlation_id = $2::uuid
    order by t.id, l.leg";

/// The transfer with this key.
///
/// # Errors
/// `Database`.
pub async fn find(
    conn: &mut PgConnection,
    key: &str,
) -> Result<Option<TransferRecord>, LedgerError> {
    Ok(select(conn, Some(key), None).await?.into_iter().next())
}

/// Every transfer of one correlation, in the order they were written.
///
/// # Errors
/// `Database`.
pub async fn transfers_of(
    conn: &mut PgConnection,
    correlation: Uuid,
) -> Result<Vec<TransferRecord>, LedgerError> {
    select(conn, None, Some(correlation)).await
}

async fn select(
    conn: &mut PgConnection,
    key: Option<&str>,
    correlation: Option<Uuid>,
) -> Result<Vec<TransferRecord>, LedgerError> {
    let rows: Vec<Row> = sqlx::query_as(SELECT).bind(key).bind(correlation).fetch_all(conn).await?;
    let mut transfers: Vec<TransferRecord> = Vec::new();
    for row in rows {
        let leg = leg_of(&row)?;
        match transfers.last_mut().filter(|last| last.id == row.id) {
            Some(last) => last.legs.push(leg),
            None => transfers.push(TransferRecord {
                id: row.id,
                key: row.key,
                kind: row.kind,
                correlation: row.correlation_id,
                reverses: row.reverses,
                actor: row.actor,
                effective_at: row.effective_at,
                meta: row.meta.unwrap_or(Value::Null),
                legs: vec![leg],
            }),
        }
    }
    Ok(transfers)
}

fn leg_of(row: &Row) -> Result<LegRecord, LedgerError> {
    let asset = Asset::from_str(&row.asset).map_err(unreadable)?;
    Ok(LegRecord {
        leg: row.leg,
        phase: row.phase.try_into()?,
        debit: row.debit.clone(),
        debit_role: row.debit_role.clone(),
        credit: row.credit.clone(),
        credit_role: row.credit_role.clone(),
        amount: amount(&row.amount, asset)?,
        posted_at: row.posted_at,
    })
}
