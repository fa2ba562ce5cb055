//! Reading refunds, and the one function that moves their state.

use primitives::{DepositId, MerchantId, NetworkId, PaymentId, RefundId};
use serde_json::Value;
use sqlx::{PgConnection, Row, postgres::PgRow};

use super::{Refund, RefundEvent, RefundState};
use crate::{Base, Error, Record, money_column, record_in};

fn read(row: &PgRow) -> Result<Refund, Error> {
    let asset = money_column::asset(row.try_get("asset")?)?;
    let network: &str = row.try_get("network")?;
    let id = |column: &str| row.try_get::<Option<uuid::Uuid>, _>(column);
    Ok(Refund {
        id: RefundId::from_uuid(row.try_get("id")?),
        subject: row.try_get("subject")?,
        payment: id("payment_id")?.map(PaymentId::from_uuid),
        merchant: id("merchant_id")?.map(MerchantId::from_uuid),
        deposit: id("deposit_id")?.map(DepositId::from_uuid),
        network: NetworkId::new(network)
            .ok_or_else(|| Error::Inconsistent(format!("network {network}")))?,
        amount: money_column::amount(row.try_get("amount_minor")?, asset)?,
        kind: row.try_get("kind")?,
        state: RefundState::parse(row.try_get("state")?)?,
        address: row.try_get("address")?,
        proof: row.try_get("proof")?,
        tx_id: row.try_get("tx_id")?,
        ordinal: row.try_get("ordinal")?,
        promised_at: row.try_get("promised_at")?,
    })
}

macro_rules! select_refund {
    ($rest:literal) => {
        concat!(
            "select id, subject, payment_id, merchant_id, deposit_id, network, asset, \
             amount_minor::text as amount_minor, kind, state, address, proof, tx_id, ordinal, \
             promised_at \
             from refunds ",
            $rest
        )
    };
}

/// The refund with this id, if there is one.
///
/// # Errors
/// `Database`, `Inconsistent`.
pub async fn get_in(conn: &mut PgConnection, id: RefundId) -> Result<Option<Refund>, Error> {
    let row =
        sqlx::query(select_refund!("where id = $1")).bind(id.uuid()).fetch_optional(conn).await?;
    row.map(|row| read(&row)).transpose()
}

/// As [`get_in`], locked until the transaction ends. Lock its payment first.
///
/// # Errors
/// `Database`, `Inconsistent`.
pub async fn lock_in(conn: &mut PgConnection, id: RefundId) -> Result<Option<Refund>, Error> {
    let row = sqlx::query(select_refund!("where id = $1 for update"))
        .bind(id.uuid())
        .fetch_optional(conn)
        .await?;
    row.map(|row| read(&row)).transpose()
}

/// What is owed and has not left, oldest first, at most 500.
///
/// # Errors
/// `Database`, `Inconsistent`.
pub async fn open(conn: &mut PgConnection) -> Result<Vec<Refund>, Error> {
    sqlx::query(select_refund!(
        "where state in ('promised', 'addressed') order by promised_at, id limit 500"
    ))
    .fetch_all(conn)
    .await?
    .iter()
    .map(read)
    .collect()
}

/// Every refund of a payment, locked, in a fixed order. Lock the payment first.
pub(crate) async fn of_payment_in(
    conn: &mut PgConnection,
    payment: PaymentId,
) -> Result<Vec<Refund>, Error> {
    sqlx::query(select_refund!("where payment_id = $1 order by id for update"))
        .bind(payment.uuid())
        .fetch_all(conn)
        .await?
        .iter()
        .map(read)
        .collect()
}

/// Every refund of one deposit, locked, in a fixed order.
pub(crate) async fn of_deposit_in(
    conn: &mut PgConnection,
    deposit: DepositId,
) -> Result<Vec<Refund>, Error> {
    sqlx::query(select_refund!("where deposit_id = $1 order by id for update"))
        .bind(deposit.uuid())
        .fetch_all(conn)
        .await?
        .iter()
        .map(read)
        .collect()
}

/// Refunds whose subject is this one, or this one with a number.
pub(super) async fn of_subject_in(
    conn: &mut PgConnection,
    subject: &str,
) -> Result<Vec<Refund>, Error> {
    sqlx::query(select_refund!(
        "where subject = $1 or starts_with(subject, $1 || '#') order by id for update"
    ))
    .bind(subject)
    .fetch_all(conn)
    .await?
    .iter()
    .map(read)
    .collect()
}

/// Moves a locked refund by one event and records the step.
pub(super) async fn step_in(
    conn: &mut PgConnection,
    base: &Base,
    refund: &mut Refund,
    event: RefundEvent,
    cause: Value,
) -> Result<(), Error> {
    let from = refund.state;
    let to = from.next(event)?;
    let now = base.now();
    sqlx::query(
        "update refunds set state = $2, address = $3, proof = $4, tx_id = $5, ordinal = $6,
           updated_at = $7 where id = $1",
    )
    .bind(refund.id.uuid())
    .bind(to.name())
    .bind(&refund.address)
    .bind(&refund.proof)
    .bind(&refund.tx_id)
    .bind(refund.ordinal)
    .bind(now)
    .execute(&mut *conn)
    .await?;
    refund.state = to;
    let record = Record {
        entity: "refund",
        id: refund.id.uuid(),
        from: Some(from.name()),
        to: to.name(),
        event: event.name(),
        cause,
        at: now,
    };
    record_in(conn, record).await
}
