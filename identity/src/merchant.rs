//! Merchants: a name and whether they may still ask. Where their rupees go and what they are told
//! lives in `settlement`.

use chrono::{DateTime, Utc};
use primitives::{Entropy, MerchantId};
use sqlx::PgConnection;

use crate::error::{Error, checked_name};

/// Creates a merchant in the caller's transaction.
///
/// # Errors
/// `NameRefused`, or weather.
pub async fn create_merchant_in(
    conn: &mut PgConnection,
    entropy: &Entropy,
    now: DateTime<Utc>,
    name: &str,
) -> Result<MerchantId, Error> {
    let name = checked_name(name)?;
    let id = MerchantId::from_uuid(entropy.uuid(now));
    sqlx::query("INSERT INTO merchants (id, name, created_at) VALUES ($1, $2, $3)")
        .bind(id.uuid())
        .bind(name)
        .bind(now)
        .execute(conn)
        .await?;
    Ok(id)
}

/// Stops every key of a merchant at once. `false` when there is nothing left to stop.
///
/// # Errors
/// Weather only.
pub async fn disable_merchant_in(
    conn: &mut PgConnection,
    merchant: MerchantId,
    now: DateTime<Utc>,
) -> Result<bool, Error> {
    let done =
        sqlx::query("UPDATE merchants SET disabled_at = $2 WHERE id = $1 AND disabled_at IS NULL")
            .bind(merchant.uuid())
            .bind(now)
            .execute(conn)
            .await?;
    Ok(done.rows_affected() == 1)
}
