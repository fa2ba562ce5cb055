//! Where a merchant's rupees go. A destination is never changed: a new version is added and
//! concerns only payments made after it.

use chrono::{DateTime, Utc};
use primitives::{DestinationId, MerchantId, Vpa};
use sqlx::{PgConnection, Row, postgres::PgRow};

use crate::{Base, Error};

/// One version of a merchant's payout destination.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Destination {
    pub id: DestinationId,
    pub merchant: MerchantId,
    pub version: i32,
    pub vpa: Vpa,
    pub payee_name: String,
    pub created_at: DateTime<Utc>,
}

fn read(row: &PgRow) -> Result<Destination, Error> {
    let vpa = Vpa::parse(row.try_get("vpa")?)
        .map_err(|_| Error::Inconsistent("stored UPI address".into()))?;
    Ok(Destination {
        id: DestinationId::from_uuid(row.try_get("id")?),
        merchant: MerchantId::from_uuid(row.try_get("merchant_id")?),
        version: row.try_get("version")?,
        vpa,
        payee_name: row.try_get("payee_name")?,
        created_at: row.try_get("created_at")?,
    })
}

/// The newest destination of a merchant.
///
/// # Errors
/// `Database`.
pub async fn current(
    conn: &mut PgConnection,
    merchant: MerchantId,
) -> Result<Option<Destination>, Error> {
    sqlx::query(
        "select id, merchant_id, version, vpa, payee_name, created_at from payout_destinations
         where merchant_id = $1 order by version desc limit 1",
    )
    .bind(merchant.uuid())
    .fetch_optional(conn)
    .await?
    .map(|row| read(&row))
    .transpose()
}

/// Every version, newest first.
///
/// # Errors
/// `Database`.
pub async fn list(
    conn: &mut PgConnection,
    merchant: MerchantId,
) -> Result<Vec<Destination>, Error> {
    sqlx::query(
        "select id, merchant_id, version, vpa, payee_name, created_at from payout_destinations
         where merchant_id = $1 order by version desc limit 100",
    )
    .bind(merchant.uuid())
    .fetch_all(conn)
    .await?
    .iter()
    .map(read)
    .collect()
}

/// Adds a version, or returns the current one when nothing would change. Two calls at once queue
/// on the merchant's row.
///
/// # Errors
/// `Database`.
pub async fn set_in(
    conn: &mut PgConnection,
    base: &Base,
    merchant: MerchantId,
    vpa: &Vpa,
    payee_name: &str,
) -> Result<Destination, Error> {
    sqlx::query("select pg_advisory_xact_lock(hashtext('destination'), hashtext($1))")
        .bind(merchant.to_string())
        .execute(&mut *conn)
        .await?;
    let newest = current(conn, merchant).await?;
    let version = match newest {
        Some(same) if same.vpa == *vpa && same.payee_name == payee_name => return Ok(same),
        Some(older) => older.version.saturating_add(1),
        None => 1,
    };
    let added = Destination {
        id: DestinationId::from_uuid(base.uuid()),
        merchant,
        version,
        vpa: vpa.clone(),
        payee_name: payee_name.to_owned(),
        created_at: base.now(),
    };
    sqlx::query(
        "insert into payout_destinations (id, merchant_id, version, vpa, payee_name, created_at)
         values ($1, $2, $3, $4, $5, $6)",
    )
    .bind(added.id.uuid())
    .bind(merchant.uuid())
    .bind(version)
    .bind(vpa.as_str())
    .bind(payee_name)
    .bind(added.created_at)
    .execute(conn)
    .await?;
    Ok(added)
}
