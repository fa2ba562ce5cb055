//! Reading payments, and the one function that moves their state.

use std::collections::BTreeSet;

use chrono::{DateTime, Utc};
use primitives::{Asset, DestinationId, MerchantId, NetworkId, PaymentId};
use serde_json::{Map, Value, json};
use sqlx::{PgConnection, Row, postgres::PgRow};

use super::{Flags, Payment, PaymentEvent, PaymentState};
use crate::{Base, Error, Record, jobs::ExpirePayment, money_column, record_in};

fn read(row: &PgRow) -> Result<Payment, Error> {
    let metadata = match row.try_get::<Value, _>("metadata")? {
        Value::Object(map) => map,
        _ => Map::new(),
    };
    Ok(Payment {
        id: PaymentId::from_uuid(row.try_get("id")?),
        merchant: MerchantId::from_uuid(row.try_get("merchant_id")?),
        reference: row.try_get("reference")?,
        amount: money_column::amount(row.try_get("amount_minor")?, Asset::Inr)?,
        state: PaymentState::parse(row.try_get("state")?)?,
        flags: Flags {
            partial: row.try_get("partial")?,
            over: row.try_get("over")?,
            late: row.try_get("late")?,
            wrong_asset: row.try_get("wrong_asset")?,
        },
        review_reason: row.try_get("review_reason")?,
        destination: DestinationId::from_uuid(row.try_get("destination_id")?),
        metadata,
        expires_at: row.try_get("expires_at")?,
        created_at: row.try_get("created_at")?,
        updated_at: row.try_get("updated_at")?,
        accepted_at: row.try_get("accepted_at")?,
        settled_at: row.try_get("settled_at")?,
    })
}

macro_rules! select_payment {
    ($rest:literal) => {
        concat!(
            "select id, merchant_id, reference, amount_minor::text as amount_minor, state, \
             partial, over, late, wrong_asset, review_reason, destination_id, metadata, \
             expires_at, created_at, updated_at, accepted_at, settled_at from payments ",
            $rest
        )
    };
}

/// The merchant's payment with this id; `None` also when it belongs to somebody else.
///
/// # Errors
/// `Database`.
pub async fn find(
    conn: &mut PgConnection,
    merchant: MerchantId,
    id: PaymentId,
) -> Result<Option<Payment>, Error> {
    sqlx::query(select_payment!("where id = $1 and merchant_id = $2"))
        .bind(id.uuid())
        .bind(merchant.uuid())
        .fetch_optional(conn)
        .await?
        .map(|row| read(&row))
        .transpose()
}

/// The payment with this id, whoever owns it: for workers, never for a request.
///
/// # Errors
/// `Database`, or `RowNotFound` inside it.
pub async fn get_in(conn: &mut PgConnection, id: PaymentId) -> Result<Payment, Error> {
    let row = sqlx::query(select_payment!("where id = $1")).bind(id.uuid()).fetch_one(conn).await?;
    read(&row)
}

/// As [`get_in`], with the row locked until the transaction ends. Locks are taken payment first.
///
/// # Errors
/// `Database`, or `RowNotFound` inside it.
pub async fn lock_in(conn: &mut PgConnection, id: PaymentId) -> Result<Payment, Error> {
    let row = sqlx::query(select_payment!("where id = $1 for update"))
        .bind(id.uuid())
        .fetch_one(conn)
        .await?;
    read(&row)
}

/// Locks several payments, always in the order of their ids, so that two transactions that need the
/// same ones never wait for each other. Whoever needs more than one takes them here, first.
///
/// # Errors
/// `Database`, or `RowNotFound` inside it.
pub async fn lock_all_in(
    conn: &mut PgConnection,
    ids: impl IntoIterator<Item = PaymentId>,
) -> Result<Vec<Payment>, Error> {
    let ordered: BTreeSet<PaymentId> = ids.into_iter().collect();
    let mut locked = Vec::with_capacity(ordered.len());
    for id in ordered {
        locked.push(lock_in(conn, id).await?);
    }
    Ok(locked)
}

/// Locks every payment that owns one of these addresses of a network, in the order of their ids:
/// what a block brings comes in the block's order, not in ours.
///
/// # Errors
/// `Database`.
pub async fn lock_owners_in(
    conn: &mut PgConnection,
    network: &NetworkId,
    addresses: &[String],
) -> Result<(), Error> {
    let owners: Vec<uuid::Uuid> = sqlx::query_scalar(
        "select distinct payment_id from deposit_addresses
         where network = $1 and address = any($2) and payment_id is not null",
    )
    .bind(network.as_str())
    .bind(addresses)
    .fetch_all(&mut *conn)
    .await?;
    lock_all_in(conn, owners.into_iter().map(PaymentId::from_uuid)).await?;
    Ok(())
}

/// Moves the end of a locked payment, later only, and asks for it to be looked at then.
///
/// # Errors
/// `Database`, `Queue`.
pub(crate) async fn lengthen_in(
    conn: &mut PgConnection,
    base: &Base,
    payment: &mut Payment,
    until: DateTime<Utc>,
) -> Result<(), Error> {
    if until <= payment.expires_at {
        return Ok(());
    }
    sqlx::query(
        "update payments set expires_at = $2, updated_at = $3, version = version + 1 where id = $1",
    )
    .bind(payment.id.uuid())
    .bind(until)
    .bind(base.now())
    .execute(&mut *conn)
    .await?;
    payment.expires_at = until;
    let data = json!({ "expires_at": until });
    crate::notice::tell_in(conn, base, payment, "payment.lengthened", data).await?;
    queue::enqueue(conn, &ExpirePayment { payment: payment.id }, until).await?;
    Ok(())
}

/// Keeps the version of the shop's policy that was last used for a payment.
///
/// # Errors
/// `Database`.
pub(crate) async fn remember_policy_in(
    conn: &mut PgConnection,
    payment: &Payment,
    version: i32,
) -> Result<(), Error> {
    sqlx::query(
        "update payments set policy_version = $2
         where id = $1 and policy_version is distinct from $2",
    )
    .bind(payment.id.uuid())
    .bind(version)
    .execute(conn)
    .await?;
    Ok(())
}

/// A merchant's payments, newest first, strictly older than `after`.
///
/// # Errors
/// `Database`.
pub async fn list(
    conn: &mut PgConnection,
    merchant: MerchantId,
    state: Option<PaymentState>,
    after: Option<PaymentId>,
    limit: i64,
) -> Result<Vec<Payment>, Error> {
    sqlx::query(select_payment!(
        "where merchant_id = $1 and ($2::text is null or state = $2) \
         and ($3::uuid is null or id < $3) order by id desc limit $4"
    ))
    .bind(merchant.uuid())
    .bind(state.map(PaymentState::name))
    .bind(after.map(PaymentId::uuid))
    .bind(limit)
    .fetch_all(conn)
    .await?
    .iter()
    .map(read)
    .collect()
}

/// Moves a locked payment by one event, in memory and in the database, and records the step.
///
/// # Errors
/// `Transition` when the state does not know the event (nothing is written), or `Database`.
pub async fn step_in(
    conn: &mut PgConnection,
    base: &Base,
    payment: &mut Payment,
    event: PaymentEvent,
    cause: Value,
) -> Result<(), Error> {
    let from = payment.state;
    let to = from.next(event)?;
    let now = base.now();
    let reason = match to {
        PaymentState::InReview => cause
            .get("reason")
            .and_then(Value::as_str)
            .map(str::to_owned)
            .or(Some("unspecified".into())),
        _ => None,
    };
    sqlx::query(
        "update payments set state = $2, review_reason = $3, updated_at = $4, version = version + 1,
           accepted_at = case when $2 = 'accepted' then $4 else accepted_at end,
           settled_at = case when $2 = 'settled' then $4 else settled_at end
         where id = $1 and state = $5",
    )
    .bind(payment.id.uuid())
    .bind(to.name())
    .bind(&reason)
    .bind(now)
    .bind(from.name())
    .execute(&mut *conn)
    .await?;
    payment.state = to;
    payment.review_reason = reason;
    payment.updated_at = now;
    if from == to {
        return Ok(());
    }
    let record = Record {
        entity: "payment",
        id: payment.id.uuid(),
        from: Some(from.name()),
        to: to.name(),
        event: event.name(),
        cause: cause.clone(),
        at: now,
    };
    record_in(conn, record).await?;
    let data = json!({ "state": to.name(), "event": event.name(), "detail": cause });
    crate::notice::tell_in(conn, base, payment, &format!("payment.{}", to.name()), data).await
}

/// Raises flags on a locked payment; flags are never lowered but `partial`, which ends when the
/// rest arrives.
///
/// # Errors
/// `Database`.
pub(crate) async fn set_flags_in(
    conn: &mut PgConnection,
    base: &Base,
    payment: &mut Payment,
    flags: Flags,
) -> Result<(), Error> {
    if payment.flags == flags {
        return Ok(());
    }
    sqlx::query(
        "update payments set partial = $2, over = $3, late = $4, wrong_asset = $5, updated_at = $6,
           version = version + 1 where id = $1",
    )
    .bind(payment.id.uuid())
    .bind(flags.partial)
    .bind(flags.over)
    .bind(flags.late)
    .bind(flags.wrong_asset)
    .bind(base.now())
    .execute(conn)
    .await?;
    payment.flags = flags;
    Ok(())
}
