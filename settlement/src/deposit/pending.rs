//! Payments on their way that no block holds: shown, and nothing else.
//!
//! Invariant: nothing here touches the books or a payment's state; a payer may take back all of it.
//! That a payment is no longer on its way is told by what else spends its inputs, or by a node that
//! knows nothing of it; either may change again. The payment is locked before the deposit.

use primitives::{Amount, DepositId, NetworkId, PaymentId};
use serde_json::json;
use sqlx::{PgConnection, Row};

use super::{
    Deposit, DepositEvent, DepositState, Purpose,
    record::{purpose_name, reason_name},
    store::{lock_in, lock_with_owner_in, read, select_deposit, step_in},
};
use crate::{
    Base, Error, Record, money_column, notice,
    payment::{self, Arrival, Payment},
    record_in,
};

/// Value of a listed asset on its way to one of our addresses.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct OnItsWay {
    pub network: NetworkId,
    pub tx_id: String,
    pub ordinal: i64,
    pub address: String,
    pub amount: Amount,
    pub spends: Vec<String>,
}

/// Why a payment is no longer on its way.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Gone {
    /// The node knows nothing of it.
    Absent,
    /// Another transaction spends what it spent.
    Replaced { by: Option<String> },
}

/// A deposit that waits, with what it spends.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Waiting {
    pub id: DepositId,
    pub tx_id: String,
    pub ordinal: i64,
    pub spends: Vec<String>,
}

/// Records a payment on its way. One that is in a block already is left as it is.
///
/// # Errors
/// `Database`, `Inconsistent`.
pub async fn on_its_way_in(
    conn: &mut PgConnection,
    base: &Base,
    seen: &OnItsWay,
) -> Result<(), Error> {
    let payment = owner_in(conn, &seen.network, &seen.address).await?;
    let known = sqlx::query(select_deposit!(
        "where network = $1 and tx_id = $2 and ordinal = $3 for update"
    ))
    .bind(seen.network.as_str())
    .bind(&seen.tx_id)
    .bind(seen.ordinal)
    .fetch_optional(&mut *conn)
    .await?
    .map(|row| read(&row))
    .transpose()?;
    let deposit = match known {
        Some(deposit)
            if matches!(
                deposit.state,
                DepositState::Pending | DepositState::Seen | DepositState::Confirmed
            ) =>
        {
            return Ok(());
        }
        Some(mut deposit) => {
            sqlx::query("update deposits set spends = $2 where id = $1")
                .bind(deposit.id.uuid())
                .bind(&seen.spends)
                .execute(&mut *conn)
                .await?;
            let cause = json!({ "amount": deposit.amount });
            step_in(conn, base, &mut deposit, DepositEvent::SeenPending, cause).await?;
            deposit
        }
        None => first_pending(conn, base, seen, payment.as_ref()).await?,
    };
    tell(conn, base, payment.as_ref(), &deposit, "deposit.pending").await
}

async fn owner_in(
    conn: &mut PgConnection,
    network: &NetworkId,
    address: &str,
) -> Result<Option<Payment>, Error> {
    let owner: Option<uuid::Uuid> = sqlx::query_scalar(
        "select payment_id from deposit_addresses where network = $1 and address = $2",
    )
    .bind(network.as_str())
    .bind(address)
    .fetch_optional(&mut *conn)
    .await?
    .flatten();
    match owner {
        Some(id) => Ok(Some(payment::lock_in(conn, PaymentId::from_uuid(id)).await?)),
        None => Ok(None),
    }
}

async fn first_pending(
    conn: &mut PgConnection,
    base: &Base,
    seen: &OnItsWay,
    payment: Option<&Payment>,
) -> Result<Deposit, Error> {
    let now = base.now();
    let arrival = Arrival {
        network: &seen.network,
        asset: seen.amount.asset(),
        block_time: now,
        first_seen: None,
        counted_for: None,
    };
    let (purpose, quote) = payment::decide_in(conn, base, payment, &arrival).await?;
    let id = DepositId::from_uuid(base.uuid());
    sqlx::query(
        "insert into deposits (id, network, tx_id, ordinal, address, asset, amount_minor,
           payment_id, quote_id, state, purpose, reason, sightings, spends, seen_at, updated_at)
         values ($1, $2, $3, $4, $5, $6, $7::text::numeric, $8, $9, 'pending', $10, $11, 0, $12,
           $13, $13)",
    )
    .bind(id.uuid())
    .bind(seen.network.as_str())
    .bind(&seen.tx_id)
    .bind(seen.ordinal)
    .bind(&seen.address)
    .bind(seen.amount.asset().code())
    .bind(money_column::minor(seen.amount))
    .bind(payment.map(|payment| payment.id.uuid()))
    .bind(quote.map(primitives::QuoteId::uuid))
    .bind(purpose_name(purpose))
    .bind(reason_name(purpose))
    .bind(&seen.spends)
    .bind(now)
    .execute(&mut *conn)
    .await?;
    let record = Record {
        entity: "deposit",
        id: id.uuid(),
        from: None,
        to: DepositState::Pending.name(),
        event: "seen_pending",
        cause: json!({ "amount": seen.amount }),
        at: now,
    };
    record_in(conn, record).await?;
    lock_in(conn, id).await
}

/// Payments of a network that wait for a block, as far as we know.
///
/// # Errors
/// `Database`.
pub async fn waiting(conn: &mut PgConnection, network: &NetworkId) -> Result<Vec<Waiting>, Error> {
    let rows = sqlx::query(
        "select id, tx_id, ordinal, spends from deposits
         where network = $1 and state = 'pending' order by id limit 1000",
    )
    .bind(network.as_str())
    .fetch_all(conn)
    .await?;
    let read = |row: &sqlx::postgres::PgRow| {
        Ok(Waiting {
            id: DepositId::from_uuid(row.try_get("id")?),
            tx_id: row.try_get("tx_id")?,
            ordinal: row.try_get("ordinal")?,
            spends: row.try_get("spends")?,
        })
    };
    rows.iter().map(read).collect()
}

/// Notes that a payment is no longer on its way. It may come back.
///
/// # Errors
/// `Database`, `Inconsistent`.
pub async fn not_coming_in(
    conn: &mut PgConnection,
    base: &Base,
    id: DepositId,
    gone: &Gone,
) -> Result<(), Error> {
    let (payment, mut deposit) = lock_with_owner_in(conn, id).await?;
    if deposit.state != DepositState::Pending {
        return Ok(());
    }
    let (event, cause) = match gone {
        Gone::Absent => (DepositEvent::NeverMined, json!({})),
        Gone::Replaced { by } => (DepositEvent::Outspent, json!({ "by": by })),
    };
    step_in(conn, base, &mut deposit, event, cause).await?;
    tell(conn, base, payment.as_ref(), &deposit, "deposit.dropped").await
}

async fn tell(
    conn: &mut PgConnection,
    base: &Base,
    payment: Option<&Payment>,
    deposit: &Deposit,
    event: &str,
) -> Result<(), Error> {
    let Some(payment) = payment else { return Ok(()) };
    let data = json!({
        "network": deposit.network, "tx_id": deposit.tx_id, "amount": deposit.amount,
        "counts": matches!(deposit.purpose, Purpose::Payment),
    });
    notice::tell_in(conn, base, payment, event, data).await
}
