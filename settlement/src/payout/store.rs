//! Reading payouts, and the one function that moves their state.

use primitives::{Asset, DestinationId, MerchantId, PaymentId, PayoutId, Vpa};
use serde_json::Value;
use sqlx::{PgConnection, Row, postgres::PgRow};

use super::{Payout, PayoutAttempt, PayoutEvent, PayoutState};
use crate::{Base, Error, Record, money_column, record_in};

fn read(row: &PgRow) -> Result<Payout, Error> {
    Ok(Payout {
        id: PayoutId::from_uuid(row.try_get("id")?),
        payment: PaymentId::from_uuid(row.try_get("payment_id")?),
        merchant: MerchantId::from_uuid(row.try_get("merchant_id")?),
        destination: DestinationId::from_uuid(row.try_get("destination_id")?),
        rail: row.try_get("rail")?,
        vpa: Vpa::parse(row.try_get("vpa")?)
            .map_err(|_| Error::Inconsistent("stored UPI address".into()))?,
        payee_name: row.try_get("payee_name")?,
        amount: money_column::amount(row.try_get("amount_minor")?, Asset::Inr)?,
        state: PayoutState::parse(row.try_get("state")?)?,
        utr: row.try_get("utr")?,
        paid_at: row.try_get("paid_at")?,
    })
}

macro_rules! select_payout {
    ($rest:literal) => {
        concat!(
            "select id, payment_id, merchant_id, destination_id, rail, vpa, payee_name, \
             amount_minor::text as amount_minor, state, utr, paid_at from payouts ",
            $rest
        )
    };
}

/// The payout with this id.
///
/// # Errors
/// `Database`, `RowNotFound` inside it.
pub async fn get_in(conn: &mut PgConnection, id: PayoutId) -> Result<Payout, Error> {
    let row = sqlx::query(select_payout!("where id = $1")).bind(id.uuid()).fetch_one(conn).await?;
    read(&row)
}

/// As [`get_in`], locked until the transaction ends. Lock its payment first.
///
/// # Errors
/// `Database`, `RowNotFound` inside it.
pub async fn lock_in(conn: &mut PgConnection, id: PayoutId) -> Result<Payout, Error> {
    let row = sqlx::query(select_payout!("where id = $1 for update"))
        .bind(id.uuid())
        .fetch_one(conn)
        .await?;
    read(&row)
}

/// The newest attempt of a payout.
///
/// # Errors
/// `Database`.
pub async fn attempt_in(
    conn: &mut PgConnection,
    id: PayoutId,
) -> Result<Option<PayoutAttempt>, Error> {
    let row = sqlx::query(
        "select attempt, idempotency_key, reference, fund_account_id, body, state,
           rail_payout_id, sent_at from payout_attempts
         where payout_id = $1 order by attempt desc limit 1",
    )
    .bind(id.uuid())
    .fetch_optional(conn)
    .await?;
    row.map(|row| {
        Ok(PayoutAttempt {
            payout: id,
            attempt: row.try_get("attempt")?,
            idempotency_key: row.try_get("idempotency_key")?,
            reference: row.try_get("reference")?,
            fund_account_id: row.try_get("fund_account_id")?,
            body: row.try_get("body")?,
            state: row.try_get("state")?,
            rail_payout_id: row.try_get("rail_payout_id")?,
            sent_at: row.try_get("sent_at")?,
        })
    })
    .transpose()
}

/// The payout and attempt number that the rail knows under an id.
///
/// # Errors
/// `Database`.
pub async fn by_rail_id_in(
    conn: &mut PgConnection,
    rail_payout_id: &str,
) -> Result<Option<(PayoutId, i32)>, Error> {
    let found: Option<(uuid::Uuid, i32)> =
        sqlx::query_as("select payout_id, attempt from payout_attempts where rail_payout_id = $1")
            .bind(rail_payout_id)
            .fetch_optional(conn)
            .await?;
    Ok(found.map(|(id, attempt)| (PayoutId::from_uuid(id), attempt)))
}

/// The payout and attempt number we sent under a reference.
///
/// # Errors
/// `Database`.
pub async fn by_reference_in(
    conn: &mut PgConnection,
    reference: &str,
) -> Result<Option<(PayoutId, i32)>, Error> {
    let found: Option<(uuid::Uuid, i32)> =
        sqlx::query_as("select payout_id, attempt from payout_attempts where reference = $1")
            .bind(reference)
            .fetch_optional(conn)
            .await?;
    Ok(found.map(|(id, attempt)| (PayoutId::from_uuid(id), attempt)))
}

/// The rail's handles of a destination: contact id and fund account id.
///
/// # Errors
/// `Database`.
pub async fn handle_in(
    conn: &mut PgConnection,
    payout: &Payout,
) -> Result<Option<(String, String)>, Error> {
    let handle = sqlx::query_as(
        "select contact_id, fund_account_id from rail_beneficiaries
         where destination_id = $1 and rail = $2",
    )
    .bind(payout.destination.uuid())
    .bind(&payout.rail)
    .fetch_optional(conn)
    .await?;
    Ok(handle)
}

/// Moves a locked payout by one event and records the step. An event that changes nothing (the
/// rail says again what we know) is quiet.
///
/// # Errors
/// `Transition` when the state does not know the event, or `Database`.
pub(super) async fn step_in(
    conn: &mut PgConnection,
    base: &Base,
    payout: &mut Payout,
    event: PayoutEvent,
    cause: Value,
) -> Result<(), Error> {
    let from = payout.state;
    let to = from.next(event)?;
    let now = base.now();
    sqlx::query(
        "update payouts set state = $2, utr = $3, updated_at = $4,
           paid_at = case when $2 = 'paid' then $4 else paid_at end where id = $1",
    )
    .bind(payout.id.uuid())
    .bind(to.name())
    .bind(&payout.utr)
    .bind(now)
    .execute(&mut *conn)
    .await?;
    payout.state = to;
    let record = Record {
        entity: "payout",
        id: payout.id.uuid(),
        from: Some(from.name()),
        to: to.name(),
        event: event.name(),
        cause,
        at: now,
    };
    record_in(conn, record).await
}
