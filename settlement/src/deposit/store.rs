//! Reading deposits, and the one function that moves their state.

use primitives::{Amount, DepositId, NetworkId, PaymentId, QuoteId};
use serde_json::Value;
use sqlx::{PgConnection, Row, postgres::PgRow};

use super::{Deposit, DepositEvent, DepositState, Purpose, SuspenseReason};
use crate::{
    Base, Error, Record, money_column,
    payment::{self, Payment},
    record_in,
};

pub(super) fn read(row: &PgRow) -> Result<Deposit, Error> {
    let asset = money_column::asset(row.try_get("asset")?)?;
    let network: &str = row.try_get("network")?;
    let purpose = match row.try_get::<Option<&str>, _>("reason")? {
        None => Purpose::Payment,
        Some(name) => Purpose::Suspense(
            SuspenseReason::parse(name)
                .ok_or_else(|| Error::Inconsistent(format!("suspense reason {name}")))?,
        ),
    };
    Ok(Deposit {
        id: DepositId::from_uuid(row.try_get("id")?),
        network: NetworkId::new(network)
            .ok_or_else(|| Error::Inconsistent(format!("network {network}")))?,
        tx_id: row.try_get("tx_id")?,
        ordinal: row.try_get("ordinal")?,
        address: row.try_get("address")?,
        amount: money_column::amount(row.try_get("amount_minor")?, asset)?,
        payment: row.try_get::<Option<uuid::Uuid>, _>("payment_id")?.map(PaymentId::from_uuid),
        quote: row.try_get::<Option<uuid::Uuid>, _>("quote_id")?.map(QuoteId::from_uuid),
        state: DepositState::parse(row.try_get("state")?)?,
        purpose,
        sightings: row.try_get("sightings")?,
        block_hash: row.try_get("block_hash")?,
        height: row.try_get("height")?,
        seen_at: row.try_get("seen_at")?,
        confirmed_at: row.try_get("confirmed_at")?,
    })
}

macro_rules! select_deposit {
    ($rest:literal) => {
        concat!(
            "select id, network, tx_id, ordinal, address, asset, amount_minor::text as \
             amount_minor, payment_id, quote_id, state, reason, sightings, block_hash, height, \
             seen_at, confirmed_at from deposits ",
            $rest
        )
    };
}
pub(super) use select_deposit;

/// The deposit with this id.
///
/// # Errors
/// `Database`, `RowNotFound` inside it.
pub async fn get_in(conn: &mut PgConnection, id: DepositId) -> Result<Deposit, Error> {
    let row = sqlx::query(select_deposit!("where id = $1")).bind(id.uuid()).fetch_one(conn).await?;
    read(&row)
}

/// As [`get_in`], locked until the transaction ends. Lock its payment first.
///
/// # Errors
/// `Database`, `RowNotFound` inside it.
pub async fn lock_in(conn: &mut PgConnection, id: DepositId) -> Result<Deposit, Error> {
    let row = sqlx::query(select_deposit!("where id = $1 for update"))
        .bind(id.uuid())
        .fetch_one(conn)
        .await?;
    read(&row)
}

/// The payment a deposit belongs to and the deposit, locked in this order until the transaction
/// ends.
///
/// # Errors
/// `Overtaken` when it was given to another payment before both were locked; `Database`,
/// `RowNotFound` inside it.
pub(crate) async fn lock_with_owner_in(
    conn: &mut PgConnection,
    id: DepositId,
) -> Result<(Option<Payment>, Deposit), Error> {
    let before = get_in(conn, id).await?.payment;
    let owner = match before {
        Some(payment) => Some(payment::lock_in(conn, payment).await?),
        None => None,
    };
    let deposit = lock_in(conn, id).await?;
    if deposit.payment != before {
        return Err(Error::Overtaken("the deposit found another payment meanwhile"));
    }
    Ok((owner, deposit))
}

/// What of a deposit is anybody's to give away: all but what this sighting of it gave back to the
/// loss account.
///
/// # Errors
/// `Database`, `RowNotFound` inside it.
pub(crate) async fn left_in(conn: &mut PgConnection, id: DepositId) -> Result<Amount, Error> {
    let row = sqlx::query(
        "select asset::text as asset, left_of(d)::text as left_minor from deposits d where id = $1",
    )
    .bind(id.uuid())
    .fetch_one(conn)
    .await?;
    money_column::amount(row.try_get("left_minor")?, money_column::asset(row.try_get("asset")?)?)
}

/// Deposits of a network that are seen or confirmed in blocks above a height: what a
/// reorganisation down to that height touches.
///
/// # Errors
/// `Database`.
pub async fn seen_above_in(
    conn: &mut PgConnection,
    network: &NetworkId,
    height: i64,
) -> Result<Vec<Deposit>, Error> {
    sqlx::query(select_deposit!(
        "where network = $1 and height > $2 and state in ('seen', 'confirmed') order by id"
    ))
    .bind(network.as_str())
    .bind(height)
    .fetch_all(conn)
    .await?
    .iter()
    .map(read)
    .collect()
}

/// Moves a locked deposit by one event and records the step.
///
/// # Errors
/// `Transition` when the state does not know the event, or `Database`.
pub(super) async fn step_in(
    conn: &mut PgConnection,
    base: &Base,
    deposit: &mut Deposit,
    event: DepositEvent,
    cause: Value,
) -> Result<(), Error> {
    let from = deposit.state;
    let to = from.next(event)?;
    let now = base.now();
    sqlx::query(
        "update deposits set state = $2, updated_at = $3,
           confirmed_at = case when $2 = 'confirmed' then $3 else confirmed_at end where id = $1",
    )
    .bind(deposit.id.uuid())
    .bind(to.name())
    .bind(now)
    .execute(&mut *conn)
    .await?;
    deposit.state = to;
    let record = Record {
        entity: "deposit",
        id: deposit.id.uuid(),
        from: Some(from.name()),
        to: to.name(),
        event: event.name(),
        cause,
        at: now,
    };
    record_in(conn, record).await
}
