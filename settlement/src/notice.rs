//! Telling merchants and screens what happened: events, and their deliveries to the merchant's
//! endpoint.
//!
//! Invariant: an event is written in the transaction of the fact it tells, so no fact is silent and
//! no event is invented. Sending is the workers' business; an event's id never changes.

use chrono::{DateTime, TimeDelta, Utc};
use primitives::{DeliveryId, EventId, MerchantId, PaymentId, Secret};
use serde_json::{Value, json};
use sqlx::{PgConnection, Row};

use crate::{Base, Error, jobs::NotifyMerchant, payment::Payment};

/// The delays between tries of one delivery (seconds): three days in all, as Standard Webhooks
/// suggests.
const LADDER_S: [i64; 10] = [5, 30, 120, 600, 1800, 7200, 18_000, 36_000, 72_000, 122_400];

/// One message to send, with everything that goes into its bytes.
#[derive(Debug, Clone)]
pub struct Message {
    pub delivery: DeliveryId,
    pub event: EventId,
    pub merchant: MerchantId,
    pub url: String,
    pub secret: Option<Secret>,
    pub body: String,
    pub attempts: i32,
    pub pending: bool,
}

/// How one try ended.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Try {
    Delivered { status: i32 },
    Failed { status: Option<i32>, error: String, permanent: bool },
}

/// Sets where a merchant wants events, and the secret that signs them.
///
/// # Errors
/// `Database`.
pub async fn set_endpoint_in(
    conn: &mut PgConnection,
    base: &Base,
    merchant: MerchantId,
    url: Option<&str>,
    secret: Option<&Secret>,
) -> Result<(), Error> {
    sqlx::query(
        "insert into webhook_endpoints (merchant_id, url, secret, updated_at)
         values ($1, $2, $3, $4)
         on conflict (merchant_id) do update set url = excluded.url, secret = excluded.secret,
           updated_at = excluded.updated_at",
    )
    .bind(merchant.uuid())
    .bind(url)
    .bind(secret.map(Secret::expose))
    .bind(base.now())
    .execute(conn)
    .await?;
    Ok(())
}

/// Writes an event of a payment and, when the merchant has an endpoint, its delivery.
///
/// # Errors
/// `Database`, `Queue`.
pub(crate) async fn tell_in(
    conn: &mut PgConnection,
    base: &Base,
    payment: &Payment,
    kind: &str,
    data: Value,
) -> Result<(), Error> {
    let event = EventId::from_uuid(base.uuid());
    let now = base.now();
    sqlx::query(
        "insert into payment_events (id, payment_id, merchant_id, kind, data, at)
         values ($1, $2, $3, $4, $5, $6)",
    )
    .bind(event.uuid())
    .bind(payment.id.uuid())
    .bind(payment.merchant.uuid())
    .bind(kind)
    .bind(data)
    .bind(now)
    .execute(&mut *conn)
    .await?;
    let url: Option<String> =
        sqlx::query_scalar("select url from webhook_endpoints where merchant_id = $1")
            .bind(payment.merchant.uuid())
            .fetch_optional(&mut *conn)
            .await?
            .flatten();
    let Some(url) = url else { return Ok(()) };
    let delivery = DeliveryId::from_uuid(base.uuid());
    sqlx::query(
        "insert into deliveries (id, event_id, merchant_id, url, state, created_at, updated_at)
         values ($1, $2, $3, $4, 'pending', $5, $5)",
    )
    .bind(delivery.uuid())
    .bind(event.uuid())
    .bind(payment.merchant.uuid())
    .bind(url)
    .bind(now)
    .execute(&mut *conn)
    .await?;
    queue::enqueue(conn, &NotifyMerchant { delivery }, now).await?;
    Ok(())
}

/// The message of a delivery. Its body is built from the event alone, so every try sends the same
/// bytes. Thin by rule: ids, states and amounts, nothing personal.
///
/// # Errors
/// `Database`.
pub async fn message(conn: &mut PgConnection, id: DeliveryId) -> Result<Message, Error> {
    let row = sqlx::query(
        "select d.event_id, d.merchant_id, d.url, d.state, d.attempts, s.secret,
                e.payment_id, e.seq, e.kind, e.data, e.at, p.reference
         from deliveries d join payment_events e on e.id = d.event_id
         join payments p on p.id = e.payment_id
         left join webhook_endpoints s on s.merchant_id = d.merchant_id where d.id = $1",
    )
    .bind(id.uuid())
    .fetch_one(conn)
    .await?;
    let event = EventId::from_uuid(row.try_get("event_id")?);
    let at: DateTime<Utc> = row.try_get("at")?;
    let body = json!({
        "type": row.try_get::<String, _>("kind")?,
        "timestamp": at,
        "seq": row.try_get::<i64, _>("seq")?,
        "payment_id": PaymentId::from_uuid(row.try_get("payment_id")?),
        "reference": row.try_get::<String, _>("reference")?,
        "data": row.try_get::<Value, _>("data")?,
    });
    Ok(Message {
        delivery: id,
        event,
        merchant: MerchantId::from_uuid(row.try_get("merchant_id")?),
        url: row.try_get("url")?,
        secret: row.try_get::<Option<String>, _>("secret")?.map(Secret::new),
        body: body.to_string(),
        attempts: row.try_get("attempts")?,
        pending: row.try_get::<&str, _>("state")? == "pending",
    })
}

/// Records a try. Answers when to try again, or `None` when the delivery has ended.
///
/// # Errors
/// `Database`.
pub async fn tried_in(
    conn: &mut PgConnection,
    base: &Base,
    message: &Message,
    outcome: &Try,
) -> Result<Option<DateTime<Utc>>, Error> {
    let wait_s = usize::try_from(message.attempts).ok().and_then(|n| LADDER_S.get(n));
    let (state, status, error, again) = match (outcome, wait_s) {
        (Try::Delivered { status }, _) => ("delivered", Some(*status), None, None),
        (Try::Failed { status, error, permanent: false }, Some(wait)) => {
            ("pending", *status, Some(error), Some(base.now() + TimeDelta::seconds(*wait)))
        }
        (Try::Failed { status, error, .. }, _) => ("dead", *status, Some(error), None),
    };
    sqlx::query(
        "update deliveries set state = $2, attempts = attempts + 1, last_status = $3,
           last_error = $4, updated_at = $5 where id = $1",
    )
    .bind(message.delivery.uuid())
    .bind(state)
    .bind(status)
    .bind(error)
    .bind(base.now())
    .execute(conn)
    .await?;
    Ok(again)
}
