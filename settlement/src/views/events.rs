//! The events of one payment, in order: what a payer's screen and a merchant's stream show.

use chrono::{DateTime, Utc};
use primitives::{EventId, MerchantId, PaymentId};
use serde::Serialize;
use serde_json::Value;
use sqlx::{PgConnection, Row};

use crate::Error;

/// One event. `seq` rises along the stream and is what a reader resumes from.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct PaymentEvent {
    pub seq: i64,
    pub id: EventId,
    #[serde(rename = "type")]
    pub kind: String,
    pub data: Value,
    pub at: DateTime<Utc>,
}

/// Events of the merchant's payment after `after`, oldest first, at most 100.
///
/// # Errors
/// `Database`.
pub async fn events_after(
    conn: &mut PgConnection,
    merchant: MerchantId,
    payment: PaymentId,
    after: i64,
) -> Result<Vec<PaymentEvent>, Error> {
    let rows = sqlx::query(
        "select seq, id, kind, data, at from payment_events
         where payment_id = $1 and merchant_id = $2 and seq > $3 order by seq limit 100",
    )
    .bind(payment.uuid())
    .bind(merchant.uuid())
    .bind(after)
    .fetch_all(conn)
    .await?;
    rows.iter()
        .map(|row| {
            Ok(PaymentEvent {
                seq: row.try_get("seq")?,
                id: EventId::from_uuid(row.try_get("id")?),
                kind: row.try_get("kind")?,
                data: row.try_get("data")?,
                at: row.try_get("at")?,
            })
        })
        .collect()
}
